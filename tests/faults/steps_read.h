/* Steps of the workload (steps.h) that read. */
#include "steps.h"

static int step_reads(void)
{
    kv_txn *txn = NULL;
    kv_cursor *cursor = NULL;
    kv_slice key, value, keys[100], values[100];
    kv_value_stat info = KV_VALUE_STAT_INIT;
    kv_table_stat table_stat = KV_TABLE_STAT_INIT;
    kv_txn_stat txn_stat = KV_TXN_STAT_INIT;
    kv_reader_info reader = KV_READER_INFO_INIT;
    kv_error error = KV_ERROR_INIT;
    kv_identity identity = KV_IDENTITY_INIT;
    kv_batch batch, wanted = KV_BATCH_INIT;
    kv_entry entries[50];
    kv_extent extents[64];
    kv_buf *buffer = NULL, *longer = NULL;
    kv_table table;
    kv_range range = KV_RANGE_INIT;
    static char names[100][8], bytes[100000];
    static uint32_t ends[4000], wanted_ends[2];
    uint64_t n, commit;
    size_t len, got;
    unsigned i;

    TRY(kv_txn_begin(db, KV_READ, NULL, &txn));
    TRY(kv_txn_id(txn, &commit));
    TRY(kv_newest_commit(db, &commit, &n));
    TRY(kv_wait_commit(db, 0, 0, &commit));
    TRY(kv_get(txn, KV_MAIN, S("~long"), &value));
    CHECK(value.len == LONG && memcmp(value.data, big, LONG) == 0);
    TRY(kv_get(txn, KV_MAIN, S("~long"), NULL));
    IS(kv_get(txn, KV_MAIN, S("~missing"), &value), KV_NOTFOUND);
    TRY(kv_error_detail(&error));
    CHECK(error.status == KV_NOTFOUND && kv_error_message()[0] != 0);
    IS(kv_get_copy(txn, KV_MAIN, S("~parts"), room, 0, &len), KV_TOO_SMALL);
    CHECK(len == 8u * LONG);
    TRY(kv_get(txn, KV_MAIN, S("~parts"), &value));
    CHECK(value.len == 8u * LONG);
    TRY(kv_stat_value(txn, KV_MAIN, S("~parts"), &info));
    memset(room, '#', 5001);
    TRY(kv_value_read(txn, KV_MAIN, S("~parts"), 1000000, room, 5000, &got));
    CHECK(got == 5000 && memcmp(room, big + 1000000 % LONG, 5000) == 0 && room[5000] == '#');
    TRY(kv_value_extents(txn, KV_MAIN, S("~parts"), extents, 64, &got));
    TRY(kv_get_buf(txn, KV_MAIN, S("~~"), &value, &buffer));
    TRY(kv_buf_retain(buffer));
    kv_buf_release(buffer);
    TRY(kv_get_buf(txn, KV_MAIN, S("~long"), &value, &longer));
    for (i = 0; i < 100; i++) {
        keys[i].data = names[i];
        keys[i].len = key_of(names[i], i * 3);
    }
    TRY(kv_get_many(txn, KV_MAIN, keys, 100, values, &got));
    TRY(kv_table_open(txn, S("batches"), &table));
    TRY(kv_table_note(txn, table, &value));
    TRY(kv_table_name(txn, table, &value));
    CHECK(value.len == 7);
    TRY(kv_db_identity(db, &identity));
    TRY(kv_count(txn, table, NULL, &n));
    TRY(kv_rank(txn, table, names[9], 6, &n));
    TRY(kv_stat_table(txn, KV_MAIN, 0, &table_stat));
    TRY(kv_stat_table(txn, KV_MAIN, 1, &table_stat));
    TRY(kv_stat_txn(txn, &txn_stat));
    TRY(kv_reader_at(db, 0, &reader));
    range.flags = KV_RANGE_FROM | KV_RANGE_REVERSE;
    range.from.data = names[5];
    range.from.len = 6;
    TRY(kv_cursor_open(txn, table, &range, &cursor));
    TRY(kv_cursor_first(cursor, &key, &value));
    TRY(kv_cursor_next(cursor, &key, &value));
    TRY(kv_cursor_prev(cursor, &key, &value));
    TRY(kv_cursor_last(cursor, &key, &value));
    TRY(kv_cursor_get(cursor, &key, &value));
    TRY(kv_cursor_nth(cursor, 40, &key, &value));
    TRY(kv_cursor_percentile(cursor, 50, &key, &value));
    TRY(kv_cursor_random(cursor, &key, &value));
    TRY(kv_cursor_count(cursor, &n));
    TRY(kv_cursor_rank(cursor, &n));
    TRY(kv_cursor_seek(cursor, names[99], 6, KV_SEEK_LE, &key, &value));
    TRY(kv_cursor_first(cursor, &key, &value));
    TRY(kv_cursor_next_many(cursor, entries, 50, &got));
    batch = empty_batch(bytes, sizeof bytes, ends, 4000);
    TRY(kv_cursor_fill(cursor, &batch));
    CHECK(is_filled(&batch, 2));
    batch = empty_batch(bytes, sizeof bytes, ends, 4000);
    TRY(kv_scan(txn, table, NULL, &batch));
    CHECK(is_filled(&batch, 2));
    wanted.bytes = names[0];
    wanted.bytes_size = 12;
    wanted.ends = wanted_ends;
    wanted.ends_size = 2;
    wanted.count = 1;
    wanted_ends[0] = 6;
    batch = empty_batch(bytes, sizeof bytes, ends, 4000);
    TRY(kv_get_packed(txn, KV_MAIN, &wanted, &batch));
    CHECK(is_filled(&batch, 1) && batch.count == 1);
    kv_cursor_close(cursor);
    kv_buf_release(buffer);
    kv_buf_release(longer);
    TRY(kv_txn_refresh(txn));
    kv_txn_abort(txn);
    return 1;
out:
    kv_buf_release(buffer);
    kv_buf_release(longer);
    kv_cursor_close(cursor);
    kv_txn_abort(txn);
    return 0;
}

/* What a transaction is about to change, which it then gives up. A difference that was refused memory goes on. */
static int step_differences(void)
{
    kv_txn *before = NULL, *txn = NULL;
    kv_diff *diff = NULL;
    kv_change change = KV_CHANGE_INIT;
    kv_diff_counts counts = KV_DIFF_COUNTS_INIT;
    kv_batch batch;
    static char bytes[100000], key[8];
    static uint32_t ends[4000];
    int32_t same = -1;
    unsigned i;

    TRY(kv_txn_begin(db, KV_READ, NULL, &before));
    TRY(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    for (i = 0; i < 300; i++) TRY(kv_put(txn, KV_MAIN, key, key_of(key, 1000000 + i), big, 300, 0));
    TRY(kv_put(txn, KV_MAIN, big, LONG, S("of a long key"), 0));
    TRY(kv_put(txn, KV_MAIN, S("~new"), big, LONG, 0));
    TRY(kv_same(before, txn, KV_NONE, &same));
    CHECK(same == 0);
    TRY(kv_diff_count(before, txn, KV_MAIN, NULL, &counts));
    CHECK(counts.added == 302 && counts.removed == 0 && counts.changed == 0);
    TRY(kv_diff_open(before, txn, KV_MAIN, NULL, &diff));
    for (i = 0; i < 3; i++) TRY(kv_diff_next(diff, &change));
    batch = empty_batch(bytes, sizeof bytes, ends, 4000);
    TRY(kv_diff_fill(diff, &batch));
    CHECK(is_filled(&batch, 3) && batch.count > 100);
    while (i + batch.count < 301) {
        TRY(kv_diff_next(diff, &change));
        i++;
    }
    kv_diff_close(diff);
    TRY(kv_diff_open(before, txn, KV_MAIN, NULL, &diff));
    TRY(kv_txn_refresh(before));
    TRY(kv_diff_next(diff, &change));
    kv_txn_abort(before);
    kv_txn_abort(txn);
    return 1;
out:
    kv_diff_close(diff);
    kv_txn_abort(txn);
    kv_txn_abort(before);
    return 0;
}

/* More children of a transaction than a list of them has room for at first. */
static int step_many_cursors(void)
{
    kv_txn *txn = NULL;
    kv_cursor *cursor;
    int i;
    TRY(kv_txn_begin(db, KV_READ, NULL, &txn));
    for (i = 0; i < 300; i++) TRY(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    TRY(kv_txn_refresh(txn));
    kv_txn_abort(txn);
    return 1;
out:
    kv_txn_abort(txn);
    return 0;
}
