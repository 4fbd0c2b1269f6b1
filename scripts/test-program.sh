#!/bin/sh
# Runs test programs of cargo one after the other and ends with one line that sums them up:
#
#   scripts/test-program.sh TITLE PROGRAM...      (PROGRAM as in `cargo test --test PROGRAM`)
#   TITLE: N passed, M failed, K skipped (counts)
#
# Tests print "SKIPPED: what: why" for what cannot be done on this machine and "COUNT what: figures" for what was done.
# With MOUNTS=1 they run in a mount namespace of their own, so that no mount can outlive them, however they end.
set -u
: "${CARGO:=cargo}" "${CARGOFLAGS:=--locked}"
title=$1
shift
log=$(mktemp "${TMPDIR:-/tmp}/kv-$title.XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT

# Programs that a test needs: installed if that is possible, else the test says that it was skipped.
for program in ${NEEDS:-}; do
    if ! command -v "${program%%:*}" >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        (apt-get update && apt-get install -y --no-install-recommends "${program##*:}") >/dev/null 2>&1
    fi
done
alone=
if [ "${MOUNTS:-0}" = 1 ] && unshare -m --propagation private true 2>/dev/null; then
    alone="unshare -m --propagation private"
fi

status=0
for program in "$@"; do
    # shellcheck disable=SC2086
    $alone $CARGO test $CARGOFLAGS --test "$program" -- --include-ignored --nocapture >"$log.one" 2>&1 || status=1
    cat "$log.one" >>"$log"
    cat "$log.one"
    rm -f "$log.one"
done

# Sums of "test result: ok. 3 passed; 1 failed; ..."; a test that skipped has passed as far as cargo knows.
awk -v title="$title" -v status="$status" '
    /^test result:/ { passed += $4; failed += $6; results++ }
    /SKIPPED: / { skipped++ }
    /COUNT / { sub(/^.*COUNT /, ""); counts = counts (counts == "" ? "" : "; ") $0 }
    END {
        # A program that does not build or that died has no result.
        if (status != 0 && failed == 0) failed = 1
        passed = passed > skipped ? passed - skipped : 0
        printf "%s: %d passed, %d failed, %d skipped (%s)\n", title, passed, failed, skipped, counts
    }' "$log"
exit "$status"
