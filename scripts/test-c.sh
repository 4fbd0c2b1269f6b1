#!/bin/sh
# Runs the C side of the tests: `make test-c` calls it with the names of the C tests.
#
# Each program runs in a directory of its own and leaves nothing behind. Prints a line per test and, last,
# "N passed, M failed, K skipped".
set -u
: "${B:?}" "${PYTHON:=python3}" "${VALGRIND:=valgrind}"
root=$(cd "$(dirname "$0")/.." && pwd)
passed=0 failed=0 skipped=0
work=$(mktemp -d "$B/test-c.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
# Each answer that a test sees is recorded here, for the table of statuses.
export KV_PAIRS="$work/pairs"

# run NAME COMMAND...: in an empty directory; its output is shown if it fails.
run() {
    name=$1
    shift
    rm -rf "$work/dir" && mkdir "$work/dir"
    if (cd "$work/dir" && "$@") >"$work/log" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name (status $?)"
        sed 's/^/        /' "$work/log" | tail -40
        failed=$((failed + 1))
    fi
}

skip() {
    echo "SKIPPED: $1"
    skipped=$((skipped + 1))
}

for test in "$@"; do
    run "$test" timeout 300 "$B/tests/$test"
    run "$test (libkv.a)" timeout 300 "$B/tests/$test-static"
done
run "cpp" timeout 300 "$B/tests/cpp"

for example in "$B"/examples/0*; do
    run "example $(basename "$example")" timeout 300 "$example"
done
run "example kvfiles" sh "$root/scripts/test-kvfiles.sh" "$B/examples/kvfiles" "$root"

if ! command -v "$VALGRIND" >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    (apt-get update && apt-get install -y --no-install-recommends valgrind) >/dev/null 2>&1
fi
for test in "$@"; do
    if command -v "$VALGRIND" >/dev/null 2>&1; then
        # A child of a program with threads has lost what only they pointed to.
        leaks=full
        [ "$test" = fork ] && leaks=no
        run "$test (valgrind)" env KV_TEST_QUICK=1 timeout 300 "$VALGRIND" -q --fair-sched=try --error-exitcode=99 --leak-check=$leaks \
            --suppressions="$root/tests/c/valgrind.supp" --show-leak-kinds=definite --errors-for-leak-kinds=definite "$B/tests/$test"
    else
        skip "valgrind ($test): not installed, and apt-get could not install it"
    fi
done

if command -v "$PYTHON" >/dev/null 2>&1; then
    run "python" env KV_LIBRARY="$B/libkv.so.0" timeout 300 "$PYTHON" "$root/tests/python/smoke.py"
else
    skip "python: no $PYTHON"
fi

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    skip "table of statuses: no $PYTHON"
elif [ $# -ne "$(ls "$root"/tests/c/*.c | wc -l)" ]; then
    skip "table of statuses: not every test of tests/c was run"
else
    run "table of statuses" "$PYTHON" "$root/scripts/status-table.py" "$root/include/kv.h" "$KV_PAIRS" \
        "$root/tests/c/unprovoked.txt" "$B/status-table.txt"
    sed -n '1s/^/        /p' "$work/log"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
