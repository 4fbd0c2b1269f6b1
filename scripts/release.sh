#!/bin/sh
# Makes what a release consists of: `make dist` after the version, the changelog and the tag are right.
#
#   build/dist/libkv-VERSION.tar.gz            the sources, as they were committed
#   build/dist/libkv-VERSION-vendored.tar.gz   the same with the crates that Cargo.lock names: builds without a network
#   build/dist/SHA256SUMS                      their checksums
#
# Both archives are the same, byte for byte, wherever they are made. TAG=make sets the tag as well.
set -eu
: "${B:=build}" "${CARGO:=cargo}" "${TAG:=look}"
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
fail() {
    echo "dist: $1" >&2
    exit 1
}

# 1. The version stands in one place, and everything that repeats it agrees.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
[ -n "$version" ] || fail "Cargo.toml states no version"
agrees() {
    grep -qF -- "$2" "$1" || fail "$1 does not have '$2': it has to agree with the version in Cargo.toml ($version)"
}
agrees include/kv.h "#define KV_VERSION \"$version\""
agrees README.md "This is version $version."
agrees CHANGELOG.md "## $version - "
agrees debian/changelog "libkv ($version-"
agrees bindings/python/keelkv/__init__.py "__version__ = \"$version\""
agrees bindings/ruby/lib/keelkv/version.rb "VERSION = \"$version\""
agrees bindings/ruby/README.md "$version"
if grep -qF "## $version - unreleased" CHANGELOG.md; then
    [ "${UNRELEASED:-0}" = 1 ] || fail "CHANGELOG.md calls $version unreleased: put the date there (UNRELEASED=1 makes archives for a trial)"
fi

# 2. What is archived is what is committed.
[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed: git status"
tag=v$version
if [ "$TAG" = make ]; then
    git tag -a "$tag" -m "libkv $version"
fi
if git rev-parse -q --verify "refs/tags/$tag" >/dev/null; then
    [ "$(git rev-parse "$tag^{commit}")" = "$(git rev-parse HEAD)" ] || fail "the tag $tag is another commit than HEAD"
elif [ "${UNRELEASED:-0}" != 1 ]; then
    fail "there is no tag $tag: TAG=make sets it"
fi

# 3. The archives. Times are the commit's, and owners are nobody's.
time=$(git log -1 --format=%ct)
out=$root/$B/dist
rm -rf "$out"
mkdir -p "$out"
name=libkv-$version
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Step by step, as a pipe would hide that its beginning fails.
git archive --format=tar --prefix="$name/" -o "$work/$name.tar" HEAD
tar -xf "$work/$name.tar" -C "$work"
gzip -n9 <"$work/$name.tar" >"$out/$name.tar.gz"
(
    cd "$work/$name"
    mkdir -p .cargo
    "$CARGO" vendor --locked --versioned-dirs vendor >>.cargo/config.toml 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
)
tar -C "$work" --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw \
    -cf "$work/$name-vendored.tar" "$name"
gzip -n9 <"$work/$name-vendored.tar" >"$out/$name-vendored.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" "$name-vendored.tar.gz" >SHA256SUMS)
rm -rf "$work"
(cd "$out" && ls -l "$name.tar.gz" "$name-vendored.tar.gz" && cat SHA256SUMS)
