#!/bin/sh
# System calls of the shipped library that fail: for each call of a small workload (tests/faults/workload.c), for each
# error, once and from then on. Whatever was acknowledged must be there afterwards, everything else must be answered by
# an error with its reason, and the file must be sound. `make fault-kernel` calls it with the build directory.
set -u
build=$1
: "${KV_FAULTS:=100}"
. "$(dirname "$0")/common.sh"
workload=$build/tests/workload
work=$(mktemp -d "${TMPDIR:-/tmp}/kv-faults.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
if ! strace -o /dev/null -e inject=fsync:error=EIO true 2>/dev/null; then
    skip "failing system calls: strace is not installed (make deps) or not allowed"
    finish fault-kernel
fi
cd "$work" || exit 1
runs=0 errors=0

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
    # Writes answer that a quota is used up.
    case $call in
        pwrite64 | pwritev) quota=EDQUOT ;;
        *) quota= ;;
    esac
    for error in EIO ENOSPC EINTR $quota; do
        when=1 failed_before=$failed
        while [ "$when" -le "$KV_FAULTS" ] && one "$call" "$error" "$when"; do
            # From then on, for every third of them. (EINTR for ever would be waited out for ever.)
            if [ $((when % 3)) = 1 ] && [ "$error" != EINTR ]; then
                one "$call" "$error" "$when+"
            fi
            when=$((when + 1))
        done
        places=$((when - 1))
        # The library cannot keep anything without these.
        case $call in
        fdatasync | pwrite64) [ "$places" -gt 0 ] || failed=$((failed + 1)) ;;
        esac
        [ "$failed" = "$failed_before" ] && word='ok     ' || word='FAILED '
        echo "$word $call, $error: $places places"
    done
done
if [ "$errors" = 0 ]; then
    echo "FAILED  no run was answered by an error"
    failed=$((failed + 1))
fi
finish fault-kernel "$runs runs, of which $errors were answered by an error"
