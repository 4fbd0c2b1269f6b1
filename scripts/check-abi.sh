#!/bin/sh
# The binary interface of the library beside the one that is recorded in abi/libkv.abi: `make check-abi` compares them,
# and `make abi` records (ABI_DO=record).
#
# Builds the library into directories of its own, with full debug information, which tells its types, and without the
# optimizer, which does not change them and takes minutes.
set -u
: "${B:?}" "${VERSION:?}" "${TARGET_DIR:?}" "${MAKE:=make}" "${PYTHON:=python3}" "${ABI_DO:=check}"
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
recorded=abi/libkv.abi
library=$B/abi/libkv.so.$VERSION
found=$B/abi/libkv.abi

for program in abidw abidiff "$PYTHON"; do
    if ! command -v "$program" >/dev/null 2>&1; then
        echo "SKIPPED: $ABI_DO of the binary interface: there is no $program (make deps)"
        [ "$ABI_DO" = check ]
        exit
    fi
done
if [ "$(uname -m)" != x86_64 ]; then
    echo "SKIPPED: $ABI_DO of the binary interface: what is recorded is that of x86-64"
    [ "$ABI_DO" = check ]
    exit
fi

env CARGO_PROFILE_RELEASE_DEBUG=2 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=64 "$MAKE" --no-print-directory "B=$B/abi" "CARGO_TARGET_DIR=$TARGET_DIR" \
    "$library" || exit 1
abidw --headers-dir include --drop-private-types --no-show-locs --no-comp-dir-path --no-corpus-path \
    --out-file "$found" "$library" && "$PYTHON" scripts/trim-abi.py "$found" || exit 1
if [ "$ABI_DO" = record ]; then
    cp "$found" "$recorded" && echo "$recorded: $(grep -c elf-symbol-id "$recorded") functions are recorded"
    exit
fi
abidiff "$recorded" "$found" || {
    echo "check-abi: the binary interface differs from $recorded. Undo the change if programs that are linked with" \
        "the library shall not notice it; if it is meant (docs/packaging.md tells when it may be), run make abi and" \
        "commit the file." >&2
    exit 1
}
echo "ok: the binary interface is that of $recorded"
