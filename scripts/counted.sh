#!/bin/sh
# Runs test commands and adds up the lines "<what>: N passed, M failed (...)" they print. The last line is the sum:
#
#   counted.sh NAME COMMAND...   ->   NAME: N passed, M failed
#
# A command that fails counts as one failure more, so that nothing goes missing with a test that printed no line.
set -u
name=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
broken=0
for command; do
    echo "+ $command"
    { sh -c "$command" 2>&1; echo "status: $?"; } | tee -a "$log"
    [ "$(tail -n 1 "$log")" = "status: 0" ] || broken=$((broken + 1))
done
lines=$(grep -o '[a-z-]*: [0-9]* passed, [0-9]* failed (.*)' "$log")
echo "$lines"
echo "$lines" | awk -v name="$name" -v broken="$broken" '
    NF { passed += $2; failed += $4 }
    END { printf "%s: %d passed, %d failed\n", name, passed, failed + broken; exit failed + broken > 0 || passed == 0 }'
