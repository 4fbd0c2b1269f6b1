#!/bin/sh
# Runs the C side of the tests: `make test-c` calls it with the names of the C tests.
#
# Each program runs in a directory of its own and leaves nothing behind. Prints a line per test and, last,
# "N passed, M failed, K skipped". RUN is what runs programs of another machine; VALGRIND and PYTHON are `no` where that
# machine has none.
set -u
: "${B:?}" "${PYTHON:=python3}" "${VALGRIND:=valgrind}" "${RUN:=}"
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

# shellcheck disable=SC2086
for test in "$@"; do
    run "$test" timeout 300 $RUN "$B/tests/$test"
    run "$test (libkv.a)" timeout 300 $RUN "$B/tests/$test-static"
done
if [ -e "$B/tests/cpp" ]; then
    run "cpp" timeout 300 "$B/tests/cpp"
else
    skip "cpp: no C++ compiler for this machine"
fi

# shellcheck disable=SC2086
for example in "$B"/examples/0*; do
    run "example $(basename "$example")" timeout 300 $RUN "$example"
done
printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$RUN" "$B/examples/kvfiles" >"$work/kvfiles" && chmod +x "$work/kvfiles"
run "example kvfiles" sh "$root/scripts/test-kvfiles.sh" "$work/kvfiles" "$root"

for test in "$@"; do
    if ! command -v "$VALGRIND" >/dev/null 2>&1; then
        skip "valgrind (all tests): not installed (make deps)"
        break
    fi
    # A child of a program with threads has lost what only they pointed to.
    leaks=full
    [ "$test" = fork ] && leaks=no
    run "$test (valgrind)" env KV_TEST_QUICK=1 timeout 300 "$VALGRIND" -q --fair-sched=try --error-exitcode=99 --leak-check=$leaks \
        --suppressions="$root/tests/c/valgrind.supp" --show-leak-kinds=definite --errors-for-leak-kinds=definite "$B/tests/$test"
done

if command -v "$PYTHON" >/dev/null 2>&1; then
    run "python" env KV_LIBRARY="$B/libkv.so.0" timeout 300 "$PYTHON" "$root/tests/python/smoke.py"
else
    skip "python: not installed, or not for this machine (make deps)"
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
