#!/bin/sh
# Memory that the system refuses to the shipped library (tests/faults/memory.c): a workload calls every function of kv.h
# while single requests are refused, or all from one on. `make memory` calls this with the build directory.
#
# KV_REFUSALS (default 30) says how many requests are refused of each workload, evenly spread, and how often the
# workloads run while many are refused at random; 0: every request once, and none at random, which takes a day. KV_SEED
# chooses others.
set -u
build=$1
: "${KV_REFUSALS:=30}"
root=$(cd "$(dirname "$0")/.." && pwd)

# No function is left out.
missing=
for function in $(sed -n 's/^ *\(kv_[a-z0-9_]*\);/\1/p' "$root/kv.map"); do
    grep -qw "$function" "$root"/tests/faults/memory.c "$root"/tests/faults/steps*.h || missing="$missing $function"
done
if [ -n "$missing" ]; then
    echo "FAILED  tests/faults/memory.c and its steps do not call:$missing"
    exit 1
fi

# The test is of memory and not of the disk.
folder=${KV_TMP:-${TMPDIR:-/tmp}}
[ -z "${KV_TMP:-}" ] && [ -w /dev/shm ] && folder=/dev/shm
work=$(mktemp -d "$folder/kv-memory.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
"$build/tests/memory" "$work" "$KV_REFUSALS"
