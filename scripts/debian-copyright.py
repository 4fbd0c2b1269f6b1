#!/usr/bin/env python3
"""debian/copyright: prints it, or compares it with the crates that Cargo.lock names.

    debian-copyright.py          writes the file to standard output
    debian-copyright.py check    ends with 1 if debian/copyright is another

A Debian package is built from the sources with all these crates beside them, so it states the licence and the holders
of the copyright of each, as the crate itself tells them. A licence that this program does not know is an error:
somebody has to read it first. The program reads what `cargo metadata` says, and the crates where cargo has them.
"""

import difflib
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What SPDX calls a licence, and what Debian does.
NAMES = {
    "MIT": "Expat",
    "Apache-2.0": "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception": "Apache-2.0 with LLVM exception",
    "BSL-1.0": "BSL-1.0",
    "LGPL-2.1-or-later": "LGPL-2.1+",
    "MPL-2.0": "MPL-2.0",
    "Unicode-3.0": "Unicode-3.0",
    "Unlicense": "Unlicense",
    "Zlib": "Zlib",
}
# Licences that every Debian system has, by the name of the file.
COMMON = {"Apache-2.0": "Apache-2.0", "MPL-2.0": "MPL-2.0", "LGPL-2.1+": "LGPL-2.1"}
# The others are copied from a crate that has them: the name of the file.
COPIED = {"BSL-1.0": "LICENSE-BOOST", "Unicode-3.0": "LICENSE-UNICODE", "Unlicense": "UNLICENSE",
          "Zlib": "LICENSE-ZLIB"}
LLVM_FILE = "LICENSE-Apache-2.0_WITH_LLVM-exception"

HEAD = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: libkv
Comment: scripts/debian-copyright.py writes this file, from what the crates state
 (make deb-copyright).

Files: *
Copyright: 2026 the libkv authors
License: Expat or Apache-2.0
"""


def crates():
    """The crates that are not the project's own, sorted by name and version."""
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--locked", "--all-features", "--format-version", "1"]
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    found = [package for package in json.loads(told)["packages"] if package["source"]]
    return sorted(found, key=lambda package: (package["name"], package["version"]))


def folder(crate):
    """Where the crate lies on this machine."""
    return os.path.dirname(crate["manifest_path"])


def licence(crate):
    """The licence of a crate as Debian writes it, and the names of those that it is made of."""
    # Crates of old have a slash for "or".
    stated = (crate["license"] or "").replace("/", " OR ")
    parts, used = [], []
    alternatives = stated.split(" AND ")
    for part in alternatives:
        names = []
        for name in part.strip("() ").split(" OR "):
            if name not in NAMES:
                sys.exit(f"{crate['name']} {crate['version']} has the licence '{stated}', which {__file__} does not"
                         " know: read it, and add it there")
            names.append(NAMES[name])
        used += names
        parts.append(" or ".join(names))
    # A comma makes clear what belongs together.
    return (", and " if any(" or " in part for part in parts) else " and ").join(parts), used


def holders(crate):
    """Who has the copyright: those whom the crate's licences name, and its authors."""
    found = []
    for name in sorted(os.listdir(folder(crate))):
        if not re.match(r"(?i)(un)?licen[sc]e|copy", name) or not os.path.isfile(os.path.join(folder(crate), name)):
            continue
        with open(os.path.join(folder(crate), name), encoding="utf-8", errors="replace") as text:
            for line in text:
                match = re.match(r"\s*Copyright\s+(?:(?:\(c\)|©)\s*)?(.*\S)", line, re.IGNORECASE)
                # Not the sentences of a licence, nor its form to be filled in.
                if not match or re.search(r"[\[{]|\bnotice|\blicense|^and |^holder|^statement", match[1], re.IGNORECASE):
                    continue
                if match[1].rstrip(".") not in found and not re.fullmatch(r"[\d, -]+", match[1]):
                    found.append(match[1].rstrip("."))
    for author in crate["authors"]:
        if not any(author.split(" <")[0] in holder for holder in found):
            found.append(author)
    return "\n ".join(found or [f"the authors of {crate['name']}"])


def text(lines):
    """The lines as a field of several lines."""
    return "".join(f" {line.rstrip()}\n" if line.strip() else " .\n" for line in lines)


def copied(all_crates, name, after=None):
    """The text of the file, from the first crate that has it: all of it, or what begins with a line."""
    for crate in all_crates:
        path = os.path.join(folder(crate), name)
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                lines = file.read().strip("\n").split("\n")
            if after is not None:
                lines = lines[[after in line for line in lines].index(True):]
            return text(lines)
    sys.exit(f"no crate has the file {name}, whose licence debian/copyright has to state")


def expat():
    """The text of the project's own LICENSE-MIT, without its title and its holders."""
    with open(os.path.join(ROOT, "LICENSE-MIT"), encoding="utf-8") as file:
        lines = file.read().strip("\n").split("\n")
    start = [line.startswith("Permission is") for line in lines].index(True)
    return text(lines[start:])


def paragraph(all_crates, name):
    """What a licence says, or where it is."""
    if name == "Expat":
        return expat()
    if name in COMMON:
        return f" The text is in /usr/share/common-licenses/{COMMON[name]} on Debian systems.\n"
    if name == "Apache-2.0 with LLVM exception":
        return (" The text of the Apache License is in /usr/share/common-licenses/Apache-2.0 on\n"
                " Debian systems. The exceptions are:\n .\n" + copied(all_crates, LLVM_FILE, "LLVM Exceptions"))
    return copied(all_crates, COPIED[name])


def main():
    """Prints the file, or compares it."""
    all_crates = crates()
    out = [HEAD, "\nFiles: debian/*\nCopyright: 2026 the libkv authors\nLicense: Expat or Apache-2.0\n"]
    names = {"Expat", "Apache-2.0"}
    for crate in all_crates:
        line, used = licence(crate)
        names.update(used)
        where = f"vendor/{crate['name']}-{crate['version']}/*"
        out.append(f"\nFiles: {where}\nCopyright: {holders(crate)}\nLicense: {line}\n")
    for name in sorted(names):
        out.append(f"\nLicense: {name}\n{paragraph(all_crates, name)}")
    wanted = "".join(out)
    if sys.argv[1:] != ["check"]:
        sys.stdout.write(wanted)
        return
    with open(os.path.join(ROOT, "debian/copyright"), encoding="utf-8") as file:
        there = file.read()
    if there != wanted:
        sys.stdout.writelines(difflib.unified_diff(there.splitlines(True), wanted.splitlines(True), "debian/copyright",
                                                   "what the crates state"))
        sys.exit("debian/copyright is not what the crates state: run make deb-copyright, and commit it")


main()
