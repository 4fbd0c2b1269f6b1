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

enum { ROOM = 100 };

/* Puts an entry. When there is no room, one that is there is dropped, each as likely as the others. */
static void remember(kv_db *db, const char *key, const char *value)
{
    kv_txn *txn;
    kv_cursor *cursor;
    uint64_t count;

    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    must(kv_count(txn, KV_MAIN, NULL, &count)); /* does not walk: it is as fast with a million entries */
    if (count >= ROOM && kv_get(txn, KV_MAIN, KV_STR(key), NULL) == KV_NOTFOUND) {
        must(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
        must(kv_cursor_random(cursor, NULL, NULL));
        must(kv_cursor_delete(cursor));
    }
    must(kv_put(txn, KV_MAIN, KV_STR(key), KV_STR(value), 0));
    must(kv_txn_commit(txn, NULL));
}

int main(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_db *db;
    char key[20], value[8];
    size_t len;
    uint64_t count;
    kv_txn *txn;
    int i;

    options.durability = KV_DURABILITY_LAZY; /* a cache may lose its newest entries */
    must(kv_open("cache.kv", &options, &db));
    for (i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "page/%d", i);
        remember(db, key, "text");
    }

    /* The newest entry is there for sure; kv_db_get() copies it in a transaction of its own. */
    must(kv_db_get(db, KV_MAIN, KV_STR("page/999"), value, sizeof value, &len));
    must(kv_txn_begin(db, KV_READ, NULL, &txn));
    must(kv_count(txn, KV_MAIN, NULL, &count));
    printf("page/999 has %d bytes; %d pages are remembered\n", (int)len, (int)count);
    kv_txn_abort(txn);
    must(kv_close(db));
    return 0;
}
