"""Builds the extension, which CPython 3.11 and later use, or bundles the library for ctypes.

`KEELKV_BUILD` chooses; without it, the first that is possible is built:

    static   the extension with libkv inside, from `KEELKV_LIBKV` (a libkv.a; default: build/libkv.a of the sources)
    shared   the extension, linked with the libkv of the system, which pkg-config finds
    bundle   no extension; `KEELKV_LIBKV` (a libkv.so) is put beside the modules, for ctypes
    pure     neither: ctypes looks for libkv.so.0 when it is imported
"""

import os
import pathlib
import shutil
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ABI3 = "cp311"


def pkg_config(what):
    try:
        return subprocess.run(["pkg-config", what, "kv"], check=True, capture_output=True, text=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return None


def library(name):
    """The file of the library: what KEELKV_LIBKV names, or the one that `make` built."""
    return pathlib.Path(os.environ.get("KEELKV_LIBKV") or ROOT / "build" / name)


def chosen():
    kind = os.environ.get("KEELKV_BUILD", "")
    if kind:
        return kind
    if sys.implementation.name != "cpython" or sys.version_info < (3, 11):
        return "bundle" if library("libkv.so.0").exists() else "pure"
    if library("libkv.a").exists():
        return "static"
    return "shared" if pkg_config("--libs") is not None else "pure"


KIND = chosen()


def extension():
    options = {
        "sources": [str(path.relative_to(HERE)) for path in sorted((HERE / "src").glob("*.c"))],
        "depends": ["src/keelkv.h"],
        "define_macros": [("Py_LIMITED_API", "0x030b0000")],
        "extra_compile_args": ["-std=c11", "-Wall", "-Wextra", "-Wno-cast-function-type",
                               "-Wno-missing-field-initializers", "-fvisibility=hidden"],
        "py_limited_api": True,
    }
    if KIND == "static":
        # kv_* stays visible, so that the ctypes back end can use the same file. -Bsymbolic: the extension uses its own.
        options.update(
            include_dirs=[os.environ.get("KEELKV_INCLUDE") or str(ROOT / "include")],
            extra_objects=[str(library("libkv.a"))],
            libraries=["pthread", "dl", "m"],
            extra_link_args=["-Wl,--gc-sections", "-Wl,-Bsymbolic", "-Wl,-s"],
        )
    else:
        options.update(extra_link_args=pkg_config("--libs") or ["-lkv"])
        options["extra_compile_args"] += pkg_config("--cflags") or []
    return Extension("keelkv._keelkv", **options)


class Wheel(bdist_wheel):
    """Names what a wheel runs on: abi3 with an extension, every Python 3 of this platform with a bundled library."""

    def finalize_options(self):
        if KIND in ("static", "shared"):
            self.py_limited_api = ABI3
        super().finalize_options()

    def get_tag(self):
        python, abi, platform = super().get_tag()
        return ("py3", "none", platform) if KIND == "bundle" else (python, abi, platform)


class Modules(build_py):
    """Puts the library beside the modules."""

    def run(self):
        super().run()
        if KIND == "bundle":
            shutil.copyfile(library("libkv.so.0"), os.path.join(self.build_lib, "keelkv", "libkv.so.0"))


class Files(Distribution):
    """A wheel with a library is not pure."""

    def has_ext_modules(self):
        return KIND != "pure"


setup(
    ext_modules=[extension()] if KIND in ("static", "shared") else [],
    cmdclass={"bdist_wheel": Wheel, "build_py": Modules},
    distclass=Files,
)
