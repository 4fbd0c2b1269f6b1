/*
 * Long values: written in parts, read in parts, and bytes that outlive transaction and database.
 */
#include "check.h"

enum { LONG = 3 << 20 };

static unsigned char *pattern(void)
{
    unsigned char *bytes = malloc(LONG);
    size_t i;
    CHECK(bytes != NULL);
    for (i = 0; i < LONG; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    return bytes;
}

static void written(kv_db *db, const unsigned char *bytes)
{
    kv_txn *txn = begin(db, KV_WRITE);
    kv_writer *w, *other;
    kv_slice value;
    size_t at, step;

    OK(kv_writer_open(txn, KV_MAIN, S("long"), LONG, 0, &w));
    for (at = 0, step = 1; at < LONG; at += step, step = step * 3 + 1) {
        if (step > LONG - at)
            step = LONG - at;
        OK(kv_writer_write(w, bytes + at, step));
        IS(kv_get(txn, KV_MAIN, S("long"), NULL), KV_NOTFOUND); /* not before it is finished */
    }
    OK(kv_put(txn, KV_MAIN, S("between"), S("1"), 0));
    OK(kv_writer_finish(w));
    IS(kv_writer_finish(w), KV_BAD_HANDLE);
    kv_writer_close(w);
    OK(kv_get(txn, KV_MAIN, S("long"), &value));
    CHECK(value.len == LONG && memcmp(value.data, bytes, LONG) == 0);

    OK(kv_writer_open(txn, KV_MAIN, S("empty"), 0, 0, &w));
    OK(kv_writer_finish(w));
    OK(kv_get(txn, KV_MAIN, S("empty"), &value));
    CHECK(value.data != NULL && value.len == 0);

    OK(kv_writer_open(txn, KV_MAIN, S("given up"), 0, 0, &w));
    OK(kv_writer_write(w, bytes, 100000));
    kv_writer_close(w);
    IS(kv_get(txn, KV_MAIN, S("given up"), NULL), KV_NOTFOUND);

    /* What the flags demand is looked at now and again at the end. */
    IS(kv_writer_open(txn, KV_MAIN, S("long"), 0, KV_NO_OVERWRITE, &w), KV_EXISTS);
    CHECK(w == NULL);
    OK(kv_writer_open(txn, KV_MAIN, S("soon"), 0, KV_NO_OVERWRITE, &w));
    OK(kv_writer_write(w, S("x")));
    OK(kv_put(txn, KV_MAIN, S("soon"), S("first"), 0));
    IS(kv_writer_finish(w), KV_EXISTS);
    OK(kv_get(txn, KV_MAIN, S("soon"), &value));
    CHECK(same(value, "first"));
    OK(kv_get(txn, KV_MAIN, S("long"), &value));
    CHECK(value.len == LONG);

    /* A value that was put whole. */
    OK(kv_put(txn, KV_MAIN, S("whole"), bytes, LONG, 0));
    commit(txn);

    /* Two at once, and one that is forgotten: nothing is committed. */
    txn = begin(db, KV_WRITE);
    OK(kv_writer_open(txn, KV_MAIN, S("w1"), 0, 0, &w));
    OK(kv_writer_open(txn, KV_MAIN, S("w2"), 0, 0, &other));
    OK(kv_writer_write(w, S("one")));
    OK(kv_writer_write(other, S("two")));
    OK(kv_writer_finish(w));
    IS(kv_txn_commit(txn, NULL), KV_CHILD_OPEN);
    IS(kv_writer_write(other, S("late")), KV_BAD_HANDLE);
    txn = begin(db, KV_READ);
    IS(kv_get(txn, KV_MAIN, S("w1"), NULL), KV_NOTFOUND);
    IS(kv_writer_open(txn, KV_MAIN, S("w1"), 0, 0, &w), KV_READ_ONLY);
    kv_txn_abort(txn);
}

static void looked_at(kv_db *db, const unsigned char *bytes)
{
    kv_txn *txn = begin(db, KV_READ);
    kv_value_stat info = KV_VALUE_STAT_INIT;
    kv_extent extents[64];
    static unsigned char buffer[100000];
    size_t got, n, i, at = 0;
    kv_slice value;

    OK(kv_get(txn, KV_MAIN, S("whole"), &value));
    CHECK(value.len == LONG && memcmp(value.data, bytes, LONG) == 0);
    OK(kv_stat_value(txn, KV_MAIN, S("long"), &info));
    CHECK(info.len == LONG && info.extents >= 1);
    IS(kv_stat_value(txn, KV_MAIN, S("none"), &info), KV_NOTFOUND);
    for (;;) {
        OK(kv_value_read(txn, KV_MAIN, S("long"), at, buffer, sizeof buffer, &got));
        CHECK(memcmp(buffer, bytes + at, got) == 0);
        at += got;
        if (got < sizeof buffer)
            break;
    }
    CHECK(at == LONG);
    OK(kv_value_read(txn, KV_MAIN, S("long"), LONG + 5, buffer, 10, &got));
    CHECK(got == 0);
    OK(kv_value_read(txn, KV_MAIN, S("long"), 12345, buffer, 10, &got));
    CHECK(got == 10 && memcmp(buffer, bytes + 12345, 10) == 0);
    IS(kv_value_read(txn, KV_MAIN, S("none"), 0, buffer, 10, &got), KV_NOTFOUND);

    IS(kv_value_extents(txn, KV_MAIN, S("long"), NULL, 0, &n), KV_TOO_SMALL);
    CHECK(n >= 1 && n <= 64);
    OK(kv_value_extents(txn, KV_MAIN, S("long"), extents, 64, &n));
    for (at = 0, i = 0; i < n; i++) {
        CHECK(extents[i].file_offset != KV_NONE && memcmp(extents[i].data, bytes + at, extents[i].len) == 0);
        at += extents[i].len;
    }
    CHECK(at == LONG);
    OK(kv_value_extents(txn, KV_MAIN, S("between"), extents, 64, &n));
    CHECK(n == 1 && extents[0].len == 1 && extents[0].file_offset == KV_NONE);
    OK(kv_value_extents(txn, KV_MAIN, S("empty"), extents, 64, &n));
    CHECK(n == 0);
    kv_txn_abort(txn);
}

static void outliving(kv_db *db, const unsigned char *bytes)
{
    kv_txn *txn = begin(db, KV_READ), *writer;
    kv_buf *small, *large, *none, *written;
    kv_slice s, l, w;

    OK(kv_get_buf(txn, KV_MAIN, S("between"), &s, &small));
    OK(kv_get_buf(txn, KV_MAIN, S("long"), &l, &large));
    IS(kv_get_buf(txn, KV_MAIN, S("none"), &s, &none), KV_NOTFOUND);
    CHECK(none == NULL);
    OK(kv_buf_retain(large));
    IS(kv_txn_refresh(txn), KV_BUSY);
    kv_txn_abort(txn);
    writer = begin(db, KV_WRITE);
    OK(kv_delete(writer, KV_MAIN, S("long"), 0));
    OK(kv_get_buf(writer, KV_MAIN, S("whole"), &w, &written));
    OK(kv_delete(writer, KV_MAIN, S("whole"), 0));
    commit(writer);
    OK(kv_close(db)); /* and even the database may go */
    CHECK(same(s, "1"));
    kv_buf_release(small);
    kv_buf_release(large);
    CHECK(l.len == LONG && memcmp(l.data, bytes, LONG) == 0);
    CHECK(w.len == LONG && memcmp(w.data, bytes, LONG) == 0);
    kv_buf_release(large);
    kv_buf_release(written);
    kv_buf_release(large); /* once too often: ignored */
    IS(kv_buf_retain(large), KV_BAD_HANDLE);
    kv_buf_release(NULL);
}

/* Bytes that a transaction has returned are good input for its next call, also for all steps of a batch. */
static void returned_bytes_as_input(void)
{
    kv_db *db = fresh("returned.kv");
    kv_txn *txn = begin(db, KV_WRITE);
    kv_slice key, value, got;
    kv_op ops[4];
    kv_range range = KV_RANGE_INIT;
    char large[3000], name[8];
    void *place;
    size_t done;
    int i;
    memset(large, 'x', sizeof large);

    /* What was reserved, filled and not yet put. */
    OK(kv_reserve(txn, KV_MAIN, S("reserved"), sizeof large, 0, &place));
    memset(place, 'r', sizeof large);
    OK(kv_put(txn, KV_MAIN, S("copy"), place, sizeof large, 0));
    OK(kv_get(txn, KV_MAIN, S("copy"), &got));
    CHECK(got.len == sizeof large && memchr(got.data, 'x', got.len) == NULL && *(const char *)got.data == 'r');
    OK(kv_get(txn, KV_MAIN, S("reserved"), &value));
    CHECK(value.len == got.len && memcmp(value.data, got.data, got.len) == 0);
    OK(kv_reserve(txn, KV_MAIN, S("a key"), 5, 0, &place));
    memcpy(place, "a key", 5);
    OK(kv_get(txn, KV_MAIN, place, 5, &got));
    CHECK(same(got, "a key"));

    /* Key and value of an entry that was taken, in every step of a batch. */
    for (i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "q%d", i);
        OK(kv_put(txn, KV_MAIN, name, 2, large, sizeof large, 0));
    }
    range.flags = KV_RANGE_PREFIX;
    range.prefix = slice("q");
    OK(kv_take_first(txn, KV_MAIN, &range, &key, &value));
    memset(ops, 0, sizeof ops);
    for (i = 0; i < 4; i++) {
        ops[i].op = i == 3 ? KV_OP_DELETE : KV_OP_PUT;
        ops[i].key = i == 1 ? slice("other") : key;
        ops[i].value = value;
    }
    OK(kv_write_batch(txn, ops, 4, &done));
    CHECK(done == 4);
    IS(kv_get(txn, KV_MAIN, S("q0"), &got), KV_NOTFOUND);
    OK(kv_get(txn, KV_MAIN, S("other"), &got));
    CHECK(got.len == sizeof large && memcmp(got.data, large, sizeof large) == 0);

    /* One after the other: each call lets go of the bytes that it was given. */
    OK(kv_take_first(txn, KV_MAIN, &range, &key, &value));
    OK(kv_put(txn, KV_MAIN, key.data, key.len, value.data, value.len, 0));
    OK(kv_take(txn, KV_MAIN, S("q1"), &value));
    OK(kv_replace(txn, KV_MAIN, S("q2"), value.data, value.len, 0, &got));
    OK(kv_insert(txn, KV_MAIN, S("q1"), got.data, got.len, NULL));
    OK(kv_take(txn, KV_MAIN, S("q3"), &value));
    OK(kv_delete(txn, KV_MAIN, value.data, value.len, KV_BLIND));
    commit(txn);
    OK(kv_close(db));
}

int main(void)
{
    unsigned char *bytes = pattern();
    kv_db *db = fresh("values.kv");
    written(db, bytes);
    looked_at(db, bytes);
    outliving(db, bytes);
    free(bytes);
    returned_bytes_as_input();
    DONE;
}
