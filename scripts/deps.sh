#!/bin/sh
# The programs that tests use where they are there: `make deps` lists them and says how to install what is missing,
# `make deps DO=1` installs it with apt-get and pip. Nothing else installs anything: a test that lacks a program says
# that it is skipped. FOR=bench is about the engines that the benchmarks compare with, and FOR=deb about building
# Debian packages.
set -u
: "${DO:=0}" "${FOR:=tests}" "${PYTHON:=python3}"
missing=

# need PACKAGE WHAT FOR-WHAT: WHAT is a program, a file, a library that the loader knows, "ruby:" and what Ruby can
# require, or "py:" and what Python can import. A package of Python comes from pip, with its version.
need() {
    case $2 in
    /*) test -e "$2" ;;
    ruby:*) ruby "-r${2#ruby:}" -e 1 2>/dev/null ;;
    py:*) "$PYTHON" -c "import ${2#py:}" 2>/dev/null ;;
    lib*) ldconfig -p 2>/dev/null | grep -qF "$2" ;;
    *) command -v "$2" >/dev/null 2>&1 ;;
    esac
    if [ $? = 0 ]; then
        state=there
    else
        state=MISSING
        missing="$missing $1"
    fi
    [ "$DO" != 0 ] || printf '%-8s %-14s %-26s %s\n' "$state" "$2" "$1" "$3"
}

case $FOR in
tests)
    need build-essential c++ "test-c: the header in C++"
    need clang clang++ "test-c: kv.hpp with another compiler"
    need python3 python3 "test-c: the library through ctypes"
    need python3-dev python3-config "python: the extension of the Python package"
    need python3-venv /usr/share/python-wheels "test-python, book: environments of their own"
    need mypy==2.4.1 py:mypy "test-python: types"
    need lmdb==3.0.0 py:lmdb "test-python: the front for programs that use py-lmdb"
    need pkg-config pkg-config "test-install: kv.pc"
    need cmake cmake "test-install: the package for CMake"
    need ruby ruby "test-ruby"
    need ruby-ffi ruby:ffi "test-ruby: how the gem calls the library"
    need ruby-minitest ruby:minitest "test-ruby"
    need rake rake "bindings/ruby: the tests alone"
    need rubocop rubocop "test-ruby: the gem's style"
    need lmdb-utils mdb_dump "test-book: coming from LMDB"
    need sqlite3 sqlite3 "test-book: coming from SQLite"
    need db-util db_dump "test-book: coming from Berkeley DB"
    need groff groff "test-book: man pages"
    need mandoc mandoc "test-book: man pages"
    need valgrind valgrind "test-c, count"
    need abigail-tools abidw "check-abi"
    need strace strace "fault-kernel"
    need util-linux unshare "power-cut, full-disk, test-targets: mounts of their own"
    need util-linux setpriv "files: other users"
    need e2fsprogs mkfs.ext4 "power-cut, full-disk"
    need xfsprogs mkfs.xfs "power-cut"
    need btrfs-progs mkfs.btrfs "files: another file system"
    need f2fs-tools mkfs.f2fs "files: another file system"
    need bindfs bindfs "files: another file system"
    need mmdebstrap mmdebstrap "test-targets"
    need plyvel==1.5.1 py:plyvel "test-book: coming from LevelDB"
    need chromium chromium "cli: the page of kv report, drawn"
    need lmdb-utils mdb_load "cli: kv dump and kv load beside LMDB's own programs"
    ;;
bench)
    need librocksdb7.8 librocksdb.so "RocksDB"
    need libsqlite3-0 libsqlite3.so "SQLite"
    need libdb5.3-dev /usr/include/db.h "Berkeley DB"
    need liblmdb-dev /usr/include/lmdb.h "count: LMDB's instructions"
    need libclang1-14 libclang "libmdbx: its bindings are generated"
    need libclang-common-14-dev /usr/lib/llvm-14/lib/clang "libmdbx: the headers of that generator"
    ;;
deb)
    need git git "deb: what is committed"
    need dpkg-dev dpkg-buildpackage "deb"
    need debhelper dh "deb"
    need build-essential c++ "deb, as every package"
    need python3 python3 "deb: debian/copyright"
    need cmake cmake "deb: test-install"
    need pkg-config pkg-config "deb: test-install"
    need ruby ruby "deb: ruby-keelkv"
    need util-linux unshare "deb: no network; test-deb: mounts of its own"
    need mmdebstrap mmdebstrap "test-deb, which builds and tries the packages in other roots"
    ;;
*)
    echo "FOR=$FOR? There are tests, bench and deb."
    exit 1
    ;;
esac

[ -n "$missing" ] || exit 0
if [ "$DO" = 0 ]; then
    echo
    echo "Missing:$missing"
    echo "make deps DO=1 runs, as root: apt-get update; apt-get install --no-install-recommends for each;" \
        "$PYTHON -m pip install for those with ==."
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "deps: MISSING$missing: this needs root and apt-get"
    exit 1
fi
echo "deps: installing$missing"
log=$(mktemp "${TMPDIR:-/tmp}/kv-deps.XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT
# One by one: a package that cannot be had does not cost the others.
apt-get update -q >"$log" 2>&1 || tail -3 "$log"
failed=
for package in $missing; do
    case $package in
    *==*)
        "$PYTHON" -m pip install --quiet --disable-pip-version-check "$package" >"$log" 2>&1 || {
            tail -3 "$log"
            failed="$failed $package"
        }
        continue
        ;;
    esac
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$package" >"$log" 2>&1 || {
        tail -3 "$log"
        failed="$failed $package"
    }
done
[ -z "$failed" ] || { echo "deps: MISSING$failed: not installed"; exit 1; }
