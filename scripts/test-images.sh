#!/bin/sh
# What power cuts leave of a database, with the shipped library: tests/faults/images.c makes images of the disk from the
# calls of a workload and opens each of them. `make images` calls this with the build directory.
#
# KV_IMAGES (default 4000) says how many images there are, KV_SEED (default 1) where the workloads begin.
set -u
build=$1
: "${KV_IMAGES:=4000}" "${KV_SEED:=1}"

# The test is of what is written, and not of the disk.
folder=${KV_TMP:-${TMPDIR:-/tmp}}
[ -z "${KV_TMP:-}" ] && [ -w /dev/shm ] && folder=/dev/shm
work=$(mktemp -d "$folder/kv-images.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/a" "$work/b" "$work/lie" || exit 1

# Where syncs do not count, acknowledged commits must be found missing.
if "$build/tests/images" "$work/lie" 500 "$KV_SEED" lie >"$work/lied"; then
    echo "FAILED  syncs that do nothing were not noticed"
    exit 1
fi

half=$((KV_IMAGES / 2))
"$build/tests/images" "$work/a" "$half" "$KV_SEED" >"$work/told-a" 2>&1 &
other=$!
"$build/tests/images" "$work/b" "$half" $((KV_SEED + 1000000)) >"$work/told-b" 2>&1
status=$?
wait $other || status=1
cat "$work/told-a" "$work/told-b" | grep -v ' images, '
# Adds up the last lines, "N images, M acknowledged commits, K wrong".
sums=$(cat "$work/told-a" "$work/told-b" | awk '/ images, /{ n += $1; a += $3; w += $6 } END { print n + 0, a + 0, w + 0 }')
# shellcheck disable=SC2086 # Three numbers.
set -- $sums
echo "images: $(($1 - $3)) passed, $3 failed, 0 skipped ($2 acknowledged commits)"
[ "$status" -eq 0 ] && [ "$1" -ge $((half * 2)) ]
