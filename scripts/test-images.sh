#!/bin/sh
# What power cuts leave of a database, with the shipped library: tests/faults/images.c makes images of the disk from the
# calls of a workload and opens each of them. `make images` calls this with the build directory.
#
# KV_IMAGES (default 4000) says how many images there are, KV_SEED (default 1) where the workloads begin. If the test
# fails, the folder with the images that are wrong is kept.
set -u
build=$1
: "${KV_IMAGES:=4000}" "${KV_SEED:=1}"
case $KV_IMAGES in
    '' | *[!0-9]* | 0) echo "FAILED  KV_IMAGES is \"$KV_IMAGES\": give a number of images, 1 or more" && exit 1 ;;
esac

# The test is of what is written, and not of the disk.
folder=${KV_TMP:-${TMPDIR:-/tmp}}
[ -z "${KV_TMP:-}" ] && [ -w /dev/shm ] && folder=/dev/shm
work=$(mktemp -d "$folder/kv-images.XXXXXX") || exit 1
status=1
trap 'if [ "$status" = 0 ]; then rm -rf "$work"; else echo "kept: $work"; fi' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/a" "$work/b" "$work/lie" || exit 1

# Where syncs do not count, acknowledged commits must be found missing: the program ends with 1 and says so.
"$build/tests/images" "$work/lie" 500 "$KV_SEED" lie >"$work/lied" 2>&1
lied=$?
if [ "$lied" != 1 ] || ! grep -q '^found .*: an acknowledged commit is missing$' "$work/lied"; then
    echo "FAILED  syncs that do nothing were not noticed (status $lied)"
    sed 's/^/        /' "$work/lied" | tail -12
    exit 1
fi

# part NAME IMAGES SEED: runs the program, and notes how it ended behind what it said.
part() {
    "$build/tests/images" "$work/$1" "$2" "$3" >"$work/told-$1" 2>&1
    echo "ended $?" >>"$work/told-$1"
}
part a $((KV_IMAGES / 2)) "$KV_SEED" &
part b $((KV_IMAGES - KV_IMAGES / 2)) $((KV_SEED + 1000000))
wait

# Of "N images, M acknowledged commits, K wrong" and "ended STATUS" there is one each, and a program that ended
# otherwise than with 0, or with 1 after images that are wrong, has failed itself.
images=0 commits=0 wrong=0 failed=0
for name in a b; do
    told=$work/told-$name
    grep -v -e ' images, ' -e '^ended ' "$told"
    ended=$(sed -n 's/^ended //p' "$told")
    # shellcheck disable=SC2046 # Three numbers.
    set -- $(awk '/^[0-9]+ images, /{ print $1, $3, $6 }' "$told")
    if [ $# != 3 ]; then
        echo "FAILED  part $name ended with status $ended before it was done"
        failed=$((failed + 1))
        continue
    fi
    images=$((images + $1)) commits=$((commits + $2)) wrong=$((wrong + $3))
    if [ "$ended" != "$(($3 > 0))" ]; then
        echo "FAILED  part $name ended with status $ended after $3 wrong images"
        failed=$((failed + 1))
    fi
done
failed=$((failed + wrong))
echo "images: $((images - wrong)) passed, $failed failed, 0 skipped ($commits acknowledged commits)"
[ "$failed" = 0 ] && [ "$images" = "$KV_IMAGES" ] && status=0
exit "$status"
