# What the scripts that run tests share; sourced by them.
#
# A script counts in passed, failed and skipped, and what run's last command said lies in $log, which the script sets.
# before is what the lines of a script begin with, such as "i386: ".
# shellcheck shell=sh disable=SC2034,SC2154
passed=0 failed=0 skipped=0 before=

# run WHAT COMMAND...: counts whether the command succeeds; what it said is shown if it fails.
run() {
    what=$before$1
    shift
    if "$@" >"$log" 2>&1; then
        echo "ok      $what"
        passed=$((passed + 1))
    else
        echo "FAILED  $what (status $?)"
        sed 's/^/        /' "$log" | tail -40
        failed=$((failed + 1))
        return 1
    fi
}

# skip WHAT: counts what cannot be done here, and says so.
skip() {
    echo "SKIPPED: $before$1"
    skipped=$((skipped + 1))
}

# finish NAME [COUNTS]: the last line, and the end of the script, which fails if anything has failed.
finish() {
    echo "$1: $passed passed, $failed failed, $skipped skipped (${2:-})"
    [ "$failed" -eq 0 ]
    exit
}

# copy_sources FROM TO: the sources without what was built from them. Times are kept, by which cargo and make know what
# has changed.
copy_sources() {
    # In two steps: a pipe would hide that the first one fails.
    mkdir -p "$2" && (cd "$1" && tar -cf "$2.tar" --exclude=./target --exclude=./build --exclude=./bench/target \
        --exclude=./micro/target --exclude=./.git .) && tar -xf "$2.tar" -C "$2" && rm "$2.tar"
}

# offline COMMAND...: without a network, where a namespace for that can be had.
offline() {
    for how in -n -rn; do
        if unshare $how true 2>/dev/null; then
            unshare $how "$@"
            return
        fi
    done
    "$@"
}
