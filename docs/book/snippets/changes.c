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

static void show(const char *name, kv_slice value)
{
    if (value.data != NULL)
        printf(", %s %.*s", name, (int)value.len, (const char *)value.data);
}

int main(void)
{
    static const char *const kinds[] = {"", "added", "removed", "changed"};
    kv_change change = KV_CHANGE_INIT;
    kv_diff_counts counts = KV_DIFF_COUNTS_INIT;
    kv_db *db;
    kv_txn *before, *after;
    kv_diff *diff;
    kv_status status;

    must(kv_open("stock.kv", NULL, &db));
    must(kv_db_put(db, KV_MAIN, KV_STR("apples"), KV_STR("10"), 0));
    must(kv_db_put(db, KV_MAIN, KV_STR("pears"), KV_STR("4"), 0));
    must(kv_txn_begin(db, KV_READ, NULL, &before)); /* sees this state until it ends */

    must(kv_db_put(db, KV_MAIN, KV_STR("apples"), KV_STR("7"), 0));
    must(kv_db_put(db, KV_MAIN, KV_STR("plums"), KV_STR("30"), 0));
    must(kv_db_put(db, KV_MAIN, KV_STR("pears"), KV_STR("3"), 0));
    must(kv_db_put(db, KV_MAIN, KV_STR("pears"), KV_STR("4"), 0)); /* as before: no change */

    must(kv_txn_begin(db, KV_READ, NULL, &after));
    must(kv_diff_open(before, after, KV_MAIN, NULL, &diff));
    while ((status = kv_diff_next(diff, &change)) == KV_OK) {
        printf("%s %.*s", kinds[change.kind], (int)change.key.len, (const char *)change.key.data);
        show("before", change.before);
        show("after", change.after);
        printf("\n");
    }
    if (status != KV_NOTFOUND)
        must(status);
    must(kv_diff_count(before, after, KV_MAIN, NULL, &counts));
    printf("%d added, %d removed, %d changed\n", (int)counts.added, (int)counts.removed, (int)counts.changed);
    kv_txn_abort(before); /* ends the difference as well */
    kv_txn_abort(after);
    must(kv_close(db));
    return 0;
}
