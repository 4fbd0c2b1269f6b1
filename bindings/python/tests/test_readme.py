"""The examples of README.md, run as they stand there."""

import doctest
import os
import pathlib
import re
import unittest

import keelkv
from common import Case

README = pathlib.Path(__file__).resolve().parent.parent / "README.md"


class Readme(Case):
    @unittest.skipUnless(README.exists(), "README.md is not here")
    def test_the_examples(self):
        text = README.read_text(encoding="utf-8")
        blocks = re.findall(r"^```pycon\n(.*?)^```$", text, re.M | re.S)
        self.assertGreater(len(blocks), 6)
        former = os.getcwd()
        os.chdir(self.directory)
        self.addCleanup(os.chdir, former)
        test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "README.md", str(README), 0)
        self.assertGreater(len(test.examples), 40)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        report = []
        runner.run(test, out=report.append)
        self.assertEqual(runner.failures, 0, "".join(report))

    @unittest.skipUnless(README.exists(), "README.md is not here")
    def test_what_is_named_exists(self):
        for name in re.findall(r"`keelkv\.([a-zA-Z_.]+)", README.read_text(encoding="utf-8")):
            thing = keelkv
            for part in name.rstrip(".").split("."):
                thing = getattr(thing, part)


if __name__ == "__main__":
    unittest.main()
