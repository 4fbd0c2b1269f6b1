#include <endian.h>
#include <kv.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program when a call fails. */
static void must(kv_status status)
{
    if (status == KV_OK)
        return;
    fprintf(stderr, "%s\n", kv_error_message());
    exit(1);
}

/*
 * Puts a job behind all others. Numbers are big-endian, so that keys are in order. The next number has an entry
 * of its own, so that none comes twice, even after the queue has run empty.
 */
static void push(kv_txn *txn, kv_table jobs, const char *job)
{
    uint64_t number = 0, next;
    kv_status status = kv_get_copy(txn, KV_MAIN, KV_STR("next job"), &number, sizeof number, NULL);

    if (status != KV_NOTFOUND)
        must(status);
    must(kv_put(txn, jobs, &number, sizeof number, KV_STR(job), KV_APPEND));
    next = htobe64(be64toh(number) + 1);
    must(kv_put(txn, KV_MAIN, KV_STR("next job"), &next, sizeof next, 0));
}

/* Takes the oldest job, in a transaction of its own. Returns 0 if there is none. */
static int work(kv_db *db, kv_table jobs)
{
    kv_txn *txn;
    kv_slice job;
    kv_status status;

    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    status = kv_take_first(txn, jobs, NULL, NULL, &job);
    if (status == KV_NOTFOUND) {
        kv_txn_abort(txn);
        return 0;
    }
    must(status);
    printf("working on %.*s\n", (int)job.len, (const char *)job.data);
    must(kv_txn_commit(txn, NULL)); /* a crash before this line leaves the job in the queue */
    return 1;
}

int main(void)
{
    kv_db *db;
    kv_txn *txn;
    kv_table jobs;

    must(kv_open("queue.kv", NULL, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    must(kv_table_create(txn, KV_STR("jobs"), NULL, &jobs));
    push(txn, jobs, "letter 1");
    push(txn, jobs, "letter 2");
    push(txn, jobs, "letter 3");
    must(kv_txn_commit(txn, NULL));

    while (work(db, jobs))
        ;
    puts("the queue is empty");
    must(kv_close(db));
    return 0;
}
