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

/* Adds to a counter. Write transactions take turns, so nobody else changes it between the read and the write. */
static int64_t add(kv_txn *txn, const char *name, int64_t amount)
{
    int64_t count = 0;
    kv_status status = kv_get_copy(txn, KV_MAIN, KV_STR(name), &count, sizeof count, NULL);

    if (status != KV_NOTFOUND)
        must(status);
    count += amount;
    must(kv_put(txn, KV_MAIN, KV_STR(name), &count, sizeof count, 0));
    return count;
}

int main(void)
{
    kv_txn_options lazy = KV_TXN_OPTIONS_INIT;
    kv_db *db;
    kv_txn *txn;
    int visit;

    lazy.durability = KV_DURABILITY_LAZY; /* a power cut may take the last visits, and no visit is waited for */
    must(kv_open("counters.kv", NULL, &db));
    for (visit = 0; visit < 1000; visit++) {
        must(kv_txn_begin(db, KV_WRITE, &lazy, &txn));
        add(txn, visit % 4 ? "pages/home" : "pages/about", 1);
        must(kv_txn_commit(txn, NULL));
    }
    must(kv_sync(db)); /* now no power cut takes any */

    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    printf("home %d, about %d\n", (int)add(txn, "pages/home", 0), (int)add(txn, "pages/about", 0));
    kv_txn_abort(txn);
    must(kv_close(db));
    return 0;
}
