#!/bin/sh
# The Python package: `make python` calls this with `wheel`, `make test-python` with `test`.
#
# The tests run in a fresh virtual environment, in which the wheel is installed and nothing else, once with each back
# end. They compare with py-lmdb and types are checked where $PYTHON has lmdb and mypy. Nothing is fetched. Ends with
# one line.
set -u
: "${B:?}" "${PYTHON:=python3}"
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"
package=$root/bindings/python
job=${1:-}

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    skip "python: not installed (make deps)"
    finish "python-$job"
fi
mkdir -p "$B"
work=$(mktemp -d "$B/python-$job.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
log=$work/log

case $job in
wheel)
    rm -rf "$B/python"
    mkdir -p "$B/python"
    header=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_paths()["include"] + "/Python.h")')
    # Older interpreters have no stable interface that the extension could use.
    if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        skip "the extension: $PYTHON is older than 3.11"
    elif [ ! -e "$header" ]; then
        skip "the extension: there is no $header (make deps)"
    else
        run "the wheel with the extension" env KEELKV_LIBKV= KEELKV_BUILD=static \
            "$PYTHON" "$package/build_backend.py" wheel "$B/python" && cat "$log"
    fi
    run "the wheel for ctypes" env KEELKV_LIBKV= KEELKV_BUILD=bundle \
        "$PYTHON" "$package/build_backend.py" wheel "$B/python" && cat "$log"
    ;;
test)
    if ! "$PYTHON" -m venv "$work/venv" >"$log" 2>&1; then
        skip "everything: no virtual environment can be made (python3-venv)"
        finish python-test
    fi
    python=$work/venv/bin/python
    run "the wheel is installed without a network" \
        "$python" -m pip --quiet --disable-pip-version-check install --no-index --find-links "$B/python" keelkv
    cd "$work" || exit 1
    # After the packages of the environment, so that the keelkv that was installed is the one that is tested.
    if "$PYTHON" -c 'import lmdb' 2>/dev/null; then
        mkdir lmdb-only &&
            ln -s "$("$PYTHON" -c 'import lmdb, os; print(os.path.dirname(lmdb.__file__))')" lmdb-only/lmdb &&
            echo "$work/lmdb-only" >"$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/lmdb.pth"
    else
        skip "the front beside py-lmdb: $PYTHON has no lmdb (make deps)"
    fi
    export PYTHONDONTWRITEBYTECODE=1 TMPDIR="$work"
    unset PYTHONPATH
    for backend in c ctypes; do
        if [ $backend = c ] && ! "$python" -c 'import keelkv._keelkv' 2>/dev/null; then
            skip "the extension: this wheel has none"
            continue
        fi
        run "keelkv with KEELKV_BACKEND=$backend, $("$python" -V)" env KEELKV_BACKEND=$backend \
            "$python" -X dev -W error -m unittest discover -s "$package/tests" -t "$package/tests"
        sed -n 's/^\(Ran [0-9]* tests\|OK.*\).*/        \1/p' "$log"
    done
    awk '/^```py$/ { on = 1; next } /^```$/ && on { exit } on' "$root/README.md" >fruit.py
    run "README's program in Python" sh -c '[ "$("$0" fruit.py)" = "apple is red" ]' "$python"
    if "$PYTHON" -c 'import mypy' 2>/dev/null; then
        cd "$package" || exit 1
        run "types of the package" "$PYTHON" -m mypy --cache-dir "$work/mypy" --strict -p keelkv
        run "types of a program" "$PYTHON" -m mypy --cache-dir "$work/mypy" --strict tests/typed.py
    else
        skip "types: mypy is not installed (make deps)"
    fi
    ;;
*)
    echo "usage: python.sh wheel|test" >&2
    exit 1
    ;;
esac
finish "python-$job"
