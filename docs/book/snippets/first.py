import keelkv

with keelkv.open("fruit.kv", key=str, value=str) as db:
    with db.write() as txn:
        txn["apple"] = "red"
        txn["pear"] = "green"
        txn["plum"] = "blue"
    # All three are durable now.

    with db.read() as snapshot:
        print("apple is", snapshot["apple"])
        print(snapshot.count(prefix="p"), "fruits begin with p")
        for key, value in snapshot.items(prefix="p"):
            print(f"{key}: {value}")
