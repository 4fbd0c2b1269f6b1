#!/bin/sh
# Counts the instructions of common calls with callgrind and compares them with bench/instructions.txt: `make count`.
#
# Unlike times, counts are the same on a loaded machine. They depend a little on the compiler, and on the C library and
# the processor (which choose vector code): a deviation of up to TOLERANCE per cent passes. A call that got cheaper by
# more is told, so that the new count is recorded: `make count COUNT=record`.
set -u
: "${B:?}" "${VALGRIND:=valgrind}" "${TOLERANCE:=5}" "${COUNT:=check}"
root=$(cd "$(dirname "$0")/.." && pwd)
baseline=$root/bench/instructions.txt

if ! command -v "$VALGRIND" >/dev/null 2>&1; then
    echo "SKIPPED: instruction counts: no $VALGRIND"
    exit 0
fi
work=$(mktemp -d "$B/count.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

# count WORK CALLS FUNCTION...: instructions per call inside these functions.
count() {
    name=$1 calls=$2
    shift 2
    toggles=
    for function in "$@"; do toggles="$toggles --toggle-collect=$function"; done
    rm -f "$work/count.kv" "$work/out"
    # shellcheck disable=SC2086
    if ! (cd "$work" && "$VALGRIND" -q --tool=callgrind $toggles --callgrind-out-file="$work/out" \
        "$B/bench/count" "$name" "$calls") >"$work/log" 2>&1; then
        cat "$work/log"
        echo "FAILED  $name"
        exit 1
    fi
    total=$(sed -n 's/^\(summary\|totals\): *\([0-9]*\).*/\2/p' "$work/out" | tail -1)
    echo "$name $((total / calls))" >>"$work/now"
}

count get 20000 kv_get
count get_i8 20000 kv_get
count next 50000 kv_cursor_next
count next_i8 50000 kv_cursor_next
count begin 20000 kv_txn_begin kv_txn_abort
count put 100000 kv_put kv_txn_commit
count append 100000 kv_put kv_txn_commit
count append_i8 100000 kv_put kv_txn_commit
count delete 50000 kv_delete

if [ "$COUNT" = record ]; then
    {
        echo "# Instructions per call, counted by scripts/count-instructions.sh (x86-64 with AVX2, release build)."
        cat "$work/now"
    } >"$baseline"
    cat "$baseline"
    exit 0
fi
awk -v tolerance="$TOLERANCE" '
    FNR == NR { if ($0 !~ /^#/) was[$1] = $2; next }
    !($1 in was) { printf "FAILED  %-10s %6d, not in the baseline\n", $1, $2; bad = 1; next }
    {
        change = 100 * ($2 - was[$1]) / was[$1]
        word = change > tolerance ? "FAILED " : change < -tolerance ? "CHEAPER" : "ok     "
        printf "%s %-10s %6d, was %6d (%+.1f %%)\n", word, $1, $2, was[$1], change
        if (change > tolerance) bad = 1
    }
    END { exit bad }' "$baseline" "$work/now"
