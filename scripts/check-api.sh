#!/bin/sh
# The public items of the crate `keelkv` beside those that are recorded in abi/keelkv.txt: `make check-api` compares
# them, and `make api` records (API_DO=record).
set -u
: "${B:?}" "${CARGO:=cargo}" "${CARGOFLAGS:=}" "${TARGET_DIR:?}" "${API_DO:=check}"
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
recorded=abi/keelkv.txt
found=$B/keelkv.txt

# The form of rustdoc's JSON, and some implementations that it tells of, are those of one compiler.
compiler=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
if ! rustc --version | grep -qF "rustc $compiler "; then
    echo "SKIPPED: $API_DO of the Rust interface: it is read with rustc $compiler, and this is $(rustc --version)"
    [ "$API_DO" = check ]
    exit
fi

# Rustdoc writes JSON only where unstable options are allowed. Nothing that is compiled so is shipped or run.
# shellcheck disable=SC2086 # CARGOFLAGS are several words.
RUSTC_BOOTSTRAP=1 "$CARGO" rustdoc $CARGOFLAGS --package keelkv --lib --target-dir "$TARGET_DIR" -- \
    -Zunstable-options --output-format json || exit 1
# shellcheck disable=SC2086
"$CARGO" run $CARGOFLAGS --manifest-path tests/public-api/Cargo.toml --target-dir "$TARGET_DIR" -- \
    "$TARGET_DIR/doc/kv.json" >"$found" || exit 1
if [ "$API_DO" = record ]; then
    cp "$found" "$recorded" && echo "$recorded: $(wc -l <"$recorded") lines are recorded"
    exit
fi
diff -u "$recorded" "$found" || {
    echo "check-api: the public items of the crate differ from $recorded: lines with a minus are gone, lines with a plus" \
        "are new. docs/stability.md tells when they may be. If the change is meant, run make api and commit the file." >&2
    exit 1
}
echo "ok: the Rust interface is that of $recorded"
