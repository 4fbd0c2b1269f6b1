/* Steps of the workload (steps.h) that write. */
#include "steps.h"

static int step_puts(void)
{
    kv_txn *txn = NULL;
    kv_slice there;
    void *place;
    char key[8];
    uint64_t id;
    unsigned i;
    BEGIN_WRITE(0);
    for (i = 0; i < KEYS; i++) {
        size_t klen = key_of(key, i * 7919 % KEYS);
        TRY(kv_put(txn, KV_MAIN, key, klen, big, 50 + i, 0));
    }
    TRY(kv_put(txn, KV_MAIN, S("~long"), big, LONG, 0));
    TRY(kv_reserve(txn, KV_MAIN, S("~reserved"), 100, 0, &place));
    memset(place, 7, 100);
    TRY(kv_replace(txn, KV_MAIN, S("~reserved"), S("other"), 0, &there));
    CHECK(there.len == 100);
    IS(kv_insert(txn, KV_MAIN, S("~reserved"), S("x"), &there), KV_EXISTS);
    TRY(kv_put(txn, KV_MAIN, S("~again"), there.data, there.len, 0));
    TRY(kv_put(txn, KV_MAIN, S("~~"), S("last"), KV_APPEND));
    COMMIT(kv_txn_commit);
    return 1;
out:
    kv_txn_abort(txn);
    return 0;
}

static int step_tables(void)
{
    kv_txn *txn = NULL;
    kv_table table, other, number;
    kv_slice note;
    uint64_t id;
    BEGIN_WRITE(1);
    TRY(kv_table_create(txn, S("fruit"), NULL, &table));
    TRY(kv_table_create(txn, S("other"), NULL, &other));
    TRY(kv_table_set_note(txn, table, S("a note")));
    TRY(kv_table_note(txn, table, &note));
    TRY(kv_put(txn, table, S("pear"), note.data, note.len, 0));
    TRY(kv_put(txn, other, S("x"), S("y"), 0));
    TRY(kv_table_rename(txn, other, S("renamed")));
    TRY(kv_table_clear(txn, other));
    TRY(kv_table_drop(txn, other));
    TRY(kv_table_open(txn, S("fruit"), &number));
    CHECK(number == table);
    COMMIT(kv_txn_commit);
    return 1;
out:
    kv_txn_abort(txn);
    return 0;
}

/* As many tables as make lists of them long. */
static int step_many_tables(void)
{
    kv_txn *txn = NULL;
    kv_table table;
    uint64_t id;
    char name[32];
    int i;
    BEGIN_WRITE(1);
    for (i = 0; i < WIDE; i++) {
        size_t len = (size_t)snprintf(name, sizeof name, "table %d", i);
        TRY(kv_table_create(txn, name, len, NULL, &table));
        TRY(kv_put(txn, table, name, len, big, 900, 0));
    }
    COMMIT(kv_txn_commit);
    return 1;
out:
    kv_txn_abort(txn);
    return 0;
}

static int step_batches(void)
{
    static char bytes[MANY * 40];
    static uint32_t ends[MANY * 2];
    kv_txn *txn = NULL;
    kv_table table;
    kv_batch batch = KV_BATCH_INIT;
    kv_op ops[3];
    uint64_t id;
    size_t used = 0, done;
    unsigned i;
    BEGIN_WRITE(1);
    TRY(kv_table_create(txn, S("batches"), NULL, &table));
    for (i = 0; i < MANY; i++) {
        used += key_of(bytes + used, i);
        ends[2 * i] = (uint32_t)used;
        memset(bytes + used, 'v', 30);
        used += 30;
        ends[2 * i + 1] = (uint32_t)used;
    }
    batch.bytes = bytes;
    batch.bytes_size = sizeof bytes;
    batch.ends = ends;
    batch.ends_size = MANY * 2;
    batch.count = MANY;
    TRY(kv_put_packed(txn, table, &batch, 0, &done));
    CHECK(done == MANY);
    used = 0;
    for (i = 0; i < 100; i++) {
        used += key_of(bytes + used, i);
        ends[i] = (uint32_t)used;
    }
    batch.count = 100;
    TRY(kv_delete_packed(txn, table, &batch, 0, &done));
    memset(ops, 0, sizeof ops);
    for (i = 0; i < 3; i++) {
        ops[i].op = i == 2 ? KV_OP_DELETE : KV_OP_PUT;
        ops[i].table = table;
        ops[i].key = slice(i == 1 ? "b" : "a");
        ops[i].value = slice("value");
    }
    TRY(kv_write_batch(txn, ops, 3, &done));
    COMMIT(kv_txn_commit_async);
    TRY(kv_wait_durable(db, id, -1));
    return 1;
out:
    kv_txn_abort(txn);
    return 0;
}

static int step_deletes(void)
{
    kv_txn *txn = NULL;
    kv_table table;
    kv_slice key, value;
    kv_range range = KV_RANGE_INIT;
    char low[8], high[8];
    uint64_t id, deleted;
    BEGIN_WRITE(0);
    TRY(kv_table_open(txn, S("batches"), &table));
    TRY(kv_take_first(txn, table, NULL, &key, &value));
    TRY(kv_take(txn, table, key_of(low, 300) ? low : NULL, 6, &value));
    TRY(kv_delete(txn, table, key_of(low, 301) ? low : NULL, 6, 0));
    TRY(kv_delete(txn, table, key_of(low, 302) ? low : NULL, 6, KV_BLIND));
    range.flags = KV_RANGE_FROM | KV_RANGE_BEFORE;
    range.from.data = low;
    range.from.len = key_of(low, 400);
    range.to.data = high;
    range.to.len = key_of(high, 1400);
    TRY(kv_delete_range(txn, table, &range, &deleted));
    CHECK(deleted == 1000);
    COMMIT(kv_txn_commit);
    return 1;
out:
    kv_txn_abort(txn);
    return 0;
}

static int step_writing_cursors(void)
{
    kv_txn *txn = NULL;
    kv_cursor *cursor = NULL;
    kv_slice key, value;
    uint64_t id, n;
    int i;
    BEGIN_WRITE(1);
    TRY(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    for (i = 0; i < 20; i++) TRY(kv_cursor_next(cursor, &key, &value));
    TRY(kv_cursor_put(cursor, S("changed")));
    TRY(kv_cursor_next(cursor, &key, &value));
    TRY(kv_cursor_put(cursor, key.data, key.len));
    TRY(kv_cursor_prev(cursor, &key, &value));
    TRY(kv_cursor_delete(cursor));
    TRY(kv_cursor_next(cursor, &key, NULL));
    TRY(kv_cursor_seek(cursor, key.data, key.len, KV_SEEK_EQ, &key, &value));
    TRY(kv_cursor_count(cursor, &n));
    TRY(kv_get(txn, KV_MAIN, S("~long"), &value));
    TRY(kv_put(txn, KV_MAIN, S("~copied"), value.data, value.len, 0));
    kv_cursor_close(cursor);
    COMMIT(kv_txn_commit);
    return 1;
out:
    kv_txn_abort(txn);
    return 0;
}

static int step_writers(void)
{
    kv_txn *txn = NULL;
    kv_writer *writer = NULL, *dropped = NULL;
    uint64_t id;
    int i;
    BEGIN_WRITE(1);
    TRY(kv_writer_open(txn, KV_MAIN, S("~parts"), 0, 0, &writer));
    TRY(kv_writer_open(txn, KV_MAIN, S("~dropped"), LONG, 0, &dropped));
    for (i = 0; i < 8; i++) {
        TRY(kv_writer_write(writer, big, LONG));
        TRY(kv_writer_write(dropped, big, 1000));
    }
    kv_writer_close(dropped);
    TRY(kv_writer_finish(writer));
    COMMIT(kv_txn_commit);
    return 1;
out:
    kv_txn_abort(txn);
    return 0;
}

/* More edits and pages than one list of them has room for. */
static int step_large(void)
{
    kv_txn *txn = NULL;
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    uint64_t id, steps;
    char key[8];
    unsigned i;
    options.write_memory = 1 << 20;
    options.durability = KV_DURABILITY_LAZY;
    TRY(kv_txn_begin(db, KV_WRITE, &options, &txn));
    TRY(steps_of(txn, &steps));
    CHECK(steps == acknowledged);
    steps++;
    TRY(kv_put(txn, KV_MAIN, S("steps"), &steps, sizeof steps, 0));
    for (i = 0; i < 12000; i++) {
        size_t len = key_of(key, (i * 7919u) % 100000u + 1000u);
        TRY(kv_put(txn, KV_MAIN, key, len, big, 300, 0));
    }
    COMMIT(kv_txn_commit);
    return 1;
out:
    kv_txn_abort(txn);
    return 0;
}

/* Every second page of what the step before has written is freed, in one commit: the lists of free pages are long. */
static int step_scattered(void)
{
    kv_txn *txn = NULL;
    uint64_t id;
    char key[8];
    unsigned i;
    BEGIN_WRITE(0);
    for (i = 0; i < 12000; i += 2) {
        size_t len = key_of(key, (i * 7919u) % 100000u + 1000u);
        TRY(kv_delete(txn, KV_MAIN, key, len, KV_BLIND));
    }
    COMMIT(kv_txn_commit);
    return 1;
out:
    kv_txn_abort(txn);
    return 0;
}

static int step_single(void)
{
    size_t len;
    TRY(kv_db_put(db, KV_MAIN, S("~single"), S("v"), 0));
    memset(room, '#', 10);
    TRY(kv_db_get(db, KV_MAIN, S("~single"), room, 10, &len));
    CHECK(len == 1 && room[0] == 'v' && room[1] == '#');
    TRY(kv_db_delete(db, KV_MAIN, S("~single"), KV_BLIND));
    TRY(kv_sync(db));
    return 1;
out:
    return 0;
}

/* Two threads commit at once, so that one waits for the sync of the other. */
static void *commits(void *answer)
{
    kv_status *status = answer;
    int i;
    for (i = 0; i < 4; i++) {
        *status = kv_db_put(db, KV_MAIN, S("~thread"), S("v"), 0);
        if (*status != KV_OK) break;
    }
    return NULL;
}

static int step_threads(void)
{
    pthread_t thread;
    kv_status mine = KV_OK, other = KV_OK;
    int was = armed;
    armed = 0; /* The memory of a thread is not the library's. */
    if (pthread_create(&thread, NULL, commits, &other) != 0) _exit(3);
    armed = was;
    commits(&mine);
    pthread_join(thread, NULL);
    TRY(mine);
    TRY(other);
    return 1;
out:
    return 0;
}
