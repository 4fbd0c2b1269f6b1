/*
 * Cursors: in order, backwards, by prefix; counting and positions without walking.
 */
#include <kv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void ok(kv_status status)
{
    if (status != KV_OK) {
        fprintf(stderr, "%s: %s\n", kv_status_name(status), kv_error_message());
        exit(1);
    }
}

static void print(const char *what, kv_slice key, kv_slice value)
{
    printf("%-24s %.*s -> %.*s\n", what, (int)key.len, (const char *)key.data, (int)value.len, (const char *)value.data);
}

int main(void)
{
    static const char *const cities[][2] = {
        {"de/berlin", "3.7"}, {"de/hamburg", "1.9"}, {"de/munich", "1.5"}, {"fr/lyon", "0.5"},
        {"fr/marseille", "0.9"}, {"fr/paris", "2.1"}, {"it/milan", "1.4"}, {"it/rome", "2.8"},
    };
    kv_db *db;
    kv_txn *txn;
    kv_cursor *cursor;
    kv_range range = KV_PREFIX(KV_STR("fr/"));
    kv_slice key, value;
    kv_status status;
    uint64_t n;
    size_t i;

    ok(kv_open("cities.kv", NULL, &db));
    ok(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    for (i = 0; i < sizeof cities / sizeof *cities; i++)
        ok(kv_put(txn, KV_MAIN, KV_STR(cities[i][0]), KV_STR(cities[i][1]), 0));
    ok(kv_txn_commit(txn, NULL));

    ok(kv_txn_begin(db, KV_READ, NULL, &txn));

    /* A cursor begins before the first entry, so this sees them all. NULL stands for the whole table. Behind the loop,
     * the status is KV_OK if every entry was seen: a damaged table must not pass for a short one. */
    ok(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    KV_EACH (status, cursor, &key, &value)
        print("all", key, value);
    ok(status);
    kv_cursor_close(cursor);

    /* The flags of a range say which of its fields count; KV_PREFIX has set the one of the prefix. */
    range.flags |= KV_RANGE_REVERSE;
    ok(kv_cursor_open(txn, KV_MAIN, &range, &cursor));
    KV_EACH (status, cursor, &key, &value)
        print("in France, backwards", key, value);
    ok(status);
    ok(kv_cursor_count(cursor, &n)); /* no walk: as fast for a billion */
    printf("%d in France\n", (int)n);
    kv_cursor_close(cursor);

    ok(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    ok(kv_cursor_seek(cursor, KV_STR("fr/"), KV_SEEK_GE, &key, &value));
    print("first behind fr/", key, value);
    ok(kv_cursor_seek(cursor, KV_STR("fr/"), KV_SEEK_LT, &key, &value));
    print("last before fr/", key, value);
    ok(kv_cursor_nth(cursor, 6, &key, &value));
    print("number 6", key, value);
    ok(kv_cursor_percentile(cursor, 50, &key, &value));
    print("the median", key, value);

    kv_txn_abort(txn); /* closes the cursor, too */
    ok(kv_close(db));
    return 0;
}
