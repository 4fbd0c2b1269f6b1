/*
 * A damaged page: where a cursor stands after it has met one, how it is passed, and what can still be read and written.
 */
#include "check.h"

enum { ENTRIES = 5000, PAGE = 4096 };

/* As kv.h has it. */
static kv_status past_damage(kv_cursor *cursor, uint64_t *lost, kv_slice *key, kv_slice *value)
{
    uint64_t here;
    kv_status status = kv_cursor_rank(cursor, &here);
    *lost = 0;
    if (status != KV_OK) return status;
    if (kv_cursor_get(cursor, NULL, NULL) == KV_OK) here++;
    while ((status = kv_cursor_nth(cursor, here + *lost, key, value)) == KV_CORRUPT) ++*lost;
    return status;
}

static void name(char *key, unsigned n)
{
    snprintf(key, 16, "k%08u", n);
}

static unsigned number(kv_slice key)
{
    char digits[16] = "";
    CHECK(key.len == 9);
    memcpy(digits, (const char *)key.data + 1, 8);
    return (unsigned)strtoul(digits, NULL, 10);
}

/* A database in which one leaf is damaged, somewhere in the middle. */
static void damaged(const char *path)
{
    static char value[200];
    kv_db *db = fresh(path);
    kv_txn *txn = begin(db, KV_WRITE);
    char key[16], page[PAGE];
    off_t at;
    unsigned n;
    int fd;
    for (n = 0; n < ENTRIES; n++) {
        name(key, n);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), value, sizeof value, 0));
    }
    commit(txn);
    OK(kv_close(db));
    /* Most pages are leaves of some 19 entries. */
    fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    at = lseek(fd, 0, SEEK_END) / PAGE / 2 * PAGE;
    CHECK(pread(fd, page, sizeof page, at) == sizeof page);
    page[PAGE / 2] ^= 1;
    CHECK(pwrite(fd, page, sizeof page, at) == sizeof page && close(fd) == 0);
}

/* Steps until something else than an entry comes; returns how many there were. `n` is the number of the next. */
static unsigned steps(kv_cursor *cursor, unsigned *n, int step, kv_status end)
{
    kv_slice key, value;
    kv_status status;
    unsigned taken = 0;
    while ((status = kv_cursor_next(cursor, &key, &value)) == KV_OK) {
        CHECK(number(key) == *n && value.len == 200);
        *n += (unsigned)step;
        taken++;
    }
    CHECK(status == end);
    return taken;
}

/* A cursor in either direction stands before the damage and stays there, passes it, and sees all the rest. */
static void passing(const kv_txn *txn, int reverse)
{
    kv_range range = KV_RANGE_INIT;
    kv_cursor *cursor = NULL;
    kv_slice key, value;
    uint64_t lost;
    unsigned n = reverse ? ENTRIES - 1 : 0, last, before, after;
    int step = reverse ? -1 : 1, i;
    char sought[16];

    if (reverse) range.flags = KV_RANGE_REVERSE;
    OK(kv_cursor_open(txn, KV_MAIN, &range, &cursor));
    before = steps(cursor, &n, step, KV_CORRUPT);
    CHECK(before > 100);
    last = n - (unsigned)step;
    for (i = 0; i < 3; i++) {
        IS(kv_cursor_next(cursor, &key, &value), KV_CORRUPT);
        OK(kv_cursor_get(cursor, &key, NULL));
        CHECK(number(key) == last);
    }
    /* Other ways into the damage leave it there as well. */
    name(sought, n);
    IS(kv_cursor_seek(cursor, sought, strlen(sought), KV_SEEK_EQ, &key, NULL), KV_CORRUPT);
    OK(kv_cursor_get(cursor, &key, NULL));
    CHECK(number(key) == last);
    IS(kv_cursor_nth(cursor, before, &key, NULL), KV_CORRUPT);
    OK(kv_cursor_get(cursor, &key, NULL));
    CHECK(number(key) == last);

    OK(past_damage(cursor, &lost, &key, &value));
    CHECK(lost > 5 && lost < 100 && number(key) == last + (unsigned)step * (unsigned)(lost + 1));
    n = number(key) + (unsigned)step;
    after = steps(cursor, &n, step, KV_NOTFOUND);
    CHECK(before + lost + 1 + after == ENTRIES);
    kv_cursor_close(cursor);
}

/* Entries that were moved over without being handed out are read again one by one. */
static void many(const kv_txn *txn)
{
    kv_entry entries[64];
    kv_cursor *cursor = NULL;
    kv_slice key;
    kv_status status;
    size_t got;
    unsigned n = 0, all = 0;
    char last[16];

    OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    while ((status = kv_cursor_next_many(cursor, entries, 64, &got)) == KV_OK)
        n += (unsigned)got;
    CHECK(status == KV_CORRUPT && n > 64);
    name(last, n - 1);
    OK(kv_cursor_seek(cursor, last, strlen(last), KV_SEEK_EQ, &key, NULL));
    all = n;
    n += steps(cursor, &all, 1, KV_CORRUPT);
    CHECK(n == all);
    OK(kv_cursor_get(cursor, &key, NULL));
    CHECK(number(key) == n - 1);
    kv_cursor_close(cursor);
}

/* A long value that is damaged, with the key "3" of "0" to "5": every way to it leaves the cursor where it stood. */
static void long_value(void)
{
    static char value[30000];
    static const uint32_t ways[] = {0, KV_RANGE_REVERSE};
    kv_db *db = fresh("long.kv");
    kv_range range = KV_RANGE_INIT;
    kv_cursor *cursor = NULL;
    kv_extent extent;
    kv_slice key, found;
    kv_txn *txn;
    uint64_t lost, rank;
    size_t n, way, times;
    int fd;
    for (n = 0; n < 6; n++)
        OK(kv_db_put(db, KV_MAIN, &"012345"[n], 1, value, n == 3 ? sizeof value : 5, 0));
    txn = begin(db, KV_READ);
    OK(kv_value_extents(txn, KV_MAIN, S("3"), &extent, 1, &n));
    kv_txn_abort(txn);
    OK(kv_close(db));
    fd = open("long.kv", O_RDWR);
    CHECK(fd >= 0 && pwrite(fd, "damage", 6, (off_t)extent.file_offset + 9000) == 6 && close(fd) == 0);

    OK(kv_open("long.kv", NULL, &db));
    txn = begin(db, KV_READ);
    for (way = 0; way < 2; way++) {
        uint64_t before = way == 0 ? 3 : 2;
        const char *last = way == 0 ? "2" : "4", *next = way == 0 ? "4" : "2";
        range.flags = ways[way];
        OK(kv_cursor_open(txn, KV_MAIN, &range, &cursor));
        for (n = 0; n < before; n++)
            OK(kv_cursor_next(cursor, &key, &found));
        for (times = 0; times < 4; times++) {
            if (times == 0) IS(kv_cursor_nth(cursor, before, &key, &found), KV_CORRUPT);
            if (times == 1) IS(kv_cursor_seek(cursor, S("3"), KV_SEEK_EQ, &key, &found), KV_CORRUPT);
            if (times >= 2) IS(kv_cursor_next(cursor, &key, &found), KV_CORRUPT);
            OK(kv_cursor_rank(cursor, &rank));
            CHECK(rank == before - 1);
            OK(kv_cursor_get(cursor, &key, &found));
            CHECK(key.len == 1 && *(const char *)key.data == *last);
        }
        OK(past_damage(cursor, &lost, &key, &found));
        CHECK(lost == 1 && *(const char *)key.data == *next);
        IS(kv_cursor_prev(cursor, &key, &found), KV_CORRUPT);
        OK(kv_cursor_get(cursor, &key, &found));
        CHECK(*(const char *)key.data == *next);
        /* Its key is not damaged. */
        OK(kv_cursor_prev(cursor, &key, NULL));
        CHECK(*(const char *)key.data == '3');
        IS(kv_cursor_get(cursor, &key, &found), KV_CORRUPT);
        OK(kv_cursor_get(cursor, &key, NULL));
        CHECK(*(const char *)key.data == '3');
        kv_cursor_close(cursor);
    }
    /* At the ends of a range, and from a gap. */
    range.flags = KV_RANGE_PREFIX;
    range.prefix.data = "3";
    range.prefix.len = 1;
    OK(kv_cursor_open(txn, KV_MAIN, &range, &cursor));
    IS(kv_cursor_next(cursor, &key, &found), KV_CORRUPT);
    IS(kv_cursor_get(cursor, &key, NULL), KV_NOTFOUND);
    OK(kv_cursor_rank(cursor, &rank));
    CHECK(rank == 0);
    OK(kv_cursor_next(cursor, &key, NULL));
    IS(kv_cursor_next(cursor, &key, &found), KV_NOTFOUND);
    IS(kv_cursor_first(cursor, &key, &found), KV_CORRUPT);
    OK(kv_cursor_rank(cursor, &rank));
    CHECK(rank == 1);
    kv_cursor_close(cursor);
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    IS(kv_cursor_seek(cursor, S("2x"), KV_SEEK_EQ, &key, &found), KV_NOTFOUND);
    IS(kv_cursor_next(cursor, &key, &found), KV_CORRUPT);
    IS(kv_cursor_get(cursor, &key, NULL), KV_NOTFOUND);
    OK(kv_cursor_prev(cursor, &key, &found));
    CHECK(*(const char *)key.data == '2');
    kv_txn_abort(txn);
    OK(kv_close(db));
}

int main(void)
{
    kv_db *db = NULL;
    kv_txn *txn;
    damaged("damage.kv");
    OK(kv_open("damage.kv", NULL, &db));
    txn = begin(db, KV_READ);
    passing(txn, 0);
    passing(txn, 1);
    many(txn);
    kv_txn_abort(txn);
    OK(kv_close(db));
    long_value();
    DONE;
}
