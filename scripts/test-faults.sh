#!/bin/sh
# System calls of the shipped library that fail: for each call of a small workload (tests/faults/workload.c), for each
# error, once and from then on. Whatever was acknowledged must be there afterwards, everything else must be told as an
# error with its reason, and the file must be sound. `make fault-kernel` calls it with the build directory.
set -u
build=$1
: "${KV_FAULTS:=100}"
workload=$build/tests/workload
work=$(mktemp -d "${TMPDIR:-/tmp}/kv-faults.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
if ! strace -o /dev/null -e inject=fsync:error=EIO true 2>/dev/null; then
    echo "SKIPPED: failing system calls: strace is not installed (make deps) or not allowed"
    echo "fault-kernel: 0 passed, 0 failed, 1 skipped ()"
    exit 0
fi
cd "$work" || exit 1
passed=0 failed=0 runs=0 errors=0

# one CALL ERROR WHEN
one() {
    rm -f db.kv* .db.kv*
    strace -f -o trace -e "trace=$1" -e "inject=$1:error=$2:when=$3" "$workload" run db.kv >told 2>errors
    status=$?
    runs=$((runs + 1))
    injected=$(grep -c INJECTED trace)
    [ -s errors ] && errors=$((errors + 1))
    last=$(sed -n 's/^acknowledged //p' told | tail -1)
    if [ "$status" != 0 ] || ! "$workload" verify db.kv "${last:-0}" 2>verified; then
        echo "FAILED  $1 answers $2 at $3 (status $status, acknowledged ${last:-0}, $injected injected)"
        sed 's/^/        /' errors verified 2>/dev/null | tail -12
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
    # Nothing was injected: the workload has no more such calls.
    [ "$injected" -gt 0 ]
}

for call in fdatasync fsync pwrite64 pwritev ftruncate fallocate linkat renameat2; do
    # A quota that is used up is told by writes.
    case $call in
        pwrite64 | pwritev) quota=EDQUOT ;;
        *) quota= ;;
    esac
    for error in EIO ENOSPC EINTR $quota; do
        when=1
        while [ "$when" -le "$KV_FAULTS" ] && one "$call" "$error" "$when"; do
            # From then on, for every third of them. (EINTR for ever would be waited out for ever.)
            if [ $((when % 3)) = 1 ] && [ "$error" != EINTR ]; then
                one "$call" "$error" "$when+"
            fi
            when=$((when + 1))
        done
        echo "ok      $call, $error: $((when - 1)) places"
    done
done
echo "fault-kernel: $passed passed, $failed failed, 0 skipped ($runs runs, in $errors of them an error was told)"
[ "$failed" -eq 0 ]
