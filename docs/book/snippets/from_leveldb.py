# needs: py:plyvel
import keelkv
import plyvel

with plyvel.DB("old", create_if_missing=True) as old:
    old.put(b"apple", b"red")
    old.put(b"plum", b"blue")

with plyvel.DB("old") as old, keelkv.open("new.kv") as new:
    with new.write() as txn:  # may be larger than memory
        txn.put_many(old, keelkv.APPEND)
    print(dict(new))
