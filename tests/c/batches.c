/*
 * Many entries in one call: arrays of slices, and packed in a buffer.
 */
#include "check.h"

enum { N = 500 };

static void make_key(char *key, int i)
{
    snprintf(key, 16, "key%05d", i);
}

static void arrays(kv_txn *txn)
{
    kv_op ops[4];
    kv_entry entries[64];
    kv_slice keys[3], values[3];
    kv_cursor *c;
    size_t done = 99, found, got, total = 0;
    int calls = 0;
    char key[16];

    memset(ops, 0, sizeof ops);
    ops[0].op = ops[1].op = KV_OP_PUT;
    ops[0].key = slice("x");
    ops[0].value = slice("1");
    ops[1].key = slice("y");
    ops[2].op = KV_OP_DELETE;
    ops[2].key = slice("nothing");
    ops[2].flags = KV_BLIND;
    ops[3].op = KV_OP_DELETE;
    ops[3].key = slice("nothing");
    IS(kv_write_batch(txn, ops, 4, &done), KV_NOTFOUND);
    CHECK(done == 3); /* those before stay done */
    ops[3].op = 77;
    IS(kv_write_batch(txn, ops, 4, NULL), KV_INVALID);

    keys[0] = slice("y");
    keys[1] = slice("nothing");
    keys[2] = slice("x");
    OK(kv_get_many(txn, KV_MAIN, keys, 3, values, &found));
    CHECK(found == 2 && values[0].data != NULL && values[0].len == 0 && values[1].data == NULL && same(values[2], "1"));
    OK(kv_get_many(txn, KV_MAIN, NULL, 0, NULL, NULL));
    OK(kv_delete(txn, KV_MAIN, S("x"), 0));
    OK(kv_delete(txn, KV_MAIN, S("y"), 0));

    OK(kv_cursor_open(txn, KV_MAIN, NULL, &c));
    IS(kv_cursor_next_many(c, entries, 0, &got), KV_INVALID);
    while (kv_cursor_next_many(c, entries, 64, &got) == KV_OK) {
        size_t i;
        for (i = 0; i < got; i++) {
            make_key(key, (int)(total + i));
            CHECK(same(entries[i].key, key)); /* all keys are valid at once */
            CHECK(entries[i].value.len == total + i && entries[i].value.data != NULL);
        }
        total += got;
        calls++;
    }
    CHECK(total == N && calls == 8);
    kv_cursor_close(c);
}

static const char *at(const kv_batch *batch, size_t i, size_t *len)
{
    const uint32_t *ends = batch->ends;
    size_t start = i == 0 ? 0 : ends[i - 1];
    *len = ends[i] - start;
    return (const char *)batch->bytes + start;
}

static void packed(kv_txn *txn)
{
    static char bytes[200000], answers[200000];
    static uint32_t ends[2 * N], answer_ends[2 * N];
    static uint8_t kinds[2 * N];
    kv_batch batch = KV_BATCH_INIT, values = KV_BATCH_INIT;
    kv_range range = KV_RANGE_INIT;
    kv_cursor *c;
    char key[16], value[N];
    size_t i, len, done, total;

    memset(value, 'v', sizeof value);
    batch.bytes = bytes;
    batch.bytes_size = sizeof bytes;
    batch.ends = ends;
    batch.ends_size = 2 * N;
    for (i = 0; i < N; i++) { /* packing by hand, as a binding does */
        make_key(key, (int)i);
        memcpy(bytes + batch.used, key, strlen(key));
        batch.used += strlen(key);
        ends[2 * i] = (uint32_t)batch.used;
        memcpy(bytes + batch.used, value, i);
        batch.used += i;
        ends[2 * i + 1] = (uint32_t)batch.used;
    }
    batch.count = N;
    OK(kv_put_packed(txn, KV_MAIN, &batch, 0, &done));
    CHECK(done == N);
    IS(kv_put_packed(txn, KV_MAIN, &batch, KV_NO_OVERWRITE, &done), KV_EXISTS);
    CHECK(done == 0);
    batch.skip = N - 1;
    OK(kv_put_packed(txn, KV_MAIN, &batch, KV_NO_INSERT, &done));
    CHECK(done == 1);
    batch.skip = 0;
    batch.count = N + 1;
    IS(kv_put_packed(txn, KV_MAIN, &batch, 0, &done), KV_INVALID); /* more than there are ends */

    /* All of it in one call. */
    OK(kv_scan(txn, KV_MAIN, NULL, &batch));
    CHECK(batch.count == N);
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &c));
    batch.limit = 100;
    total = 0;
    while (kv_cursor_fill(c, &batch) == KV_OK) {
        CHECK(batch.count == 100 && batch.ends[2 * batch.count - 1] == batch.used);
        for (i = 0; i < batch.count; i++) {
            const char *found = at(&batch, 2 * i, &len);
            make_key(key, (int)(total + i));
            CHECK(len == strlen(key) && memcmp(found, key, len) == 0);
            at(&batch, 2 * i + 1, &len);
            CHECK(len == total + i);
        }
        total += batch.count;
    }
    CHECK(total == N && batch.count == 0 && batch.at_end == 1);
    kv_cursor_close(c);

    /* Little room: what does not fit comes next time. */
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &c));
    batch.limit = 0;
    batch.bytes_size = 600;
    total = 0;
    do {
        OK(kv_cursor_fill(c, &batch));
        CHECK(batch.used <= 600);
        total += batch.count;
    } while (!batch.at_end);
    CHECK(total == N);
    batch.bytes_size = 10;
    OK(kv_cursor_first(c, NULL, NULL));
    IS(kv_cursor_seek(c, S("key00400"), KV_SEEK_EQ, NULL, NULL), KV_OK);
    IS(kv_cursor_fill(c, &batch), KV_TOO_SMALL);
    CHECK(batch.count == 0 && batch.needed == 8 + 401);
    batch.bytes_size = sizeof bytes;
    batch.limit = 1;
    OK(kv_cursor_fill(c, &batch)); /* it is still there */
    CHECK(memcmp(batch.bytes, "key00401", 8) == 0);
    batch.limit = 0;
    kv_cursor_close(c);

    /* Keys alone; a range; its end. */
    range.flags = KV_RANGE_FROM | KV_RANGE_REVERSE;
    range.from = slice("key00490");
    batch.flags = KV_BATCH_KEYS;
    batch.limit = 10; /* whether that is the end is not looked at */
    OK(kv_scan(txn, KV_MAIN, &range, &batch));
    CHECK(batch.count == 10 && batch.at_end == 0);
    batch.limit = 0;
    OK(kv_scan(txn, KV_MAIN, &range, &batch));
    CHECK(batch.count == 10 && batch.used == 80 && batch.needed == 0 && batch.at_end == 1);
    CHECK(memcmp(batch.bytes, "key00499", 8) == 0);

    /* These keys, and one that is not there, as input. */
    batch.flags = 0;
    memcpy((char *)batch.bytes + 8, "kex", 3);
    values.bytes = answers;
    values.bytes_size = sizeof answers;
    values.ends = answer_ends;
    values.ends_size = N;
    values.kinds = kinds;
    OK(kv_get_packed(txn, KV_MAIN, &batch, &values));
    CHECK(values.count == 10 && values.at_end == 1 && kinds[0] == KV_KIND_PRESENT && kinds[1] == KV_KIND_ABSENT);
    at(&values, 0, &len);
    CHECK(len == 499);
    at(&values, 1, &len);
    CHECK(len == 0);
    values.bytes_size = 1000; /* room for two of them */
    OK(kv_get_packed(txn, KV_MAIN, &batch, &values));
    CHECK(values.count == 3 && values.at_end == 0 && values.needed == 496);
    batch.skip = 3;
    OK(kv_get_packed(txn, KV_MAIN, &batch, &values));
    CHECK(values.count == 2);
    values.bytes_size = 5;
    IS(kv_get_packed(txn, KV_MAIN, &batch, &values), KV_TOO_SMALL);
    CHECK(values.needed == 496);
    batch.skip = 0;

    IS(kv_delete_packed(txn, KV_MAIN, &batch, 0, &done), KV_NOTFOUND);
    CHECK(done == 1);
    OK(kv_delete_packed(txn, KV_MAIN, &batch, KV_BLIND, &done));
    CHECK(done == 10);
    ends[0] = 5;
    ends[1] = 3;
    IS(kv_delete_packed(txn, KV_MAIN, &batch, KV_BLIND, &done), KV_INVALID); /* ends descend */
    batch.struct_size = 4;
    IS(kv_scan(txn, KV_MAIN, NULL, &batch), KV_INVALID);
    batch.struct_size = sizeof batch;
    range.flags = KV_RANGE_PREFIX;
    range.from.data = NULL;
    range.from.len = 0;
    range.prefix = slice("none");
    batch.flags = KV_BATCH_VALUES;
    IS(kv_scan(txn, KV_MAIN, &range, &batch), KV_NOTFOUND);
    CHECK(batch.count == 0 && batch.at_end == 1);
}

/* Entries whose values are outside their leaves, among others, in many leaves, within a prefix. */
static void long_values(kv_txn *txn)
{
    static char bytes[120000], value[50000];
    static uint32_t ends[4000];
    kv_batch batch = KV_BATCH_INIT;
    kv_range range = KV_RANGE_INIT;
    kv_entry entries[300];
    kv_cursor *c;
    char key[16];
    size_t i, len, got, total = 0;

    for (i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "l/%04d", (int)i);
        memset(value, (int)('a' + i % 26), sizeof value);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), value, i % 100 == 50 ? sizeof value : i % 40, 0));
    }
    batch.bytes = bytes;
    batch.bytes_size = sizeof bytes;
    batch.ends = ends;
    batch.ends_size = sizeof ends / sizeof *ends;
    range.flags = KV_RANGE_PREFIX;
    range.prefix = slice("l/");
    OK(kv_cursor_open(txn, KV_MAIN, &range, &c));
    while (kv_cursor_fill(c, &batch) == KV_OK) {
        for (i = 0; i < batch.count; i++, total++) {
            const char *found = at(&batch, 2 * i + 1, &len);
            CHECK(len == (total % 100 == 50 ? sizeof value : total % 40));
            CHECK(len == 0 || (found[0] == (char)('a' + total % 26) && found[len - 1] == found[0]));
        }
    }
    CHECK(total == 1000);
    batch.flags = KV_BATCH_KEYS; /* long values are not even looked at */
    OK(kv_scan(txn, KV_MAIN, &range, &batch));
    CHECK(batch.count == 1000 && batch.at_end == 1);
    batch.flags = 0;
    batch.bytes_size = 1000;
    OK(kv_cursor_seek(c, S("l/0049"), KV_SEEK_EQ, NULL, NULL));
    IS(kv_cursor_fill(c, &batch), KV_TOO_SMALL);
    CHECK(batch.needed == 6 + sizeof value);
    IS(kv_cursor_fill(c, &batch), KV_TOO_SMALL); /* it stays before it */
    batch.bytes_size = sizeof bytes;
    batch.limit = 1;
    OK(kv_cursor_fill(c, &batch));
    CHECK(memcmp(batch.bytes, "l/0050", 6) == 0);

    OK(kv_cursor_first(c, NULL, NULL));
    total = 1;
    while (kv_cursor_next_many(c, entries, 300, &got) == KV_OK) {
        for (i = 0; i < got; i++, total++) {
            snprintf(key, sizeof key, "l/%04d", (int)total);
            CHECK(same(entries[i].key, key));
            len = total % 100 == 50 ? sizeof value : total % 40;
            CHECK(entries[i].value.len == len);
            CHECK(len == 0 || ((const char *)entries[i].value.data)[len - 1] == (char)('a' + total % 26));
        }
    }
    CHECK(total == 1000);
    kv_cursor_close(c);
}

static void fill(kv_txn *txn)
{
    char key[16], value[N];
    int i;
    memset(value, 'v', sizeof value);
    for (i = 0; i < N; i++) {
        make_key(key, i);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), value, (size_t)i, 0));
    }
}

int main(void)
{
    kv_db *db = fresh("batches.kv");
    kv_txn *txn = begin(db, KV_WRITE);
    fill(txn);
    arrays(txn);
    commit(txn);
    txn = begin(db, KV_WRITE);
    OK(kv_table_clear(txn, KV_MAIN));
    packed(txn);
    long_values(txn);
    commit(txn);
    txn = begin(db, KV_WRITE);
    OK(kv_table_clear(txn, KV_MAIN));
    long_values(txn);
    kv_txn_abort(txn);
    OK(kv_close(db));
    DONE;
}
