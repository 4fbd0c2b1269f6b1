#!/bin/sh
# Other machines and the oldest compiler: `make test-targets` calls it with the names of targets.
#
# Makes a root directory with Debian trixie, whose rustc 1.85.1 is the oldest that builds the library, and keeps it in
# KV_TARGETS for the next time. In it, the library is checked with that compiler and then built and tested for each
# target by scripts/test-target.sh: i386 on this processor, the others under qemu's user mode. Needs mmdebstrap, the rights
# of root and Debian's mirrors; says so where it lacks one. What is fetched has to be there within MINUTES, for each target
# again. ALL=1 tests more for each target and takes longer.
set -u
: "${B:?}" "${KV_TARGETS:=$B/targets}" "${CARGO:=cargo}" "${ALL:=0}" "${MINUTES:=5}"
suite=trixie
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/scripts/targets.sh"

skip() {
    echo "SKIPPED: other machines: $1"
    echo "test-targets: 0 passed, 0 failed, 1 skipped ()"
    exit 0
}

for name in "$@"; do
    target "$name" || { echo "what is $name?"; exit 1; }
done
mkdir -p "$KV_TARGETS" || exit 1
KV_TARGETS=$(cd "$KV_TARGETS" && pwd)
root=$KV_TARGETS/root
[ "$(uname -m)" = x86_64 ] || skip "the root is made on x86-64 only"
[ "$(id -u)" = 0 ] || skip "only root can make and enter another root"
unshare -m --propagation private true 2>/dev/null || skip "mounts are not allowed here"

# The settings of tests (docs/testing.md), for those in the root.
settings=$(env | sed -n 's/^\(KV_[A-Z_]*=[^ ]*\)$/\1/p' | grep -v '^KV_TARGETS=\|^KV_LIB=\|^KV_TMP=')

# inside COMMAND...: in the root. The mounts end with the command.
# shellcheck disable=SC2086
inside() {
    unshare -m --propagation private sh -c '
        root=$1; shift
        mount --rbind /proc "$root/proc" && mount --rbind /dev "$root/dev" || exit 1
        cd "$root" && exec chroot "$root" "$@"' sh "$root" env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/src/cargo CARGO_TARGET_DIR=/src/target ALL="$ALL" $settings "$@"
}

# ---- the root ------------------------------------------------------------------------------------------------

log=$KV_TARGETS/log
: >"$log"
trap 'rm -rf "$root.new"' EXIT
if [ ! -d "$root/src" ]; then
    command -v mmdebstrap >/dev/null 2>&1 || skip "no mmdebstrap (make deps)"
    echo "making $root"
    rm -rf "$root" "$root.new"
    timeout "${MINUTES}m" mmdebstrap --variant=apt --include=ca-certificates,build-essential,cargo,rustc,qemu-user \
        "$suite" "$root.new" >"$log" 2>&1 || { tail -5 "$log"; skip "mmdebstrap could not make a root of $suite"; }
    mkdir -p "$root.new/src/have" "$root.new/src/cargo" && mv "$root.new" "$root" || exit 1
    printf '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "/src/vendor"\n' \
        >"$root/src/cargo/config.toml"
fi

# add NAME: the compilers and the standard library of a target. Installing Rust's as packages would bring a compiler for
# each: it is unpacked beside that of the root.
add() {
    target "$1"
    [ -e "$root/src/have/$1" ] && return
    echo "adding $1"
    packages="gcc-$(echo "$gnu" | tr _ -) libc6-dev-$debian-cross"
    [ "$1" = i386 ] && packages="$packages g++-i686-linux-gnu libc6:i386 libgcc-s1:i386 libstdc++6:i386"
    inside timeout "${MINUTES}m" sh -ec '
        dpkg --add-architecture "$1"
        apt-get update -q
        shift
        apt-get install -q -y --no-install-recommends $2
        rm -rf /tmp/rust && mkdir /tmp/rust && cd /tmp/rust
        version=$(dpkg-query -W -f "\${Version}" rustc)
        apt-get download -q "libstd-rust-dev:$1=$version"
        dpkg -x libstd-rust-dev_*.deb /
        rm -rf /tmp/rust
        apt-get clean' sh "$debian" "$debian" "$packages" </dev/null >"$log" 2>&1 && touch "$root/src/have/$1"
}

for name in "$@"; do
    add "$name" || { tail -5 "$log"; skip "the packages for $name could not be installed in $root"; }
done

# ---- what is tested ------------------------------------------------------------------------------------------

# The sources anew, so that none stays that is gone here; times are kept, by which cargo knows what has changed.
rm -rf "$root/src/kv" "$root/src/x86-64" && mkdir -p "$root/src/kv" "$root/src/x86-64" || exit 1
(cd "$here" && tar -cf - --exclude=./target --exclude=./build --exclude=./bench/target --exclude=./micro/target \
    --exclude=./.git .) | tar -xf - -C "$root/src/kv" || exit 1
cp "$B/libkv.a" "$root/src/x86-64/" || exit 1
if ! cmp -s "$here/Cargo.lock" "$root/src/vendor.lock"; then
    rm -rf "$root/src/vendor"
    (cd "$here" && $CARGO vendor --locked --versioned-dirs "$root/src/vendor") >"$log" 2>&1 || { tail -5 "$log"; exit 1; }
    cp "$here/Cargo.lock" "$root/src/vendor.lock"
fi
# Of a run that was ended.
rm -rf "$root/src/results" && mkdir "$root/src/results" || exit 1

for name in minimum x86-64 "$@"; do
    inside sh /src/kv/scripts/test-target.sh "$name" </dev/null
    # A script that ended early has told no result.
    [ -s "$root/src/results/$name" ] || echo "0 1 0 $name ended early" >"$root/src/results/$name"
done
cat "$root/src/results/"* | awk '
    { passed += $1; failed += $2; skipped += $3; $1 = $2 = $3 = ""; sub(/^ */, ""); told = told (told == "" ? "" : "; ") $0 }
    END {
        printf "test-targets: %d passed, %d failed, %d skipped (%s)\n", passed, failed, skipped, told
        exit failed > 0
    }'
