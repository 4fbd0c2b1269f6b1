/*
 * Memory that cannot be had, seen from outside: this program has a malloc of its own, which refuses one request of the
 * library, or every request from one on. A workload calls every function of kv.h. No refusal may end the process: a call
 * answers KV_NO_MEMORY and has done nothing, or it succeeds because it could do without. Afterwards every handle can be
 * closed, what was acknowledged is there, and every page of the file is accounted for.
 *
 *   memory FOLDER RUNS     refuses RUNS requests, evenly spread, once each and from then on; 0: every one
 *   memory FOLDER RUNS N   only request number N
 */
#include <kv.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the allocator ---- */

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static long refuse_at, requests; /* 0: none is refused */
static int for_ever, armed;

static int refused(void)
{
    long n;
    if (!armed) return 0;
    n = __atomic_add_fetch(&requests, 1, __ATOMIC_RELAXED);
    if (refuse_at == 0 || n < refuse_at || (n > refuse_at && !for_ever)) return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return refused() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return refused() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return refused() ? NULL : __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
    return refused() ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **at, size_t alignment, size_t size)
{
    void *found = memalign(alignment, size);
    if (found == NULL) return ENOMEM;
    *at = found;
    return 0;
}

/* ---- the workload ---- */

enum { KEYS = 400, LONG = 300000, MANY = 3000, WIDE = 150 };

static kv_db *db;
static uint64_t acknowledged; /* steps whose commit was answered KV_OK */
static int told;              /* calls that answered KV_NO_MEMORY */
static char path[4096], copy[4096], saved[4096];
static uint32_t page_size;
static char big[LONG], room[LONG + 1];
static const char *step_name = "";

static void wrong(int line, const char *call, kv_status status)
{
    fprintf(stderr, "line %d (%s, request %ld): %s: %s: %s\n", line, step_name, refuse_at, call, kv_status_name(status),
        kv_error_message());
    _exit(2);
}

/* Goes on after KV_OK, leaves the step after KV_NO_MEMORY, and ends the process after any other answer. */
#define IS(call, expected)                                                                        \
    do {                                                                                          \
        kv_status answer_ = (call);                                                               \
        if (answer_ == KV_NO_MEMORY || (answer_ == KV_TXN_FAILED && told)) {                      \
            told++;                                                                               \
            goto out;                                                                             \
        }                                                                                         \
        /* A step that was refused for good leaves later ones without what it should have made. */           \
        if (for_ever && told && answer_ != (expected) && answer_ < 0 && answer_ > -20) goto out;  \
        if (answer_ != (expected)) wrong(__LINE__, #call, answer_);                               \
    } while (0)
#define TRY(call) IS(call, KV_OK)
#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) wrong(__LINE__, #condition, KV_PANIC);                                  \
    } while (0)
#define S(text) (text), (sizeof(text) - 1)

static kv_slice slice(const char *text)
{
    kv_slice made;
    made.data = text;
    made.len = strlen(text);
    return made;
}

/* A key is its number, most significant byte first, and two more bytes. */
static size_t key_of(char *key, unsigned n)
{
    key[0] = (char)(n >> 24);
    key[1] = (char)(n >> 16);
    key[2] = (char)(n >> 8);
    key[3] = (char)n;
    key[4] = 'k';
    key[5] = (char)(n * 31);
    return 6;
}

/* How many steps the database has seen. */
static kv_status steps_of(kv_txn *txn, uint64_t *steps)
{
    size_t len;
    kv_status status = kv_get_copy(txn, KV_MAIN, S("steps"), steps, sizeof *steps, &len);
    if (status == KV_NOTFOUND) {
        *steps = 0;
        return KV_OK;
    }
    return status;
}

/* Begins a step that writes: what was acknowledged is there, and nothing that was not. */
#define BEGIN_WRITE(lazy)                                                                         \
    do {                                                                                          \
        kv_txn_options options_ = KV_TXN_OPTIONS_INIT;                                            \
        uint64_t steps_;                                                                          \
        options_.durability = (lazy) ? KV_DURABILITY_LAZY : KV_DURABILITY_FULL;                   \
        TRY(kv_txn_begin(db, KV_WRITE, &options_, &txn));                                         \
        TRY(steps_of(txn, &steps_));                                                              \
        CHECK(steps_ == acknowledged);                                                            \
        steps_++;                                                                                 \
        TRY(kv_put(txn, KV_MAIN, S("steps"), &steps_, sizeof steps_, 0));                         \
    } while (0)

#define COMMIT(how)                                                                               \
    do {                                                                                          \
        kv_txn *ended_ = txn;                                                                     \
        txn = NULL;                                                                               \
        TRY(how(ended_, &id));                                                                    \
        acknowledged++;                                                                           \
    } while (0)

static int step_open(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_db_stat stat = KV_DB_STAT_INIT;
    options.page_size = page_size;
    TRY(kv_open(path, &options, &db));
    TRY(kv_stat_db(db, &stat));
    CHECK(kv_version_number() != 0 && kv_version()[0] != 0 && kv_strerror(KV_NOTFOUND)[0] != 0);
    kv_interrupt(db);
    return 1;
out:
    if (db != NULL) kv_close(db);
    db = NULL;
    return 0;
}

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
    kv_batch batch = KV_BATCH_INIT, wanted = KV_BATCH_INIT;
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
    TRY(kv_get_copy(txn, KV_MAIN, S("~parts"), room, 0, &len) == KV_TOO_SMALL ? KV_OK : kv_error_detail(&error));
    TRY(kv_get(txn, KV_MAIN, S("~parts"), &value));
    CHECK(value.len == 8u * LONG);
    TRY(kv_stat_value(txn, KV_MAIN, S("~parts"), &info));
    TRY(kv_value_read(txn, KV_MAIN, S("~parts"), 1000000, room, 5000, &got));
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
    TRY(kv_cursor_seek(cursor, names[99], 6, KV_SEEK_LE, &key, &value) == KV_NOTFOUND ? KV_OK : kv_error_detail(&error));
    TRY(kv_cursor_first(cursor, &key, &value));
    TRY(kv_cursor_next_many(cursor, entries, 50, &got));
    batch.bytes = bytes;
    batch.bytes_size = sizeof bytes;
    batch.ends = ends;
    batch.ends_size = 4000;
    TRY(kv_cursor_fill(cursor, &batch));
    batch = (kv_batch)KV_BATCH_INIT;
    batch.bytes = bytes;
    batch.bytes_size = sizeof bytes;
    batch.ends = ends;
    batch.ends_size = 4000;
    TRY(kv_scan(txn, table, NULL, &batch));
    wanted.bytes = names[0];
    wanted.bytes_size = 12;
    wanted.ends = wanted_ends;
    wanted.ends_size = 2;
    wanted.count = 1;
    wanted_ends[0] = 6;
    batch = (kv_batch)KV_BATCH_INIT;
    batch.bytes = bytes;
    batch.bytes_size = sizeof bytes;
    batch.ends = ends;
    batch.ends_size = 4000;
    TRY(kv_get_packed(txn, KV_MAIN, &wanted, &batch));
    kv_cursor_close(cursor);
    kv_buf_release(buffer);
    kv_buf_release(longer);
    TRY(kv_txn_refresh(txn) == KV_BUSY ? KV_OK : kv_error_detail(&error));
    kv_txn_abort(txn);
    return 1;
out:
    kv_buf_release(buffer);
    kv_buf_release(longer);
    kv_cursor_close(cursor);
    kv_txn_abort(txn);
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

static int step_single(void)
{
    size_t len;
    TRY(kv_db_put(db, KV_MAIN, S("~single"), S("v"), 0));
    TRY(kv_db_get(db, KV_MAIN, S("~single"), room, 10, &len));
    TRY(kv_db_delete(db, KV_MAIN, S("~single"), KV_BLIND));
    TRY(kv_sync(db));
    return 1;
out:
    return 0;
}

static int32_t progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done > total;
}

static int32_t fault(void *ctx, const kv_fault *found)
{
    (void)ctx;
    fprintf(stderr, "fault: %s\n", found->message);
    return 0;
}

static int step_maintenance(void)
{
    kv_txn *txn = NULL;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    int fd = -1;
    job.progress = progress;
    TRY(kv_txn_begin(db, KV_READ, NULL, &txn));
    job.flags = KV_JOB_CHECK_SPACE;
    TRY(kv_check(txn, &job, fault, NULL, &report));
    TRY(kv_db_check(db, &job, fault, NULL, &report));
    job.flags = KV_JOB_OVERWRITE;
    TRY(kv_db_backup(db, copy, &job));
    TRY(kv_backup(txn, copy, &job));
    job.flags = KV_JOB_OVERWRITE | KV_JOB_COMPACT;
    TRY(kv_backup(txn, copy, &job));
    fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    job.flags = 0;
    TRY(kv_backup_stream(txn, kv_fd_write, &fd, &job));
    close(fd);
    kv_txn_abort(txn);
    return 1;
out:
    close(fd);
    kv_txn_abort(txn);
    return 0;
}

static int step_salvage(void)
{
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_salvage_report report = KV_SALVAGE_REPORT_INIT;
    job.flags = KV_JOB_OVERWRITE;
    TRY(kv_salvage(copy, saved, &job, fault, NULL, &report));
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

static const struct {
    const char *name;
    int (*run)(void);
} STEPS[] = {
    {"open", step_open},
    {"puts", step_puts},
    {"tables", step_tables},
    {"many tables", step_many_tables},
    {"batches", step_batches},
    {"deletes", step_deletes},
    {"cursors that write", step_writing_cursors},
    {"writers", step_writers},
    {"large", step_large},
    {"scattered", step_scattered},
    {"reads", step_reads},
    {"many cursors", step_many_cursors},
    {"single", step_single},
    {"threads", step_threads},
    {"maintenance", step_maintenance},
    {"salvage", step_salvage},
};

/* After a refusal a step can be repeated, and then succeeds; if every request is refused, everything can be ended. */
static void workload(void)
{
    size_t i;
    armed = 1;
    for (i = 0; i < sizeof STEPS / sizeof *STEPS; i++) {
        int tries = 0;
        step_name = STEPS[i].name;
        while (!STEPS[i].run()) {
            if (for_ever) break;
            if (++tries > 2) {
                fprintf(stderr, "%s: refused again, though only request %ld was\n", step_name, refuse_at);
                _exit(2);
            }
        }
        if (for_ever && db == NULL) break;
    }
    step_name = "close";
    if (db != NULL) {
        kv_status status = kv_close(db);
        if (status != KV_OK && status != KV_NO_MEMORY) wrong(__LINE__, "kv_close", status);
        if (kv_close(db) != KV_BAD_HANDLE) wrong(__LINE__, "it is not closed", KV_OK);
    }
    armed = 0;
}

/* What was acknowledged is there, and the file is sound. */
static void verify(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_txn *txn;
    kv_status status;
    uint64_t steps;
    step_name = "verify";
    if (acknowledged == 0 && access(path, F_OK) != 0) return;
    options.flags = KV_OPEN_EXISTING;
    if ((status = kv_open(path, &options, &db)) != KV_OK) wrong(__LINE__, "kv_open", status);
    if ((status = kv_txn_begin(db, KV_READ, NULL, &txn)) != KV_OK) wrong(__LINE__, "kv_txn_begin", status);
    if ((status = steps_of(txn, &steps)) != KV_OK) wrong(__LINE__, "steps_of", status);
    if (steps != acknowledged) {
        fprintf(stderr, "request %ld: step %d was acknowledged, %d is there\n", refuse_at, (int)acknowledged, (int)steps);
        _exit(2);
    }
    job.flags = KV_JOB_CHECK_SPACE;
    if ((status = kv_check(txn, &job, fault, NULL, &report)) != KV_OK) wrong(__LINE__, "kv_check", status);
    kv_txn_abort(txn);
    if ((status = kv_close(db)) != KV_OK) wrong(__LINE__, "kv_close", status);
}

/* How a run ended. */
struct end {
    long requests;
    int told, died;
};

static struct end run(long at, int ever)
{
    struct end end = {0, 0, 0};
    int pipes[2], status;
    pid_t child;
    unlink(path);
    unlink(copy);
    unlink(saved);
    if (pipe(pipes) != 0 || (child = fork()) < 0) exit(3);
    if (child == 0) {
        refuse_at = at;
        for_ever = ever;
        alarm(120);
        workload();
        end.requests = requests;
        end.told = told;
        refuse_at = 0;
        verify();
        if (write(pipes[1], &end, sizeof end) != sizeof end) _exit(3);
        _exit(0);
    }
    close(pipes[1]);
    if (read(pipes[0], &end, sizeof end) != sizeof end) memset(&end, 0, sizeof end);
    close(pipes[0]);
    if (waitpid(child, &status, 0) != child) exit(3);
    if (status != 0) {
        end.died = 1;
        fprintf(stderr, "FAILED  request %ld%s: status %d, signal %d\n", at, ever ? " and all later ones" : "",
            WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    return end;
}

int main(int argc, char **argv)
{
    static const uint32_t PAGE_SIZES[] = {4096, 65536};
    long runs, i, done = 0, failed = 0, answered = 0;
    size_t size, at;
    if (argc < 3) {
        fprintf(stderr, "usage: memory FOLDER RUNS [N]\n");
        return 64;
    }
    snprintf(path, sizeof path, "%s/db.kv", argv[1]);
    snprintf(copy, sizeof copy, "%s/copy.kv", argv[1]);
    snprintf(saved, sizeof saved, "%s/saved.kv", argv[1]);
    for (at = 0; at < sizeof big; at++) big[at] = (char)(at * 31 % 251);
    runs = atol(argv[2]);
    for (size = 0; size < sizeof PAGE_SIZES / sizeof *PAGE_SIZES; size++) {
        struct end all;
        long each;
        int ever;
        page_size = PAGE_SIZES[size];
        all = run(0, 0);
        if (all.died || all.told) return 1;
        each = runs > 0 && runs < all.requests ? runs : all.requests;
        for (i = 0; i < each; i++) {
            long number = argc > 3 ? atol(argv[3]) : 1 + i * all.requests / each;
            for (ever = 0; ever < 2; ever++) {
                struct end one = run(number, ever);
                done++;
                failed += one.died;
                answered += one.told > 0;
            }
            if (argc > 3) break;
        }
        printf("pages of %u bytes: %ld requests\n", page_size, all.requests);
    }
    printf("memory: %ld passed, %ld failed, 0 skipped (in %ld runs KV_NO_MEMORY was answered)\n", done - failed, failed,
        answered);
    return failed != 0;
}
