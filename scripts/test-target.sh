#!/bin/sh
# One target of scripts/test-targets.sh, which runs this in its root: test-target.sh NAME, where NAME is
#
#   minimum  the sources compile with the oldest compiler; works outside of the root too, where SRC/kv has the sources
#   x86-64   the library that was built outside makes the file that others are compared with
#   others   the library is built for the target, and tested
#
# The optimizer is held back: emulated programs take a second each, and building is what takes time.
set -u
: "${SRC:=/src}" "${ALL:=0}"
name=$1
cd "$SRC/kv" || exit 1
. scripts/common.sh
. scripts/targets.sh
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_TEST_OPT_LEVEL=1
B=$SRC/build/$name before="$name: "
mkdir -p "$B" "$SRC/files" || exit 1
log=$B/log

end() {
    echo "$passed $failed $skipped $name" >"$SRC/results/$name"
    [ "$failed" -eq 0 ]
    exit
}

# ---- the oldest compiler, and x86-64 -----------------------------------------------------------------------------

if [ "$name" = minimum ]; then
    minimum=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    run "rustc here is the minimum, $minimum" sh -c 'rustc --version | grep -qF "rustc $1."' sh "$minimum"
    run "the library compiles" cargo check --locked --workspace
    [ "$ALL" = 0 ] || run "so do the tests" cargo check --locked --workspace --all-targets
    end
fi

# The program that makes, reads and shares files, for a compiler and a library.
one_file() {
    "$1" -std=c99 -Wall -Wextra -Werror -O2 -D_GNU_SOURCE -Iinclude -o "$B/one_file" tests/targets/one_file.c "$2" \
        -lrt -lpthread -lm -ldl
}

if [ "$name" = x86-64 ]; then
    run "the program links" one_file gcc /src/x86-64/libkv.a || end
    # Two of them: what differs between them differs from file to file, and not from machine to machine.
    run "a file is made" "$B/one_file" make /src/files/x86-64.kv || end
    sleep 1.1
    run "and again" "$B/one_file" make /src/files/again.kv || end
    run "it is sound" sh -c '"$1" read /src/files/x86-64.kv >/src/files/x86-64.read' sh "$B/one_file"
    # Rows of 16 bytes: the identity, a time and a sum in each of the slots at the head, and nothing else.
    run "the two are alike" sh -c '
        cmp -l /src/files/x86-64.kv /src/files/again.kv | awk "{ print int((\$1 - 1) / 16) }" | uniq >/src/files/rows
        awk "{ n++; if (\$1 >= 1024) far++ } END { exit !(n > 0 && n <= 20 && !far) }" /src/files/rows'
    end
fi

# ---- another machine --------------------------------------------------------------------------------------------

target "$name" || exit 1
# What runs its programs, if not this processor.
machine=${qemu:+$qemu -L /usr/$gnu}
upper=$(echo "$rust" | tr a-z- A-Z_)
export "CARGO_TARGET_${upper}_LINKER=$gnu-gcc"
[ -z "$machine" ] || export "CARGO_TARGET_${upper}_RUNNER=$machine"
# The command kv is left out: it would have to be run to write its man pages.
tools="CLI=0 CC=$gnu-gcc LD=$gnu-ld AR=$gnu-ar NM=$gnu-nm OBJCOPY=$gnu-objcopy"

# What forks, or waits by the clock, is not emulated well.
tests=$(ls tests/c/*.c | sed 's|.*/||; s|\.c$||')
programs=
if [ -z "$machine" ]; then
    tools="$tools CXX=$gnu-g++"
    programs="$B/tests/cpp $B/tests/hpp-17 $B/tests/hpp-20"
else
    tools="$tools CXX="
    tests=$(echo "$tests" | grep -vx 'fork\|clone\|misuse\|waiting')
    skip "fork, clone, misuse and waiting are not run under an emulator"
    # As under valgrind: some do in more than five minutes what takes a processor seconds.
    export KV_TEST_QUICK=1
fi
for test in $tests; do
    programs="$programs $B/tests/$test $B/tests/$test-static"
done

# shellcheck disable=SC2086
run "the library, its examples and its tests are built, and export what they should" \
    make -k "B=$B" "CARGO_BUILD_TARGET=$rust" $tools all examples check-symbols $programs || end

# shellcheck disable=SC2086
B=$B RUN=$machine PYTHON=no VALGRIND=no sh scripts/test-c.sh $tests >"$B/c.log" 2>&1
# shellcheck disable=SC2046
set -- $(sed -n 's/^test-c: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped .*$/\1 \2 \3/p' "$B/c.log") 0 1 0
sed "s/^ok      /ok      $name: /; s/^FAILED  /FAILED  $name: /" "$B/c.log" | grep -v 'passed,'
passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))

# Its file is the file of x86-64, and each reads the other's.
run "the program links" one_file "$gnu-gcc" "$B/libkv.a" || end
own=/src/files/$name.kv
# shellcheck disable=SC2086
run "a file is made" $machine "$B/one_file" make "$own"
run "it is that of x86-64" sh -c '
    [ "$(wc -c <"$1")" = "$(wc -c </src/files/x86-64.kv)" ] || { wc -c "$1" /src/files/x86-64.kv; exit 1; }
    cmp -l "$1" /src/files/x86-64.kv | awk "{ print int((\$1 - 1) / 16) }" | uniq |
        awk "FNR == NR { may[\$1]; next } !(\$1 in may) { print \"bytes from\", 16 * \$1; bad = 1 } END { exit bad }" /src/files/rows -
    ' sh "$own"
# shellcheck disable=SC2016
reads='cp "$1" /src/files/read.kv && shift && "$@" read /src/files/read.kv | cmp - /src/files/x86-64.read'
# shellcheck disable=SC2086
run "it reads the file of x86-64" sh -c "$reads" sh /src/files/x86-64.kv $machine "$B/one_file"
run "x86-64 reads its file" sh -c "$reads" sh "$own" /src/build/x86-64/one_file

# A process of 32 bits and one of 64 share a file: both write at once, and all that was acknowledged is there.
share() {
    rm -f /src/files/shared.kv*
    /src/build/x86-64/one_file write /src/files/shared.kv long 2000 2000 &
    long=$!
    for writer in a b c d e f; do
        "$B/one_file" write /src/files/shared.kv "$writer" 40 1 || return 1
    done
    wait "$long" || return 1
    "$B/one_file" found /src/files/shared.kv long 2000 a 40 b 40 c 40 d 40 e 40 f 40 &&
        /src/build/x86-64/one_file found /src/files/shared.kv long 2000 a 40 b 40 c 40 d 40 e 40 f 40
}
if [ -z "$machine" ]; then
    for round in 1 2 3; do
        run "it shares a file with x86-64 while both write, round $round" share
    done
fi

# ---- the rest ----------------------------------------------------------------------------------------------------

cargo="cargo test --locked --target $rust"
# Without what reads only the sources, and what needs another build of them.
every=$(ls tests/*.rs | sed 's|tests/\(.*\)\.rs|\1|' | grep -vx 'seeded_bugs\|rules\|layers')
export KV_LIB="$B/libkv.so"
# shellcheck disable=SC2086
case ${machine:+emulated}$ALL in
0) # The programs of a suite take minutes to build: those that show that trees, files and their formats work.
    for test in basic format; do
        run "cargo test --test $test" timeout 600 $cargo --test "$test"
    done
    ;;
emulated0) ;;
emulated*)
    # Without the two that an emulator needs ten minutes for.
    run "cargo test --lib (pages, trees)" $cargo --lib -- page:: tree:: util:: ids:: \
        --skip apply_equals_a_map --skip ascending_commits_equal_a_map
    run "cargo test --test format" $cargo --test format
    ;;
*)
    # Each simulated disk reserves addresses, of which 32 bits have no more.
    export RUST_TEST_THREADS=1
    run "cargo test --lib" timeout 1800 $cargo --lib
    for test in $every; do
        run "cargo test --test $test" timeout 1800 $cargo --test "$test"
    done
    ;;
esac
end
