/*
 * Every function in every situation, the first part: handles and arguments that are right and wrong, what is not there,
 * transactions that cannot do it. Each call answers a status and neither crashes nor hangs; which ones they are is
 * recorded, and scripts/status-table.py compares them with kv.h.
 */
#include "world.h"

/* ---- handles ------------------------------------------------------------------------------------------------- */

static void wrong_handles(void)
{
    static struct world w;
    int writing, object = 0;
    for (writing = 0; writing < 2; writing++) {
        static args a;
        opened(&w, &FUNCTIONS[0], writing, &usual);
        handles(&w);
        defaults(&a);
        a.open_flags = KV_OPEN_READ_ONLY | KV_OPEN_EXISTING;
        all_on(&a); /* NULL */
        a.db = (void *)&object, a.txn = (void *)&object, a.cursor = (void *)&object;
        a.parts = (void *)&object, a.buffer = (void *)&object;
        a.before = (void *)&object, a.diff = (void *)&object;
        all_on(&a);
        a.db = (void *)w.txn, a.txn = (void *)w.db, a.cursor = (void *)w.txn;
        a.parts = (void *)w.cursor, a.buffer = (void *)w.cursor;
        a.before = (void *)w.cursor, a.diff = (void *)w.txn;
        all_on(&a);
        end_world(&w);
        a = w.a; /* closed */
        all_on(&a);
    }
}

static void forked(void)
{
    static struct world w;
    int writing, status;
    for (writing = 0; writing < 2; writing++) {
        pid_t child;
        opened(&w, &FUNCTIONS[0], writing, &usual);
        handles(&w);
        if (writing) OK(kv_writer_open(w.txn, KV_MAIN, S("parts"), 0, 0, &w.a.parts));
        w.before = begin(w.db, KV_READ);
        with_difference(&w);
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(30);
            w.a.open_flags = KV_OPEN_READ_ONLY;
            all_on(&w.a);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        end_world(&w);
    }
}

/* ---- arguments ----------------------------------------------------------------------------------------------- */

static kv_range range_of(uint32_t flags, kv_slice from, kv_slice to)
{
    kv_range range = KV_RANGE_INIT;
    range.flags = flags;
    range.from = from;
    range.to = to;
    return range;
}

static void absent_key(struct world *w)
{
    static kv_range none;
    none = range_of(KV_RANGE_FROM, slice("zzz"), slice(""));
    none.to.data = NULL;
    w->a.key = "nothing";
    w->a.klen = 7;
    w->a.range = &none;
    w->a.nth = 1000000;
    w->a.index = 1000;
    w->a.level = 77;
    w->a.name = "nothing";
    w->a.name_len = 7;
    w->a.put_flags = KV_NO_INSERT;
    OK(kv_cursor_open(w->txn, KV_MAIN, &none, &w->a.cursor));
    if (w->before != NULL) OK(kv_diff_open(w->before, w->txn, KV_MAIN, &none, &w->a.diff));
    w->a.how = KV_SEEK_EQ;
    w->a.target = "no/such/directory";
    w->a.damaged = "none.kv";
    w->a.path = "none.kv";
}

static void absent_key_deleted(struct world *w) { absent_key(w); w->a.op = KV_OP_DELETE; }
static void at_end(struct world *w) { IS(kv_cursor_seek(w->cursor, S("zzz"), KV_SEEK_GE, NULL, NULL), KV_NOTFOUND); }
static void at_begin(struct world *w) { OK(kv_cursor_first(w->cursor, NULL, NULL)); }

static void no_table(struct world *w)
{
    w->a.table = w->a.named = 9999;
    w->a.name = "none";
    w->a.name_len = 4;
}

/* The transaction reads a snapshot, and one that is not there is begun. */
static void older(struct world *w)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    w->a.snapshot = slice("none");
    if (w->writing) return;
    options.snapshot = slice("table");
    kv_txn_abort(w->txn);
    OK(kv_txn_begin(w->db, KV_READ, &options, &w->txn));
    w->a.txn = w->txn;
}

static void table_of_snapshots(struct world *w)
{
    w->a.table = w->a.named = KV_SNAPSHOTS;
    w->a.snapshot_flags = KV_SNAPSHOT_REPLACE | KV_SNAPSHOT_KEEP;
}

static void table_of_names(struct world *w) { w->a.table = w->a.named = KV_TABLES; }
static void main_table(struct world *w) { w->a.named = KV_MAIN; }

static void dropped(struct world *w)
{
    w->a.table = named;
    if (!w->writing) return;
    OK(kv_cursor_open(w->txn, named, NULL, &w->a.cursor));
    OK(kv_cursor_first(w->a.cursor, NULL, NULL));
    if (w->parts != NULL) {
        kv_writer_close(w->parts);
        OK(kv_writer_open(w->txn, named, S("parts"), 0, 0, &w->a.parts));
    }
    OK(kv_table_drop(w->txn, named));
    if (w->before != NULL) { /* a table that neither has */
        kv_table table;
        OK(kv_table_create(w->txn, S("new"), NULL, &table));
        OK(kv_diff_open(w->before, w->txn, table, NULL, &w->a.diff));
        OK(kv_table_drop(w->txn, table));
    }
}

static void must_not_exist(struct world *w)
{
    w->a.put_flags = KV_NO_OVERWRITE;
    w->a.table_flags = KV_TABLE_NEW;
    w->a.open_flags = KV_OPEN_NEW;
    put_file("target.kv", "x", 1);
}

/* The writer's condition does not hold any more when it finishes. */
static void writer_too_late(struct world *w, uint32_t flags, const char *key)
{
    if (w->parts == NULL) return;
    kv_writer_close(w->parts);
    OK(kv_writer_open(w->txn, KV_MAIN, key, strlen(key), 0, flags, &w->a.parts));
    if (flags == KV_NO_INSERT) OK(kv_delete(w->txn, KV_MAIN, key, strlen(key), 0));
    else OK(kv_put(w->txn, KV_MAIN, S("zzz"), S(""), 0));
}

static void finish_exists(struct world *w) { writer_too_late(w, KV_NO_OVERWRITE, "zzz"); }
static void finish_notfound(struct world *w) { writer_too_late(w, KV_NO_INSERT, "k"); }
static void finish_order(struct world *w) { writer_too_late(w, KV_APPEND, "zz"); }

static void append(struct world *w) { w->a.put_flags = KV_APPEND; }

static void unknown_flags(struct world *w)
{
    static kv_range range;
    range = range_of(1, slice(""), slice(""));
    w->a.put_flags = w->a.delete_flags = w->a.table_flags = w->a.open_flags = w->a.job_flags = w->a.batch_flags =
        w->a.txn_flags = 1u << 31;
    w->a.snapshot_flags = 1;
    w->a.keep = 2;
    w->a.how = w->a.kind = 99;
    w->a.percent = 101;
    w->a.range = &range;
}

static void foreign_flags(struct world *w)
{
    w->a.put_flags = KV_BLIND;
    w->a.delete_flags = KV_APPEND;
    w->a.table_flags = KV_OPEN_NEW;
    w->a.open_flags = KV_TXN_NOWAIT;
    w->a.job_flags = KV_OPEN_NEW;
    w->a.batch_flags = KV_RANGE_FROM;
    w->a.txn_flags = KV_NO_OVERWRITE;
    w->a.snapshot_flags = KV_TABLE_NEW;
    w->a.keep = KV_SNAPSHOT_KEEP;
    w->a.how = w->a.kind = KV_OP_PUT;
    w->a.op = KV_SEEK_EQ;
}

static void inputs(struct world *w, const void *data, size_t len)
{
    static kv_range range;
    kv_slice bound;
    bound.data = data;
    bound.len = len;
    range = range_of(KV_RANGE_FROM | KV_RANGE_BEFORE, bound, bound);
    w->a.key = w->a.value = w->a.name = w->a.note = data;
    w->a.klen = w->a.vlen = w->a.name_len = w->a.note_len = len;
    w->a.snapshot = bound;
    w->a.range = &range;
}

static void null_inputs(struct world *w)
{
    inputs(w, NULL, 3);
    w->a.no_input = 1;
    w->a.path = w->a.target = w->a.damaged = NULL;
    w->a.write = NULL;
}

static void empty_inputs(struct world *w) { inputs(w, NULL, 0); }
static void negative_lengths(struct world *w) { inputs(w, "", (size_t)-1); }
static void too_long(struct world *w) { inputs(w, big, sizeof big); }
static void too_long_deleted(struct world *w) { too_long(w); w->a.op = KV_OP_DELETE; }
static void longest(struct world *w) { inputs(w, big, KEY_MAX); }

static void too_long_value(struct world *w)
{
    w->a.value = &w; /* on the stack, behind everything else */
    /* With 32 bits no memory is too long, and this is a length of 1: only the hint is too great. */
    w->a.vlen = (size_t)((UINT64_C(1) << 38) + 1);
    w->a.hint = UINT64_MAX;
}

static void no_outputs(struct world *w) { w->a.no_outputs = 1; }
static void no_room(struct world *w) { w->a.room = 0; }
static void little_room(struct world *w) { w->a.room = 1, w->a.key = "long", w->a.klen = 4; }
static void size_0(struct world *w) { w->a.struct_size = 0; }
static void size_absurd(struct world *w) { w->a.struct_size = 1 << 20; }
static void later_id(struct world *w) { w->a.id = UINT64_C(1) << 47; }
/* ---- states -------------------------------------------------------------------------------------------------- */

static void child_open(struct world *w)
{
    if (w->writing && w->parts == NULL) OK(kv_writer_open(w->txn, KV_MAIN, S("parts"), 0, 0, &w->parts));
}

/* Every call on the outer transaction, on its cursor and on a difference with it. */
static void nested_open(struct world *w)
{
    if (w->writing && w->parts == NULL) OK(kv_txn_nest(w->txn, &w->a.got_txn));
}

/* Every call on a nested transaction. */
static void nested(struct world *w)
{
    kv_txn *inside;
    if (!w->writing || w->parts != NULL) return;
    OK(kv_txn_nest(w->txn, &inside));
    w->a.txn = inside;
    OK(kv_cursor_open(inside, KV_MAIN, NULL, &w->a.cursor));
    OK(kv_cursor_seek(w->a.cursor, S("key 00100"), KV_SEEK_EQ, NULL, NULL));
    if (w->before != NULL) OK(kv_diff_open(w->before, inside, KV_MAIN, NULL, &w->a.diff));
    if (starts(w->function->name, "kv_savepoint_")) OK(kv_savepoint_create(inside, &w->a.savepoint));
}

static void kept_by_buffer(struct world *w)
{
    kv_slice value;
    OK(kv_get_buf(w->txn, KV_MAIN, S("long"), &value, &w->a.got_buffer));
}

static void write_kind(struct world *w) { w->a.kind = KV_WRITE; }
static void write_kind_at_once(struct world *w) { w->a.kind = KV_WRITE, w->a.txn_flags = KV_TXN_NOWAIT; }
static void account(struct world *w) { w->a.job_flags = KV_JOB_CHECK_SPACE; }
static void compact(struct world *w) { w->a.job_flags = KV_JOB_COMPACT; }
static void onto_itself(struct world *w) { w->a.target = FILE_NAME, w->a.job_flags = KV_JOB_OVERWRITE; }

static int32_t stop_progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx, (void)done, (void)total;
    return 1;
}

static int32_t no_space_write(void *ctx, const void *data, size_t len)
{
    (void)ctx, (void)data, (void)len;
    return ENOSPC;
}

static int32_t io_write(void *ctx, const void *data, size_t len)
{
    (void)ctx, (void)data, (void)len;
    return EIO;
}

static void stopped(struct world *w)
{
    w->a.progress = stop_progress;
    w->a.stops = 1;
}
static void full_stream(struct world *w) { w->a.write = no_space_write; }
static void broken_stream(struct world *w) { w->a.write = io_write; }

int main(void)
{
    enter_memory();
    wrong_handles();
    forked();
    RUN(usual, NULL, NULL);
    RUN(usual, absent_key, NULL);
    RUN(usual, absent_key_deleted, NULL);
    RUN(usual, at_end, NULL);
    RUN(usual, at_begin, NULL);
    RUN(usual, no_table, NULL);
    RUN(usual, older, NULL);
    RUN(usual, table_of_names, NULL);
    RUN(usual, table_of_snapshots, NULL);
    RUN(usual, main_table, NULL);
    RUN(usual, dropped, NULL);
    RUN(usual, must_not_exist, NULL);
    RUN(usual, finish_exists, NULL);
    RUN(usual, finish_notfound, NULL);
    RUN(usual, finish_order, NULL);
    RUN(usual, append, NULL);
    RUN(usual, unknown_flags, NULL);
    RUN(usual, foreign_flags, NULL);
    RUN(usual, null_inputs, NULL);
    RUN(usual, empty_inputs, NULL);
    RUN(usual, negative_lengths, NULL);
    RUN(usual, too_long, NULL);
    RUN(usual, too_long_deleted, NULL);
    RUN(usual, longest, NULL);
    RUN(usual, too_long_value, NULL);
    RUN(usual, no_outputs, NULL);
    RUN(usual, no_room, NULL);
    RUN(usual, little_room, NULL);
    RUN(usual, size_0, NULL);
    RUN(usual, size_absurd, NULL);
    RUN(usual, later_id, NULL);
    RUN(lazy, lazy_commit, NULL);
    RUN(usual, child_open, NULL);
    RUN(usual, nested_open, NULL);
    RUN(usual, nested, NULL);
    RUN(usual, kept_by_buffer, NULL);
    RUN(usual, write_kind, NULL);
    RUN(usual, write_kind_at_once, NULL);
    RUN(usual, account, NULL);
    RUN(usual, compact, NULL);
    RUN(usual, onto_itself, NULL);
    RUN(usual, stopped, NULL);
    RUN(usual, full_stream, NULL);
    RUN(usual, broken_stream, NULL);
    RUN(read_only, NULL, NULL);
    RUN(read_only, write_kind, NULL);
    CHECK(calls > 0);
    DONE;
}
