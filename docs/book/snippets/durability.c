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

/* Tells whether a commit would survive a power cut at this moment. */
static const char *durable(kv_db *db, uint64_t commit)
{
    uint64_t newest;
    must(kv_newest_commit(db, NULL, &newest));
    return commit <= newest ? "durable" : "not durable yet";
}

static kv_txn *put(kv_db *db, uint32_t durability)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_txn *txn;

    options.durability = durability;
    must(kv_txn_begin(db, KV_WRITE, &options, &txn));
    must(kv_put(txn, KV_MAIN, KV_STR("apple"), KV_STR("red"), 0));
    return txn;
}

int main(void)
{
    kv_db *db;
    uint64_t commit;

    must(kv_open("fruit.kv", NULL, &db));
    must(kv_txn_commit(put(db, KV_DURABILITY_FULL), &commit));
    printf("full: %s\n", durable(db, commit));

    must(kv_txn_commit(put(db, KV_DURABILITY_LAZY), &commit));
    printf("lazy: %s\n", durable(db, commit));
    must(kv_wait_durable(db, commit, -1));
    printf("lazy, after kv_wait_durable(): %s\n", durable(db, commit));

    must(kv_txn_commit_async(put(db, KV_DURABILITY_FULL), &commit));
    printf("async: %s\n", durable(db, commit));
    must(kv_sync(db)); /* one sync for whatever was committed before it, by anybody */
    printf("async, after kv_sync(): %s\n", durable(db, commit));
    must(kv_close(db));
    return 0;
}
