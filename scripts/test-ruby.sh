#!/bin/sh
# The gem of bindings/ruby: `make test-ruby` calls it when the library is built.
#
# Runs the gem's tests with the library that was built, rubocop, and a program that uses the gem as it is installed.
# Writes only into a directory of its own. Ends with one line.
set -u
: "${B:?}" "${RUBY:=ruby}"
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/common.sh"
work=$(mktemp -d "$B/ruby.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
log=$work/log
gem=$root/bindings/ruby

if ! command -v "$RUBY" >/dev/null 2>&1; then
    skip "everything: no Ruby (make deps)"
    finish test-ruby
fi
if ! "$RUBY" -e 'require "ffi"; require "minitest"' 2>/dev/null; then
    skip "everything: no ffi or no minitest for Ruby (make deps)"
    finish test-ruby
fi

cd "$gem" || exit 1
export KEELKV_LIBRARY="$B/libkv.so.0"
for test in test/*_test.rb; do
    run "$test" timeout 300 "$RUBY" -w -Ilib -Itest "$test"
    counts=$(sed -n 's/^\([0-9]* runs, [0-9]* assertions\).*/\1/p' "$log")
    echo "        $counts"
done
if command -v rubocop >/dev/null 2>&1; then
    run "rubocop" rubocop --cache false
else
    skip "rubocop: not installed (make deps)"
fi

# ---- as it is installed ----------------------------------------------------------------------------------------------

# A copy, in which the library lies beside the gem's files, as for somebody who packs both.
cp -R "$gem" "$work/gem" && cp "$B/libkv.so.0" "$work/gem/lib/keelkv/libkv.so.0" && cd "$work/gem" || exit 1
run "the gem is built" gem build keelkv.gemspec
run "it is installed without a network" env GEM_HOME="$work/home" gem install --local --no-document keelkv-*.gem
cd "$work" || exit 1
cat >use.rb <<'EOR'
require "keelkv"
KV.open("used.kv") do |db|
  db.transaction { |t| t["apple"] = "red" }
  puts "an apple is #{db["apple"]}", $LOADED_FEATURES.grep(/keelkv\.rb/)
end
puts File.readlines("/proc/self/maps").grep(/libkv/).map { |line| line.split.last }.uniq
EOR
awk '/^```rb$/ { on = 1; next } /^```$/ && on { exit } on' "$root/README.md" >fruit.rb
run "README's program in Ruby" sh -c '
    [ "$(env GEM_HOME="$1/home" "$2" fruit.rb)" = "apple is red" ]' sh "$work" "$RUBY"
run "and used with the library beside it" sh -c '
    env -u KEELKV_LIBRARY GEM_HOME="$1/home" "$2" use.rb >used && grep -qx "an apple is red" used &&
    grep -q "^$1/home/gems/keelkv-.*/lib/keelkv.rb$" used &&
    grep -q "^$1/home/gems/keelkv-.*/lib/keelkv/libkv.so.0$" used || { cat used; exit 1; }' sh "$work" "$RUBY"
run "KEELKV_LIBRARY goes before it" sh -c '
    env GEM_HOME="$1/home" "$2" use.rb >used && grep "^$(realpath "$KEELKV_LIBRARY")$" used ||
    { cat used; exit 1; }' sh "$work" "$RUBY"
rm -f "$work"/home/gems/keelkv-*/lib/keelkv/libkv.so.0
run "without either, the loader's is used" sh -c '
    env -u KEELKV_LIBRARY LD_LIBRARY_PATH="$(dirname "$KEELKV_LIBRARY")" GEM_HOME="$1/home" "$2" use.rb >used &&
    grep -qx "an apple is red" used' sh "$work" "$RUBY"
run "and where there is none, the message says what to do" sh -c '
    ! env KEELKV_LIBRARY=/nowhere/libkv.so GEM_HOME="$1/home" "$2" use.rb >used 2>&1 &&
    grep -q "cannot load libkv.*/nowhere/libkv.so.*set KEELKV_LIBRARY" used || { cat used; exit 1; }' sh "$work" "$RUBY"
finish test-ruby "Ruby $("$RUBY" -e 'print RUBY_VERSION')"
