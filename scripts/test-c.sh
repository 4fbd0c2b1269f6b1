#!/bin/sh
# Runs the C side of the tests: `make test-c` calls it with the names of the C tests.
#
# Each program runs in a directory of its own and leaves nothing behind. RUN is what runs programs of another machine;
# VALGRIND and PYTHON are `no` where that machine has none. Ends with one line.
set -u
: "${B:?}" "${CXX:=c++}" "${PYTHON:=python3}" "${VALGRIND:=valgrind}" "${RUN:=}"
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"
work=$(mktemp -d "$B/test-c.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
log=$work/log
# Each answer that a test sees is recorded here, for the table of statuses.
export KV_PAIRS="$work/pairs"

# alone COMMAND...: in an empty directory, for five minutes at most.
alone() {
    rm -rf "$work/dir" && mkdir "$work/dir" && (cd "$work/dir" && timeout 300 "$@")
}

# shellcheck disable=SC2086
for test in "$@"; do
    run "$test" alone $RUN "$B/tests/$test"
    run "$test (libkv.a)" alone $RUN "$B/tests/$test-static"
done
for test in cpp hpp-17 hpp-20; do
    if [ -e "$B/tests/$test" ]; then
        run "$test" alone "$B/tests/$test"
    else
        skip "$test: no C++ compiler for this machine"
    fi
done
if command -v clang++ >/dev/null 2>&1; then
    for standard in 17 20; do
        run "kv.hpp has no warning of clang in C++$standard" clang++ "-std=c++$standard" -fsyntax-only -Wall -Wextra \
            -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Werror "-I$root/include" "$root/tests/c/hpp.cpp"
    done
else
    skip "kv.hpp with another compiler: no clang (make deps)"
fi
# refused MACRO MESSAGE OPTION...: tests/c/hpp.cpp does not compile if the macro is defined, and the compiler says why.
refused() {
    macro=$1 message=$2
    shift 2
    ! "$CXX" "$@" -fsyntax-only -Werror=unused-result "-D$macro" "-I$root/include" "$root/tests/c/hpp.cpp" \
        >"$work/said" 2>&1 && grep -F "$message" "$work/said"
}
if command -v "$CXX" >/dev/null 2>&1; then
    copy="make a std::string of it"
    run "kv.hpp refuses a view of an ended transaction" refused REFUSED_VIEW "$copy" -std=c++17
    run "kv.hpp refuses an optional view of it" refused REFUSED_OPTIONAL_VIEW "$copy" -std=c++17
    run "kv.hpp refuses a table as flags" refused REFUSED_TABLE_AS_FLAGS table_id -std=c++17
    run "kv.hpp refuses flags as a table" refused REFUSED_FLAGS_AS_TABLE table_id -std=c++17
    run "kv.hpp refuses a transaction that nobody keeps" refused REFUSED_UNUSED nodiscard -std=c++17
    run "kv.hpp refuses C++14" refused REFUSED_NOTHING "kv.hpp needs C++17" -std=c++14
fi
run "kv.hpp calls every function of kv.h" alone sh -c '
    sed "s|//.*||; /^ *\/\?\*/d" "$1/kv.hpp" >code
    sed -n "s/^KV_API.*[ *]\(kv_[a-z0-9_]*\)(.*/\1/p" "$1/kv.h" >functions
    [ -s functions ] && ! while read -r name; do grep -qw "$name" code || echo "$name"; done <functions | grep .' \
    sh "$root/include"

# shellcheck disable=SC2086
for example in "$B"/examples/[0-9]*; do
    run "example $(basename "$example")" alone $RUN "$example"
done
printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$RUN" "$B/examples/kvfiles" >"$work/kvfiles" && chmod +x "$work/kvfiles"
run "example kvfiles" alone sh "$root/scripts/test-kvfiles.sh" "$work/kvfiles" "$root"

for test in "$@"; do
    if ! command -v "$VALGRIND" >/dev/null 2>&1; then
        skip "valgrind (all tests): not installed, or not for this machine (make deps)"
        break
    fi
    # A child of a program with threads has lost what only they pointed to.
    leaks=full
    [ "$test" = fork ] && leaks=no
    run "$test (valgrind)" alone env KV_TEST_QUICK=1 "$VALGRIND" -q --fair-sched=try --error-exitcode=99 --leak-check=$leaks \
        --suppressions="$root/tests/c/valgrind.supp" --show-leak-kinds=definite --errors-for-leak-kinds=definite "$B/tests/$test"
done

if [ -e "$B/tests/hpp-17" ] && command -v "$VALGRIND" >/dev/null 2>&1; then
    run "hpp-17 (valgrind)" alone "$VALGRIND" -q --fair-sched=try --error-exitcode=99 --leak-check=full \
        "$B/tests/hpp-17"
fi

if command -v "$PYTHON" >/dev/null 2>&1; then
    run "python" alone env KV_LIBRARY="$B/libkv.so.0" "$PYTHON" "$root/tests/python/smoke.py"
else
    skip "python: not installed, or not for this machine (make deps)"
fi

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    skip "table of statuses: no Python"
elif [ $# -ne "$(ls "$root"/tests/c/*.c | wc -l)" ]; then
    skip "table of statuses: not every test of tests/c was run"
else
    run "table of statuses" alone "$PYTHON" "$root/scripts/status-table.py" "$root/include/kv.h" "$KV_PAIRS" \
        "$root/tests/c/unprovoked.txt" "$B/status-table.txt"
    sed -n '1s/^/        /p' "$log"
fi

finish test-c
