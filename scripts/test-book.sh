#!/bin/sh
# The book of docs/book: `make test-book` calls it when the library is built.
#
# Compiles and runs every snippet, each in a folder of its own, and compares what it prints with the file NAME.out
# beside it. Snippets whose language, package or program is not there are skipped, and so is the site without MkDocs.
# The command kv and the Python package are those that were built ($B/kv, $B/python), or those that are installed. Ends
# with one line.
set -u
: "${B:?}" "${CC:=cc}" "${CXX:=c++}" "${PYTHON:=python3}" "${RUBY:=ruby}"
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"
work=$(mktemp -d "$B/book-test.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
log=$work/log
snippets=$root/docs/book/snippets
warnings="-Wall -Wextra -Werror"
link="-L$B -lkv -Wl,-rpath,$B -lpthread"

PATH=$B:$PATH
KEELKV_LIBRARY=$B/libkv.so.0
PYTHONDONTWRITEBYTECODE=1
export PATH KEELKV_LIBRARY PYTHONDONTWRITEBYTECODE

# lacks NEED: whether it is missing. A need is a program, a command of kv (kv:COMMAND) or a package of Python (py:NAME).
lacks() {
    case $1 in
    kv:*) ! kv help "${1#kv:}" >/dev/null 2>&1 ;;
    py:*) ! "$PYTHON" -c "import ${1#py:}" >/dev/null 2>&1 ;;
    *) ! command -v "$1" >/dev/null 2>&1 ;;
    esac
}

# prints NAME COMMAND...: the command ends well in a folder of its own, and prints what is expected.
prints() {
    name=$1
    shift
    expected=$snippets/$name.out
    [ -e "$expected" ] || expected=$snippets/${name%.*}.out
    rm -rf "$work/folder" && mkdir "$work/folder" || return 1
    (cd "$work/folder" && timeout 60 "$@" >"$work/printed") || return 1
    diff "$expected" "$work/printed"
}

# compiled NAME COMMAND...: the command compiles $work/program, which prints what is expected.
compiled() {
    name=$1
    shift
    rm -f "$work/program"
    "$@" && prints "$name" "$work/program"
}

# mistake PAGE CHANGE MESSAGE: a copy of the sources in which sed has changed a page is refused with the message.
mistake() {
    rm -rf "$work/copy" && mkdir "$work/copy" && copy_sources "$root" "$work/copy"
    sed -i "$2" "$work/copy/docs/book/$1"
    # shellcheck disable=SC2016
    run "a mistake is found: $3" sh -c '
        { "$0" "$1/scripts/book.py" pages "$1/pages" && "$0" "$1/scripts/book.py" check "$1/pages"; } 2>&1 |
        grep -F "$2"' "$PYTHON" "$work/copy" "$3"
}

# The wheel is unpacked rather than installed: it needs nothing else.
wheel=$(ls "$B"/python/keelkv-*.whl 2>/dev/null | head -1)
if [ -n "$wheel" ] && ! lacks "$PYTHON"; then
    "$PYTHON" -m zipfile -e "$wheel" "$work/python" && PYTHONPATH=$work/python && export PYTHONPATH
fi

for snippet in "$snippets"/*; do
    name=${snippet##*/}
    missing=
    for need in $(sed -n 's/^# needs: //p' "$snippet"); do
        lacks "$need" && missing="$missing $need"
    done
    case $name in
    *.out) continue ;;
    *.cpp) lacks "$CXX" && missing="$missing $CXX" ;;
    *.py) { lacks "$PYTHON" || lacks py:keelkv; } && missing="$missing py:keelkv" ;;
    *.rb) { lacks "$RUBY" || ! "$RUBY" -e 'require "ffi"' 2>/dev/null; } && missing="$missing $RUBY with ffi" ;;
    esac
    if [ -n "$missing" ]; then
        skip "$name: not there:$missing"
        continue
    fi
    # shellcheck disable=SC2086
    case $name in
    *.c) run "$name" compiled "$name" "$CC" -std=c99 -D_GNU_SOURCE $warnings -I"$root/include" \
        -o "$work/program" "$snippet" $link ;;
    *.cpp) run "$name" compiled "$name" "$CXX" -std=c++17 $warnings -I"$root/include" \
        -o "$work/program" "$snippet" $link ;;
    *.py) run "$name" prints "$name" "$PYTHON" -W error "$snippet" ;;
    *.rb) run "$name" prints "$name" "$RUBY" -w -I"$root/bindings/ruby/lib" "$snippet" ;;
    *.sh) run "$name" prints "$name" sh -eu "$snippet" ;;
    *) run "$name: a snippet of a known language" false ;;
    esac
done

# too_long SNIPPET NAME: the program refuses a name that is longer than its buffers, and writes nothing beyond them.
too_long() {
    long=$(printf '%0400d' 0)
    sed "s/\"$2\"/\"$long\"/" "$snippets/$1" >"$work/long.c" && ! cmp -s "$snippets/$1" "$work/long.c" || return 1
    rm -rf "$work/folder" && mkdir "$work/folder" || return 1
    # shellcheck disable=SC2086
    "$CC" -std=c99 -D_GNU_SOURCE -fsanitize=address -I"$root/include" -o "$work/program" "$work/long.c" $link ||
        return 1
    ! (cd "$work/folder" && timeout 60 "$work/program") >"$work/printed" 2>&1 && grep " at most " "$work/printed"
}

echo 'int main(void) { return 0; }' >"$work/nothing.c"
if "$CC" -fsanitize=address -o "$work/program" "$work/nothing.c" 2>/dev/null && "$work/program"; then
    for recipe in index.c:Rome several.c:green expiry.c:cid tuples.c:cellar; do
        run "${recipe%:*} refuses a name that is too long" too_long "${recipe%:*}" "${recipe#*:}"
    done
else
    skip "names that are too long: $CC has no address sanitizer"
fi

if lacks "$PYTHON"; then
    skip "pages and man pages: no $PYTHON (make deps)"
else
    run "pages are written" "$PYTHON" "$root/scripts/book.py" pages "$work/pages"
    run "statuses, names and links are those that there are" "$PYTHON" "$root/scripts/book.py" check "$work/pages"
    sed -n 's/^\([0-9].* are described\)$/        \1/p' "$log"
    # The check finds what it is for, in copies of the sources with a mistake in them.
    mistake errors.md 's/^## KV_BUSY (-5)/## KV_BUSY (-6)/' "errors.md has KV_BUSY (-6), and kv.h -5"
    mistake errors.md '/^## KV_DEADLOCK/d' "errors.md lacks KV_DEADLOCK"
    mistake index.md 's/kv_open/kv_opem/' "index.md names kv_opem, which kv.h does not have"
    mistake index.md 's/cookbook.md/cookbok.md/' "docs/book/index.md links to cookbok.md, which is not there"
    mistake tuning.md 's/#which-durability/#that-durability/' "power.md#that-durability-for-what, which is not there"
    mistake cookbook.md '/^<!-- snippet queue.out -->$/d; /^<!-- snippet cache.c -->$/d' \
        "no page shows the snippet cache.c"
    mistake cookbook.md 's/kv_take_first(txn, jobs/kv_take(txn, jobs/' \
        "cookbook.md does not show the snippet queue.c as it is"
    mistake cookbook.md '/^<!-- snippet cache.c -->$/G' "cookbook.md has no block below its marker of cache.c"
    run "man pages are written" "$PYTHON" "$root/scripts/man.py" "$work/man"
    if lacks man || lacks groff; then
        skip "man pages are shown without a warning: no man or no groff (make deps)"
    else
        run "man pages are shown without a warning" sh -c 'for page in "$0"/man*/*; do
            MANROFFSEQ= man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null | sed "s|^|$page: |"; done | tee "$0/said"
            [ ! -s "$0/said" ]' "$work/man"
    fi
    if lacks mandoc; then
        skip "mandoc -T lint: not installed (make deps)"
    else
        run "mandoc -T lint" sh -c 'mandoc -T lint -W warning "$0"/man*/*' "$work/man"
    fi
fi
if [ -x "$B/book-tools/bin/mkdocs" ]; then
    run "mkdocs build --strict" "$B/book-tools/bin/mkdocs" build --strict -f "$work/pages/mkdocs.yml" -d "$work/site"
    # shellcheck disable=SC2016
    run "the site loads nothing from other servers" sh -c '[ -e "$0/index.html" ] &&
        ! grep -rE "<(script|img|link)[^>]*(src|href)=\"?(https?:)?//" --include="*.html" "$0"' "$work/site"
else
    skip "mkdocs build --strict: make book installs MkDocs"
fi
finish test-book
