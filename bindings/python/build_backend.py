"""Builds wheels and source archives of keelkv, with a C compiler and nothing else.

For pip this is the build backend (PEP 517). By hand: ``python3 build_backend.py wheel DIRECTORY``, or ``sdist``.
`KEELKV_BUILD` chooses what is in a wheel; without it, the first that is possible is built:

    static   the extension with libkv inside, from `KEELKV_LIBKV` (a libkv.a; default: build/libkv.a of the sources)
    shared   the extension, linked with the libkv of the system, which pkg-config finds
    bundle   no extension; `KEELKV_LIBKV` (a libkv.so) is put beside the modules, for ctypes
    pure     neither: ctypes looks for libkv.so.0 when it is imported

`CC`, `CFLAGS` and `LDFLAGS` are as for make, and `KEELKV_INCLUDE` is the directory of kv.h.
"""

import base64
import hashlib
import os
import pathlib
import re
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VERSION = re.search(r'^__version__ = "(.*)"$', (HERE / "keelkv/__init__.py").read_text(), re.M).group(1)
KINDS = ("static", "shared", "bundle", "pure")
#: The oldest CPython whose stable interface the extension uses.
ABI3 = (3, 11)

METADATA = f"""\
Metadata-Version: 2.1
Name: keelkv
Version: {VERSION}
Summary: An embedded, transactional, ordered key-value store in one file (libkv for Python)
License: MIT OR Apache-2.0
Requires-Python: >=3.8
Classifier: License :: OSI Approved :: Apache Software License
Classifier: License :: OSI Approved :: MIT License
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: C
Classifier: Programming Language :: Python :: 3
Classifier: Topic :: Database :: Database Engines/Servers
Classifier: Typing :: Typed
Description-Content-Type: text/markdown

"""


def pkg_config(what):
    """What pkg-config says of libkv; None if it does not know it."""
    try:
        text = subprocess.run(["pkg-config", what, "kv"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return text.split()


def library(*names):
    """The file of the library: what KEELKV_LIBKV names, or the first of those that `make` builds."""
    chosen = os.environ.get("KEELKV_LIBKV")
    paths = [pathlib.Path(chosen)] if chosen else [ROOT / "build" / name for name in names]
    return next((path for path in paths if path.exists()), paths[0])


def static_library():
    return library("libkv.a")


def shared_library():
    return library(f"stripped/libkv.so.{VERSION}", "libkv.so.0")


def has_extension():
    return sys.implementation.name == "cpython" and sys.version_info >= ABI3


def chosen_kind():
    kind = os.environ.get("KEELKV_BUILD")
    if kind:
        if kind not in KINDS:
            sys.exit(f"KEELKV_BUILD is {kind!r}; it is one of {', '.join(KINDS)}")
        return kind
    if has_extension() and static_library().exists():
        return "static"
    if has_extension() and pkg_config("--libs") is not None:
        return "shared"
    return "bundle" if shared_library().exists() else "pure"


def compile_extension(kind, directory):
    """Compiles the extension and returns its file."""
    target = pathlib.Path(directory) / "_keelkv.abi3.so"
    flags = ["-std=c11", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-cast-function-type",
             "-Wno-missing-field-initializers", "-DPy_LIMITED_API=0x030b0000", "-I", sysconfig.get_paths()["include"]]
    if kind == "static":
        flags += ["-I", os.environ.get("KEELKV_INCLUDE") or str(ROOT / "include")]
        # kv_* stays visible, so that the ctypes back end can use the same file; the extension itself uses its own.
        libraries = [str(static_library()), "-Wl,--gc-sections", "-Wl,-Bsymbolic", "-Wl,-s", "-lpthread", "-ldl", "-lm"]
    else:
        flags += pkg_config("--cflags") or []
        libraries = pkg_config("--libs") or ["-lkv"]
    command = shlex.split(os.environ.get("CC") or "cc")
    command += shlex.split(os.environ.get("CFLAGS") or "-O2") + flags + ["-shared", "-o", str(target)]
    command += [str(path) for path in sorted((HERE / "src").glob("*.c"))]
    command += shlex.split(os.environ.get("LDFLAGS") or "") + ["-Wl,-z,relro,-z,now,-z,noexecstack"] + libraries
    print(shlex.join(command), file=sys.stderr)
    subprocess.run(command, check=True)
    return target


#: What every system with glibc has, so that a wheel may need it: PEP 600 and the lists of auditwheel.
EVERYWHERE = re.compile(r"lib(c|m|dl|rt|pthread|util|gcc_s)\.so\.[0-9]+|ld(64|-linux.*)?\.so\.[0-9]+")
#: The least version of glibc that all installers have a tag for, on all machines.
OLDEST_GLIBC = (2, 17)
#: The newest symbols of libgcc_s that systems with this glibc have.
NEWEST_GCC = (4, 8, 0)


def manylinux(binary, platform):
    """The platform tag that says which glibc a shared library needs, from the versions of the symbols that it takes
    from other libraries. It is `platform` itself where that cannot be told, or where other libraries are needed."""
    if not platform.startswith("linux_"):
        return platform
    command = shlex.split(os.environ.get("OBJDUMP") or "objdump") + ["-p", str(binary)]
    try:
        text = subprocess.run(command, check=True, capture_output=True, text=True,
                              env={**os.environ, "LC_ALL": "C"}).stdout
    except (OSError, subprocess.CalledProcessError):
        return platform
    if not all(EVERYWHERE.fullmatch(name) for name in re.findall(r"^ +NEEDED +(\S+)", text, re.M)):
        return platform
    glibc = [OLDEST_GLIBC]
    _, _, references = text.partition("\nVersion References:\n")
    versions = re.findall(r"^ +0x[0-9a-f]+ 0x[0-9a-f]+ [0-9]+ (\S+)$", references, re.M)
    for version in versions:
        of, _, number = version.partition("_")
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", number):
            # GLIBC_PRIVATE, GLIBC_ABI_DT_RELR and whatever comes: which systems have it is not known here.
            return platform
        number = tuple(map(int, number.split(".")))
        if of == "GLIBC":
            glibc.append(number)
        elif of != "GCC" or number > NEWEST_GCC:
            return platform
    if len(glibc) == 1:
        # Nothing of glibc is needed by version, as with another C library.
        return platform
    major, minor = max(glibc)[:2]
    return f"manylinux_{major}_{minor}_{platform[len('linux_'):]}"


def tags(kind, binary=None):
    """The tags of a wheel with this shared library."""
    if kind == "pure":
        return "py3-none-any"
    platform = manylinux(binary, re.sub(r"[-.]", "_", sysconfig.get_platform()))
    return f"py3-none-{platform}" if kind == "bundle" else f"cp{ABI3[0]}{ABI3[1]}-abi3-{platform}"


def contents(kind, scratch):
    """The tags of a wheel and its files: name -> bytes."""
    binary = None
    files = {f"keelkv/{path.name}": path.read_bytes() for path in sorted((HERE / "keelkv").glob("*.py"))}
    files["keelkv/py.typed"] = b""
    if kind in ("static", "shared"):
        binary = compile_extension(kind, scratch)
        files["keelkv/_keelkv.abi3.so"] = binary.read_bytes()
    elif kind == "bundle":
        binary = shared_library()
        files["keelkv/libkv.so.0"] = binary.read_bytes()
    tag = tags(kind, binary)
    info = f"keelkv-{VERSION}.dist-info"
    files[f"{info}/METADATA"] = METADATA.encode() + (HERE / "README.md").read_bytes()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: keelkv\nRoot-Is-Purelib: {str(kind == 'pure').lower()}\nTag: {tag}\n"
    ).encode()
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        for folder in (HERE, ROOT):
            if (folder / name).exists():
                files[f"{info}/{name}"] = (folder / name).read_bytes()
                break
    return tag, files


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    kind = chosen_kind()
    with tempfile.TemporaryDirectory() as scratch:
        tag, files = contents(kind, scratch)
    name = f"keelkv-{VERSION}-{tag}.whl"
    record = f"keelkv-{VERSION}.dist-info/RECORD"
    lines = []
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(data)}\n")
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    os.makedirs(wheel_directory, exist_ok=True)
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            # One time for all, so that the same sources make the same wheel.
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if ".so" in path else 0o644) << 16
            wheel.writestr(entry, data)
    return name


def build_sdist(sdist_directory, config_settings=None):
    base = f"keelkv-{VERSION}"
    files = [HERE / name for name in ("build_backend.py", "pyproject.toml", "README.md", "bench.py")]
    for folder, pattern in (("keelkv", "*.py"), ("keelkv", "py.typed"), ("src", "*.[ch]"), ("tests", "*.py")):
        files += sorted((HERE / folder).glob(pattern))
    os.makedirs(sdist_directory, exist_ok=True)
    with tarfile.open(os.path.join(sdist_directory, f"{base}.tar.gz"), "w:gz") as archive:
        for path in files:
            archive.add(path, f"{base}/{path.relative_to(HERE)}")
        for name in ("LICENSE-MIT", "LICENSE-APACHE"):
            source = HERE / name if (HERE / name).exists() else ROOT / name
            archive.add(source, f"{base}/{name}")
        with tempfile.TemporaryDirectory() as scratch:
            info = pathlib.Path(scratch) / "PKG-INFO"
            info.write_bytes(METADATA.encode() + (HERE / "README.md").read_bytes())
            archive.add(info, f"{base}/PKG-INFO")
    return f"{base}.tar.gz"


def main(arguments):
    builders = {"wheel": build_wheel, "sdist": build_sdist}
    if len(arguments) != 2 or arguments[0] not in builders:
        sys.exit("usage: build_backend.py wheel|sdist DIRECTORY")
    print(os.path.join(arguments[1], builders[arguments[0]](arguments[1])))


if __name__ == "__main__":
    main(sys.argv[1:])
