/*
 * Open a database, put an entry, get it back.
 */
#include <kv.h>

#include <stdio.h>

int main(void)
{
    kv_db *db = NULL;
    kv_txn *txn = NULL;
    kv_slice value;
    int failed = 1;

    /* Creates the file if there is none. NULL: all options have their defaults. */
    if (kv_open("fruit.kv", NULL, &db) != KV_OK)
        goto out;

    /* Whatever is written is written in a transaction: all of it or nothing. */
    if (kv_txn_begin(db, KV_WRITE, NULL, &txn) != KV_OK)
        goto out;
    if (kv_put(txn, KV_MAIN, KV_STR("apple"), KV_STR("red"), 0) != KV_OK)
        goto out;
    if (kv_put(txn, KV_MAIN, KV_STR("banana"), KV_STR("yellow"), 0) != KV_OK)
        goto out;
    if (kv_txn_commit(txn, NULL) != KV_OK) /* durable when it returns */
        goto out;

    if (kv_txn_begin(db, KV_READ, NULL, &txn) != KV_OK)
        goto out;
    if (kv_get(txn, KV_MAIN, KV_STR("banana"), &value) != KV_OK)
        goto out;
    /* The bytes lie in the database itself and are valid until the transaction ends. */
    printf("a banana is %.*s\n", (int)value.len, (const char *)value.data);

    if (kv_get(txn, KV_MAIN, KV_STR("cherry"), &value) == KV_NOTFOUND)
        printf("and of cherries nothing is known\n");
    failed = 0;

out:
    if (failed)
        fprintf(stderr, "%s\n", kv_error_message());
    kv_txn_abort(txn); /* how a reader ends; ignored after a commit, and for NULL */
    if (kv_close(db) != KV_OK)
        failed = 1;
    return failed;
}
