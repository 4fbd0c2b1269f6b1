import keelkv


def push(db, job):
    with db.write() as txn:
        jobs = txn.table("jobs", create=True)
        last = next(iter(jobs.keys(reverse=True, limit=1)), None)
        number = 0 if last is None else int.from_bytes(last, "big") + 1
        jobs[number.to_bytes(8, "big")] = job


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
