import shelve as old_shelve

from keelkv import shelve

with old_shelve.open("old") as old:
    old["point"] = (1, 2.5)

with old_shelve.open("old") as old, shelve.open("new.kv") as new:
    new.update(old)

with shelve.open("new.kv") as new:
    print(new["point"])
