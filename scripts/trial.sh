#!/bin/sh
# One kind of test: runs `cargo test ARGUMENTS` for each argument and ends with one line that sums them up:
#
#   scripts/trial.sh TITLE ARGUMENTS...
#   TITLE: N passed, M failed, K skipped (counts)
#
# What a test counts it prints as "WHAT: N passed, M failed (figures)"; where none of an argument's tests does, the
# tests themselves are counted. "COUNT what: figures" adds figures, "SKIPPED: what: why" tells what cannot be done
# here. With MOUNTS=1 the tests run in a mount namespace of their own, so that no mount can outlive them, however they
# end.
set -u
: "${CARGO:=cargo}" "${CARGOFLAGS:=--locked}"
title=$1
shift
log=$(mktemp "${TMPDIR:-/tmp}/kv-$title.XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT

alone=
if [ "${MOUNTS:-0}" = 1 ] && unshare -m --propagation private true 2>/dev/null; then
    alone="unshare -m --propagation private"
fi

for arguments; do
    echo "+ cargo test $arguments" | tee -a "$log"
    # shellcheck disable=SC2086
    { $alone $CARGO test $CARGOFLAGS $arguments 2>&1; echo "status: $?"; } | tee -a "$log"
done

# A test that skipped has passed as far as cargo knows. A program that did not build or that died has no result, but a
# status.
awk -v title="$title" '
    function end_of_one() {
        passed += counted ? lines : results
        failed += counted ? broken : bad
        if (status != 0 && (counted ? broken : bad) == 0) failed++
        counted = lines = results = broken = bad = status = 0
    }
    /^\+ cargo test / { end_of_one() }
    match($0, /[a-z-]+: [0-9]+ passed, [0-9]+ failed \(.*\)/) {
        line = substr($0, RSTART, RLENGTH)
        figures = line
        sub(/^[^(]*\(/, "", figures)
        sub(/\)$/, "", figures)
        counts = counts (counts == "" ? "" : "; ") figures
        split(line, word, " ")
        counted = 1
        lines += word[2]
        broken += word[4]
    }
    /^test result:/ { results += $4; bad += $6 }
    /SKIPPED: / { skipped++ }
    /COUNT / { sub(/^.*COUNT /, ""); counts = counts (counts == "" ? "" : "; ") $0 }
    /^status: / { status = $2 }
    END {
        end_of_one()
        passed = passed > skipped ? passed - skipped : 0
        printf "%s: %d passed, %d failed, %d skipped (%s)\n", title, passed, failed, skipped, counts
        exit failed > 0
    }' "$log"
