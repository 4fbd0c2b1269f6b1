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

/* Keeps what there is now under a name. */
static void keep(kv_db *db, const char *name, size_t len)
{
    kv_txn *now;
    must(kv_txn_begin(db, KV_READ, NULL, &now));
    must(kv_snapshot_create(now, name, len, NULL));
    kv_txn_abort(now);
}

/* Makes the whole database what it was, and returns how many keys that changed. */
static uint64_t go_back(kv_db *db, const char *name, size_t len)
{
    kv_txn_options at = KV_TXN_OPTIONS_INIT;
    kv_txn *then, *txn;
    uint64_t changed;

    at.snapshot.data = name;
    at.snapshot.len = len;
    must(kv_txn_begin(db, KV_READ, &at, &then));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    must(kv_revert(txn, then, KV_NONE, &changed));
    must(kv_txn_commit(txn, NULL));
    kv_txn_abort(then);
    return changed;
}

int main(void)
{
    kv_db *db;
    int32_t there;

    must(kv_open("stock.kv", NULL, &db));
    must(kv_db_put(db, KV_MAIN, KV_STR("apples"), KV_STR("10"), 0));
    must(kv_db_put(db, KV_MAIN, KV_STR("pears"), KV_STR("4"), 0));
    keep(db, KV_STR("before"));

    must(kv_db_put(db, KV_MAIN, KV_STR("apples"), KV_STR("-3"), 0)); /* a mistake */
    must(kv_db_delete(db, KV_MAIN, KV_STR("pears"), 0));
    keep(db, KV_STR("mistake")); /* so that nothing is lost */

    printf("%d keys are as before\n", (int)go_back(db, KV_STR("before")));
    printf("%d keys are as after it\n", (int)go_back(db, KV_STR("mistake")));
    there = kv_db_get(db, KV_MAIN, KV_STR("pears"), NULL, 0, NULL) == KV_OK;
    printf("pears: %s\n", there ? "there" : "gone");
    must(kv_close(db));
    return 0;
}
