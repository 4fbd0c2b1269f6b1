#!/bin/sh
# Two builds of the same sources in two directories give the same libraries, command and man pages, byte for
# byte: `make test-reproducible`.
set -u
: "${B:?}" "${MAKE:=make}"
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"
work=$(mktemp -d "$B/reproducible.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
log=$work/log

for copy in "$work/a" "$work/a/longer/name"; do
    copy_sources "$root" "$copy/kv"
    if ! (cd "$copy/kv" && env -u MAKEFLAGS -u CARGO_TARGET_DIR "$MAKE" all) >"$log" 2>&1; then
        tail -20 "$log"
        failed=1
        finish test-reproducible "a build failed"
    fi
    # At another time, by another user's clock: files are newer, and nothing may tell.
    sleep 1
done
for file in kv libkv.a libkv.so stripped/libkv.so.* stripped/.debug/libkv.so.* share/man1/kv.1; do
    for name in $(cd "$work/a/kv/build" && echo $file); do
        sum=$(sha256sum <"$work/a/kv/build/$name" | cut -c1-16)
        run "$name $sum" cmp "$work/a/kv/build/$name" "$work/a/longer/name/kv/build/$name"
    done
done
finish test-reproducible
