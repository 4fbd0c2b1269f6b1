#!/bin/sh
# Other machines and the oldest compiler: `make test-targets` calls it with the names of targets.
#
# Makes a root directory with Debian trixie, whose rustc 1.85.1 is the oldest that builds the library, and keeps it in
# KV_TARGETS for the next time. In it, the library is checked with that compiler and then built and tested for each
# target by scripts/test-target.sh: i386 on this processor, the others under qemu's user mode. Needs mmdebstrap, the
# rights of root and Debian's mirrors; says so where it lacks one. What is fetched has to be there within MINUTES, for
# each target again. ALL=1 tests more for each target and takes longer.
set -u
: "${B:?}" "${KV_TARGETS:=$B/targets}" "${CARGO:=cargo}" "${ALL:=0}" "${MINUTES:=5}"
suite=trixie mirror=http://deb.debian.org/debian
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/scripts/common.sh"
. "$here/scripts/targets.sh"

for name in "$@"; do
    target "$name" || { echo "what is $name?"; exit 1; }
done
mkdir -p "$KV_TARGETS" || exit 1
KV_TARGETS=$(cd "$KV_TARGETS" && pwd)
root=$KV_TARGETS/root log=$KV_TARGETS/log
: >"$log"

# end FOLDER: sums up what was found here, and what the scripts in FOLDER have found.
end() {
    echo "$passed $failed $skipped" | cat - "$1"/results/* 2>/dev/null | awk '
        { passed += $1; failed += $2; skipped += $3; $1 = $2 = $3 = ""; sub(/^ */, "") }
        NR > 1 { told = told (told == "" ? "" : "; ") $0 }
        END {
            printf "test-targets: %d passed, %d failed, %d skipped (%s)\n", passed, failed, skipped, told
            exit failed > 0
        }'
    exit
}

# without_root WHY: no other machine can be tested. The oldest compiler comes from rustup then, if that can fetch it.
without_root() {
    skip "other machines: $1"
    oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/Cargo.toml")
    export RUSTUP_HOME="$KV_TARGETS/rustup" RUSTUP_TOOLCHAIN="$oldest"
    if timeout "${MINUTES}m" rustup toolchain install "$oldest" --profile minimal --no-self-update >"$log" 2>&1; then
        rm -rf "$KV_TARGETS/here" && mkdir -p "$KV_TARGETS/here/results" && ln -s "$here" "$KV_TARGETS/here/kv" || exit 1
        export CARGO_TARGET_DIR="$KV_TARGETS/here/target"
        SRC=$KV_TARGETS/here ALL=$ALL sh "$here/scripts/test-target.sh" minimum </dev/null
    else
        tail -5 "$log"
        skip "the oldest compiler: rustup cannot fetch Rust $oldest"
    fi
    end "$KV_TARGETS/here"
}

[ "$(uname -m)" = x86_64 ] || without_root "the root is made on x86-64 only"
[ "$(id -u)" = 0 ] || without_root "only root can make and enter another root"
unshare -m --propagation private true 2>/dev/null || without_root "mounts are not allowed here"

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

trap 'rm -rf "$root.new"' EXIT
if [ ! -d "$root/src" ]; then
    command -v mmdebstrap >/dev/null 2>&1 || without_root "no mmdebstrap (make deps)"
    echo "making $root"
    rm -rf "$root" "$root.new"
    # Only the release itself: updates change daily, and machines that have different versions cannot be installed
    # together.
    timeout "${MINUTES}m" mmdebstrap --variant=apt --include=ca-certificates,build-essential,cargo,rustc,qemu-user \
        --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' "$suite" "$root.new" "$mirror" \
        >"$log" 2>&1 || { tail -5 "$log"; without_root "mmdebstrap could not make a root of $suite"; }
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

targets=
for name in "$@"; do
    if add "$name"; then
        targets="$targets $name"
    else
        tail -5 "$log"
        skip "$name: its packages could not be installed in $root"
    fi
done

# ---- what is tested ------------------------------------------------------------------------------------------

# The sources anew, so that none stays that is gone here.
rm -rf "$root/src/kv" "$root/src/x86-64" && mkdir -p "$root/src/x86-64" || exit 1
copy_sources "$here" "$root/src/kv" || exit 1
cp "$B/libkv.a" "$root/src/x86-64/" || exit 1
if ! cmp -s "$here/Cargo.lock" "$root/src/vendor.lock"; then
    rm -rf "$root/src/vendor"
    (cd "$here" && $CARGO vendor --locked --versioned-dirs "$root/src/vendor") >"$log" 2>&1 || { tail -5 "$log"; exit 1; }
    cp "$here/Cargo.lock" "$root/src/vendor.lock"
fi
# Of a run that was ended.
rm -rf "$root/src/results" && mkdir "$root/src/results" || exit 1

for name in minimum x86-64 $targets; do
    inside sh /src/kv/scripts/test-target.sh "$name" </dev/null
    # A script that ended early has told no result.
    [ -s "$root/src/results/$name" ] || echo "0 1 0 $name ended early" >"$root/src/results/$name"
done
end "$root/src"
