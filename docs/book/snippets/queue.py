import keelkv


def push(db, job):
    with db.write() as txn:
        # The next number has an entry of its own, so that none comes twice, even after the queue has run empty.
        number = int.from_bytes(txn.get(b"next job", b""), "big")
        txn.table("jobs", create=True)[number.to_bytes(8, "big")] = job
        txn[b"next job"] = (number + 1).to_bytes(8, "big")


def work(db):
    with db.write() as txn:
        entry = txn.table("jobs").pop_first()
        if entry is None:
            return False
        number, job = entry
        print("working on", job.decode())
        # The transaction commits here. If the work raises an exception, the job stays in the queue.
    return True


with keelkv.open("queue.kv") as db:
    for job in [b"letter 1", b"letter 2", b"letter 3"]:
        push(db, job)
    while work(db):
        pass
    print("the queue is empty")
