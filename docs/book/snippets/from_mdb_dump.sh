# needs: kv mdb_load mdb_dump
mkdir old
mdb_load old <<'END'
VERSION=3
format=print
type=btree
mapsize=1048576
HEADER=END
 apple
 red
 plum
 blue
DATA=END
END

mdb_dump old | kv --quiet load --create new.kv
kv scan new.kv
