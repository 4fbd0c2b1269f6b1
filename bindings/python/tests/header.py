"""What `kv.h` declares, for tests that compare the package with it."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]
PATH = ROOT / "include" / "kv.h"
TEXT = re.sub(r"/\*.*?\*/", "", PATH.read_text(), flags=re.S) if PATH.exists() else ""


def constants():
    """The constants that are numbers, without their prefix."""
    found = re.findall(r"^#define KV_(\w+) \(?(-?\d\w*)\)?$", TEXT, re.M)
    return {"NONE": 2**64 - 1, **{name: int(value, 0) for name, value in found}}


def structs():
    """The fields of each struct, in their order: pairs of a name and a type, where every pointer is `*`."""
    found = {}
    for name, body in re.findall(r"^typedef struct (\w+) \{(.*?)^\} \w+;", TEXT, re.M | re.S):
        found[name] = []
        for field in filter(None, (line.strip() for line in body.split(";"))):
            kind, pointer, called, array = re.fullmatch(r"(?:const )?(\w+) (\*?)(\w+)(?:\[(\d+)\])?", field).groups()
            function = kind.endswith("_fn")
            found[name].append((called, "*" if pointer or function else f"{kind}[{array}]" if array else kind))
    return found


def functions():
    """How many parameters each function has."""
    found = re.findall(r"^KV_API .*?(kv_\w+)\((.*?)\)[^()]*;", TEXT, re.M | re.S)
    return {name: 0 if parameters == "void" else parameters.count(",") + 1 for name, parameters in found}


def names_in_messages():
    """The names of C in what the library says: in the strings of the engine and of the C layer, and those of flags."""
    token = r"//[^\n]*|/\*.*?\*/|'(?:\\.[^']*|[^\\'])'|(\w*)\"((?:[^\"\\]|\\.)*)\""
    found = set()
    for source in [*(ROOT / "src").rglob("*.rs"), *(ROOT / "capi" / "src").rglob("*.rs")]:
        code = source.read_text().split("#[cfg(test)]")[0]
        for prefix, string in re.findall(token, code, re.S):
            if not prefix:
                found.update(re.findall(r"\b(?:kv_[a-z_]+|KV_[A-Z_]+)\b", string))
    flags = (ROOT / "capi" / "src" / "border" / "flags.rs").read_text()
    found.update(re.findall(r"KV_\w+", re.search(r"const NAMED.*?\];", flags, re.S)[0]))
    return found
