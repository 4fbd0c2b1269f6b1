#include <endian.h>
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

/* A key of two parts: a sensor by name, and a time that may be negative. Keys sort by sensor, then by time. */
struct key {
    unsigned char bytes[64];
    size_t len;
};

static struct key reading(const char *sensor, int64_t time)
{
    struct key key;
    uint64_t ordered = htobe64((uint64_t)time ^ ((uint64_t)1 << 63)); /* so that negative numbers come first */

    key.len = strlen(sensor) + 1; /* the zero byte ends the name: "a" comes before "ab" */
    if (key.len > sizeof key.bytes - 8) {
        fprintf(stderr, "the name of a sensor has at most %d bytes\n", (int)sizeof key.bytes - 9);
        exit(1);
    }
    memcpy(key.bytes, sensor, key.len);
    memcpy(key.bytes + key.len, &ordered, 8);
    key.len += 8;
    return key;
}

static int64_t time_of(kv_slice key)
{
    uint64_t ordered;
    memcpy(&ordered, (const char *)key.data + key.len - 8, 8);
    return (int64_t)(be64toh(ordered) ^ ((uint64_t)1 << 63));
}

static void put(kv_txn *txn, const char *sensor, int64_t time, const char *value)
{
    struct key key = reading(sensor, time);
    must(kv_put(txn, KV_MAIN, key.bytes, key.len, KV_STR(value), 0));
}

int main(void)
{
    struct key from = reading("attic", -10), to = reading("attic", 20);
    kv_range some = KV_RANGE_INIT;
    kv_db *db;
    kv_txn *txn;
    kv_cursor *cursor;
    kv_slice key, value;
    kv_status status;

    must(kv_open("readings.kv", NULL, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    put(txn, "attic", -20, "15.5");
    put(txn, "attic", -10, "16.0");
    put(txn, "attic", 10, "16.5");
    put(txn, "attic", 20, "17.0");
    put(txn, "cellar", 0, "9.0");
    must(kv_txn_commit(txn, NULL));

    some.flags = KV_RANGE_FROM | KV_RANGE_BEFORE | KV_RANGE_REVERSE; /* the newest first */
    some.from.data = from.bytes;
    some.from.len = from.len;
    some.to.data = to.bytes;
    some.to.len = to.len;
    must(kv_txn_begin(db, KV_READ, NULL, &txn));
    must(kv_cursor_open(txn, KV_MAIN, &some, &cursor));
    KV_EACH (status, cursor, &key, &value)
        printf("%d: %.*s\n", (int)time_of(key), (int)value.len, (const char *)value.data);
    must(status);
    kv_txn_abort(txn);
    must(kv_close(db));
    return 0;
}
