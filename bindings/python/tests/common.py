"""What the tests share: a directory for each, and programs that run in processes of their own."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

import keelkv


class Case(unittest.TestCase):
    """A test with a directory of its own."""

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="keelkv-test-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.path = self.directory / "a.kv"

    def open(self, path=None, **options):
        database = keelkv.open(self.path if path is None else path, **options)
        self.addCleanup(database.close)
        return database

    def memory(self, **options):
        database = keelkv.open(None, **options)
        self.addCleanup(database.close)
        return database

    def program(self, text, *arguments, **variables):
        """Runs a program in another process and returns what it prints; it must end without an error."""
        # CPython 3.8 with -X dev falls over by itself in children of os.fork() that end.
        dev = ["-X", "dev"] if sys.version_info >= (3, 9) else []
        done = subprocess.run(
            [sys.executable, *dev, "-X", "faulthandler", "-c", textwrap.dedent(text), *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=120, cwd=self.directory,
            env=dict(os.environ, **variables),
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return done.stdout
