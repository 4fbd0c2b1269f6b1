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

/* Puts a job behind all others. The key is one more than the last one, big-endian, so that keys are in order. */
static void push(kv_txn *txn, kv_table jobs, const char *job)
{
    kv_cursor *cursor;
    kv_slice last;
    kv_status status;
    uint64_t number = 0;

    must(kv_cursor_open(txn, jobs, NULL, &cursor));
    status = kv_cursor_last(cursor, &last, NULL);
    if (status == KV_OK) {
        memcpy(&number, last.data, sizeof number);
        number = htobe64(be64toh(number) + 1);
    } else if (status != KV_NOTFOUND) {
        must(status);
    }
    kv_cursor_close(cursor);
    must(kv_put(txn, jobs, &number, sizeof number, KV_STR(job), KV_APPEND));
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
