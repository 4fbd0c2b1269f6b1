#!/bin/sh
# Counts the instructions of common calls with callgrind and compares them with bench/instructions.txt: `make count`.
#
# Unlike times, counts are the same on a loaded machine. Counted is what runs inside libkv.so only: what the C library
# does for it (memcpy, malloc) depends on the processor. A call that got dearer by more than TOLERANCE per cent is a
# failure; one that got cheaper is shown, so that the new count is recorded: `make count COUNT=record`. One that was
# never recorded is shown alone. `make count COUNT=lmdb` counts the same work inside liblmdb.so, and compares nothing.
#
# Counts hold for one compiler and one instruction set. Where either is another than the baseline's, or valgrind is
# missing, nothing is compared: a line says so, and the result is success.
set -u
: "${B:?}" "${VALGRIND:=valgrind}" "${TOLERANCE:=3}" "${COUNT:=check}" "${RUSTC:=rustc}" "${CC:=cc}"
root=$(cd "$(dirname "$0")/.." && pwd)
baseline=$root/bench/instructions.txt

skip() {
    echo "SKIPPED: instruction counts: $1"
    exit 0
}

command -v "$VALGRIND" >/dev/null 2>&1 || skip "no $VALGRIND"
machine=$(uname -m)
for feature in avx2 bmi1 bmi2; do
    grep -qw "$feature" /proc/cpuinfo 2>/dev/null && machine=$machine+$feature
done
here="$machine, $("$RUSTC" --version 2>/dev/null | cut -d' ' -f1-2)"
there=$(sed -n 's/^# Machine and compiler: //p' "$baseline")
if [ "$COUNT" = check ] && [ "$here" != "$there" ]; then
    skip "the baseline is for \"$there\", and this is \"$here\" (to record anew: make count COUNT=record)"
fi
work=$(mktemp -d "$B/count.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

case $COUNT in
lmdb)
    program=count_lmdb object='liblmdb[.]so'
    # shellcheck disable=SC2086
    $CC -std=c99 -Wall -Wextra -Wpedantic -Wstrict-prototypes -O2 -o "$B/bench/$program" "$root/bench/$program.c" \
        -llmdb >"$work/log" 2>&1 || skip "LMDB's: $(grep -m1 'error\|cannot find' "$work/log") (make deps FOR=bench)"
    ;;
*) program=count object='libkv[.]so' ;;
esac

# count WORK CALLS FUNCTION...: instructions per call below these functions, inside the library.
count() {
    name=$1 calls=$2
    shift 2
    toggles=
    for function in "$@"; do toggles="$toggles --toggle-collect=$function"; done
    rm -f "$work"/count.* "$work/out"
    # shellcheck disable=SC2086
    if ! (cd "$work" && "$VALGRIND" -q --tool=callgrind $toggles --callgrind-out-file="$work/out" \
        "$B/bench/$program" "$name" "$calls") >"$work/log" 2>&1; then
        cat "$work/log"
        echo "FAILED  $name"
        exit 1
    fi
    # The costs of a function stand behind the lines that name its object and itself; the line behind a call is what the
    # callee cost, which stands with the callee, too.
    awk -v name="$name" -v calls="$calls" -v object="$object" '
        /^ob=/ { id = $1; sub(/^ob=/, "", id); if (NF > 1) ours[id] = ($2 ~ object); mine = ours[id]; next }
        /^cob=/ { id = $1; sub(/^cob=/, "", id); if (NF > 1) ours[id] = ($2 ~ object); next }
        /^calls=/ { callee = 1; next }
        /^[-+*0-9]/ { if (!callee && mine) total += $2; callee = 0 }
        END { printf "%s %d\n", name, total / calls }' "$work/out" >>"$work/now"
}

# edit WORK CALLS: one write transaction, the work of its commit included.
edit() {
    count "$1" "$2" 'edit_*'
}

case $COUNT in
lmdb)
    count get 20000 mdb_get
    count get_i8 20000 mdb_get
    count next 50000 mdb_cursor_get
    count next_i8 50000 mdb_cursor_get
    count begin 20000 mdb_txn_begin mdb_txn_abort
    count refresh 20000 mdb_txn_reset mdb_txn_renew
    count commit 2000 one_commit
    count put 100000 mdb_put mdb_txn_commit
    count append 100000 mdb_put mdb_txn_commit
    count append_i8 100000 mdb_put mdb_txn_commit
    count delete 50000 mdb_del
    ;;
*)
    count get 20000 kv_get
    count get_i8 20000 kv_get
    count next 50000 kv_cursor_next
    count next_i8 50000 kv_cursor_next
    count begin 20000 kv_txn_begin kv_txn_abort
    count refresh 20000 kv_txn_refresh
    count commit 2000 one_commit
    count put 100000 kv_put kv_txn_commit
    count append 100000 kv_put kv_txn_commit
    count append_i8 100000 kv_put kv_txn_commit
    count delete 50000 kv_delete
    ;;
esac
edit pop 20000
edit retain 50000
edit update 100000
edit seek_put 50000
edit get_put 50000
edit put_count 2000
edit queue 20000

if [ "$COUNT" = lmdb ]; then
    sed 's/^/LMDB /' "$work/now"
    exit 0
fi
if [ "$COUNT" = record ]; then
    {
        echo "# Instructions per call inside libkv.so, counted by scripts/count-instructions.sh in the release build."
        echo "# Machine and compiler: $here"
        cat "$work/now"
    } >"$baseline"
    cat "$baseline"
    exit 0
fi
awk -v tolerance="$TOLERANCE" '
    FNR == NR { if ($0 !~ /^#/) was[$1] = $2; next }
    $2 == 0 { printf "FAILED  %-10s nothing was counted\n", $1; bad = 1; next }
    !($1 in was) { printf "new     %-10s %6d, not recorded yet\n", $1, $2; next }
    {
        change = 100 * ($2 - was[$1]) / was[$1]
        word = change > tolerance ? "FAILED " : change < -tolerance ? "CHEAPER" : "ok     "
        printf "%s %-10s %6d, was %6d (%+.1f %%)\n", word, $1, $2, was[$1], change
        if (change > tolerance) bad = 1
        if (change < -tolerance) better = 1
    }
    END {
        if (bad) print "If that is meant: make count COUNT=record, and a line in docs/performance.md why."
        else if (better) print "Keep it: make count COUNT=record."
        exit bad
    }' "$baseline" "$work/now"
