"""The platform that a wheel names: what its library needs of the system, as far as that is known."""

import importlib.util
import os
import pathlib
import stat
import unittest
from unittest import mock

from common import Case

BACKEND = pathlib.Path(__file__).resolve().parent.parent / "build_backend.py"
#: What objdump -p says of a library.
SAYS = """
/x/libkv.so:     file format elf64-x86-64

Dynamic Section:
{needed}
  SONAME               libkv.so.0

Version definitions:
1 0x01 0x05d2c8d0 libkv.so.0
2 0x00 0x00075470 KV_9.9

Version References:
{references}
"""


@unittest.skipUnless(BACKEND.exists(), "build_backend.py is not here")
class Wheel(Case):
    def setUp(self):
        super().setUp()
        spec = importlib.util.spec_from_file_location("build_backend", BACKEND)
        self.backend = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.backend)

    def tag(self, needed, references, platform="linux_x86_64"):
        text = SAYS.format(
            needed="\n".join(f"  NEEDED               {name}" for name in needed),
            references="\n".join(
                f"  required from {name}:\n" + "\n".join(
                    f"    0x0d69691{number} 0x0{number % 3} {number:02} {version}"
                    for number, version in enumerate(versions, 2))
                for name, versions in references.items()))
        said = self.directory / "said"
        said.write_text(text)
        program = self.directory / "objdump"
        program.write_text(f"#!/bin/sh\ncat '{said}'\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        with mock.patch.dict(os.environ, {"OBJDUMP": str(program)}):
            return self.backend.manylinux("libkv.so", platform)

    def test_the_newest_version_of_glibc_counts(self):
        needed = ["libc.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2", "libm.so.6"]
        for versions, tag in (
            (["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.9"], "manylinux_2_34_x86_64"),
            (["GLIBC_2.3.4"], "manylinux_2_17_x86_64"),
            (["GLIBC_2.17", "GLIBC_2.4"], "manylinux_2_17_x86_64"),
            (["GLIBC_2.100", "GLIBC_2.99"], "manylinux_2_100_x86_64"),
        ):
            references = {"libc.so.6": versions, "libgcc_s.so.1": ["GCC_3.0", "GCC_4.2.0"]}
            self.assertEqual(self.tag(needed, references), tag, versions)
        one = {"libc.so.6": ["GLIBC_2.28"], "ld-linux-aarch64.so.1": ["GLIBC_2.17"]}
        self.assertEqual(self.tag(["libc.so.6", "ld-linux-aarch64.so.1"], one, "linux_aarch64"),
                         "manylinux_2_28_aarch64")
        self.assertEqual(self.tag(["libc.so.6", "ld64.so.2"], one, "linux_ppc64le"), "manylinux_2_28_ppc64le")

    def test_what_is_not_known_is_not_claimed(self):
        glibc = {"libc.so.6": ["GLIBC_2.17"]}
        for needed, references in (
            (["libc.so.6", "libkv.so.0"], glibc),
            (["libc.musl-x86_64.so.1"], {}),
            (["libc.so"], {}),
            (["libc.so.6"], {}),
            (["libc.so.6"], {"libc.so.6": ["GLIBC_2.17", "GLIBC_ABI_DT_RELR"]}),
            (["libc.so.6"], {"libc.so.6": ["GLIBC_2.17", "GLIBC_PRIVATE"]}),
            (["libc.so.6", "libgcc_s.so.1"], {**glibc, "libgcc_s.so.1": ["GCC_7.0.0"]}),
            (["libc.so.6", "libstdc++.so.6"], {**glibc, "libstdc++.so.6": ["GLIBCXX_3.4"]}),
        ):
            self.assertEqual(self.tag(needed, references), "linux_x86_64", (needed, references))
        self.assertEqual(self.tag(["libc.so.6"], glibc, "macosx_14_0_arm64"), "macosx_14_0_arm64")
        for program in ("/none/objdump", "false"):
            with mock.patch.dict(os.environ, {"OBJDUMP": program}):
                self.assertEqual(self.backend.manylinux("libkv.so", "linux_x86_64"), "linux_x86_64")


if __name__ == "__main__":
    unittest.main()
