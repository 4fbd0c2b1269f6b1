/*
 * A program that uses libkv, to be linked in several ways: README.md.
 */
#include <kv.h>

#include <stdio.h>

int main(void)
{
    kv_db *db = NULL;
    kv_txn *txn = NULL;
    kv_slice value;
    int failed = 1;

    if (kv_open("fruit.kv", NULL, &db) != KV_OK)
        goto out;
    if (kv_db_put(db, KV_MAIN, KV_STR("apple"), KV_STR("red"), 0) != KV_OK)
        goto out;
    if (kv_txn_begin(db, KV_READ, NULL, &txn) != KV_OK)
        goto out;
    if (kv_get(txn, KV_MAIN, KV_STR("apple"), &value) != KV_OK)
        goto out;
    printf("apple is %.*s\n", (int)value.len, (const char *)value.data);
    failed = 0;
out:
    if (failed)
        fprintf(stderr, "%s\n", kv_error_message());
    kv_txn_abort(txn);
    return kv_close(db) != KV_OK || failed;
}
