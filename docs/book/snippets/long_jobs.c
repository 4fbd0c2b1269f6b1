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

static kv_table jobs, under_way;

/* Puts a job behind all others, as in queue.c. A number that came twice would replace a job that is under way. */
static void push(kv_db *db, const char *job)
{
    kv_txn *txn;
    uint64_t number = 0, next;
    kv_status status;

    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    status = kv_get_copy(txn, KV_MAIN, KV_STR("next job"), &number, sizeof number, NULL);
    if (status != KV_NOTFOUND)
        must(status);
    must(kv_put(txn, jobs, &number, sizeof number, KV_STR(job), KV_APPEND));
    next = htobe64(be64toh(number) + 1);
    must(kv_put(txn, KV_MAIN, KV_STR("next job"), &next, sizeof next, 0));
    must(kv_txn_commit(txn, NULL));
}

/* The first step moves the oldest job to those under way. Returns 0 if there is none. */
static int take(kv_db *db, uint64_t *number)
{
    kv_txn *txn;
    kv_slice key, job;
    kv_status status;

    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    status = kv_take_first(txn, jobs, NULL, &key, &job);
    if (status == KV_NOTFOUND) {
        kv_txn_abort(txn);
        return 0;
    }
    must(status);
    memcpy(number, key.data, sizeof *number);
    printf("working on %.*s\n", (int)job.len, (const char *)job.data);
    must(kv_put(txn, under_way, key.data, key.len, job.data, job.len, KV_NO_OVERWRITE));
    must(kv_txn_commit(txn, NULL)); /* now others can write while the work is done */
    return 1;
}

/* The second step comes when the work is done. */
static void finish(kv_db *db, uint64_t number)
{
    must(kv_db_delete(db, under_way, &number, sizeof number, 0));
}

/* Puts jobs back that were under way when their workers died. No worker may be at work meanwhile. */
static void put_back(kv_db *db)
{
    kv_txn *txn;
    kv_slice key, job;
    kv_status status;

    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    while ((status = kv_take_first(txn, under_way, NULL, &key, &job)) == KV_OK)
        must(kv_put(txn, jobs, key.data, key.len, job.data, job.len, KV_NO_OVERWRITE));
    if (status != KV_NOTFOUND)
        must(status);
    must(kv_txn_commit(txn, NULL));
}

int main(void)
{
    kv_db *db;
    kv_txn *txn;
    uint64_t first = 0, second = 0;

    must(kv_open("queue.kv", NULL, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    must(kv_table_create(txn, KV_STR("jobs"), NULL, &jobs));
    must(kv_table_create(txn, KV_STR("jobs under way"), NULL, &under_way));
    must(kv_txn_commit(txn, NULL));

    push(db, "letter 1");
    take(db, &first); /* the queue is empty now, and letter 1 is under way */
    push(db, "letter 2");
    take(db, &second);
    finish(db, second);

    put_back(db); /* whoever worked on letter 1 has died */
    while (take(db, &first))
        finish(db, first);
    puts("the queue is empty");
    must(kv_close(db));
    return 0;
}
