#!/bin/sh
# The book of docs/book: `make book` makes build/book of it.
#
# The pages lie in build/book-pages first. MkDocs makes the book of them. Pip puts it into an environment of its own,
# build/book-tools. Without a network there are pages and no book, and a line says so.
set -u
: "${B:?}" "${PYTHON:=python3}"
root=$(cd "$(dirname "$0")/.." && pwd)
requirements=$root/docs/book/requirements.txt

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    echo "SKIPPED: the book: there is no $PYTHON (make deps)"
    exit 0
fi
rm -rf "$B/book-pages"
"$PYTHON" "$root/scripts/book.py" pages "$B/book-pages" || exit 1

tools=$B/book-tools
if [ ! -x "$tools/bin/mkdocs" ] || ! cmp -s "$requirements" "$tools/requirements.txt"; then
    rm -rf "$tools"
    if ! { "$PYTHON" -m venv "$tools" && "$tools/bin/pip" install --quiet -r "$requirements" &&
        cp "$requirements" "$tools/requirements.txt"; } \
        >"$B/book-tools.log" 2>&1; then
        rm -rf "$tools"
        echo "SKIPPED: the book: pip cannot install MkDocs (no network, or no python3-venv?)." \
            "$B/book-tools.log has what it said. The pages are in $B/book-pages/docs."
        exit 0
    fi
fi
rm -rf "$B/book"
"$tools/bin/mkdocs" --quiet build --strict -f "$B/book-pages/mkdocs.yml" -d "$B/book" || exit 1
echo "The book is in $B/book: open $B/book/index.html."
