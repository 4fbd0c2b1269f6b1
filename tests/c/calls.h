/*
 * Each function of kv.h as a call with arguments out of one struct, so that a test can run all of them in one
 * situation. FUNCTIONS lists them; scripts/status-table.py fails if one of kv.h is missing.
 */
#ifndef CALLS_H
#define CALLS_H

#include "check.h"

/* What a function answers that answers no status. */
#define NOTHING 1

/* The longest key, and one byte more. */
#define KEY_MAX ((size_t)2 << 20)

struct situation_args {
    /* Handles as they are passed; those of the world are kept elsewhere. */
    kv_db *db;
    kv_txn *txn, *before;
    kv_cursor *cursor;
    kv_diff *diff;
    kv_writer *parts;
    kv_buf *buffer;
    /* Inputs. */
    kv_table table, named;
    const void *key, *value, *name, *note;
    size_t klen, vlen, name_len, note_len;
    uint32_t put_flags, delete_flags, table_flags, open_flags, job_flags, batch_flags, txn_flags, snapshot_flags;
    uint32_t kind, how, op, level, index, keep;
    int32_t stops; /* what the function answers that takes ranges */
    kv_slice snapshot;
    uint64_t id, nth, hint, savepoint;
    int64_t ms, wait_ms;
    double percent;
    const kv_range *range;
    const char *path, *damaged, *target;
    kv_progress_fn progress;
    kv_fault_fn fault;
    kv_write_fn write;
    /* Room of outputs; whether outputs are NULL; what the size of a struct is said to be (UINT32_MAX: what it is). */
    size_t room;
    int no_outputs, no_input;
    uint32_t struct_size;
    /* Outputs. */
    kv_slice one, two;
    kv_table got_table;
    kv_txn *got_txn;
    kv_db *got_db;
    kv_cursor *got_cursor;
    kv_diff *got_diff;
    kv_writer *got_writer;
    kv_buf *got_buffer;
    uint64_t number, number2;
    size_t len;
    void *place;
    char bytes[1 << 17];
    uint32_t ends[64];
};

typedef struct situation_args args;

#define OUT(field) (a->no_outputs ? NULL : &a->field)
#define SIZED(variable) \
    if (a->struct_size != UINT32_MAX) variable.struct_size = a->struct_size

static const kv_range *bounded(const args *a)
{
    static kv_range some = KV_RANGE_INIT;
    if (a->range != NULL) return a->range;
    some.flags = KV_RANGE_FROM | KV_RANGE_BEFORE;
    some.from = slice("key 00100");
    some.to = slice("key 00110");
    return &some;
}

/* A batch of one entry: its key, or its key and value. */
static char packed_bytes[2 * KEY_MAX + 4096];
static uint32_t packed_ends[2];

static kv_batch packed(const args *a, int with_value)
{
    kv_batch batch = KV_BATCH_INIT;
    size_t vlen = with_value ? a->vlen : 0;
    batch.flags = a->batch_flags;
    batch.bytes = packed_bytes;
    batch.bytes_size = a->klen + vlen;
    batch.ends = packed_ends;
    batch.ends_size = 2;
    batch.count = 1;
    if (a->key == NULL || (with_value && a->value == NULL)) {
        batch.bytes = NULL;
    } else if (batch.bytes_size <= sizeof packed_bytes) {
        memcpy(packed_bytes, a->key, a->klen);
        memcpy(packed_bytes + a->klen, a->value, vlen);
    }
    packed_ends[0] = (uint32_t)a->klen;
    packed_ends[1] = (uint32_t)(a->klen + vlen);
    SIZED(batch);
    return batch;
}

static kv_batch empty_batch(args *a)
{
    kv_batch batch = KV_BATCH_INIT;
    batch.flags = a->batch_flags;
    batch.bytes = a->bytes;
    batch.bytes_size = a->room;
    batch.ends = a->ends;
    batch.ends_size = 64;
    SIZED(batch);
    return batch;
}

static kv_job_options job_of(args *a)
{
    kv_job_options options = KV_JOB_OPTIONS_INIT;
    options.flags = a->job_flags;
    options.progress = a->progress;
    options.ctx = a;
    SIZED(options);
    return options;
}

#define CALL(name) static kv_status call_##name(args *a)
#define KEY a->key, a->klen
#define VALUE a->value, a->vlen

CALL(kv_error_message) { (void)a; return kv_error_message() != NULL ? NOTHING : KV_PANIC; }
CALL(kv_status_name) { (void)a; return kv_status_name(KV_OK) != NULL ? NOTHING : KV_PANIC; }
CALL(kv_strerror) { (void)a; return kv_strerror(KV_OK) != NULL ? NOTHING : KV_PANIC; }
CALL(kv_version) { (void)a; return kv_version() != NULL ? NOTHING : KV_PANIC; }
CALL(kv_version_number) { (void)a; return kv_version_number() == KV_VERSION_NUMBER ? NOTHING : KV_PANIC; }
CALL(kv_error_detail)
{
    kv_error detail = KV_ERROR_INIT;
    SIZED(detail);
    return kv_error_detail(a->no_outputs ? NULL : &detail);
}

CALL(kv_open)
{
    kv_options options = KV_OPTIONS_INIT;
    options.flags = a->open_flags;
    SIZED(options);
    return kv_open(a->path, &options, OUT(got_db));
}
CALL(kv_close) { return kv_close(a->db); }
CALL(kv_interrupt) { kv_interrupt(a->db); return NOTHING; }
CALL(kv_sync) { return kv_sync(a->db); }
CALL(kv_newest_commit) { return kv_newest_commit(a->db, OUT(number), OUT(number2)); }
CALL(kv_db_get) { return kv_db_get(a->db, a->table, KEY, a->no_outputs ? NULL : a->bytes, a->room, OUT(len)); }
CALL(kv_db_put) { return kv_db_put(a->db, a->table, KEY, VALUE, a->put_flags); }
CALL(kv_db_delete) { return kv_db_delete(a->db, a->table, KEY, a->delete_flags); }

CALL(kv_txn_begin)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    options.flags = a->txn_flags;
    options.wait_ms = a->wait_ms;
    options.snapshot = a->snapshot;
    SIZED(options);
    return kv_txn_begin(a->db, a->kind, &options, OUT(got_txn));
}
CALL(kv_txn_commit) { return kv_txn_commit(a->txn, OUT(number)); }
CALL(kv_txn_commit_async) { return kv_txn_commit_async(a->txn, OUT(number)); }
CALL(kv_txn_abort) { kv_txn_abort(a->txn); return NOTHING; }
CALL(kv_txn_refresh) { return kv_txn_refresh(a->txn); }
CALL(kv_txn_id) { return kv_txn_id(a->txn, OUT(number)); }
CALL(kv_savepoint_create) { return kv_savepoint_create(a->txn, OUT(number)); }
CALL(kv_savepoint_rollback) { return kv_savepoint_rollback(a->txn, a->savepoint); }
CALL(kv_savepoint_release) { return kv_savepoint_release(a->txn, a->savepoint); }
CALL(kv_txn_nest) { return kv_txn_nest(a->txn, OUT(got_txn)); }
CALL(kv_wait_durable) { return kv_wait_durable(a->db, a->id, a->ms); }
CALL(kv_wait_commit) { return kv_wait_commit(a->db, a->id, a->ms, OUT(number)); }

CALL(kv_table_open) { return kv_table_open(a->txn, a->name, a->name_len, OUT(got_table)); }
CALL(kv_table_create)
{
    kv_table_options options = KV_TABLE_OPTIONS_INIT;
    options.flags = a->table_flags;
    SIZED(options);
    return kv_table_create(a->txn, a->name, a->name_len, &options, OUT(got_table));
}
CALL(kv_table_rename) { return kv_table_rename(a->txn, a->named, a->name, a->name_len); }
CALL(kv_table_clear) { return kv_table_clear(a->txn, a->named); }
CALL(kv_table_drop) { return kv_table_drop(a->txn, a->named); }
CALL(kv_table_name) { return kv_table_name(a->txn, a->named, OUT(one)); }
CALL(kv_table_note) { return kv_table_note(a->txn, a->named, OUT(one)); }
CALL(kv_table_set_note) { return kv_table_set_note(a->txn, a->named, a->note, a->note_len); }

CALL(kv_get) { return kv_get(a->txn, a->table, KEY, OUT(one)); }
CALL(kv_get_copy) { return kv_get_copy(a->txn, a->table, KEY, a->no_outputs ? NULL : a->bytes, a->room, OUT(len)); }
CALL(kv_put) { return kv_put(a->txn, a->table, KEY, VALUE, a->put_flags); }
CALL(kv_insert) { return kv_insert(a->txn, a->table, KEY, VALUE, OUT(one)); }
CALL(kv_replace) { return kv_replace(a->txn, a->table, KEY, VALUE, a->put_flags, OUT(one)); }
CALL(kv_reserve) { return kv_reserve(a->txn, a->table, KEY, a->vlen, a->put_flags, OUT(place)); }
CALL(kv_delete) { return kv_delete(a->txn, a->table, KEY, a->delete_flags); }
CALL(kv_take) { return kv_take(a->txn, a->table, KEY, OUT(one)); }
CALL(kv_take_first) { return kv_take_first(a->txn, a->table, a->range, OUT(one), OUT(two)); }
CALL(kv_delete_range) { return kv_delete_range(a->txn, a->table, bounded(a), OUT(number)); }

CALL(kv_count) { return kv_count(a->txn, a->table, a->range, OUT(number)); }
CALL(kv_rank) { return kv_rank(a->txn, a->table, KEY, OUT(number)); }
CALL(kv_cursor_open) { return kv_cursor_open(a->txn, a->table, a->range, OUT(got_cursor)); }
CALL(kv_cursor_close) { kv_cursor_close(a->cursor); return NOTHING; }
CALL(kv_cursor_count) { return kv_cursor_count(a->cursor, OUT(number)); }
CALL(kv_cursor_rank) { return kv_cursor_rank(a->cursor, OUT(number)); }
CALL(kv_cursor_first) { return kv_cursor_first(a->cursor, OUT(one), OUT(two)); }
CALL(kv_cursor_last) { return kv_cursor_last(a->cursor, OUT(one), OUT(two)); }
CALL(kv_cursor_next) { return kv_cursor_next(a->cursor, OUT(one), OUT(two)); }
CALL(kv_cursor_prev) { return kv_cursor_prev(a->cursor, OUT(one), OUT(two)); }
CALL(kv_cursor_get) { return kv_cursor_get(a->cursor, OUT(one), OUT(two)); }
CALL(kv_cursor_seek) { return kv_cursor_seek(a->cursor, KEY, a->how, OUT(one), OUT(two)); }
CALL(kv_cursor_put) { return kv_cursor_put(a->cursor, VALUE); }
CALL(kv_cursor_delete) { return kv_cursor_delete(a->cursor); }
CALL(kv_cursor_nth) { return kv_cursor_nth(a->cursor, a->nth, OUT(one), OUT(two)); }
CALL(kv_cursor_percentile) { return kv_cursor_percentile(a->cursor, a->percent, OUT(one), OUT(two)); }
CALL(kv_cursor_random) { return kv_cursor_random(a->cursor, OUT(one), OUT(two)); }

CALL(kv_get_many)
{
    kv_slice keys[2];
    keys[0].data = a->key;
    keys[0].len = a->klen;
    keys[1] = slice("key 00150");
    return kv_get_many(a->txn, a->table, a->no_input ? NULL : keys, 2, a->no_outputs ? NULL : (kv_slice *)a->bytes,
        &a->len);
}
CALL(kv_cursor_next_many)
{
    size_t n = a->room < 8 ? a->room : 8;
    return kv_cursor_next_many(a->cursor, a->no_outputs ? NULL : (kv_entry *)a->bytes, n, &a->len);
}
CALL(kv_write_batch)
{
    kv_op op;
    memset(&op, 0, sizeof op);
    op.op = a->op;
    op.flags = a->op == KV_OP_DELETE ? a->delete_flags : a->put_flags;
    op.table = a->table;
    op.key.data = a->key;
    op.key.len = a->klen;
    op.value.data = a->value;
    op.value.len = a->vlen;
    return kv_write_batch(a->txn, a->no_input ? NULL : &op, 1, OUT(len));
}
CALL(kv_cursor_fill)
{
    kv_batch batch = empty_batch(a);
    return kv_cursor_fill(a->cursor, a->no_outputs ? NULL : &batch);
}
CALL(kv_scan)
{
    kv_batch batch = empty_batch(a);
    return kv_scan(a->txn, a->table, a->range, a->no_outputs ? NULL : &batch);
}
CALL(kv_get_packed)
{
    kv_batch keys = packed(a, 0), values = empty_batch(a);
    return kv_get_packed(a->txn, a->table, a->no_input ? NULL : &keys, a->no_outputs ? NULL : &values);
}
CALL(kv_put_packed)
{
    kv_batch batch = packed(a, 1);
    return kv_put_packed(a->txn, a->table, a->no_input ? NULL : &batch, a->put_flags, OUT(len));
}
CALL(kv_delete_packed)
{
    kv_batch batch = packed(a, 0);
    return kv_delete_packed(a->txn, a->table, a->no_input ? NULL : &batch, a->delete_flags, OUT(len));
}

CALL(kv_diff_open) { return kv_diff_open(a->before, a->txn, a->table, a->range, OUT(got_diff)); }
CALL(kv_diff_close) { kv_diff_close(a->diff); return NOTHING; }
CALL(kv_diff_next)
{
    kv_change change = KV_CHANGE_INIT;
    SIZED(change);
    return kv_diff_next(a->diff, a->no_outputs ? NULL : &change);
}
CALL(kv_diff_fill)
{
    kv_batch batch = empty_batch(a);
    return kv_diff_fill(a->diff, a->no_outputs ? NULL : &batch);
}
CALL(kv_diff_count)
{
    kv_diff_counts counts = KV_DIFF_COUNTS_INIT;
    SIZED(counts);
    return kv_diff_count(a->before, a->txn, a->table, a->range, a->no_outputs ? NULL : &counts);
}
CALL(kv_same)
{
    int32_t same = 0;
    return kv_same(a->before, a->txn, a->table, a->no_outputs ? NULL : &same);
}

CALL(kv_stat_value)
{
    kv_value_stat stat = KV_VALUE_STAT_INIT;
    SIZED(stat);
    return kv_stat_value(a->txn, a->table, KEY, a->no_outputs ? NULL : &stat);
}
CALL(kv_value_read) { return kv_value_read(a->txn, a->table, KEY, 0, a->bytes, a->room, OUT(len)); }
CALL(kv_value_extents)
{
    return kv_value_extents(a->txn, a->table, KEY, (kv_extent *)a->bytes, a->room / sizeof(kv_extent), OUT(len));
}
CALL(kv_writer_open) { return kv_writer_open(a->txn, a->table, KEY, a->hint, a->put_flags, OUT(got_writer)); }
CALL(kv_writer_write) { return kv_writer_write(a->parts, VALUE); }
CALL(kv_writer_finish) { return kv_writer_finish(a->parts); }
CALL(kv_writer_close) { kv_writer_close(a->parts); return NOTHING; }
CALL(kv_get_buf) { return kv_get_buf(a->txn, a->table, KEY, OUT(one), OUT(got_buffer)); }
CALL(kv_buf_retain) { return kv_buf_retain(a->buffer); }
CALL(kv_buf_release) { kv_buf_release(a->buffer); return NOTHING; }

CALL(kv_snapshot_create)
{
    kv_snapshot_options options = KV_SNAPSHOT_OPTIONS_INIT;
    options.flags = a->snapshot_flags;
    options.note.data = a->note;
    options.note.len = a->note_len;
    SIZED(options);
    return kv_snapshot_create(a->txn, a->name, a->name_len, &options);
}
CALL(kv_snapshot_rename) { return kv_snapshot_rename(a->txn, a->name, a->name_len, KEY); }
CALL(kv_snapshot_drop) { return kv_snapshot_drop(a->txn, a->name, a->name_len); }
CALL(kv_snapshot_keep) { return kv_snapshot_keep(a->txn, a->name, a->name_len, a->keep); }
static int32_t take_range(void *ctx, const kv_range *range)
{
    const args *a = ctx;
    return range == NULL ? 1 : a->stops;
}
CALL(kv_snapshot_release) { return kv_snapshot_release(a->txn, a->name, a->name_len); }
CALL(kv_snapshot_ranges)
{
    return kv_snapshot_ranges(a->txn, a->name, a->name_len, a->table, a->range, a->no_outputs ? NULL : take_range, a);
}
CALL(kv_stat_snapshot)
{
    kv_snapshot_stat stat = KV_SNAPSHOT_STAT_INIT;
    SIZED(stat);
    return kv_stat_snapshot(a->txn, a->name, a->name_len, a->no_outputs ? NULL : &stat);
}
CALL(kv_revert) { return kv_revert(a->txn, a->before, a->table, OUT(number)); }
CALL(kv_snapshot_cost)
{
    return kv_snapshot_cost(a->db, a->name, a->name_len, a->name, a->name_len, OUT(number));
}
CALL(kv_history)
{
    kv_retention policy = KV_RETENTION_INIT;
    policy.interval = 3600;
    policy.hourly = 1;
    SIZED(policy);
    return kv_history(a->txn, &policy);
}
CALL(kv_stat_history)
{
    kv_retention policy = KV_RETENTION_INIT;
    SIZED(policy);
    return kv_stat_history(a->txn, a->no_outputs ? NULL : &policy);
}
CALL(kv_snapshot_thin)
{
    kv_retention retention = KV_RETENTION_INIT;
    retention.last = 1;
    SIZED(retention);
    return kv_snapshot_thin(a->txn, a->name, a->name_len, &retention, OUT(number));
}
CALL(kv_reclaim) { return kv_reclaim(a->db, OUT(number)); }

CALL(kv_compact)
{
    kv_compact_options options = KV_COMPACT_OPTIONS_INIT;
    kv_compact_report report = KV_COMPACT_REPORT_INIT;
    options.stay = a->keep;
    options.punch = 1;
    options.progress = a->progress;
    options.ctx = a;
    SIZED(options);
    return kv_compact(a->db, &options, &report);
}
CALL(kv_check)
{
    kv_job_options options = job_of(a);
    kv_check_report report = KV_CHECK_REPORT_INIT;
    return kv_check(a->txn, &options, a->fault, a, &report);
}
CALL(kv_db_check)
{
    kv_job_options options = job_of(a);
    kv_check_report report = KV_CHECK_REPORT_INIT;
    return kv_db_check(a->db, &options, a->fault, a, &report);
}
CALL(kv_backup)
{
    kv_job_options options = job_of(a);
    return kv_backup(a->txn, a->target, &options);
}
CALL(kv_db_backup)
{
    kv_job_options options = job_of(a);
    return kv_db_backup(a->db, a->target, &options);
}
CALL(kv_backup_stream)
{
    kv_job_options options = job_of(a);
    return kv_backup_stream(a->txn, a->write, a, &options);
}
CALL(kv_fd_write) { return kv_fd_write(NULL, VALUE) == 0 ? KV_PANIC : NOTHING; }
CALL(kv_salvage)
{
    kv_job_options options = job_of(a);
    kv_salvage_report report = KV_SALVAGE_REPORT_INIT;
    return kv_salvage(a->damaged, a->target, &options, a->fault, a, &report);
}

CALL(kv_stat_db)
{
    kv_db_stat stat = KV_DB_STAT_INIT;
    SIZED(stat);
    return kv_stat_db(a->db, a->no_outputs ? NULL : &stat);
}
CALL(kv_db_identity)
{
    kv_identity identity = KV_IDENTITY_INIT;
    SIZED(identity);
    return kv_db_identity(a->db, a->no_outputs ? NULL : &identity);
}
CALL(kv_reader_at)
{
    kv_reader_info info = KV_READER_INFO_INIT;
    SIZED(info);
    return kv_reader_at(a->db, a->index, a->no_outputs ? NULL : &info);
}
CALL(kv_stat_table)
{
    kv_table_stat stat = KV_TABLE_STAT_INIT;
    SIZED(stat);
    return kv_stat_table(a->txn, a->table, a->level, a->no_outputs ? NULL : &stat);
}
CALL(kv_stat_txn)
{
    kv_txn_stat stat = KV_TXN_STAT_INIT;
    SIZED(stat);
    return kv_stat_txn(a->txn, a->no_outputs ? NULL : &stat);
}

struct function {
    const char *name;
    kv_status (*call)(args *a);
};

#define F(name) {#name, call_##name}
static const struct function FUNCTIONS[] = {
    F(kv_error_message), F(kv_error_detail), F(kv_status_name), F(kv_strerror), F(kv_version), F(kv_version_number),
    F(kv_open), F(kv_close), F(kv_interrupt), F(kv_sync), F(kv_newest_commit), F(kv_db_get), F(kv_db_put),
    F(kv_db_delete),
    F(kv_txn_begin), F(kv_txn_commit), F(kv_txn_commit_async), F(kv_txn_abort), F(kv_txn_refresh), F(kv_txn_id),
    F(kv_savepoint_create), F(kv_savepoint_rollback), F(kv_savepoint_release), F(kv_txn_nest),
    F(kv_wait_durable), F(kv_wait_commit),
    F(kv_table_open), F(kv_table_create), F(kv_table_rename), F(kv_table_clear), F(kv_table_drop), F(kv_table_name),
    F(kv_table_note), F(kv_table_set_note),
    F(kv_get), F(kv_get_copy), F(kv_put), F(kv_insert), F(kv_replace), F(kv_reserve), F(kv_delete), F(kv_take),
    F(kv_take_first), F(kv_delete_range),
    F(kv_count), F(kv_rank), F(kv_cursor_open), F(kv_cursor_close), F(kv_cursor_count), F(kv_cursor_rank),
    F(kv_cursor_first), F(kv_cursor_last), F(kv_cursor_next), F(kv_cursor_prev), F(kv_cursor_get), F(kv_cursor_seek),
    F(kv_cursor_put), F(kv_cursor_delete), F(kv_cursor_nth), F(kv_cursor_percentile), F(kv_cursor_random),
    F(kv_get_many), F(kv_cursor_next_many), F(kv_write_batch), F(kv_cursor_fill), F(kv_scan), F(kv_get_packed),
    F(kv_put_packed), F(kv_delete_packed),
    F(kv_diff_open), F(kv_diff_close), F(kv_diff_next), F(kv_diff_fill), F(kv_diff_count), F(kv_same),
    F(kv_stat_value), F(kv_value_read), F(kv_value_extents), F(kv_writer_open), F(kv_writer_write), F(kv_writer_finish),
    F(kv_writer_close), F(kv_get_buf), F(kv_buf_retain), F(kv_buf_release),
    F(kv_snapshot_create), F(kv_snapshot_rename), F(kv_snapshot_drop), F(kv_snapshot_release), F(kv_snapshot_keep),
    F(kv_snapshot_ranges), F(kv_stat_snapshot), F(kv_snapshot_cost), F(kv_history), F(kv_stat_history),
    F(kv_snapshot_thin), F(kv_revert), F(kv_reclaim), F(kv_compact),
    F(kv_check), F(kv_db_check), F(kv_backup), F(kv_db_backup), F(kv_backup_stream), F(kv_fd_write), F(kv_salvage),
    F(kv_stat_db), F(kv_db_identity), F(kv_reader_at), F(kv_stat_table), F(kv_stat_txn),
};
#define N_FUNCTIONS (sizeof FUNCTIONS / sizeof FUNCTIONS[0])

#endif
