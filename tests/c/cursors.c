/*
 * Cursors: where they stand, what they see, and counting by position.
 */
#include "check.h"

static kv_cursor *open_cursor(const kv_txn *txn, const kv_range *range)
{
    kv_cursor *cursor = NULL;
    OK(kv_cursor_open(txn, KV_MAIN, range, &cursor));
    CHECK(cursor != NULL);
    return cursor;
}

static void fill(kv_db *db)
{
    kv_txn *txn = begin(db, KV_WRITE);
    char key[16], value[16];
    int i;
    for (i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%03d", i);
        snprintf(value, sizeof value, "v%d", i);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), value, strlen(value), 0));
    }
    commit(txn);
}

static void walk(const kv_txn *txn)
{
    kv_cursor *c = open_cursor(txn, NULL);
    kv_slice key, value, again;
    int n = 0;

    IS(kv_cursor_get(c, &key, &value), KV_NOTFOUND); /* before the first */
    while (kv_cursor_next(c, &key, &value) == KV_OK) {
        CHECK(key.len == 4 && value.len >= 2);
        n++;
    }
    CHECK(n == 1000);
    IS(kv_cursor_get(c, NULL, NULL), KV_NOTFOUND); /* behind the last */
    OK(kv_cursor_prev(c, &key, &value));
    CHECK(same(key, "k999") && same(value, "v999"));
    OK(kv_cursor_get(c, &again, NULL));
    CHECK(same(again, "k999"));
    OK(kv_cursor_first(c, &key, NULL));
    CHECK(same(key, "k000"));
    IS(kv_cursor_prev(c, NULL, NULL), KV_NOTFOUND);
    OK(kv_cursor_next(c, &key, NULL));
    CHECK(same(key, "k000"));
    OK(kv_cursor_last(c, &key, NULL));
    CHECK(same(key, "k999"));

    OK(kv_cursor_seek(c, S("k500"), KV_SEEK_EQ, &key, &value));
    CHECK(same(key, "k500") && same(value, "v500"));
    IS(kv_cursor_seek(c, S("k500x"), KV_SEEK_EQ, NULL, NULL), KV_NOTFOUND);
    OK(kv_cursor_next(c, &key, NULL)); /* it stands where the entry would be */
    CHECK(same(key, "k501"));
    OK(kv_cursor_seek(c, S("k500x"), KV_SEEK_GE, &key, NULL));
    CHECK(same(key, "k501"));
    OK(kv_cursor_seek(c, S("k500"), KV_SEEK_GT, &key, NULL));
    CHECK(same(key, "k501"));
    OK(kv_cursor_seek(c, S("k500x"), KV_SEEK_LE, &key, NULL));
    CHECK(same(key, "k500"));
    OK(kv_cursor_seek(c, key.data, key.len, KV_SEEK_LT, &key, NULL)); /* by the key it has just returned */
    CHECK(same(key, "k499"));
    OK(kv_cursor_seek(c, key.data, key.len, KV_SEEK_EQ, &key, NULL));
    CHECK(same(key, "k499"));
    IS(kv_cursor_seek(c, S("k"), KV_SEEK_LT, NULL, NULL), KV_NOTFOUND);
    IS(kv_cursor_seek(c, S("k500"), 9, NULL, NULL), KV_INVALID);
    IS(kv_cursor_put(c, S("x")), KV_READ_ONLY);
    IS(kv_cursor_delete(c), KV_READ_ONLY);
    kv_cursor_close(c);
    kv_cursor_close(c);
}

static void ranges(const kv_txn *txn)
{
    kv_range range = KV_RANGE_INIT;
    kv_cursor *c;
    kv_slice key;
    uint64_t n;

    range.flags = KV_RANGE_FROM | KV_RANGE_BEFORE;
    range.from = slice("k100");
    range.to = slice("k200");
    OK(kv_count(txn, KV_MAIN, &range, &n));
    CHECK(n == 100);
    range.flags = KV_RANGE_AFTER | KV_RANGE_THROUGH | KV_RANGE_REVERSE;
    OK(kv_count(txn, KV_MAIN, &range, &n));
    CHECK(n == 100);
    c = open_cursor(txn, &range);
    OK(kv_cursor_first(c, &key, NULL)); /* reverse: the greatest */
    CHECK(same(key, "k200"));
    OK(kv_cursor_next(c, &key, NULL));
    CHECK(same(key, "k199"));
    OK(kv_cursor_last(c, &key, NULL));
    CHECK(same(key, "k101"));
    IS(kv_cursor_next(c, &key, NULL), KV_NOTFOUND);
    OK(kv_cursor_seek(c, S("k150x"), KV_SEEK_GE, &key, NULL)); /* by key order, in any direction */
    CHECK(same(key, "k151"));
    IS(kv_cursor_seek(c, S("k300"), KV_SEEK_EQ, &key, NULL), KV_NOTFOUND); /* outside */
    kv_cursor_close(c);

    memset(&range, 0, sizeof range);
    range.flags = KV_RANGE_PREFIX | KV_RANGE_AFTER;
    range.prefix = slice("k12");
    range.from = slice("k124");
    OK(kv_count(txn, KV_MAIN, &range, &n)); /* a page within a prefix */
    CHECK(n == 5);
    range.flags = KV_RANGE_PREFIX;
    IS(kv_count(txn, KV_MAIN, &range, &n), KV_INVALID); /* bytes without a flag */
    range.flags = KV_RANGE_PREFIX | KV_RANGE_FROM | KV_RANGE_AFTER;
    IS(kv_count(txn, KV_MAIN, &range, &n), KV_INVALID);
    memset(&range, 0, sizeof range);
    range.flags = KV_RANGE_BEFORE; /* an empty bound is a bound, though it is NULL */
    OK(kv_count(txn, KV_MAIN, &range, &n));
    CHECK(n == 0);
    range.flags = 1u << 31;
    IS(kv_count(txn, KV_MAIN, &range, &n), KV_INVALID);
    OK(kv_count(txn, KV_MAIN, NULL, &n));
    CHECK(n == 1000);
}

static void positions(const kv_txn *txn)
{
    kv_range range = KV_RANGE_INIT;
    kv_cursor *c;
    kv_slice key;
    uint64_t n;
    int i;

    range.flags = KV_RANGE_PREFIX;
    range.prefix = slice("k3"); /* k300 to k399 */
    c = open_cursor(txn, &range);
    OK(kv_cursor_count(c, &n));
    CHECK(n == 100);
    OK(kv_cursor_nth(c, 42, &key, NULL));
    CHECK(same(key, "k342"));
    OK(kv_cursor_rank(c, &n));
    CHECK(n == 42);
    IS(kv_cursor_nth(c, 100, &key, NULL), KV_NOTFOUND);
    OK(kv_cursor_percentile(c, 0, &key, NULL));
    CHECK(same(key, "k300"));
    OK(kv_cursor_percentile(c, 50, &key, NULL));
    CHECK(same(key, "k349")); /* nearest rank: entry number 50 of 100 */
    OK(kv_cursor_percentile(c, 100, &key, NULL));
    CHECK(same(key, "k399"));
    IS(kv_cursor_percentile(c, 100.5, &key, NULL), KV_INVALID);
    IS(kv_cursor_percentile(c, -1, &key, NULL), KV_INVALID);
    for (i = 0; i < 50; i++) {
        OK(kv_cursor_random(c, &key, NULL));
        CHECK(key.len == 4 && memcmp(key.data, "k3", 2) == 0);
    }
    kv_cursor_close(c);

    OK(kv_rank(txn, KV_MAIN, S("k500"), &n));
    CHECK(n == 500);
    OK(kv_rank(txn, KV_MAIN, S("k500x"), &n));
    CHECK(n == 501);

    range.prefix = slice("none");
    c = open_cursor(txn, &range);
    IS(kv_cursor_percentile(c, 50, &key, NULL), KV_NOTFOUND);
    IS(kv_cursor_random(c, &key, NULL), KV_NOTFOUND);
    kv_cursor_close(c);
}

static void writing(kv_db *db)
{
    kv_txn *txn = begin(db, KV_WRITE);
    kv_cursor *c = open_cursor(txn, NULL), *other = open_cursor(txn, NULL);
    kv_slice key, value;
    uint64_t n;

    IS(kv_cursor_delete(c), KV_NOTFOUND); /* on no entry yet */
    OK(kv_cursor_seek(c, S("k010"), KV_SEEK_EQ, NULL, NULL));
    OK(kv_cursor_seek(other, S("k011"), KV_SEEK_EQ, NULL, NULL));
    OK(kv_cursor_put(c, S("changed")));
    OK(kv_cursor_get(c, &key, &value));
    CHECK(same(key, "k010") && same(value, "changed"));
    OK(kv_cursor_put(c, key.data, key.len)); /* its own key as the value */
    OK(kv_cursor_get(c, NULL, &value));
    CHECK(same(value, "k010"));

    OK(kv_cursor_delete(c)); /* now between k009 and k011 */
    IS(kv_cursor_get(c, NULL, NULL), KV_NOTFOUND);
    OK(kv_cursor_next(c, &key, NULL));
    CHECK(same(key, "k011"));
    OK(kv_cursor_delete(c));
    OK(kv_cursor_prev(c, &key, NULL));
    CHECK(same(key, "k009"));
    IS(kv_cursor_get(other, NULL, NULL), KV_NOTFOUND); /* its entry went away below it */
    OK(kv_cursor_next(other, &key, NULL));
    CHECK(same(key, "k012"));

    OK(kv_put(txn, KV_MAIN, S("k012a"), S("new"), 0)); /* seen by cursors that are open */
    OK(kv_cursor_next(other, &key, &value));
    CHECK(same(key, "k012a") && same(value, "new"));

    /* Moving entries: the bytes of a cursor go straight into a put. */
    while (kv_cursor_seek(c, S("k9"), KV_SEEK_GE, &key, &value) == KV_OK) {
        char moved[8];
        moved[0] = 'a';
        memcpy(moved + 1, key.data, key.len);
        OK(kv_put(txn, KV_MAIN, moved, key.len + 1, value.data, value.len, 0));
        OK(kv_cursor_delete(c));
    }
    OK(kv_count(txn, KV_MAIN, NULL, &n));
    CHECK(n == 999);
    OK(kv_get(txn, KV_MAIN, S("ak950"), &value));
    CHECK(same(value, "v950"));
    kv_txn_abort(txn);
}

/* A refreshed reader's cursor stays at its key. */
static void refreshed(kv_db *db)
{
    kv_txn *reader = begin(db, KV_READ);
    kv_cursor *c = open_cursor(reader, NULL);
    kv_slice key;

    OK(kv_cursor_seek(c, S("k500"), KV_SEEK_EQ, NULL, NULL));
    OK(kv_db_delete(db, KV_MAIN, S("k501"), 0));
    OK(kv_db_put(db, KV_MAIN, S("k502a"), S(""), 0));
    OK(kv_txn_refresh(reader));
    OK(kv_cursor_next(c, &key, NULL));
    CHECK(same(key, "k502"));
    OK(kv_cursor_next(c, &key, NULL));
    CHECK(same(key, "k502a"));
    kv_txn_abort(reader);
}

int main(void)
{
    kv_db *db = fresh("cursors.kv");
    kv_txn *txn;
    fill(db);
    txn = begin(db, KV_READ);
    walk(txn);
    ranges(txn);
    positions(txn);
    kv_txn_abort(txn);
    writing(db);
    refreshed(db);
    OK(kv_close(db));
    DONE;
}
