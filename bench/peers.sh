#!/bin/sh
# Builds the benchmark with every engine that can be had here. What is missing is named and left out; `make deps FOR=bench`
# tells which packages have it. CARGO and CC come from the Makefile.
set -u
cd "$(dirname "$0")" || exit 1

# Whether a shared library can be loaded: in the linker's cache, whatever its last digits.
loadable() {
	ldconfig -p 2>/dev/null | grep -q "$1"
}

features=rocksdb,sqlite,bdb
loadable 'librocksdb\.so' || echo "peers: WITHOUT RocksDB: there is no librocksdb"
loadable 'libsqlite3\.so' || echo "peers: WITHOUT SQLite: there is no libsqlite3"
if ! $CC -std=gnu99 -Wall -Wextra -O2 -fPIC -shared -o target/libbench-bdb.so bdb.c -ldb-5.3 2>target/bdb.log; then
	rm -f target/libbench-bdb.so
	echo "peers: WITHOUT Berkeley DB: $(head -1 target/bdb.log)"
fi

# The crates; one that cannot be built or fetched must not cost the others.
rust=redb,fjall,canopydb,sled
for crates in mdbx,$rust $rust mdbx,redb,fjall redb,fjall canopydb,sled mdbx redb fjall canopydb sled ''; do
	if $CARGO build --release --locked --features "$features${crates:+,$crates}"; then
		test "$crates" = mdbx,$rust || echo "peers: WITHOUT some crates: only ${crates:-none} of mdbx,$rust"
		exit 0
	fi
	echo "peers: the build with ${crates:-no crates} failed"
done
exit 1
