"""The text of include/kv.h, taken apart: what book.py and man.py make pages of.

A chapter is what stands between `@defgroup` and `@}`. An item is a comment `/** ... */` and the declaration behind it.
"""

import re
from dataclasses import dataclass, field


@dataclass
class Item:
    """A function, type, constant or macro, and what is said of it."""

    kind: str  # "function", "constant", "type" or "macro"
    name: str
    code: str
    text: str
    params: list = field(default_factory=list)  # (name, text)
    returns: str = ""


@dataclass
class Chapter:
    """A chapter of the header."""

    group: str
    title: str
    items: list = field(default_factory=list)


def comment_text(lines):
    """The lines of a comment without its stars."""
    out = []
    for line in lines:
        line = re.sub(r"^\s*/?\*+/? ?", "", line.rstrip())
        out.append(re.sub(r"\s*\*/$", "", line))
    return "\n".join(out).strip("\n")


def split_tags(text):
    """The text, the parameters and the result of a comment."""
    body, params, returns = [], [], None
    target = body
    for line in text.split("\n"):
        param = re.match(r"@param (\w+)\s+(.*)", line)
        result = re.match(r"@return (.*)", line)
        if param:
            target = [param[2]]
            params.append((param[1], target))
        elif result:
            target = returns = [result[1]]
        else:
            target.append(line if target is body else line.strip())
    joined = [(name, " ".join(lines).strip()) for name, lines in params]
    return "\n".join(body).strip("\n"), joined, " ".join(returns or []).strip()


def declaration(lines, at):
    """The declaration that begins at a line, and the line behind it."""
    start = at
    if lines[at].startswith("#define"):
        while lines[at].endswith("\\"):
            at += 1
    else:
        depth = 0
        while True:
            depth += lines[at].count("{") - lines[at].count("}")
            if depth == 0 and lines[at].rstrip().endswith(";"):
                break
            at += 1
    return "\n".join(lines[start : at + 1]), at + 1


def kind_and_name(code):
    """What a declaration declares."""
    macro = re.match(r"#define (\w+)(\(?)", code)
    if macro:
        return ("macro" if macro[2] else "constant"), macro[1]
    function = re.search(r"^KV_API.*?(kv_\w+)\(", code, re.S)
    if function:
        return "function", function[1]
    pointer = re.match(r"typedef .*\(\*(kv_\w+)\)", code)
    return "type", (pointer or re.search(r"(\w+);\s*$", code))[1]


def read(path):
    """The text at the head of the header, and its chapters."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    end = next(n for n, line in enumerate(lines) if line.strip() == "*/")
    head = comment_text(lines[: end + 1]).split("\n\nGenerated from ")[0]
    chapters, at = [], end + 1
    while at < len(lines):
        group = re.match(r"/\*\* @defgroup (\w+) (.*)", lines[at])
        if group:
            chapters.append(Chapter(group[1], group[2]))
            at += 2
        elif lines[at].startswith("/**") and "@}" not in lines[at]:
            start = at
            while "*/" not in lines[at]:
                at += 1
            text, params, returns = split_tags(comment_text(lines[start : at + 1]))
            at += 1
            if not chapters or not lines[at].strip():
                continue
            code, at = declaration(lines, at)
            kind, name = kind_and_name(code)
            chapters[-1].items.append(Item(kind, name, code, text, params, returns))
        elif chapters and re.match(r"#define KV_\w+_INIT", lines[at]):
            code, at = declaration(lines, at)
            chapters[-1].items[-1].code += "\n\n" + code
        else:
            at += 1
    return head, [chapter for chapter in chapters if chapter.items]


def functions(chapters):
    """Every function, with its chapter."""
    return [(item, chapter) for chapter in chapters for item in chapter.items if item.kind == "function"]


def whole_rows(lines):
    """The rows of a table. A line whose first cell is empty goes on with the row above."""
    rows = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1] = [f"{above} {cell}".strip() for above, cell in zip(rows[-1], cells)]
    return ["| " + " | ".join(row) + " |" for row in rows]


def blocks(text):
    """The parts of a text: ("text", words), ("code", lines), ("table", lines) or ("numbered", number, words)."""
    out, lines = [], []

    def flush():
        if not lines:
            return
        first = lines[0]
        numbered = re.match(r" ?(\d+)\. +(.*)", first)
        if first.lstrip().startswith("|"):
            out.append(("table", whole_rows(lines)))
        elif numbered:
            words = [numbered[2]] + [line.strip() for line in lines[1:]]
            out.append(("numbered", numbered[1], " ".join(words)))
        elif first.startswith("    "):
            code = [line[4:] for line in lines]
            if out and out[-1][0] == "code":
                out[-1] = ("code", out[-1][1] + [""] + code)
            else:
                out.append(("code", code))
        else:
            out.append(("text", " ".join(line.strip() for line in lines)))
        lines.clear()

    for line in text.split("\n"):
        begins = re.match(r" ?\d+\. ", line)
        indented = line.startswith("    ") and not re.match(r" ?\d+\. ", lines[0] if lines else "")
        if not line.strip() or begins or (lines and indented != lines[0].startswith("    ")):
            flush()
        if line.strip():
            lines.append(line)
    flush()
    return out
