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

int main(void)
{
    kv_db *db;
    kv_txn *txn;
    kv_cursor *cursor;
    kv_slice key, value;
    kv_range fruits = KV_PREFIX(KV_STR("p"));
    uint64_t count;
    kv_status status;

    must(kv_open("fruit.kv", NULL, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    must(kv_put(txn, KV_MAIN, KV_STR("apple"), KV_STR("red"), 0));
    must(kv_put(txn, KV_MAIN, KV_STR("pear"), KV_STR("green"), 0));
    must(kv_put(txn, KV_MAIN, KV_STR("plum"), KV_STR("blue"), 0));
    must(kv_txn_commit(txn, NULL)); /* all three are durable now */

    must(kv_txn_begin(db, KV_READ, NULL, &txn));
    must(kv_get(txn, KV_MAIN, KV_STR("apple"), &value));
    printf("apple is %.*s\n", (int)value.len, (const char *)value.data);

    must(kv_count(txn, KV_MAIN, &fruits, &count));
    printf("%d fruits begin with p\n", (int)count);
    must(kv_cursor_open(txn, KV_MAIN, &fruits, &cursor));
    KV_EACH (status, cursor, &key, &value)
        printf("%.*s: %.*s\n", (int)key.len, (const char *)key.data,
            (int)value.len, (const char *)value.data);
    must(status);

    kv_txn_abort(txn); /* ends the snapshot, and the cursor with it */
    must(kv_close(db));
    return 0;
}
