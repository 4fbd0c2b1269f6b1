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

/* Loads many entries in one transaction, packed: one call for each thousand. */
int main(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_batch batch = KV_BATCH_INIT;
    kv_db *db;
    kv_txn *txn;
    uint64_t count;
    char bytes[64 * 1000];
    uint32_t ends[2 * 1000], used = 0;
    size_t strings = 0;
    int i;

    options.write_memory = 256u << 20; /* edits that are collected before pages are written */
    must(kv_open("bulk.kv", &options, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    batch.bytes = bytes;
    batch.bytes_size = sizeof bytes;
    batch.ends = ends;
    batch.ends_size = 2 * 1000;
    for (i = 0; i < 100000; i++) {
        used += (uint32_t)sprintf(bytes + used, "key/%08d", i);
        ends[strings++] = used;
        used += (uint32_t)sprintf(bytes + used, "value %d", i);
        ends[strings++] = used;
        if (strings == 2 * 1000) {
            batch.count = strings / 2;
            must(kv_put_packed(txn, KV_MAIN, &batch, KV_APPEND, NULL)); /* KV_APPEND: the keys are sorted */
            strings = used = 0;
        }
    }
    must(kv_count(txn, KV_MAIN, NULL, &count));
    printf("%d entries\n", (int)count);
    must(kv_txn_commit(txn, NULL));
    must(kv_close(db));
    return 0;
}
