/* Snapshots: a state gets a name, is read beside the newest one, listed, and dropped. */
#include <kv.h>

#include <stdio.h>

/* Prints the names of all snapshots, with their commits and notes. */
static kv_status list(kv_db *db)
{
    kv_txn *txn = NULL;
    kv_cursor *cursor = NULL;
    kv_range names = KV_RANGE_INIT;
    kv_slice name;
    kv_status status = kv_txn_begin(db, KV_READ, NULL, &txn);

    names.flags = KV_RANGE_FROM; /* keys that begin with a byte 0 are no names */
    names.from.data = "\1";
    names.from.len = 1;
    if (status == KV_OK)
        status = kv_cursor_open(txn, KV_SNAPSHOTS, &names, &cursor);
    if (status == KV_OK)
        KV_EACH (status, cursor, &name, NULL) {
            kv_snapshot_stat stat = KV_SNAPSHOT_STAT_INIT;
            status = kv_stat_snapshot(txn, name.data, name.len, &stat);
            if (status != KV_OK)
                break;
            printf("%.*s: commit %llu, \"%.*s\"\n", (int)name.len, (const char *)name.data,
                (unsigned long long)stat.commit, (int)stat.note.len, (const char *)stat.note.data);
        }
    kv_txn_abort(txn);
    return status;
}

int main(void)
{
    kv_db *db = NULL;
    kv_txn *txn = NULL, *before = NULL;
    kv_snapshot_options how = KV_SNAPSHOT_OPTIONS_INIT;
    kv_txn_options at = KV_TXN_OPTIONS_INIT;
    kv_slice value;
    uint64_t freed;
    int failed = 1;

    if (kv_open("snapshots.kv", NULL, &db) != KV_OK)
        goto out;
    if (kv_db_put(db, KV_MAIN, KV_STR("price"), KV_STR("3"), 0) != KV_OK)
        goto out;

    /* What a transaction is about to commit gets a name with it. Here that is the state before a change that may be
     * wrong, so the change is made in another transaction, below: in this one it would be in the snapshot. */
    if (kv_txn_begin(db, KV_WRITE, NULL, &txn) != KV_OK)
        goto out;
    how.flags = KV_SNAPSHOT_REPLACE;
    how.note.data = "before the new prices";
    how.note.len = 21;
    if (kv_snapshot_create(txn, KV_STR("monday"), &how) != KV_OK)
        goto out;
    if (kv_txn_commit(txn, NULL) != KV_OK)
        goto out;
    txn = NULL;
    if (kv_db_put(db, KV_MAIN, KV_STR("price"), KV_STR("4"), 0) != KV_OK || list(db) != KV_OK)
        goto out;

    /* It is read like any other state, today or in a year. */
    at.snapshot.data = "monday";
    at.snapshot.len = 6;
    if (kv_txn_begin(db, KV_READ, &at, &before) != KV_OK)
        goto out;
    if (kv_get(before, KV_MAIN, KV_STR("price"), &value) != KV_OK)
        goto out;
    printf("on monday the price was %.*s\n", (int)value.len, (const char *)value.data);
    kv_txn_abort(before);
    before = NULL;

    /* What it alone had is given back when it is dropped. */
    if (kv_txn_begin(db, KV_WRITE, NULL, &txn) != KV_OK)
        goto out;
    if (kv_snapshot_drop(txn, KV_STR("monday")) != KV_OK || kv_txn_commit(txn, NULL) != KV_OK)
        goto out;
    txn = NULL;
    if (kv_reclaim(db, &freed) != KV_OK)
        goto out;
    failed = 0;

out:
    if (failed)
        fprintf(stderr, "%s\n", kv_error_message());
    kv_txn_abort(before);
    kv_txn_abort(txn);
    if (kv_close(db) != KV_OK)
        failed = 1;
    return failed;
}
