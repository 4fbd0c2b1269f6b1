#!/bin/sh
# kvfiles on the project's own sources, and on awkward files: empty, long, binary, deep, odd names, links, unreadable.
set -eu
kvfiles=$1 root=$2
mkdir -p tree/deep/er/and/deeper tree/empty
: >tree/nothing
head -c 1048575 /dev/urandom >tree/almost
head -c 1048576 /dev/urandom >tree/exactly
head -c 1048577 /dev/urandom >tree/more
head -c 7654321 /dev/urandom >tree/long
echo text >"tree/deep/er/and/deeper/a name with blanks
and a line"
ln -s ../tree tree/loop
ln -s /nowhere tree/dangling
cp -r "$root/capi/src" "$root/examples-c" tree/

"$kvfiles" import db.kv tree/
"$kvfiles" verify db.kv tree
"$kvfiles" verify db.kv
find tree -type f -size +0 -exec printf "x\n" \; | wc -l >found
"$kvfiles" ls db.kv tree/ | grep -c "^ *[1-9][0-9]* tree" >listed
cmp found listed
"$kvfiles" cat db.kv tree/long | cmp - tree/long
"$kvfiles" cat db.kv tree/nothing | cmp - tree/nothing
"$kvfiles" stat db.kv

# Again, with changes: the database follows.
echo changed >tree/long
"$kvfiles" verify db.kv tree && exit 1
"$kvfiles" import db.kv tree
"$kvfiles" verify db.kv tree
echo new >tree/new
"$kvfiles" verify db.kv tree && exit 1
"$kvfiles" cat db.kv tree/none && exit 1
"$kvfiles" import && exit 1
"$kvfiles" stat none.kv && exit 1
if [ "$(id -u)" != 0 ]; then
    chmod 0 tree/new
    "$kvfiles" import db.kv tree && exit 1
fi
"$kvfiles" import db.kv nowhere && exit 1

# A copy is the database again; so is what is saved of a sound one, and most of a damaged one.
"$kvfiles" check db.kv
"$kvfiles" backup db.kv copy.kv
"$kvfiles" backup db.kv copy.kv && exit 1
"$kvfiles" verify copy.kv
"$kvfiles" salvage db.kv saved.kv
"$kvfiles" verify saved.kv
head -c 40000 db.kv >cut.kv
"$kvfiles" check cut.kv && exit 1
"$kvfiles" salvage cut.kv rest.kv && exit 1
"$kvfiles" check rest.kv

# A listing of a damaged database ends with an error, not as if it had been short.
"$kvfiles" backup db.kv broken.kv
pages=$(($(wc -c <broken.kv) / 4096))
dd if=/dev/zero of=broken.kv bs=4096 seek=4 count=$((pages - 4)) conv=notrunc 2>dd.log
"$kvfiles" ls broken.kv tree/ 2>error && exit 1
grep -q corrupt error
exit 0
