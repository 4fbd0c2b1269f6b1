#!/bin/sh
# The binary interface of the library beside the one that is recorded in abi/libkv.abi: `make check-abi` compares them, and
# `make abi` records (ABI_DO=record).
#
# The library is built with full debug information, which tells its types, and without optimisation, which does not change
# them and takes minutes; B and CARGO_TARGET_DIR are directories of its own. LIB is the library of that build.
set -u
: "${LIB:?}" "${ABI_DO:=check}" "${ABIDW:=abidw}" "${ABIDIFF:=abidiff}" "${PYTHON:=python3}" "${BASELINE:=abi/libkv.abi}"
root=$(cd "$(dirname "$0")/.." && pwd)
new=$(dirname "$LIB")/libkv.abi

"$ABIDW" --headers-dir "$root/include" --drop-private-types --no-show-locs --no-comp-dir-path --no-corpus-path \
    --out-file "$new" "$LIB" || exit 1
"$PYTHON" "$root/scripts/trim-abi.py" "$new" || exit 1
if [ "$ABI_DO" = record ]; then
    cp "$new" "$BASELINE" && echo "$BASELINE: $(grep -c elf-symbol-id "$BASELINE") functions recorded"
    exit
fi
"$ABIDIFF" "$BASELINE" "$new" || {
    echo "check-abi: the binary interface differs from $BASELINE. If programs that are linked with the library shall not" \
        "notice, undo the change. If it is meant (docs/packaging.md tells when it may be), run make abi and commit the file." >&2
    exit 1
}
echo "ok: the binary interface is that of $BASELINE"
