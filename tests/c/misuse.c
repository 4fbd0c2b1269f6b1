/*
 * What programs do wrong: every function with handles that are NULL, closed, of another kind, foreign, or whose parent
 * is gone; every order of release; NULL where something is needed. The answer is always a status, never a crash.
 */
#include "check.h"

#include <dlfcn.h>
#include <sys/wait.h>

/* Calls every function that takes this kind of handle; the status must be `expected`. */
static void every_db_call(kv_db *db, kv_status expected)
{
    kv_txn *txn = (kv_txn *)&db;
    kv_db_stat stat = KV_DB_STAT_INIT;
    kv_reader_info reader = KV_READER_INFO_INIT;
    char buffer[8];
    uint64_t id;
    IS(kv_txn_begin(db, KV_READ, NULL, &txn), expected);
    CHECK(txn == NULL);
    IS(kv_txn_begin(db, KV_WRITE, NULL, &txn), expected);
    IS(kv_sync(db), expected);
    IS(kv_newest_commit(db, &id, &id), expected);
    IS(kv_wait_durable(db, 1, 0), expected);
    IS(kv_wait_commit(db, 1, 0, &id), expected);
    IS(kv_db_get(db, KV_MAIN, S("k"), buffer, sizeof buffer, NULL), expected);
    IS(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0), expected);
    IS(kv_db_delete(db, KV_MAIN, S("k"), 0), expected);
    IS(kv_stat_db(db, &stat), expected);
    IS(kv_reader_at(db, 0, &reader), expected);
    kv_interrupt(db);
}

static void every_reading_call(const kv_txn *txn, kv_status expected)
{
    kv_slice value = slice("untouched");
    kv_value_stat info = KV_VALUE_STAT_INIT;
    kv_table_stat table_stat = KV_TABLE_STAT_INIT;
    kv_txn_stat txn_stat = KV_TXN_STAT_INIT;
    kv_batch keys = KV_BATCH_INIT, values = KV_BATCH_INIT;
    kv_cursor *cursor = (kv_cursor *)&value;
    kv_buf *buffer = (kv_buf *)&value;
    kv_extent extent;
    kv_slice key = slice("k");
    kv_table table;
    kv_diff *diff = (kv_diff *)&value;
    kv_diff_counts counts = KV_DIFF_COUNTS_INIT;
    int32_t equal = 77;
    uint64_t n;
    size_t len;
    char bytes[64];
    uint32_t ends[4];

    keys.bytes = bytes;
    keys.bytes_size = sizeof bytes;
    keys.ends = ends;
    keys.ends_size = 4;
    keys.count = 1;
    ends[0] = 1;
    bytes[0] = 'k';
    values.bytes = bytes;
    values.bytes_size = sizeof bytes;
    values.ends = ends + 1;
    values.ends_size = 3;
    IS(kv_txn_id(txn, &n), expected);
    IS(kv_table_open(txn, S("t"), &table), expected);
    IS(kv_table_note(txn, KV_MAIN, &value), expected);
    IS(kv_get(txn, KV_MAIN, S("k"), &value), expected);
    IS(kv_get(txn, KV_MAIN, S("k"), NULL), expected);
    IS(kv_get_copy(txn, KV_MAIN, S("k"), NULL, 0, &len), expected);
    IS(kv_cursor_open(txn, KV_MAIN, NULL, &cursor), expected);
    CHECK(cursor == NULL);
    IS(kv_count(txn, KV_MAIN, NULL, &n), expected);
    IS(kv_rank(txn, KV_MAIN, S("k"), &n), expected);
    IS(kv_get_many(txn, KV_MAIN, &key, 1, &value, NULL), expected);
    IS(kv_scan(txn, KV_MAIN, NULL, &values), expected);
    IS(kv_get_packed(txn, KV_MAIN, &keys, &values), expected);
    IS(kv_stat_value(txn, KV_MAIN, S("k"), &info), expected);
    IS(kv_value_read(txn, KV_MAIN, S("k"), 0, bytes, 1, &len), expected);
    IS(kv_value_extents(txn, KV_MAIN, S("k"), &extent, 1, &len), expected);
    IS(kv_get_buf(txn, KV_MAIN, S("k"), &value, &buffer), expected);
    CHECK(buffer == NULL);
    IS(kv_stat_table(txn, KV_MAIN, 0, &table_stat), expected);
    IS(kv_stat_txn(txn, &txn_stat), expected);
    IS(kv_diff_open(txn, txn, KV_MAIN, NULL, &diff), expected);
    CHECK(diff == NULL);
    IS(kv_diff_count(txn, txn, KV_MAIN, NULL, &counts), expected);
    IS(kv_same(txn, txn, KV_NONE, &equal), expected);
    CHECK(equal == 77);
    CHECK(same(value, "untouched")); /* outputs are written on success only */
}

static void every_writing_call(kv_txn *txn, kv_status expected)
{
    kv_slice value = slice("untouched");
    kv_range range = KV_RANGE_INIT;
    kv_batch batch = KV_BATCH_INIT;
    kv_writer *writer = (kv_writer *)&value;
    kv_txn *nested = (kv_txn *)&value;
    kv_table table;
    kv_op op;
    uint64_t number = 77;
    void *place;

    range.flags = KV_RANGE_FROM;
    range.from = slice("x");
    memset(&op, 0, sizeof op);
    op.op = KV_OP_PUT;
    op.key = slice("k");
    IS(kv_table_create(txn, S("t"), NULL, &table), expected);
    IS(kv_table_rename(txn, KV_MAIN, S("t")), expected);
    IS(kv_table_clear(txn, KV_MAIN), expected);
    IS(kv_table_drop(txn, KV_MAIN), expected);
    IS(kv_table_set_note(txn, KV_MAIN, S("t")), expected);
    IS(kv_put(txn, KV_MAIN, S("k"), S("v"), 0), expected);
    IS(kv_insert(txn, KV_MAIN, S("k"), S("v"), &value), expected);
    IS(kv_insert(txn, KV_MAIN, S("k"), S("v"), NULL), expected);
    IS(kv_replace(txn, KV_MAIN, S("k"), S("v"), 0, &value), expected);
    IS(kv_reserve(txn, KV_MAIN, S("k"), 4, 0, &place), expected);
    IS(kv_delete(txn, KV_MAIN, S("k"), 0), expected);
    IS(kv_delete(txn, KV_MAIN, S("k"), KV_BLIND), expected);
    IS(kv_take(txn, KV_MAIN, S("k"), &value), expected);
    IS(kv_take_first(txn, KV_MAIN, NULL, &value, &value), expected);
    IS(kv_delete_range(txn, KV_MAIN, &range, NULL), expected);
    IS(kv_write_batch(txn, &op, 1, NULL), expected);
    IS(kv_put_packed(txn, KV_MAIN, &batch, 0, NULL), expected);
    IS(kv_delete_packed(txn, KV_MAIN, &batch, 0, NULL), expected);
    IS(kv_writer_open(txn, KV_MAIN, S("k"), 0, 0, &writer), expected);
    IS(kv_revert(txn, txn, KV_MAIN, NULL), expected);
    IS(kv_savepoint_create(txn, &number), expected);
    IS(kv_savepoint_rollback(txn, 1), expected);
    IS(kv_savepoint_release(txn, 1), expected);
    IS(kv_txn_nest(txn, &nested), expected);
    CHECK(nested == NULL && number == 77);
    CHECK(writer == NULL && same(value, "untouched"));
}

static void every_cursor_call(kv_cursor *c, kv_status expected)
{
    kv_slice key = slice("untouched");
    kv_entry entry;
    kv_batch batch = KV_BATCH_INIT;
    uint64_t n;
    size_t got;
    IS(kv_cursor_first(c, &key, NULL), expected);
    IS(kv_cursor_last(c, &key, NULL), expected);
    IS(kv_cursor_next(c, &key, NULL), expected);
    IS(kv_cursor_prev(c, &key, NULL), expected);
    IS(kv_cursor_get(c, &key, NULL), expected);
    IS(kv_cursor_seek(c, S("k"), KV_SEEK_GE, &key, NULL), expected);
    IS(kv_cursor_put(c, S("k")), expected);
    IS(kv_cursor_delete(c), expected);
    IS(kv_cursor_nth(c, 0, &key, NULL), expected);
    IS(kv_cursor_percentile(c, 50, &key, NULL), expected);
    IS(kv_cursor_random(c, &key, NULL), expected);
    IS(kv_cursor_count(c, &n), expected);
    IS(kv_cursor_rank(c, &n), expected);
    IS(kv_cursor_next_many(c, &entry, 1, &got), expected);
    IS(kv_cursor_fill(c, &batch), expected);
    CHECK(same(key, "untouched"));
}

static void every_diff_call(kv_diff *d, kv_status expected)
{
    kv_change change = KV_CHANGE_INIT;
    kv_batch batch = KV_BATCH_INIT;
    char bytes[1];
    uint32_t ends[1];
    batch.bytes = bytes;
    batch.bytes_size = 1;
    batch.ends = ends;
    batch.ends_size = 1;
    change.key = slice("untouched");
    IS(kv_diff_next(d, &change), expected);
    IS(kv_diff_fill(d, &batch), expected);
    CHECK(same(change.key, "untouched") && batch.at_end == 0);
}

static void every_writer_call(kv_writer *w, kv_status expected)
{
    IS(kv_writer_write(w, S("x")), expected);
    IS(kv_writer_finish(w), expected);
}

static void every_call(void *handle, kv_status expected)
{
    every_db_call(handle, expected);
    every_reading_call(handle, expected);
    every_writing_call(handle, expected);
    every_cursor_call(handle, expected);
    every_diff_call(handle, expected);
    every_writer_call(handle, expected);
    IS(kv_txn_refresh(handle), expected);
    IS(kv_buf_retain(handle), expected);
}

static void null_and_foreign(void)
{
    int object = 0;
    void *memory = malloc(64);
    every_call(NULL, KV_BAD_HANDLE);
    every_call(&object, KV_BAD_HANDLE);
    every_call(memory, KV_BAD_HANDLE);
    every_call((void *)(uintptr_t)UINT64_C(0x8000000000000000), KV_BAD_HANDLE);
    every_call((void *)(uintptr_t)UINT64_C(0xFFFFFFFFFFFFFFFF), KV_BAD_HANDLE);
    IS(kv_close((kv_db *)memory), KV_BAD_HANDLE);
    IS(kv_txn_commit((kv_txn *)memory, NULL), KV_BAD_HANDLE);
    kv_txn_abort((kv_txn *)memory);
    kv_cursor_close((kv_cursor *)memory);
    kv_diff_close((kv_diff *)memory);
    kv_writer_close((kv_writer *)memory);
    kv_buf_release((kv_buf *)memory);
    OK(kv_close(NULL));
    IS(kv_txn_commit(NULL, NULL), KV_BAD_HANDLE);
    kv_txn_abort(NULL);
    kv_cursor_close(NULL);
    kv_diff_close(NULL);
    kv_writer_close(NULL);
    kv_buf_release(NULL);
    free(memory);
}

static void wrong_kind_and_closed(void)
{
    kv_db *db = fresh("misuse.kv");
    kv_txn *reader, *writer = begin(db, KV_WRITE);
    kv_cursor *cursor;
    kv_writer *parts;
    kv_buf *buffer;
    kv_slice value;

    OK(kv_put(writer, KV_MAIN, S("k"), S("v"), 0));
    commit(writer);
    every_call(writer, KV_BAD_HANDLE); /* ended */
    IS(kv_txn_commit(writer, NULL), KV_BAD_HANDLE);
    reader = begin(db, KV_READ);
    writer = begin(db, KV_WRITE);
    OK(kv_cursor_open(reader, KV_MAIN, NULL, &cursor));
    OK(kv_writer_open(writer, KV_MAIN, S("long"), 0, 0, &parts));
    OK(kv_get_buf(reader, KV_MAIN, S("k"), &value, &buffer));

    every_writing_call(reader, KV_READ_ONLY);
    every_reading_call((kv_txn *)db, KV_BAD_HANDLE);
    every_writing_call((kv_txn *)db, KV_BAD_HANDLE);
    every_cursor_call((kv_cursor *)db, KV_BAD_HANDLE);
    every_db_call((kv_db *)reader, KV_BAD_HANDLE);
    every_cursor_call((kv_cursor *)reader, KV_BAD_HANDLE);
    every_writer_call((kv_writer *)reader, KV_BAD_HANDLE);
    every_db_call((kv_db *)writer, KV_BAD_HANDLE);
    every_writing_call((kv_txn *)cursor, KV_BAD_HANDLE);
    every_reading_call((kv_txn *)cursor, KV_BAD_HANDLE);
    every_writer_call((kv_writer *)cursor, KV_BAD_HANDLE);
    every_cursor_call((kv_cursor *)parts, KV_BAD_HANDLE);
    every_reading_call((kv_txn *)buffer, KV_BAD_HANDLE);
    kv_buf_release(buffer);
    kv_txn_abort(reader);
    kv_txn_abort(writer);
    OK(kv_close(db));
    every_call(cursor, KV_BAD_HANDLE);
    every_call(parts, KV_BAD_HANDLE);
    every_call(buffer, KV_BAD_HANDLE);
}

static void wrong_kinds(void)
{
    kv_db *db = fresh("kinds.kv");
    kv_txn *reader, *writer = begin(db, KV_WRITE);
    kv_cursor *cursor;
    kv_writer *parts;
    kv_buf *buffer;
    kv_slice value;

    OK(kv_put(writer, KV_MAIN, S("k"), S("v"), 0));
    commit(writer);
    reader = begin(db, KV_READ);
    writer = begin(db, KV_WRITE);
    OK(kv_cursor_open(reader, KV_MAIN, NULL, &cursor));
    OK(kv_writer_open(writer, KV_MAIN, S("long"), 0, 0, &parts));
    OK(kv_get_buf(reader, KV_MAIN, S("k"), &value, &buffer));
    IS(kv_close((kv_db *)reader), KV_BAD_HANDLE);
    IS(kv_txn_commit((kv_txn *)cursor, NULL), KV_BAD_HANDLE);
    kv_txn_abort((kv_txn *)db);
    kv_cursor_close((kv_cursor *)reader);
    kv_writer_close((kv_writer *)cursor);
    kv_buf_release((kv_buf *)parts);
    IS(kv_writer_finish((kv_writer *)reader), KV_BAD_HANDLE);
    /* Nothing of that did anything. */
    OK(kv_get(reader, KV_MAIN, S("k"), &value));
    OK(kv_cursor_next(cursor, NULL, NULL));
    OK(kv_writer_write(parts, S("x")));
    OK(kv_writer_finish(parts));
    OK(kv_buf_retain(buffer));

    /* Ended transactions take their cursors along. */
    kv_txn_abort(reader);
    every_cursor_call(cursor, KV_BAD_HANDLE);
    kv_cursor_close(cursor);
    every_call(reader, KV_BAD_HANDLE);
    OK(kv_cursor_open(writer, KV_MAIN, NULL, &cursor));
    commit(writer);
    every_cursor_call(cursor, KV_BAD_HANDLE);
    kv_buf_release(buffer);
    kv_buf_release(buffer);
    every_call(buffer, KV_BAD_HANDLE);
    OK(kv_close(db));
    every_call(db, KV_BAD_HANDLE);
    IS(kv_close(db), KV_BAD_HANDLE);
}

/* Six handles that depend on each other, released in each of the 720 orders. */
static void any_order(void)
{
    int order[6], count = 0, i, j;
    int total = quick() ? 60 : 720;
    for (i = 0; i < total; i++) {
        kv_db *db = NULL;
        kv_txn *reader, *writer;
        kv_cursor *c1, *c2;
        kv_writer *w;
        kv_slice value;
        kv_options options = KV_OPTIONS_INIT;
        int rest = i, used = 0, closed = 0;

        options.flags = KV_OPEN_MEMORY;
        OK(kv_open(NULL, &options, &db));
        OK(kv_db_put(db, KV_MAIN, S("k"), S("value"), 0));
        reader = begin(db, KV_READ);
        writer = begin(db, KV_WRITE);
        OK(kv_cursor_open(reader, KV_MAIN, NULL, &c1));
        OK(kv_cursor_open(writer, KV_MAIN, NULL, &c2));
        OK(kv_writer_open(writer, KV_MAIN, S("w"), 0, 0, &w));
        OK(kv_get(reader, KV_MAIN, S("k"), &value));
        for (j = 6; j > 0; j--) { /* the permutation with this number */
            int pick = rest % j, k;
            rest /= j;
            for (k = 0; k < 6; k++)
                if (!(used >> k & 1) && pick-- == 0)
                    break;
            used |= 1 << k;
            order[6 - j] = k;
        }
        for (j = 0; j < 6; j++) {
            switch (order[j]) {
            case 0:
                OK(kv_close(db));
                closed = 1;
                every_writing_call(writer, KV_BAD_HANDLE); /* writers are aborted */
                IS(kv_get(reader, KV_MAIN, S("k"), NULL), KV_BAD_HANDLE);
                break;
            case 1:
                if (closed)
                    CHECK(same(value, "value")); /* bytes of a reader outlive the database */
                kv_txn_abort(reader);
                break;
            case 2:
                kv_txn_abort(writer);
                break;
            case 3:
                kv_cursor_close(c1);
                break;
            case 4:
                kv_cursor_close(c2);
                break;
            case 5:
                kv_writer_close(w);
                break;
            }
        }
        every_call(db, KV_BAD_HANDLE);
        every_call(reader, KV_BAD_HANDLE);
        every_call(writer, KV_BAD_HANDLE);
        every_call(c1, KV_BAD_HANDLE);
        every_call(c2, KV_BAD_HANDLE);
        every_call(w, KV_BAD_HANDLE);
        count++;
    }
    CHECK(count == total);
}

/* A handle is not mistaken for a later one that uses the same slot. */
static void stale(void)
{
    kv_db *db = fresh("stale.kv");
    kv_txn *old[100];
    int i, rounds;
    for (i = 0; i < 100; i++) {
        old[i] = begin(db, KV_READ);
        kv_txn_abort(old[i]);
    }
    for (rounds = 0; rounds < 1000; rounds++) {
        kv_txn *now = begin(db, KV_READ);
        for (i = 0; i < 100; i++) {
            CHECK(old[i] != now);
            kv_txn_abort(old[i]);
        }
        IS(kv_get(now, KV_MAIN, S("k"), NULL), KV_NOTFOUND);
        kv_txn_abort(now);
    }
    OK(kv_close(db));
}

static void bad_arguments(void)
{
    kv_db *db = fresh("arguments.kv"), *other = NULL;
    kv_txn *txn = NULL;
    kv_options options = KV_OPTIONS_INIT;
    kv_txn_options begin_options = KV_TXN_OPTIONS_INIT;
    struct {
        kv_options known;
        uint64_t newer;
    } large;
    kv_slice value;
    void *place;

    IS(kv_open(NULL, NULL, &other), KV_INVALID);
    IS(kv_open("x.kv", NULL, NULL), KV_INVALID);
    options.flags = 1u << 30;
    IS(kv_open("x.kv", &options, &other), KV_INVALID);
    options.flags = KV_OPEN_NEW | KV_OPEN_EXISTING;
    IS(kv_open("x.kv", &options, &other), KV_INVALID);
    options.flags = 0;
    options.durability = 9;
    IS(kv_open("x.kv", &options, &other), KV_INVALID);
    options.durability = 0;
    options.verify = 9;
    IS(kv_open("x.kv", &options, &other), KV_INVALID);
    options.verify = 0;
    options.page_size = 5000;
    IS(kv_open("x.kv", &options, &other), KV_INVALID);
    options.page_size = 0;
    options.struct_size = 0;
    IS(kv_open("x.kv", &options, &other), KV_INVALID);
    CHECK(other == NULL);
    options.struct_size = 8; /* a program that knows two fields */
    options.page_size = 77;
    OK(kv_open("x.kv", &options, &other));
    OK(kv_close(other));
    memset(&large, 0, sizeof large); /* a program that knows more */
    large.known.struct_size = sizeof large;
    OK(kv_open("x.kv", &large.known, &other));
    OK(kv_close(other));
    large.newer = 1;
    IS(kv_open("x.kv", &large.known, &other), KV_INVALID);

    IS(kv_txn_begin(db, 7, NULL, &txn), KV_INVALID);
    IS(kv_txn_begin(db, KV_READ, NULL, NULL), KV_INVALID);
    begin_options.flags = 1u << 9;
    IS(kv_txn_begin(db, KV_WRITE, &begin_options, &txn), KV_INVALID);
    txn = begin(db, KV_WRITE);
    IS(kv_put(txn, KV_MAIN, NULL, 3, S("v"), 0), KV_INVALID);
    IS(kv_put(txn, KV_MAIN, S("k"), NULL, 3, 0), KV_INVALID);
    IS(kv_put(txn, KV_MAIN, S("k"), "v", (size_t)-1, 0), KV_TOO_BIG);
    IS(kv_put(txn, KV_MAIN, S("k"), S("v"), KV_BLIND), KV_INVALID);
    IS(kv_delete(txn, KV_MAIN, S("k"), KV_APPEND), KV_INVALID);
    IS(kv_replace(txn, KV_MAIN, S("k"), S("v"), 0, NULL), KV_INVALID);
    IS(kv_reserve(txn, KV_MAIN, S("k"), 4, 0, NULL), KV_INVALID);
    IS(kv_reserve(txn, 77, S("k"), 4, 0, &place), KV_NO_TABLE);
    IS(kv_table_open(txn, S("t"), NULL), KV_INVALID);
    IS(kv_get_many(txn, KV_MAIN, NULL, 3, &value, NULL), KV_INVALID);
    IS(kv_get_copy(txn, KV_MAIN, S("k"), NULL, 9, NULL), KV_INVALID);
    IS(kv_scan(txn, KV_MAIN, NULL, NULL), KV_INVALID);
    OK(kv_put(txn, KV_MAIN, S("k"), S("v"), 0)); /* usage errors spoil nothing */
    commit(txn);
    OK(kv_close(db));
}

static void forked(void)
{
    kv_db *db = fresh("fork.kv");
    kv_txn *reader, *writer;
    kv_cursor *cursor;
    kv_slice value;
    pid_t child;
    int status;

    OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0));
    reader = begin(db, KV_READ);
    OK(kv_cursor_open(reader, KV_MAIN, NULL, &cursor));
    writer = begin(db, KV_WRITE);
    OK(kv_put(writer, KV_MAIN, S("k"), S("w"), 0));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        every_db_call(db, KV_FORKED);
        every_reading_call(reader, KV_FORKED);
        every_writing_call(writer, KV_FORKED);
        every_cursor_call(cursor, KV_FORKED);
        kv_cursor_close(cursor);
        kv_txn_abort(reader);
        kv_txn_abort(writer);
        IS(kv_txn_commit(writer, NULL), KV_FORKED);
        IS(kv_close(db), KV_FORKED);
        db = fresh("child.kv"); /* the child opens for itself */
        OK(kv_db_put(db, KV_MAIN, S("k"), S("child"), 0));
        OK(kv_close(db));
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(kv_get(reader, KV_MAIN, S("k"), &value));
    CHECK(same(value, "v"));
    commit(writer); /* the child has not disturbed it */
    kv_txn_abort(reader);
    OK(kv_close(db));
}

/* Whatever else is wrong with a call, the handle that it did not open is NULL. */
static void no_handle_after_a_failure(void)
{
    kv_db *db = fresh("handles.kv"), *other = db;
    kv_txn *txn = begin(db, KV_WRITE), *another = txn;
    kv_cursor *cursor = (kv_cursor *)txn;
    kv_writer *writer = (kv_writer *)txn;
    kv_buf *buffer = (kv_buf *)txn;
    kv_options options = KV_OPTIONS_INIT;
    kv_range range = KV_RANGE_INIT;
    kv_slice value;
    options.flags = range.flags = 1u << 31;
    IS(kv_open("handles.kv", &options, &other), KV_INVALID);
    CHECK(other == NULL);
    IS(kv_txn_begin(db, 77, NULL, &another), KV_INVALID);
    CHECK(another == NULL);
    IS(kv_cursor_open(txn, KV_MAIN, &range, &cursor), KV_INVALID);
    CHECK(cursor == NULL);
    IS(kv_writer_open(txn, KV_MAIN, "k", (size_t)-1, 0, 0, &writer), KV_TOO_BIG);
    CHECK(writer == NULL);
    IS(kv_get_buf(txn, KV_MAIN, "k", (size_t)-1, &value, &buffer), KV_TOO_BIG);
    CHECK(buffer == NULL);
    kv_txn_abort(txn);
    OK(kv_close(db));
}

/*
 * A process may have two copies of the library, as if a plugin brought its own along. Neither takes the handles of the
 * other for its own, although both number theirs from the beginning.
 */
static void two_copies(void)
{
    char path[4096], part[65536];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32), copied = 0;
    kv_options options = KV_OPTIONS_INIT;
    kv_db *db, *theirs;
    kv_txn *txn, *their_txn;
    kv_status (*their_open)(const char *, const kv_options *, kv_db **);
    kv_status (*their_begin)(kv_db *, uint32_t, const kv_txn_options *, kv_txn **);
    kv_status (*their_close)(kv_db *);
    void (*their_abort)(kv_txn *);
    const char *(*their_message)(void);
    void *library, *symbol;
    int from, to;
    if (n <= 0) return;
    path[n] = 0;
    *strrchr(path, '/') = 0;
    strcat(path, "/../libkv.so");
    from = open(path, O_RDONLY);
    if (from < 0) return; /* not where it was built */
    to = open("copy.so", O_WRONLY | O_CREAT | O_TRUNC, 0755);
    while ((n = read(from, part, sizeof part)) > 0) {
        CHECK(write(to, part, (size_t)n) == n);
        copied += n;
    }
    CHECK(n == 0 && copied > 0 && close(from) == 0 && close(to) == 0);
    library = dlopen("./copy.so", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return; /* no program of this kind can load one */
#define THEIRS(pointer, name) (symbol = dlsym(library, name), CHECK_SYMBOL(symbol), memcpy(&pointer, &symbol, sizeof pointer))
#define CHECK_SYMBOL(symbol) ((symbol) != NULL ? 0 : (fprintf(stderr, "no symbol\n"), exit(1), 0))
    THEIRS(their_open, "kv_open");
    THEIRS(their_begin, "kv_txn_begin");
    THEIRS(their_close, "kv_close");
    THEIRS(their_abort, "kv_txn_abort");
    THEIRS(their_message, "kv_error_message");
    CHECK((void *)their_message() != (void *)kv_error_message());
    options.flags = KV_OPEN_MEMORY;
    OK(kv_open(NULL, &options, &db));
    CHECK(their_open(NULL, &options, &theirs) == KV_OK);
    txn = begin(db, KV_READ);
    CHECK(their_begin(theirs, KV_READ, NULL, &their_txn) == KV_OK);
    CHECK(theirs != db && their_txn != txn);
    IS(kv_sync(theirs), KV_BAD_HANDLE);
    CHECK(strstr(kv_error_message(), "another copy of it in this process") != NULL);
    IS(kv_get(their_txn, KV_MAIN, S("k"), NULL), KV_BAD_HANDLE);
    IS(kv_close(theirs), KV_BAD_HANDLE);
    CHECK(their_close(db) == KV_BAD_HANDLE && strstr(their_message(), "another copy") != NULL);
    kv_txn_abort(their_txn);
    their_abort(txn);
    IS(kv_get(txn, KV_MAIN, S("k"), NULL), KV_NOTFOUND);
    their_abort(their_txn);
    kv_txn_abort(txn);
    CHECK(their_close(theirs) == KV_OK);
    OK(kv_close(db));
    CHECK(unlink("copy.so") == 0);
}

int main(void)
{
    null_and_foreign();
    wrong_kind_and_closed();
    wrong_kinds();
    any_order();
    stale();
    bad_arguments();
    no_handle_after_a_failure();
    two_copies();
    forked();
    DONE;
}
