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

/* Gives the state of now the name "yesterday": what a program does every night. */
static void name_the_day(kv_db *db)
{
    kv_snapshot_options how = KV_SNAPSHOT_OPTIONS_INIT;
    kv_txn *now;

    how.flags = KV_SNAPSHOT_REPLACE; /* the one of the night before is dropped */
    must(kv_txn_begin(db, KV_READ, NULL, &now));
    must(kv_snapshot_create(now, KV_STR("yesterday"), &how));
    kv_txn_abort(now);
}

int main(void)
{
    static const char *const kinds[] = {"", "added", "removed", "changed"};
    kv_txn_options at = KV_TXN_OPTIONS_INIT;
    kv_change change = KV_CHANGE_INIT;
    kv_db *db;
    kv_txn *yesterday, *now;
    kv_diff *diff;
    kv_status status;

    must(kv_open("days.kv", NULL, &db));
    must(kv_db_put(db, KV_MAIN, KV_STR("apples"), KV_STR("10"), 0));
    must(kv_db_put(db, KV_MAIN, KV_STR("pears"), KV_STR("4"), 0));
    name_the_day(db);

    must(kv_db_put(db, KV_MAIN, KV_STR("apples"), KV_STR("7"), 0));
    must(kv_db_delete(db, KV_MAIN, KV_STR("pears"), 0));

    at.snapshot.data = "yesterday";
    at.snapshot.len = 9;
    must(kv_txn_begin(db, KV_READ, &at, &yesterday));
    must(kv_txn_begin(db, KV_READ, NULL, &now));
    must(kv_diff_open(yesterday, now, KV_MAIN, NULL, &diff));
    while ((status = kv_diff_next(diff, &change)) == KV_OK)
        printf("%s %.*s\n", kinds[change.kind], (int)change.key.len, (const char *)change.key.data);
    if (status != KV_NOTFOUND)
        must(status);
    kv_txn_abort(yesterday); /* ends the difference as well */
    kv_txn_abort(now);
    must(kv_close(db));
    return 0;
}
