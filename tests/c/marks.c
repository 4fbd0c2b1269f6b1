/*
 * Marks: names of states of which nothing is kept, and the ranges of keys that have changed since. Who copies these
 * ranges has what the table has.
 */
#include "says.h"

enum { KEYS = 3000 };

static void key_of(int i, char *key) { snprintf(key, 16, "key %05d", i); }

static void put_some(kv_txn *txn, int from, int to, const char *value)
{
    char key[16], room[100]; /* so long that there are many leaves */
    int i;
    memset(room, '.', sizeof room);
    memcpy(room, value, strlen(value));
    for (i = from; i < to; i++) {
        key_of(i, key);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), room, sizeof room, 0));
    }
}

/* A copy that follows a table by ranges. */
struct follower {
    kv_txn *txn, *copy;
    int calls, stop_at, ends_it;
    uint32_t flags;
    char low[64], high[64];
};

static int32_t follow(void *ctx, const kv_range *range)
{
    struct follower *follower = ctx;
    kv_cursor *cursor;
    kv_slice key, value;
    kv_status status;
    follower->calls++;
    follower->flags = range->flags;
    CHECK((range->flags & ~(KV_RANGE_FROM | KV_RANGE_BEFORE)) == 0 && range->reserved == 0);
    snprintf(follower->low, sizeof follower->low, "%.*s", (int)range->from.len, (const char *)range->from.data);
    snprintf(follower->high, sizeof follower->high, "%.*s", (int)range->to.len, (const char *)range->to.data);
    if (follower->copy != NULL) {
        OK(kv_delete_range(follower->copy, KV_MAIN, range, NULL));
        OK(kv_cursor_open(follower->txn, KV_MAIN, range, &cursor));
        KV_EACH (status, cursor, &key, &value)
            OK(kv_put(follower->copy, KV_MAIN, key.data, key.len, value.data, value.len, 0));
        OK(status);
        kv_cursor_close(cursor);
    }
    if (follower->ends_it) IS(kv_txn_refresh(follower->txn), KV_BUSY);
    return follower->calls == follower->stop_at;
}

/* Whether two transactions see the same entries. */
static void equal(kv_txn *one, kv_txn *two)
{
    kv_cursor *first, *second;
    kv_slice key, value, other_key, other_value;
    kv_status status;
    OK(kv_cursor_open(one, KV_MAIN, NULL, &first));
    OK(kv_cursor_open(two, KV_MAIN, NULL, &second));
    KV_EACH (status, first, &key, &value) {
        OK(kv_cursor_next(second, &other_key, &other_value));
        CHECK(key.len == other_key.len && memcmp(key.data, other_key.data, key.len) == 0);
        CHECK(value.len == other_value.len && memcmp(value.data, other_value.data, value.len) == 0);
    }
    OK(status);
    IS(kv_cursor_next(second, NULL, NULL), KV_NOTFOUND);
    kv_cursor_close(first);
    kv_cursor_close(second);
}

static void ranges(void)
{
    kv_db *db = fresh("marks.kv"), *copy = fresh("copy.kv");
    kv_snapshot_options how = KV_SNAPSHOT_OPTIONS_INIT;
    kv_snapshot_stat stat = KV_SNAPSHOT_STAT_INIT;
    kv_txn_options earlier = KV_TXN_OPTIONS_INIT;
    kv_range some = KV_RANGE_INIT;
    struct follower follower;
    kv_txn *txn = begin(db, KV_WRITE), *reader = NULL;
    const char *path = at("marks.kv");
    uint64_t pages;
    kv_slice value;

    put_some(txn, 0, KEYS, "one");
    how.flags = KV_SNAPSHOT_MARK;
    how.note = slice("a note");
    OK(kv_snapshot_create(txn, S("mark"), &how));
    OK(kv_snapshot_create(txn, S("kept"), NULL));
    how.flags = KV_SNAPSHOT_MARK | KV_SNAPSHOT_YIELD;
    SAYS(kv_snapshot_create(txn, S("both"), &how), KV_INVALID, path, "flags: a mark keeps nothing; give");
    commit(txn);
    txn = begin(copy, KV_WRITE);
    put_some(txn, 0, KEYS, "one");
    commit(txn);

    txn = begin(db, KV_WRITE);
    put_some(txn, 0, 1, "two");
    put_some(txn, 1500, 1501, "two");
    put_some(txn, KEYS, KEYS + 200, "two");
    some.flags = KV_RANGE_FROM | KV_RANGE_BEFORE;
    some.from = slice("key 00700");
    some.to = slice("key 00900");
    OK(kv_delete_range(txn, KV_MAIN, &some, NULL));
    memset(&follower, 0, sizeof follower);
    OK(kv_snapshot_ranges(txn, S("mark"), KV_MAIN, NULL, follow, &follower)); /* what is written counts */
    CHECK(follower.calls == 4 && follower.flags == KV_RANGE_FROM && follower.high[0] == 0);
    commit(txn);

    reader = begin(db, KV_READ);
    memset(&follower, 0, sizeof follower);
    follower.txn = reader;
    follower.copy = begin(copy, KV_WRITE);
    OK(kv_snapshot_ranges(reader, S("mark"), KV_MAIN, NULL, follow, &follower));
    CHECK(follower.calls == 4);
    equal(reader, follower.copy);
    kv_txn_abort(follower.copy);
    follower.copy = NULL;
    follower.calls = 0;
    some.from = some.to = slice("key 01500");
    some.flags = KV_RANGE_FROM | KV_RANGE_THROUGH;
    OK(kv_snapshot_ranges(reader, S("kept"), KV_MAIN, &some, follow, &follower));
    CHECK(follower.calls == 1 && strcmp(follower.low, "key 01500") == 0 && strcmp(follower.high, "key 01500") == 0);
    some.from = some.to = slice("key 02000");
    OK(kv_snapshot_ranges(reader, S("mark"), KV_MAIN, &some, follow, &follower));
    CHECK(follower.calls == 1);
    follower.calls = 0;
    follower.stop_at = 2;
    SAYS(kv_snapshot_ranges(reader, S("mark"), KV_MAIN, NULL, follow, &follower), KV_CANCELLED, path, "`tell` asked");
    CHECK(follower.calls == 2);
    SAYS(kv_snapshot_ranges(reader, S("mark"), KV_MAIN, NULL, NULL, NULL), KV_INVALID, path, "`tell` is NULL; give");
    SAYS(kv_snapshot_ranges(reader, S("none"), KV_MAIN, NULL, follow, &follower), KV_NOTFOUND, path, "snapshot \"none\"");
    IS(kv_snapshot_ranges(reader, S("mark"), 99, NULL, follow, &follower), KV_NO_TABLE);
    OK(kv_stat_snapshot(reader, S("mark"), &stat));
    CHECK(stat.flags == KV_SNAPSHOT_MARK && stat.file_pages == 0 && stat.used_pages == 0 && same(stat.note, "a note"));
    kv_txn_abort(reader);

    earlier.snapshot = slice("mark");
    SAYS(kv_txn_begin(db, KV_READ, &earlier, &reader), KV_INVALID, path, "is a mark", "kv_snapshot_ranges");
    SAYS(kv_snapshot_cost(db, S("mark"), S("kept"), &pages), KV_INVALID, path, "\"mark\" is a mark", "kv_snapshot_");
    earlier.snapshot = slice("kept");
    OK(kv_txn_begin(db, KV_READ, &earlier, &reader));
    IS(kv_snapshot_ranges(reader, S("mark"), KV_MAIN, NULL, follow, &follower), KV_NO_TABLE);

    /* A snapshot becomes a mark, and who reads it goes on. */
    txn = begin(db, KV_WRITE);
    SAYS(kv_snapshot_keep(txn, S("mark"), 1), KV_INVALID, path, "\"mark\" is a mark", "kv_snapshot_ranges");
    SAYS(kv_snapshot_release(txn, S("none")), KV_NOTFOUND, path, "no snapshot \"none\"");
    SAYS(kv_snapshot_release(txn, big, 513), KV_TOO_BIG, path, "name", "512");
    OK(kv_snapshot_keep(txn, S("kept"), 1));
    SAYS(kv_snapshot_release(txn, S("kept")), KV_INVALID, path, "\"kept\" is to be kept; ", "kv_snapshot_keep");
    OK(kv_snapshot_keep(txn, S("kept"), 0));
    OK(kv_snapshot_release(txn, S("kept")));
    OK(kv_snapshot_release(txn, S("kept")));
    commit(txn);
    OK(kv_get(reader, KV_MAIN, S("key 00800"), &value));
    CHECK(value.len == 100 && memcmp(value.data, "one", 3) == 0);
    kv_txn_abort(reader);
    SAYS(kv_txn_begin(db, KV_READ, &earlier, &reader), KV_INVALID, path, "is a mark");
    OK(kv_reclaim(db, NULL));
    OK(kv_close(db));
    OK(kv_close(copy));
}

static void policy(void)
{
    kv_db *db = fresh("policy.kv");
    kv_snapshot_options how = KV_SNAPSHOT_OPTIONS_INIT;
    kv_snapshot_stat stat = KV_SNAPSHOT_STAT_INIT;
    kv_retention limits = KV_RETENTION_INIT, found = KV_RETENTION_INIT;
    kv_txn *txn = begin(db, KV_WRITE);

    limits.last = 1;
    limits.yield_pages = 1;
    SAYS(kv_history(txn, &limits), KV_INVALID, at("policy.kv"), "`interval`: it is 0");
    limits.last = 0;
    limits.yield_after = 7;
    OK(kv_history(txn, &limits));
    OK(kv_stat_history(txn, &found));
    CHECK(found.interval == 0 && found.yield_after == 7 && found.yield_pages == 1);
    how.flags = KV_SNAPSHOT_YIELD;
    OK(kv_snapshot_create(txn, S("yields"), &how));
    put_some(txn, 0, KEYS, "one");
    commit(txn);
    txn = begin(db, KV_WRITE);
    put_some(txn, 0, KEYS, "two");
    OK(kv_stat_snapshot(txn, S("yields"), &stat));
    CHECK(stat.flags == KV_SNAPSHOT_YIELD);
    commit(txn);
    OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0)); /* it finds that the snapshot keeps more than a page */
    OK(kv_db_put(db, KV_MAIN, S("k"), S("w"), 0));
    txn = begin(db, KV_READ);
    OK(kv_stat_snapshot(txn, S("yields"), &stat));
    CHECK(stat.flags == KV_SNAPSHOT_MARK);
    kv_txn_abort(txn);
    OK(kv_close(db));
}

int main(void)
{
    CHECK(getcwd(folder, sizeof folder) != NULL);
    ranges();
    policy();
    DONE;
}
