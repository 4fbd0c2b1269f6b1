#!/bin/sh
# The archives of a release can be made, are the same when they are made twice, and the one with the crates builds the
# library without a network and without anything that this machine's cargo has fetched: `make test-dist`.
set -u
: "${B:?}" "${MAKE:=make}" "${CARGO:=cargo}"
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"
mkdir -p "$B"
work=$(mktemp -d "$B/dist.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
log=$work/log
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)

# A clone, as a release is made of what is committed. It is unreleased also on the day of a release.
made() (
    git clone -q --no-tags "$root" "$work/$1" && cd "$work/$1" &&
        sed -i "s/^## $version - .*/## $version - unreleased/" CHANGELOG.md &&
        { git diff --quiet || git -c user.name=test -c user.email=test@invalid commit -qam "This is unreleased."; } &&
        UNRELEASED=1 B=build CARGO="$CARGO" sh scripts/release.sh
)
refused() {
    (cd "$work/a" && ! B=build sh scripts/release.sh) >"$work/refusal" 2>&1 && grep -q "$1" "$work/refusal"
}
# Without a network, and with an empty home of cargo.
builds() {
    tar -xzf "$work/a/build/dist/libkv-$version-vendored.tar.gz" -C "$work" &&
        cd "$work/libkv-$version" &&
        CARGO_HOME=$work/home offline env -u MAKEFLAGS -u CARGO_TARGET_DIR "$MAKE" all CARGOFLAGS=--frozen &&
        offline env -u MAKEFLAGS -u CARGO_TARGET_DIR "$MAKE" install CARGOFLAGS=--frozen DESTDIR="$work/root" PREFIX=/usr &&
        test -f "$work/root/usr/include/kv.h" && test -e "$work/root/usr/lib/libkv.so.0"
}

run "the archives are made" made a
run "they are the same when they are made again" sh -c \
    'cd "$0/a" && UNRELEASED=1 B=build/again sh scripts/release.sh && diff build/dist/SHA256SUMS build/again/dist/SHA256SUMS' "$work"
run "an unreleased version is refused" refused "unreleased"
run "a change that is not committed is refused" sh -c \
    'cd "$0/a" && echo >>README.md && ! UNRELEASED=1 sh scripts/release.sh 2>"$0/said" && grep -q "not committed" "$0/said"' "$work"
run "the archive with the crates builds and installs without a network" builds
finish test-dist
