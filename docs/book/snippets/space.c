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

/* Deletes much, and gives the space back. */
int main(void)
{
    kv_compact_report report = KV_COMPACT_REPORT_INIT;
    kv_range old = KV_PREFIX(KV_STR("old/"));
    kv_db *db;
    kv_txn *txn;
    char key[32];
    int i;

    must(kv_open("space.kv", NULL, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    for (i = 0; i < 50000; i++) {
        sprintf(key, "%s/%08d", i % 10 ? "old" : "current", i);
        must(kv_put(txn, KV_MAIN, KV_STR(key), KV_STR("some value"), 0));
    }
    must(kv_txn_commit(txn, NULL));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    must(kv_delete_range(txn, KV_MAIN, &old, NULL));
    must(kv_txn_commit(txn, NULL));

    must(kv_compact(db, NULL, &report));
    printf("the file is %s\n", report.pages_after < report.pages_before / 2 ? "less than half as long" : "as before");
    if (report.held_commit != 0)
        printf("a reader of commit %d is in the way\n", (int)report.held_commit);
    must(kv_close(db));
    return 0;
}
