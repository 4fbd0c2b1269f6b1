# needs: kv:import-lmdb mdb_load
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

kv --quiet import-lmdb old new.kv
kv scan new.kv
