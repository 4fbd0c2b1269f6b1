#!/bin/sh
# Debian packages of what is committed: `make deb` calls both steps with build/deb.
#
#   deb.sh source FOLDER   puts libkv_VERSION.orig.tar.gz, the archive of a release with the crates, and what it
#                          contains into FOLDER; needs git, cargo and python3
#   deb.sh build FOLDER    builds the packages there, without a network; needs debhelper and what debian/control names
#
# The compiler may come from a package or from rustup.
set -eu
: "${CARGO:=cargo}"
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"
fail() {
    echo "deb: $1" >&2
    exit 1
}
[ $# = 2 ] || fail "sh scripts/deb.sh source|build FOLDER"
mkdir -p "$2"
folder=$(cd "$2" && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)

case $1 in
source)
    rm -rf "$folder"
    mkdir -p "$folder"
    # A clone without tags: packages can be built of a commit that is no release.
    git clone -q --no-tags "$root" "$folder/clone"
    cd "$folder/clone"
    CARGO=$CARGO "${PYTHON:-python3}" scripts/debian-copyright.py check
    UNRELEASED=1 B=build CARGO=$CARGO sh scripts/release.sh
    mv "build/dist/libkv-$version-vendored.tar.gz" "../libkv_$version.orig.tar.gz"
    cd ..
    rm -rf clone
    tar -xzf "libkv_$version.orig.tar.gz"
    ;;
build)
    cd "$folder/libkv-$version" || fail "$folder has no libkv-$version: sh scripts/deb.sh source $folder puts it there"
    command -v dpkg-buildpackage >/dev/null && command -v dh >/dev/null ||
        fail "dpkg-buildpackage or dh is missing: make deps FOR=deb lists what packages are built with"
    profile=
    if ! dpkg-query -W rustc >/dev/null 2>&1 && command -v rustc >/dev/null; then
        echo "deb: $(rustc --version) is no package: building with -Ppkg.libkv.rustup"
        profile=-Ppkg.libkv.rustup
    fi
    # shellcheck disable=SC2086
    offline env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u CARGO_TARGET_DIR dpkg-buildpackage -us -uc $profile
    cd .. && ls -l ./*.deb
    ;;
*)
    fail "$1? There are source and build"
    ;;
esac
