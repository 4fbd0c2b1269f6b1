#!/bin/sh
# Two builds of the same sources in two directories give the same libraries, byte for byte: `make test-reproducible`.
set -u
: "${B:?}" "${MAKE:=make}"
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "$B/reproducible.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

for copy in "$work/a" "$work/a/longer/name"; do
    mkdir -p "$copy/kv"
    (cd "$root" && tar -cf - --exclude=./target --exclude=./build --exclude=./bench/target --exclude=./micro/target \
        --exclude=./.git .) | tar -xf - -C "$copy/kv"
    if ! (cd "$copy/kv" && env -u MAKEFLAGS -u CARGO_TARGET_DIR "$MAKE" all) >"$work/log" 2>&1; then
        tail -20 "$work/log"
        echo "test-reproducible: 0 passed, 1 failed, 0 skipped (a build failed)"
        exit 1
    fi
    # At another time, by another user's clock: files are newer, and nothing may tell.
    sleep 1
done
for file in libkv.a libkv.so stripped/libkv.so.* stripped/.debug/libkv.so.*; do
    for name in $(cd "$work/a/kv/build" && echo $file); do
        if cmp "$work/a/kv/build/$name" "$work/a/longer/name/kv/build/$name"; then
            echo "ok      $name $(sha256sum <"$work/a/kv/build/$name" | cut -c1-16)"
            passed=$((passed + 1))
        else
            echo "FAILED  $name differs"
            failed=$((failed + 1))
        fi
    done
done
echo "test-reproducible: $passed passed, $failed failed, 0 skipped ()"
[ "$failed" -eq 0 ]
