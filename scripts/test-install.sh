#!/bin/sh
# What `make install` installs, and programs that use it, as README.md tells: `make test-install` calls it when all is
# built.
#
# Installs into directories of its own, without cargo, compiles the first program of README.md against each, and looks
# at the library: what it exports, needs and contains. Ends with one line.
set -u
: "${B:?}" "${CC:=cc}" "${MAKE:=make}" "${OBJCOPY:=objcopy}"
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
. scripts/common.sh
work=$(mktemp -d "$B/install.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
log=$work/log

# As root would: what this make was called with is not passed on, and there is no cargo.
plain_make() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL "$MAKE" --no-print-directory "B=$B" CARGO=no-cargo "$@"
}

# ---- installing --------------------------------------------------------------------------------------------------

prefix=$work/prefix
touch "$work/before"
run "install needs no cargo" plain_make install "PREFIX=$prefix"
# Other tests may be at work in the same directory: these are the files that it could write.
run "install writes nothing into the tree" sh -c '
    new=$(find "$1"/libkv.* "$1/kv.o" "$1/kv.pc" "$1/stripped" "${CARGO_TARGET_DIR:-target}"/release/libkv.* \
        "$1/kv" "$1/share" "${CARGO_TARGET_DIR:-target}"/release/kv src capi cli include Cargo.lock -newer "$2")
    [ -z "$new" ] || { echo "$new"; exit 1; }' sh "$B" "$work/before"
run "install does not install what is older than its source" sh -c '
    ! "$@" >"$0" 2>&1 && grep -q "no-cargo" "$0"' "$work/refused" \
    env -u MAKEFLAGS "$MAKE" "B=$B" CARGO=no-cargo -W src/lib.rs install "PREFIX=$work/other"
version=$(sed -n 's/^#define KV_VERSION "\(.*\)"/\1/p' include/kv.h)
cat >"$work/expected" <<EOF
bin/kv
include/kv.h
include/kv.hpp
lib/.debug/libkv.so.$version.debug
lib/cmake/kv/kv-config-version.cmake
lib/cmake/kv/kv-config.cmake
lib/libkv.a
lib/libkv.so
lib/libkv.so.0
lib/libkv.so.$version
lib/pkgconfig/kv.pc
share/bash-completion/completions/kv
share/fish/vendor_completions.d/kv.fish
share/man/man1/kv.1
share/zsh/site-functions/_kv
EOF
run "these files are installed, and a man page for each command" sh -c '
    (cd "$1" && find . ! -type d ! -name "kv-*.1" ! -path "*/man[35]/*" | sed "s|^\./||" | LC_ALL=C sort) | diff "$2" - &&
    for command in $("$1/bin/kv" --help | sed -n "/^Commands:/,/^$/ s/^  \([a-z-][a-z-]*\) .*/\1/p" | grep -vx help); do
        [ -s "$1/share/man/man1/kv-$command.1" ] || { echo "$command"; exit 1; }
    done' sh "$prefix" "$work/expected"
if command -v "${PYTHON:=python3}" >/dev/null 2>&1; then
    run "a man page for each function and for the file format is installed" sh -c '
        for page in $(sed -n "s/^ *\(kv_[a-z0-9_]*\);/man3\/\1.3/p" kv.map) man3/kv.3 man5/kv-format.5; do
            [ -s "$1/share/man/$page" ] || { echo "$page"; exit 1; }
        done' sh "$prefix"
else
    skip "man pages of functions: no $PYTHON (make deps)"
fi
run "the command works where it is installed" sh -c '
    "$1/bin/kv" put --create "$2" apple red && [ "$("$1/bin/kv" get "$2" apple)" = red ]' sh "$prefix" "$work/fruit.kv"
awk '/^```bash$/ { on = 1; next } /^```$/ && on { exit } on' README.md >"$work/fruit.sh"
run "README's lines for a shell" sh -c '
    cd "$2" && rm -f fruit.kv && [ "$(PATH="$1/bin:$PATH" sh -e fruit.sh)" = "apple is red" ]' sh "$prefix" "$work"
run "CLI=0 leaves the command out" sh -c '
    folder=$1; shift
    "$@" >"$0" 2>&1 && [ -e "$folder/lib" ] && [ ! -e "$folder/bin" ] && [ ! -e "$folder/share/man/man1" ]' "$work/refused" \
    "$work/alone" env -u MAKEFLAGS "$MAKE" "B=$B" CARGO=no-cargo CLI=0 install "PREFIX=$work/alone"
run "install into a staging directory" plain_make install "DESTDIR=$work/stage" PREFIX=/usr LIBDIR=/usr/lib/here SPLIT_DEBUG=0
run "which no file names" sh -c '
    ! grep -F "$1" "$1"/usr/lib/here/pkgconfig/kv.pc "$1"/usr/lib/here/cmake/kv/* &&
    grep -qx "libdir=/usr/lib/here" "$1/usr/lib/here/pkgconfig/kv.pc" &&
    grep -q "\"/usr/lib/here/libkv.so.0\"" "$1/usr/lib/here/cmake/kv/kv-config.cmake"' \
    sh "$work/stage"

# ---- programs ----------------------------------------------------------------------------------------------------

# The first C program of README.md.
awk '/^```c$/ { on = 1; next } /^```$/ && on { exit } on' README.md >"$work/fruit.c"
# And the one in Python.
awk '/^```python$/ { on = 1; next } /^```$/ && on { exit } on' README.md >"$work/fruit.py"
cd "$work" || exit 1
if command -v "${PYTHON:=python3}" >/dev/null 2>&1; then
    run "README's program in Python" env LD_LIBRARY_PATH="$prefix/lib" \
        sh -c 'rm -f fruit.kv && [ "$("$1" fruit.py)" = "apple is red" ]' sh "$PYTHON"
else
    skip "README's program in Python: not installed (make deps)"
fi
if command -v pkg-config >/dev/null 2>&1; then
    export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
    fruit() {
        rm -f fruit fruit.kv
        # shellcheck disable=SC2046
        "$CC" fruit.c "$@" -o fruit && [ "$(./fruit)" = "apple is red" ]
    }
    # shellcheck disable=SC2046
    run "README's program, with the directory in the program" fruit $(pkg-config --cflags --libs kv) "-Wl,-rpath,$prefix/lib"
    # shellcheck disable=SC2046
    run "README's program, with the directory in the loader's list" \
        env LD_LIBRARY_PATH="$prefix/lib" sh -c '"$@" -o fruit && rm -f fruit.kv && [ "$(./fruit)" = "apple is red" ]' sh \
        "$CC" fruit.c $(pkg-config --cflags --libs kv)
    if echo 'int main(void) { return 0; }' | "$CC" -static -x c - -o none 2>/dev/null; then
        # shellcheck disable=SC2046
        run "README's program, static" fruit -static $(pkg-config --static --cflags --libs kv)
        run "it needs no other file" sh -c 'readelf -d fruit >elf && ! grep NEEDED elf'
    else
        skip "a static program: no static C library"
    fi
else
    skip "programs: no pkg-config (make deps)"
fi

# ---- projects ----------------------------------------------------------------------------------------------------

mkdir "$work/examples-c" && cp "$root"/examples-c/08_dlopen.c "$work/examples-c" &&
    cp -R "$root/examples-c/projects" "$work/examples-c" || exit 1
cd "$work/examples-c/projects" || exit 1
# project FOLDER ANSWER COMMAND...: builds the project with the command and runs its program, which prints the answer.
project() {
    (
        folder=$1 answer=$2
        shift 2
        cd "$folder" && "$@" && if [ -e build/fruit ]; then build/fruit; else ./fruit; fi >answer 2>&1
        cat answer && grep -qx "$answer" answer
    )
}
mk() {
    env -u MAKEFLAGS -u MAKELEVEL "$MAKE" CC="$CC" "$@"
}
if command -v pkg-config >/dev/null 2>&1; then
    run "the project pkg-config-shared" project pkg-config-shared "apple is red" mk "RPATH=$prefix/lib"
    run "needs libkv.so.0" sh -c 'readelf -d pkg-config-shared/fruit | grep -q "NEEDED.*libkv\.so\.0"'
    if [ -e "$work/none" ]; then
        run "the project pkg-config-static" project pkg-config-static "apple is red" mk
    else
        skip "the project pkg-config-static: no static C library"
    fi
    export LD_LIBRARY_PATH="$prefix/lib"
    run "the project dlopen" project dlopen "fruit/apple is red" mk
    run "does not need the library to start" sh -c 'readelf -d dlopen/fruit >elf && ! grep "NEEDED.*kv" elf'
    unset LD_LIBRARY_PATH
    run "and tells what is missing without it" sh -c '! dlopen/fruit >out 2>&1 && grep -q "libkv.so.0: cannot open" out'
else
    skip "the projects pkg-config-shared, pkg-config-static and dlopen: no pkg-config (make deps)"
fi
cmake_build() {
    cmake -S . -B build "-DCMAKE_PREFIX_PATH=$prefix" "-DCMAKE_C_COMPILER=$CC" && cmake --build build
}
if command -v cmake >/dev/null 2>&1; then
    run "the project cmake-shared" project cmake-shared "apple is red" cmake_build
    run "needs libkv.so.0" sh -c 'readelf -d cmake-shared/build/fruit | grep -q "NEEDED.*libkv\.so\.0"'
    run "the project cmake-static" project cmake-static "apple is red" cmake_build
    run "does not need it" sh -c 'readelf -d cmake-static/build/fruit >elf && ! grep "NEEDED.*kv" elf'
    # wanted VERSION [COMMAND]: whether CMake finds a version that a program asks for, after a command.
    wanted() {
        rm -rf wanted && mkdir wanted && (
            cd wanted && printf '%s\n' 'cmake_minimum_required(VERSION 3.13)' 'project(wanted C)' "${2:-}" \
                "find_package(kv $1 REQUIRED)" >CMakeLists.txt && cmake_build
        )
    }
    refused() {
        ! wanted "$@" >refused 2>&1 && grep -q "compatible" refused
    }
    for want in "" "$version" "${version%.*}" "$version EXACT"; do
        run "CMake finds kv $want" wanted "$want"
    done
    for want in 0.0.1 "${version%.*}.999" 1.0; do
        run "CMake refuses kv $want" refused "$want"
    done
    # A program of 32 bits, which this machine need not be able to compile.
    for want in "" "$version"; do
        run "CMake refuses kv $want of another word size" refused "$want" "set(CMAKE_SIZEOF_VOID_P 4)"
    done
else
    skip "the projects cmake-shared and cmake-static: no cmake (make deps)"
fi
cd "$root" || exit 1

# ---- the library -------------------------------------------------------------------------------------------------

lib=$prefix/lib/libkv.so.$version
debug=$prefix/lib/.debug/libkv.so.$version.debug
id() {
    readelf -n "$1" | sed -n 's/.*Build ID: //p'
}
run "the library is stripped" sh -c '
    readelf -SW "$1" >"$2" && ! grep "\.symtab\|\.debug_info\|\.debug_line" "$2"' sh "$lib" "$work/elf"
run "its debug information is beside it" sh -c '
    readelf --string-dump=.gnu_debuglink "$1" | grep -qF "$(basename "$2")" && readelf -SW "$2" | grep -q "\.debug_line"' \
    sh "$lib" "$debug"
run "and is of the same build" [ -n "$(id "$lib")" -a "$(id "$lib")" = "$(id "$debug")" ]
if command -v gdb >/dev/null 2>&1; then
    run "a debugger finds it" sh -c 'gdb -nx -batch -ex "info line kv_open" "$1" 2>&1 | grep "capi/src/db\.rs"' sh "$lib"
else
    skip "a debugger: no gdb"
fi
run "SPLIT_DEBUG=0 installs the library as it was linked" sh -c '
    readelf -SW "$1" | grep -q "\.debug_line" && [ ! -e "$(dirname "$1")/.debug" ]' sh "$work/stage/usr/lib/here/libkv.so.$version"
run "its name is libkv.so.0" sh -c 'readelf -d "$1" | grep -q "SONAME.*\[libkv\.so\.0\]"' sh "$lib"
run "relocations are read-only and bound at the start, there is no run path" sh -c '
    readelf -dW "$1" >"$2" && readelf -lW "$1" >>"$2" && grep -q "BIND_NOW\|FLAGS.* NOW" "$2" && grep -q GNU_RELRO "$2" &&
    ! grep "TEXTREL\|RPATH\|RUNPATH" "$2"' sh "$lib" "$work/elf"
run "no memory is both written and executed" sh -c 'readelf -lW "$1" >"$2" && ! grep " RWE " "$2"' sh "$lib" "$work/elf"
run "no directory of this machine is in the libraries and the command" sh -c '
    for file in "$3/libkv.so" "$4" "$3/libkv.a" "$3/../bin/kv"; do
        [ -f "$file" ] && ! grep -qaF "$1" "$file" && ! grep -qaF "$2" "$file" || { echo "$file"; exit 1; }
    done' sh "$root/" "${CARGO_HOME:-$HOME/.cargo}/" "$prefix/lib" "$debug"

# ---- versions of symbols -------------------------------------------------------------------------------------------

# A later release, in which one function is new: it stands in a node of its own.
mkdir "$work/later" || exit 1
(
    cat kv.map
    printf 'KV_1 {\n  global:\n    kv_added;\n} KV_0;\n'
) >"$work/later/kv.map"
sed '/^KV_API uint32_t kv_version_number/i KV_API uint32_t kv_added(void);' include/kv.h >"$work/later/kv.h"
printf '#include <kv.h>\nuint32_t kv_added(void) { return kv_version_number() + 1; }\n' >"$work/later/added.c"
"$CC" -fPIC -I"$work/later" -c "$work/later/added.c" -o "$work/later/added.o" || exit 1
later() {
    env -u MAKEFLAGS "$MAKE" --no-print-directory "B=$work/later" "MAP=$work/later/kv.map" "HEADER=$work/later/kv.h" \
        "LDFLAGS=$work/later/added.o" CARGO=no-cargo check-symbols
}
run "a function in a new node of kv.map passes check-symbols" later
run "the library shows its version, and the old ones of the others" sh -c '
    nm -D "$1/libkv.so" >"$1/nm" && grep -q " kv_added@@KV_1$" "$1/nm" &&
    grep -q " kv_open@@KV_0$" "$1/nm"' sh "$work/later"
cat >"$work/later/new.c" <<'EOC'
#include <kv.h>
int main(void) { return kv_added() != KV_VERSION_NUMBER + 1; }
EOC
echo '#include <kv.h>
int main(void) { return kv_version_number() != KV_VERSION_NUMBER; }' >"$work/later/old.c"
for name in new old; do
    "$CC" -I"$work/later" "$work/later/$name.c" -o "$work/later/$name" -L"$work/later" -lkv || exit 1
done
with() {
    env "LD_LIBRARY_PATH=$1" "$work/later/$2"
}
run "a program that uses it runs with the later library" with "$work/later" new
run "and says with the earlier one what it lacks" sh -c '
    ! env "LD_LIBRARY_PATH=$1" "$2/new" >"$2/out" 2>&1 &&
    grep "version .KV_1. not found" "$2/out"' sh "$prefix/lib" "$work/later"
run "a program that does not use it runs with either" sh -c '
    LD_LIBRARY_PATH="$1" "$2/old" && LD_LIBRARY_PATH="$2" "$2/old"' sh "$prefix/lib" "$work/later"
grep -v '^ *kv_writer_write;' kv.map >"$work/kv.map"
run "a function that is missing in kv.map is noticed" sh -c '! "$@" >"$0" 2>&1 && grep -q "kv.h differ" "$0"' "$work/refused" \
    env -u MAKEFLAGS "$MAKE" "B=$work/map" "MAP=$work/kv.map" CARGO=no-cargo check-symbols

# ---- uninstalling ------------------------------------------------------------------------------------------------

# What has the name of the first part of the path must survive.
touch "$work/pre"
for target in install uninstall; do
    run "$target refuses a path with a blank" sh -c '
        ! "$@" >"$0" 2>&1 && grep -q "PREFIX is \".*/pre fix\"" "$0"' "$work/refused" \
        env -u MAKEFLAGS "$MAKE" "B=$B" CARGO=no-cargo "$target" "PREFIX=$work/pre fix"
done
run "and removes nothing" test -e "$work/pre"
run "uninstall" plain_make uninstall "PREFIX=$prefix"
run "leaves no file" sh -c 'left=$(find "$1" ! -type d; ls -d "$1/lib/.debug" 2>/dev/null); [ -z "$left" ] || { echo "$left"; exit 1; }' sh "$prefix"

finish test-install
