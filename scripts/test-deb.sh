#!/bin/sh
# The Debian packages: `make test-deb` calls it.
#
# Makes two root directories with Debian trixie below KV_TARGETS and keeps them for the next time: in one the packages
# of what is committed are built and looked at by lintian, in the other they are installed, tested as debian/tests
# says, and removed. Needs mmdebstrap, the rights of root and Debian's mirrors; says so where it lacks one. What is
# fetched has to be there within MINUTES.
set -u
: "${B:?}" "${KV_TARGETS:=$B/targets}" "${CARGO:=cargo}" "${MINUTES:=10}"
suite=trixie mirror=http://deb.debian.org/debian
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/scripts/common.sh"
mkdir -p "$KV_TARGETS/deb" || exit 1
roots=$(cd "$KV_TARGETS/deb" && pwd)
log=$roots/log
: >"$log"

[ "$(id -u)" = 0 ] || { skip "everything: only root can make and enter another root"; finish test-deb; }
unshare -m --propagation private true 2>/dev/null || { skip "everything: mounts are not allowed here"; finish test-deb; }

# make_root NAME PACKAGES: a root directory with these packages.
make_root() {
    [ ! -d "$roots/$1" ] || return 0
    command -v mmdebstrap >/dev/null 2>&1 || { skip "everything: no mmdebstrap (make deps FOR=deb)"; finish test-deb; }
    echo "making $roots/$1"
    trap 'rm -rf "$roots"/*.new' EXIT
    timeout "${MINUTES}m" mmdebstrap --variant=apt --include="ca-certificates,$2" --aptopt='Acquire::Languages "none"' \
        --aptopt='Acquire::Retries "3"' "$suite" "$roots/$1.new" "$mirror" >"$log" 2>&1 ||
        { tail -5 "$log"; skip "everything: mmdebstrap could not make a root of $suite"; finish test-deb; }
    mv "$roots/$1.new" "$roots/$1" || exit 1
}

# inside NAME COMMAND...: in that root. The mounts end with the command.
inside() {
    (
        root=$roots/$1
        shift
        unshare -m --propagation private sh -c '
            root=$1; shift
            mount --rbind /proc "$root/proc" && mount --rbind /dev "$root/dev" || exit 1
            cd "$root" && exec chroot "$root" "$@"' sh "$root" env -i HOME=/root LC_ALL=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
    )
}

make_root build build-essential,debhelper,lintian,cargo,rustc,cmake,pkgconf,dh-python,libpython3-dev,python3,ruby
make_root use gcc,g++,libc6-dev,make,cmake,pkgconf,python3,ruby,ruby-ffi,ruby-minitest

# ---- building ----------------------------------------------------------------------------------------------------

rm -rf "$roots/build/deb" "$roots/use/deb" && mkdir -p "$roots/use/deb" || exit 1
run "the sources with the crates, and debian/copyright that fits them" \
    sh "$here/scripts/deb.sh" source "$roots/build/deb" || finish test-deb
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -1)
# If debian/control names more than the root has.
wanted() {
    inside build sh -c "cd /deb/libkv-$version && {
        dpkg-checkbuilddeps || { apt-get update -q && apt-get build-dep -q -y .; }
    }"
}
run "what they are built with is there" wanted || finish test-deb
run "the packages are built without a network" inside build sh "/deb/libkv-$version/scripts/deb.sh" build /deb || finish test-deb
cp "$roots"/build/deb/*.deb "$roots/use/deb/" || exit 1
run "these packages are made" sh -c '
    cd "$1" && for package in $(sed -n "s/^Package: //p" "$2") libkv0-dbgsym kv-tools-dbgsym; do
        ls -l "$package"_*.deb || exit 1
    done' sh "$roots/use/deb" "$here/debian/control"
# A first upload to Debian would close a bug that asks for the package. There is none as long as nobody uploads it.
run "lintian has no error and no warning" inside build sh -c '
    cd /deb && lintian --version && lintian --allow-root --info --fail-on error,warning \
        --suppress-tags initial-upload-closes-no-bugs ./*.dsc ./*.deb'

# ---- using -------------------------------------------------------------------------------------------------------

packages=$(sed -n 's/^Package: //p' "$here/debian/control" | tr '\n' ' ')
files() {
    (
        cd "$roots/use" &&
            find etc usr var/lib ! -path 'var/lib/dpkg/*' ! -path 'var/lib/apt/*' ! -type d | LC_ALL=C sort
    ) >"$roots/$1"
}
# Of a run that was ended.
# shellcheck disable=SC2086
inside use dpkg --purge $packages >/dev/null 2>&1
files before
# shellcheck disable=SC2016
run "they are installed" inside use sh -c '
    cd /deb && for package in "$@"; do set -- "$@" "./$package"_*.deb; shift; done && dpkg -i "$@"' sh $packages
rm -rf "$roots/use/src" && mkdir -p "$roots/use/src/bindings" && cp -R "$here/debian" "$roots/use/src/" &&
    cp -R "$here/bindings/ruby" "$here/bindings/python" "$roots/use/src/bindings/" || exit 1
for test in $(sed -n 's/^Tests: //p' "$here/debian/tests/control"); do
    # shellcheck disable=SC2016
    run "debian/tests/$test" inside use sh -c '
        AUTOPKGTEST_TMP=$(mktemp -d) && export AUTOPKGTEST_TMP && cd /src && "debian/tests/$1"' sh "$test"
done
# shellcheck disable=SC2086
run "they are removed" inside use dpkg --purge $packages
files after
run "and leave no file" diff "$roots/before" "$roots/after"
finish test-deb "$suite"
