# needs: kv db_load db_dump
db_load -T -t btree old.db <<'END'
apple
red
plum
blue
END

db_dump old.db | kv --quiet load --create new.kv
kv scan new.kv
