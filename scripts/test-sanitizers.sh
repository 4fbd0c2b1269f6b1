#!/bin/sh
# The tests under the address and the thread sanitizer, as far as the compiler has their runtimes; ends with one line.
#
#   scripts/test-sanitizers.sh [address] [thread] [inside]
#
# A stable compiler takes the unstable option only when told that it may; the standard library stays as it is, so that
# the thread sanitizer needs a list of what it cannot see there (tests/thread-sanitizer.supp). Leaks are not looked for
# in the tests `inside` of the library (minutes), whose simulated disks keep what they are given.
set -u
: "${CARGO:=cargo}" "${CARGOFLAGS:=--locked}" "${CARGO_TARGET_DIR:=target}"
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
[ $# -gt 0 ] || set -- address thread
target=$(rustc -vV | sed -n 's/^host: //p')
runtimes=$(rustc --print sysroot)/lib/rustlib/$target/lib
passed=0 failed=0 skipped=0 counts=
log=$(mktemp "${TMPDIR:-/tmp}/kv-sanitizers.XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT

# sanitized NAME SHORT COMMAND...
sanitized() {
    name=$1 short=$2
    shift 2
    if ! ls "$runtimes"/librustc-*_rt."$short".a >/dev/null 2>&1; then
        echo "SKIPPED: $name sanitizer: the compiler came without its runtime"
        skipped=$((skipped + 1))
        return
    fi
    # shellcheck disable=SC2086
    CARGO_TARGET_DIR="$CARGO_TARGET_DIR/$name" RUSTC_BOOTSTRAP=1 \
        RUSTFLAGS="-Zsanitizer=$name -Cunsafe-allow-abi-mismatch=sanitizer --cfg kv_${name}_sanitizer" \
        ASAN_OPTIONS="detect_leaks=${LEAKS:-1}:detect_stack_use_after_return=1" \
        TSAN_OPTIONS="suppressions=$root/tests/thread-sanitizer.supp:history_size=4" \
        $CARGO test $CARGOFLAGS --target "$target" "$@" >"$log" 2>&1
    status=$?
    reports=$(grep -c 'WARNING: ThreadSanitizer\|ERROR: AddressSanitizer\|ERROR: LeakSanitizer' "$log")
    tests=$(sed -n 's/^test result: [a-zA-Z]*\. \([0-9]*\) passed.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    if [ "$status" = 0 ] && [ "$reports" = 0 ] && [ "$tests" -gt 0 ]; then
        echo "ok      $name: $*"
        passed=$((passed + 1))
    else
        echo "FAILED  $name: $* (status $status, $reports reports)"
        tail -100 "$log" | cut -c1-300
        failed=$((failed + 1))
    fi
    counts="$counts${counts:+; }$name: $tests tests, $reports reports"
}

for sanitizer in "$@"; do
    case $sanitizer in
    address)
        LEAKS=1 sanitized address asan --test isolation --test environment --test cursor
        ;;
    inside)
        LEAKS=0 sanitized address asan --lib
        ;;
    thread)
        sanitized thread tsan --test isolation --test environment
        ;;
    *)
        echo "what is $sanitizer?"
        exit 1
        ;;
    esac
done
echo "sanitize: $passed passed, $failed failed, $skipped skipped ($counts)"
[ "$failed" -eq 0 ]
