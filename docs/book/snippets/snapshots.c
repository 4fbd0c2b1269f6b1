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

/* Prints the price that a state has. */
static void price(kv_db *db, const char *when, const kv_txn_options *options)
{
    kv_txn *txn;
    kv_slice value;
    must(kv_txn_begin(db, KV_READ, options, &txn));
    must(kv_get(txn, KV_MAIN, KV_STR("price"), &value));
    printf("%s: %.*s\n", when, (int)value.len, (const char *)value.data);
    kv_txn_abort(txn);
}

int main(void)
{
    kv_snapshot_options how = KV_SNAPSHOT_OPTIONS_INIT;
    kv_txn_options monday = KV_TXN_OPTIONS_INIT;
    kv_db *db;
    kv_txn *txn;

    must(kv_open("shop.kv", NULL, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    must(kv_put(txn, KV_MAIN, KV_STR("price"), KV_STR("3"), 0));
    how.flags = KV_SNAPSHOT_REPLACE; /* that of last week */
    must(kv_snapshot_create(txn, KV_STR("monday"), &how));
    must(kv_txn_commit(txn, NULL)); /* the snapshot is of what this commits, so the change comes after it */

    must(kv_db_put(db, KV_MAIN, KV_STR("price"), KV_STR("4"), 0));
    monday.snapshot.data = "monday";
    monday.snapshot.len = 6;
    price(db, "on monday", &monday);
    price(db, "now", NULL);

    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    must(kv_snapshot_drop(txn, KV_STR("monday")));
    must(kv_txn_commit(txn, NULL));
    must(kv_reclaim(db, NULL));
    must(kv_close(db));
    return 0;
}
