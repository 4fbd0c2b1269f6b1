import keelkv


def push(db, job):
    with db.write() as txn:
        number = int.from_bytes(txn.get(b"next job", b""), "big")
        txn.table("jobs", create=True)[number.to_bytes(8, "big")] = job
        txn[b"next job"] = (number + 1).to_bytes(8, "big")


def take(db):
    """The first step moves the oldest job to those under way."""
    with db.write() as txn:
        entry = txn.table("jobs", create=True).pop_first()
        if entry is not None:
            number, job = entry
            print("working on", job.decode())
            txn.table("jobs under way", create=True).put(number, job, keelkv.NO_OVERWRITE)
    return entry


def finish(db, number):
    """The second step comes when the work is done."""
    with db.write() as txn:
        del txn.table("jobs under way")[number]


def put_back(db):
    """Puts jobs back that were under way when their workers died. No worker may be at work meanwhile."""
    with db.write() as txn:
        while entry := txn.table("jobs under way", create=True).pop_first():
            txn.table("jobs", create=True).put(*entry, keelkv.NO_OVERWRITE)


with keelkv.open("queue.kv") as db:
    push(db, b"letter 1")
    take(db)  # the queue is empty now, and letter 1 is under way
    push(db, b"letter 2")
    number, job = take(db)
    finish(db, number)

    put_back(db)  # whoever worked on letter 1 has died
    while entry := take(db):
        finish(db, entry[0])
    print("the queue is empty")
