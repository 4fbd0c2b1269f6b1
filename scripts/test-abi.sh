#!/bin/sh
# What check-abi finds: `make test-abi` calls it. Builds the library with changes in a copy of the sources: one that
# programs notice is found, and one that they do not notice is not. Takes some minutes. Ends with one line.
set -u
: "${B:?}" "${MAKE:=make}"
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
. scripts/common.sh
work=$(mktemp -d "$B/test-abi.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
log=$work/log
if ! command -v abidw >/dev/null 2>&1 || ! command -v abidiff >/dev/null 2>&1; then
    skip "everything: no abidw or abidiff (make deps)"
    finish test-abi
    exit 0
fi

# changed FILE SED: the sources with a change, checked. The change must be one.
changed() {
    (
        cp -p "$root/$1" "$work/sources/$1" && cp -p "$work/sources/$1" "$work/original" &&
            sed -i "$2" "$work/sources/$1" && ! cmp -s "$work/original" "$work/sources/$1" || exit 1
        cd "$work/sources" && env -u MAKEFLAGS -u MAKELEVEL "$MAKE" --no-print-directory B=build \
            CARGO_TARGET_DIR="$work/target" check-abi
        status=$?
        cp -p "$work/original" "$1" && touch "$1"
        exit $status
    )
}
# found WHAT FILE SED: the change is found, and told with what it is about.
found() {
    ! changed "$2" "$3" && grep -q "$1" "$log" && grep -q "check-abi: the binary interface differs" "$log"
}

copy_sources . "$work/sources" || exit 1
# The struct behind a kv_cursor becomes larger.
run "a change of what is private is none of the interface" changed src/db/cursor.rs \
    's/^    reverse: bool,$/&\n    _unseen: [u64; 9],/; s/^            reverse: range.reverse,$/&\n _unseen: [0; 9],/'
run "the result of a function is found" found kv_version_number capi/src/border/version.rs \
    's/kv_version_number() -> u32/kv_version_number() -> u64/; s/^    number(TEXT, 0).*/    u64::from(&)/'
run "the order of the fields of a struct is found" found kv_entry capi/src/border/types.rs \
    '/^pub struct kv_entry/,/^}/ { s/pub key:/pub moved:/; s/pub value:/pub key:/; s/pub moved:/pub value:/ }'
finish test-abi
