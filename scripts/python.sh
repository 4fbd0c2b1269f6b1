#!/bin/sh
# The Python package: `make python` calls this with `wheel`, `make test-python` with `test`.
#
# The tests run in a fresh virtual environment, in which the wheel is installed and nothing else, once with each back
# end. They compare with py-lmdb if KEELKV_LMDB names a directory that has it, and types are checked if there is mypy
# (MYPY names it). Nothing is fetched.
set -eu
: "${B:?}" "${PYTHON:=python3}"
root=$(cd "$(dirname "$0")/.." && pwd)
package=$root/bindings/python

skip() {
    echo "skipped  $1"
    exit 0
}

command -v "$PYTHON" >/dev/null 2>&1 || skip "python: not installed (make deps)"

case ${1:-} in
wheel)
    rm -rf "$B/python"
    mkdir -p "$B/python"
    for kind in static bundle; do
        # Older interpreters have no stable interface that the extension could use.
        if [ $kind = static ] && ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "python: no extension, as $PYTHON is older than 3.11; the wheel for ctypes is built"
            continue
        fi
        header=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_paths()["include"] + "/Python.h")')
        if [ $kind = static ] && [ ! -e "$header" ]; then
            echo "skipped  the extension: there is no $header (make deps)"
            continue
        fi
        KEELKV_LIBKV='' KEELKV_BUILD=$kind "$PYTHON" "$package/build_backend.py" wheel "$B/python"
    done
    ;;
test)
    work=$(mktemp -d "$B/test-python.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    "$PYTHON" -m venv "$work/venv" || skip "test-python: no virtual environment can be made (python3-venv)"
    python=$work/venv/bin/python
    "$python" -m pip --quiet --disable-pip-version-check install --no-index --find-links "$B/python" keelkv
    cd "$work"
    # Behind the packages of the environment, so that the keelkv that was installed is the one that is tested.
    [ -z "${KEELKV_LMDB:-}" ] ||
        echo "$KEELKV_LMDB" >"$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/lmdb.pth"
    export PYTHONDONTWRITEBYTECODE=1 TMPDIR="$work"
    unset PYTHONPATH
    for backend in c ctypes; do
        if [ $backend = c ] && ! "$python" -c 'import keelkv._keelkv' 2>/dev/null; then
            echo "skipped  the extension: this wheel has none"
            continue
        fi
        echo "keelkv with KEELKV_BACKEND=$backend, $("$python" -V)"
        KEELKV_BACKEND=$backend "$python" -X dev -W error -m unittest discover -s "$package/tests" -t "$package/tests"
    done
    if command -v "${MYPY:-mypy}" >/dev/null 2>&1; then
        cd "$package"
        "${MYPY:-mypy}" --cache-dir "$work/mypy" --strict -p keelkv
        "${MYPY:-mypy}" --cache-dir "$work/mypy" --strict tests/typed.py
    else
        echo "skipped  types: mypy is not installed"
    fi
    ;;
*)
    echo "usage: python.sh wheel|test" >&2
    exit 1
    ;;
esac
