#!/usr/bin/env python3
"""Writes man pages: `man.py FOLDER` makes FOLDER/man3 from include/kv.h, and kv-format(5) from docs/format.md.

Each function has a page. kv(3) has what is said at the head of the header, and each chapter a page with its types and
constants. Pages begin to be written in a form that both groff and mandoc read without a warning.
"""

import os
import re
import sys
import textwrap

import header_text

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(name):
    """The text of a file of the sources."""
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


VERSION = re.search(r'^version *= *"([^"]*)"', read("Cargo.toml"), re.M)[1]
# The newest release that has a date, so that the same sources give the same pages.
DATE = (re.findall(r"\d{4}-\d{2}-\d{2}", read("CHANGELOG.md")) or ["2026-01-01"])[0]


def escape(text):
    """Text whose every byte is shown as it is."""
    return text.replace("\\", "\\e").replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")


def line_safe(line):
    """A line that is no request, whatever it begins with."""
    return "\\&" + line if line[:1] in (".", "'") else line


def inline(text):
    """Words with code, bold text and links, as both Markdown and the header write them."""
    out = []
    for n, part in enumerate(re.split(r"`([^`]*)`", text)):
        if n % 2:
            out.append("\\fB" + escape(part) + "\\fP")
            continue
        part = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", part)
        for m, piece in enumerate(part.split("**")):
            piece = escape(piece)
            piece = re.sub(r"\b(kv_\w+)\(\)", r"\\fB\1\\fP()", piece)
            piece = re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?!\w)", r"\\fI\1\\fP", piece)
            out.append("\\fB" + piece + "\\fP" if m % 2 else piece)
    return "".join(out)


def paragraph(text):
    """Words, cut into lines of a usual length."""
    lines = textwrap.wrap(inline(text), 78, break_long_words=False, break_on_hyphens=False)
    return "\n".join(line_safe(line) for line in lines)


def verbatim(lines):
    """Lines that are shown as they are."""
    body = "\n".join(line_safe(escape(line)) if line else "" for line in lines)
    body = re.sub(r"\n{2,}", "\n.sp\n", body)
    return f".IP\n.nf\n{body}\n.fi"


def table(rows):
    """A table; the first row is its heading."""
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))] for row in rows]
    cells = [row for row in cells if not all(re.fullmatch(r"[-: ]*", cell) for cell in row)]
    columns = len(cells[0])
    wide = [max((len(row[n]) for row in cells if n < len(row)), default=0) > 24 for n in range(columns)]
    layout = " ".join("lx" if w else "l" for w in wide)
    out = [".TS", "allbox;", " ".join("lb" if not w else "lbx" for w in wide), layout + "."]
    for row in cells:
        row = (row + [""] * columns)[:columns]
        texts = [inline(cell.replace("\\|", "|")) for cell in row]
        out.append("\t".join("T{\n" + line_safe(t) + "\nT}" if w and t else t for t, w in zip(texts, wide)))
    return ".PP\n.ad l\n" + "\n".join(out + [".TE", ".ad b"])


def body(text):
    """A text of the header of several paragraphs."""
    out = []
    for block in header_text.blocks(text):
        if block[0] == "code":
            out.append(verbatim(block[1]))
        elif block[0] == "table":
            out.append(table(block[1]))
        elif block[0] == "numbered":
            out.append(f".TP 4\n{block[1]}.\n" + paragraph(block[2]))
        else:
            out.append((".PP\n" if out else "") + paragraph(block[1]))
    return "\n".join(out)


def page(name, section, summary, parts):
    """A whole page. Each part is a heading and the text below it."""
    head = f'.TH {name} {section} {DATE} "libkv {VERSION}" "libkv"'
    out = [head, ".SH NAME", f"{name} \\- {escape(summary)}"]
    for heading, text in parts:
        if text:
            out += [f".SH {heading}", text]
    text = "\n".join(out) + "\n"
    return ("'\\\" t\n" if ".TS" in text else "") + text


def write(folder, section, name, text):
    """Writes a page where man looks for it."""
    path = os.path.join(folder, f"man{section}")
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, f"{name}.{section}"), "w", encoding="utf-8") as file:
        file.write(text)


def summary(text):
    """The first sentence of a text, as the line of NAME has it."""
    first = re.split(r"(?<=[A-Za-z)\"])[.:;](?: |$)|, (?:and|such|\")", text.replace("\n", " "))[0]
    first = first.split(" (")[0].rstrip(".")
    return first[0].lower() + first[1:].replace("`", "")


def references(names):
    """The line of SEE ALSO."""
    return ",\n".join(f".BR {name} (3)" for name in names).replace(",\n", " ,\n")


def function_page(item, chapter):
    """The page of a function."""
    prototype = [line.replace("KV_API ", "").replace("KV_MUST_CHECK ", "") for line in item.code.split("\n")]
    synopsis = ".nf\n.B #include <kv.h>\n.PP\n" + "\n".join(f".B {quoted(line)}" for line in prototype) + "\n.fi"
    params = "\n".join(f".TP\n.I {name}\n{paragraph(text)}" for name, text in item.params)
    others = [other.name for other in chapter.items if other.kind == "function" and other.name != item.name]
    parts = [
        ("SYNOPSIS", synopsis + "\n.PP\nLink with \\fI\\-lkv\\fP."),
        ("DESCRIPTION", body(item.text)),
        ("PARAMETERS", params),
        ("RETURN VALUE", paragraph(item.returns) if item.returns else ""),
        ("SEE ALSO", references(["kv", chapter.group] + others)),
    ]
    return page(item.name, 3, summary(item.text), parts)


def quoted(line):
    """A line as the one argument of a request."""
    return '"' + escape(line).replace('"', '\\(dq') + '"'


def chapter_page(chapter):
    """The page of a chapter: its functions, and its types, constants and macros."""
    functions = [item for item in chapter.items if item.kind == "function"]
    listed = "\n".join(f".TP\n.BR {item.name} (3)\n{paragraph(first_sentence(item.text))}" for item in functions)
    others = []
    for item in chapter.items:
        if item.kind != "function":
            code = re.sub(r"/\*\*.*?\*/", lambda m: m[0], item.code, flags=re.S).split("\n")
            others.append(f".SS {item.name}\n.nf\n" + "\n".join(line_safe(escape(l)) or ".sp" for l in code))
            others.append(".fi\n.PP\n" + body(item.text))
    title = chapter.title[0].lower() + chapter.title[1:]
    parts = [
        ("SYNOPSIS", ".nf\n.B #include <kv.h>\n.fi"),
        ("FUNCTIONS", listed),
        ("TYPES AND CONSTANTS", "\n".join(others)),
        ("SEE ALSO", references(["kv"])),
    ]
    return page(chapter.group, 3, f"libkv: {title}", parts)


def first_sentence(text):
    """The first sentence of a text."""
    return re.split(r"(?<=[.:]) ", text.replace("\n", " "))[0].rstrip(":")


def overview(head, chapters):
    """kv(3)."""
    title, _, text = head.partition("\n\n")
    chapters_listed = "\n".join(f".TP\n.BR {c.group} (3)\n{paragraph(c.title)}" for c in chapters)
    parts = [
        ("SYNOPSIS", ".nf\n.B #include <kv.h>\n.PP\n.B cc program.c $(pkg-config \\-\\-cflags \\-\\-libs kv)\n.fi"),
        ("DESCRIPTION", body(text)),
        ("CHAPTERS", chapters_listed),
        ("SEE ALSO", ".BR kv-format (5)"),
    ]
    return page("kv", 3, title.partition(": ")[2].rstrip("."), parts)


# ---- documents ----------------------------------------------------------------------------------------------------


def markdown(text):
    """A document in Markdown, without its title and its list of contents."""
    out, lines = [], text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith("## "):
            out.append(f'.SH "{inline(line[3:]).upper()}"')
        elif line.startswith("### "):
            out.append(f'.SS "{inline(line[4:])}"')
        elif line.startswith("```"):
            start = at
            while not lines[at].startswith("```"):
                at += 1
            out.append(verbatim(lines[start:at]))
            at += 1
        elif line.startswith("|"):
            start = at - 1
            while at < len(lines) and lines[at].startswith("|"):
                at += 1
            out.append(table(lines[start:at]))
        elif line.strip():
            item = re.match(r"(- |\d+\. )(.*)", line)
            words = [item[2] if item else line]
            while at < len(lines) and lines[at].strip() and not re.match(r"(- |\d+\. |\||```|#)", lines[at].lstrip()):
                words.append(lines[at].strip())
                at += 1
            mark = ".PP" if not item else ".IP \\(bu 2" if item[1] == "- " else f".IP {item[1].strip()} 4"
            out.append(mark + "\n" + paragraph(" ".join(words)))
    return re.sub(r"(\.S[HS] .*)\n\.PP\n", r"\1\n", "\n".join(out))


def format_page():
    """kv-format(5)."""
    text = read("docs/format.md").split("\n## ", 1)
    intro = [p for p in text[0].split("\n\n")[1:] if not p.startswith("Contents:")]
    introduction = "\n".join(f"{'.PP' if n else ''}\n{paragraph(p)}".lstrip() for n, p in enumerate(intro))
    parts = [("DESCRIPTION", introduction + "\n" + markdown("## " + text[1])), ("SEE ALSO", references(["kv"]))]
    return page("kv-format", 5, "the file format of libkv", parts)


def main():
    """Does what the command line says."""
    if len(sys.argv) != 2:
        sys.exit("usage: man.py FOLDER")
    folder = sys.argv[1]
    head, chapters = header_text.read(os.path.join(ROOT, "include", "kv.h"))
    write(folder, 3, "kv", overview(head, chapters))
    for chapter in chapters:
        write(folder, 3, chapter.group, chapter_page(chapter))
    for item, chapter in header_text.functions(chapters):
        write(folder, 3, item.name, function_page(item, chapter))
    write(folder, 5, "kv-format", format_page())


if __name__ == "__main__":
    main()
