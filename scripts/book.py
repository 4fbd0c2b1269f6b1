#!/usr/bin/env python3
"""The pages of the book: `book.py pages FOLDER` writes them, and `book.py check FOLDER` says what is wrong with them.

Pages are docs/book/*.md. The block below a line `<!-- snippet NAME -->` shows the file docs/book/snippets/NAME, so that
the pages can be read where they lie; `book.py fill` writes the files into the blocks, and the check compares them.
Limits, the command kv and the file format are those of docs/, and the reference is made from include/kv.h, one page for
each chapter. mkdocs.yml is written beside the pages, with the pages of the reference in its list.
"""

import os
import re
import sys

import header_text

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BOOK = os.path.join(ROOT, "docs", "book")
SNIPPETS = os.path.join(BOOK, "snippets")
HEADER = os.path.join(ROOT, "include", "kv.h")
MARKER = re.compile(r"^<!-- snippet (\S+) -->$", re.M)
# A marker and the block that it is about: the marker, its name, the fence, what is shown.
SHOWN = re.compile(r"^(<!-- snippet (\S+) -->\n)(```\w*\n)(.*?)^```$", re.M | re.S)
FENCED = re.compile(r"(^```.*?^```$)", re.M | re.S)
# Documents that are pages of the book as well.
INCLUDED = {"limits.md": "docs/limits.md", "command.md": "docs/command.md", "format.md": "docs/format.md"}


def read(path):
    """The text of a file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    """Writes a file, and the folder that it lies in."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def own_pages():
    """The names of the pages that are written by hand."""
    return sorted(name for name in os.listdir(BOOK) if name.endswith(".md"))


# ---- the reference ------------------------------------------------------------------------------------------------


class Reference:
    """The pages that are made from the header."""

    def __init__(self):
        self.head, self.chapters = header_text.read(HEADER)
        self.statuses = statuses()
        self.page_of = {
            item.name: f"reference/{chapter.group}.md" for chapter in self.chapters for item in chapter.items
        }

    def prose(self, text):
        """Words of the header as Markdown: names are links to where they are described."""
        out = []
        for n, part in enumerate(re.split(r"`([^`]*)`", text)):
            if n % 2:
                out.append(f"`{part}`")
                continue
            part = re.sub(r"([<*\[\]])", lambda m: {"<": "&lt;"}.get(m[1], "\\" + m[1]), part)
            out.append(re.sub(r"\b((?:kv|KV)_\w+)(\(\))?", self.link, part))
        return "".join(out)

    def link(self, match):
        """A name, as a link if it is described."""
        page = self.page_of.get(match[1])
        shown = f"`{match[1]}{match[2] or ''}`"
        if match[1] in self.statuses:
            # errors.md has a heading "KV_BUSY (-5)" for each.
            return f"[{shown}](../errors.md#{match[1].lower()}-{abs(self.statuses[match[1]])})"
        return f"[{shown}]({os.path.basename(page)}#{match[1].lower()})" if page else match[0]

    def text(self, text):
        """A text of several paragraphs."""
        out = []
        for block in header_text.blocks(text):
            if block[0] == "code":
                out.append("```c\n" + "\n".join(block[1]) + "\n```")
            elif block[0] == "table":
                rows = [row for row in block[1] if not re.fullmatch(r"[|\- ]+", row)]
                columns = rows[0].count("|") - 1
                out.append("\n".join([self.prose(rows[0]), "|---" * columns + "|"] + [self.prose(r) for r in rows[1:]]))
            elif block[0] == "numbered":
                out.append(f"**{block[1]}.** {self.prose(block[2])}")
            else:
                out.append(self.prose(block[1]))
        return "\n\n".join(out)

    def item(self, item):
        """The section of a function, a type, a constant or a macro."""
        out = [f"## {item.name}", "```c\n" + item.code + "\n```", self.text(item.text)]
        if item.params:
            out.append("\n".join(f"- `{name}`: {self.prose(text)}" for name, text in item.params))
        if item.returns:
            out.append("**Returns** " + self.prose(item.returns))
        return "\n\n".join(out)

    def pages(self):
        """Every page: its name, its title and its text."""
        head = self.text(self.head)
        yield "reference/index.md", "Conventions", "# What holds for every function\n\n" + head + "\n"
        for chapter in self.chapters:
            names = [f"[`{item.name}`](#{item.name.lower()})" for item in chapter.items if item.kind == "function"]
            text = [f"# {chapter.title}"] + ([" · ".join(names)] if names else [])
            text += [self.item(item) for item in chapter.items]
            yield f"reference/{chapter.group}.md", chapter.title, "\n\n".join(text) + "\n"


# ---- the other pages ------------------------------------------------------------------------------------------------


def filled(text, name):
    """A page whose blocks show the snippets as they are."""

    def block(match):
        path = os.path.join(SNIPPETS, match[2])
        if not os.path.exists(path):
            sys.exit(f"docs/book/{name}: there is no snippet {match[2]} in docs/book/snippets")
        return match[1] + match[3] + re.sub(r"^# needs: .*\n", "", read(path)).rstrip("\n") + "\n```"

    return SHOWN.sub(block, text)


def fill():
    """Writes the snippets into the pages that show them."""
    for name in own_pages():
        path = os.path.join(BOOK, name)
        text = read(path)
        if filled(text, name) != text:
            write(path, filled(text, name))
            print(f"docs/book/{name} is renewed")


def relink(text, document, pages):
    """A document whose links lead to pages of the book. Other files are named, as they lie in the sources."""

    def link(match):
        target, _, anchor = match[2].partition("#")
        if "://" in target or not target:
            return match[0]
        path = os.path.normpath(os.path.join(os.path.dirname(document), target))
        page = next((page for page, source in pages.items() if source == path), None)
        if page:
            return f"[{match[1]}]({page}{'#' + anchor if anchor else ''})"
        if not os.path.exists(os.path.join(ROOT, path)):
            sys.exit(f"{document} links to {target}, which is not there")
        return match[1] if match[1].strip("`") == path else f"{match[1]} (`{path}`)"

    parts = FENCED.split(text)
    for n in range(0, len(parts), 2):  # the others are programs
        parts[n] = re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", link, parts[n])
    return "".join(parts)


def pages(folder):
    """Writes all pages into a folder, and mkdocs.yml beside it."""
    docs = os.path.join(folder, "docs")
    for name in own_pages():
        text = relink(read(os.path.join(BOOK, name)), f"docs/book/{name}", own_targets())
        write(os.path.join(docs, name), MARKER.sub("", text))
    for name, document in INCLUDED.items():
        write(os.path.join(docs, name), relink(read(os.path.join(ROOT, document)), document, own_targets()))
    listed = []
    for name, title, text in Reference().pages():
        write(os.path.join(docs, name), text)
        listed.append(f'      - "{title}": {name}')
    write(os.path.join(docs, "book.css"), read(os.path.join(BOOK, "book.css")))
    settings = read(os.path.join(BOOK, "mkdocs.yml"))
    write(os.path.join(folder, "mkdocs.yml"), settings.replace("      # the reference", "\n".join(listed)))


def own_targets():
    """The pages, as they lie in the book, with the files of the repository whose links lead to them."""
    own = {name: f"docs/book/{name}" for name in own_pages()}
    reference = {name: f"docs/book/{name}" for name, _, _ in Reference().pages()}
    return {**own, **reference, "reference/index.md": "include/kv.h", **INCLUDED}


# ---- checks -----------------------------------------------------------------------------------------------------


def statuses():
    """The statuses of the header with their numbers."""
    found = re.findall(r"^#define (KV_\w+) (?:\((-\d+)\)|(0))$", read(HEADER).split("/* ==== Database")[0], re.M)
    return {name: int(number or zero) for name, number, zero in found if not name.startswith("KV_VERSION")}


def wrong_statuses():
    """Where the page of errors and the header differ."""
    text = read(os.path.join(BOOK, "errors.md"))
    told = re.findall(r"^## (KV_\w+) \((-?\d+)\)$", text, re.M)
    known = statuses()
    for name, number in told:
        if known.get(name) != int(number):
            yield f"errors.md has {name} ({number}), and kv.h {known.get(name, 'no such status')}"
    names = [name for name, _ in told]
    for name in known:
        if name not in names:
            yield f"errors.md lacks {name}"
    if names != sorted(set(names)):
        yield "errors.md is not in the order of the names, or has one of them twice"
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        if not section.startswith("KV_"):
            continue
        name = section.split()[0]
        if "**What to do.**" not in section or "**Causes.**" not in section:
            yield f"errors.md does not say of {name} what causes it and what to do"


def wrong_names():
    """Names that pages have and the header does not."""
    known = set(re.findall(r"\b(?:kv|KV)_\w+", read(HEADER)))
    for name in own_pages():
        for word in set(re.findall(r"\b(?:kv|KV)_\w+", read(os.path.join(BOOK, name)))):
            if word not in known and not (word.endswith("_") and any(k.startswith(word) for k in known)):
                yield f"{name} names {word}, which kv.h does not have"


def wrong_snippets():
    """Snippets that no page shows as they are, and snippets without what they print."""
    for name in own_pages():
        text = read(os.path.join(BOOK, name))
        blocks = {match[2]: match[0] for match in SHOWN.finditer(text)}
        for snippet in MARKER.findall(text):
            if snippet not in blocks:
                yield f"{name} has no block below its marker of {snippet}"
            elif filled(blocks[snippet], name) != blocks[snippet]:
                yield f"{name} does not show the snippet {snippet} as it is; run python3 scripts/book.py fill"
    shown = set(MARKER.findall("\n".join(read(os.path.join(BOOK, name)) for name in own_pages())))
    there = {name for name in os.listdir(SNIPPETS) if not name.endswith(".out")}
    for name in sorted(there - shown):
        yield f"no page shows the snippet {name}"
    for name in sorted(there):
        if not any(os.path.exists(os.path.join(SNIPPETS, out)) for out in outputs(name)):
            yield f"there is no file that says what the snippet {name} prints: {' or '.join(outputs(name))}"


def outputs(snippet):
    """Where what a snippet prints is written down: for it alone, or for it and the same in other languages."""
    return [snippet + ".out", os.path.splitext(snippet)[0] + ".out"]


def wrong_pages(folder):
    """Links between pages that lead nowhere, and functions without a section, for where there is no mkdocs."""
    docs = os.path.join(folder, "docs")
    texts = {}
    for where, _, names in os.walk(docs):
        for name in names:
            path = os.path.join(where, name)
            if name.endswith(".md"):
                texts[os.path.relpath(path, docs)] = FENCED.sub("", read(path))
    for name, text in texts.items():
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text):
            if "://" in target:
                continue
            page = os.path.normpath(os.path.join(os.path.dirname(name), target)) if target else name
            if page not in texts:
                yield f"{name} links to {target}, which is no page"
            elif anchor and anchor not in anchors(texts[page]):
                yield f"{name} links to {page}#{anchor}, which is not there"
    reference = Reference()
    for item, chapter in header_text.functions(reference.chapters):
        if f"\n## {item.name}\n" not in texts[f"reference/{chapter.group}.md"]:
            yield f"the reference lacks {item.name}"
    listed = set(re.findall(r"[\w/-]+\.md", read(os.path.join(folder, "mkdocs.yml"))))
    for name in sorted(set(texts) - listed):
        yield f"mkdocs.yml does not list {name}"


def anchors(text):
    """The anchors of the headings of a page, as MkDocs makes them."""
    out = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        plain = name = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
        again = 0
        while name in out:
            again += 1
            name = f"{plain}_{again}"
        out.add(name)
    return out


def main():
    """Does what the command line says."""
    if sys.argv[1:] == ["fill"]:
        fill()
        return
    if len(sys.argv) != 3 or sys.argv[1] not in ("pages", "check"):
        sys.exit("usage: book.py pages|check FOLDER, or book.py fill")
    if sys.argv[1] == "pages":
        pages(sys.argv[2])
        return
    wrong = [*wrong_statuses(), *wrong_names(), *wrong_snippets(), *wrong_pages(sys.argv[2])]
    if wrong:
        sys.exit("\n".join(wrong))
    functions = len(header_text.functions(Reference().chapters))
    print(f"{len(statuses())} statuses and {functions} functions are described")


if __name__ == "__main__":
    main()
