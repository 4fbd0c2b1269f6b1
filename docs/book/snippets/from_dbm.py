import dbm.dumb  # or dbm.gnu, dbm.ndbm, or dbm for whatever made the file

import keelkv

with dbm.dumb.open("old", "c") as old:
    old["apple"] = "red"
    old["plum"] = "blue"

with dbm.dumb.open("old", "r") as old, keelkv.open("new.kv") as new:
    with new.write() as txn:  # all of it or nothing
        for key in old.keys():
            txn[key] = old[key]

# The program goes on as it was, with another import.
from keelkv import dbm

with dbm.open("new.kv", "c") as file:
    file["pear"] = "green"
    print(sorted(file.keys()))
