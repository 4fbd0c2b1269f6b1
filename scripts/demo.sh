#!/bin/sh
# The demonstration: real directories into a database, every byte verified; then an import is killed half-way, and the
# database is what the last commit left. `make demo` calls it with the build directory.
set -eu
build=$1
kvfiles=$build/examples/kvfiles
work=$build/demo
rm -rf "$work"
mkdir -p "$work"
cd "$work"

say() {
    printf '\n== %s\n' "$*"
}

# Bytes, in the unit that kvfiles uses.
mb() {
    awk -v bytes="$1" 'BEGIN { printf "%.1f MB", bytes / 1000000 }'
}

# Of these directories, those that exist.
set --
for directory in /usr/include /usr/share/doc; do
    if [ -d "$directory" ]; then
        set -- "$@" "$directory"
    fi
done

say "import $*"
"$kvfiles" import files.kv "$@" || echo "(some files cannot be read by this user)"
say "the same, byte by byte"
"$kvfiles" verify files.kv "$@" || [ "$(id -u)" != 0 ]
say "figures and check"
"$kvfiles" stat files.kv
printf 'files and directories: %s on disk; the database file: %s\n' "$(mb "$(du -scb "$@" | tail -1 | cut -f1)")" \
    "$(mb "$(du -b files.kv | cut -f1)")"
echo "the largest:"
"$kvfiles" ls files.kv | sort -rn | head -3

say "a second import, killed half-way"
size=$(du -k files.kv | cut -f1)
"$kvfiles" import killed.kv "$@" >killed.log 2>&1 &
import=$!
tries=0
# Half-way: when its file has grown to half of what it will be, and never mind how fast this machine is.
while kill -0 "$import" 2>/dev/null && [ "$tries" -lt 3000 ]; do
    have=$(du -k killed.kv 2>/dev/null | cut -f1)
    if [ "${have:-0}" -gt $((size / 2)) ]; then
        break
    fi
    tries=$((tries + 1))
    sleep 0.01
done
if kill -KILL "$import" 2>/dev/null; then
    wait "$import" 2>/dev/null || true
    echo "killed (SIGKILL) at $(mb "$(du -B1 killed.kv | cut -f1)") of about $(mb "$(du -B1 files.kv | cut -f1)")"
else
    echo "it had ended before"
fi
say "opened again: the last commit is whole"
"$kvfiles" stat killed.kv
"$kvfiles" verify killed.kv
say "and it goes on from there"
"$kvfiles" import killed.kv "$@" || true
"$kvfiles" verify killed.kv "$@" || [ "$(id -u)" != 0 ]
cd "$build"
rm -rf "$work"
