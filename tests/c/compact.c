/* Giving space back while a database is in use. */
#include "says.h"

#include <pthread.h>
#include <sys/stat.h>

static uint64_t bytes(const char *path)
{
    struct stat facts;
    CHECK(stat(path, &facts) == 0);
    return (uint64_t)facts.st_size;
}

/* Puts entries of 200 bytes into a table, and returns the table. */
static kv_table fill(kv_db *db, const char *name, int count)
{
    kv_txn *txn = begin(db, KV_WRITE);
    kv_table table;
    char key[16];
    int i;
    memset(big, *name, 200);
    OK(kv_table_create(txn, name, strlen(name), NULL, &table));
    for (i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%08d", i);
        OK(kv_put(txn, table, key, 8, big, 200, 0));
    }
    commit(txn);
    return table;
}

static void drop(kv_db *db, kv_table table)
{
    kv_txn *txn = begin(db, KV_WRITE);
    OK(kv_table_drop(txn, table));
    commit(txn);
}

static void whole(kv_db *db, kv_table table, int count)
{
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_txn *txn = begin(db, KV_READ);
    kv_slice value;
    char key[16];
    int i;
    for (i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%08d", i);
        OK(kv_get(txn, table, key, 8, &value));
        CHECK(value.len == 200);
    }
    kv_txn_abort(txn);
    job.flags = KV_JOB_CHECK_SPACE;
    OK(kv_db_check(db, &job, NULL, NULL, NULL));
}

static int32_t writes(void *ctx, uint64_t done, uint64_t total)
{
    CHECK(done <= total);
    /* No write lock is held meanwhile. */
    OK(kv_db_put(ctx, KV_MAIN, S("told"), S("x"), 0));
    return 0;
}

static int32_t stops(void *ctx, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    ++*(int *)ctx;
    return 1;
}

/* What lives behind free pages moves before the file is cut, and then only if pages may move. */
static void moves(void)
{
    kv_compact_options how = KV_COMPACT_OPTIONS_INIT;
    kv_compact_report report = KV_COMPACT_REPORT_INIT;
    kv_db *db = fresh("moves.kv");
    kv_table first = fill(db, "first", 20000), last = fill(db, "last", 3000);
    uint64_t before;
    int calls = 0;
    drop(db, first);
    OK(kv_sync(db));
    before = bytes("moves.kv");
    how.stay = 1;
    OK(kv_compact(db, &how, &report));
    CHECK(report.moved_pages == 0 && report.punched_bytes == 0 && bytes("moves.kv") > before / 2);
    how.punch = 1;
    OK(kv_compact(db, &how, &report));
    CHECK(report.moved_pages == 0 && report.punched_bytes > 1 << 20);
    whole(db, last, 3000);

    how.stay = how.punch = 0;
    how.progress = writes;
    how.ctx = db;
    before = bytes("moves.kv");
    OK(kv_compact(db, &how, &report));
    CHECK(report.struct_size == sizeof report && report.reserved == 0 && report.held_commit == 0);
    CHECK(report.moved_pages > 100 && report.pages_after < report.pages_before / 3 && report.parked_pages == 0);
    CHECK(report.cut_bytes > before / 2 && bytes("moves.kv") < before / 3);
    whole(db, last, 3000);
    IS(kv_db_put(db, KV_MAIN, S("told"), S("y"), KV_NO_OVERWRITE), KV_EXISTS); /* it was called, and has written */
    OK(kv_compact(db, NULL, NULL));

    how.progress = stops;
    how.ctx = &calls;
    SAYS(kv_compact(db, &how, &report), KV_CANCELLED, at("moves.kv"), "; the progress function", "stays so");
    CHECK(calls == 1);
    whole(db, last, 3000);
    OK(kv_close(db));
}

/* A reader that sees what lies at the end is named, and a later call cuts. */
static void held(void)
{
    kv_compact_report report = KV_COMPACT_REPORT_INIT;
    kv_db *db = fresh("held.kv");
    kv_table kept = fill(db, "kept", 3000);
    kv_txn *reader;
    uint64_t before, id;
    drop(db, fill(db, "other", 20000));
    OK(kv_sync(db));
    reader = begin(db, KV_READ);
    OK(kv_txn_id(reader, &id));
    before = bytes("held.kv");
    OK(kv_compact(db, NULL, &report));
    CHECK(report.held_commit == id && report.pages_after > 1000 && bytes("held.kv") > before / 2);
    kv_txn_abort(reader);
    before = bytes("held.kv");
    OK(kv_compact(db, NULL, &report));
    CHECK(report.held_commit == 0 && report.cut_bytes > before / 2 && bytes("held.kv") == before - report.cut_bytes);
    whole(db, kept, 3000);
    OK(kv_close(db));
}

/* What a snapshot keeps is told, and stays. */
static void parked(void)
{
    kv_compact_report report = KV_COMPACT_REPORT_INIT;
    kv_db *db = fresh("parked.kv");
    kv_table table = fill(db, "table", 10000);
    kv_txn *txn = begin(db, KV_WRITE);
    OK(kv_snapshot_create(txn, S("all"), NULL));
    commit(txn);
    drop(db, table);
    OK(kv_compact(db, NULL, &report));
    CHECK(report.parked_pages > 400 && report.pages_after > 400);
    txn = begin(db, KV_WRITE);
    OK(kv_snapshot_drop(txn, S("all")));
    commit(txn);
    OK(kv_compact(db, NULL, &report));
    CHECK(report.parked_pages == 0 && report.pages_after < 100);
    OK(kv_close(db));
}

static kv_db *waited_for;
static volatile int ended;

static void *compacts(void *unused)
{
    (void)unused;
    IS(kv_compact(waited_for, NULL, NULL), KV_CANCELLED);
    ended = 1;
    return NULL;
}

/* It waits for a writer, but not for one of its own thread, and the wait can be ended. */
static void waiting(void)
{
    pthread_t thread;
    kv_txn *txn;
    waited_for = fresh("waiting.kv");
    txn = begin(waited_for, KV_WRITE);
    SAYS(kv_compact(waited_for, NULL, NULL), KV_DEADLOCK, at("waiting.kv"), "wait for itself");
    CHECK(pthread_create(&thread, NULL, compacts, NULL) == 0);
    while (!ended) {
        usleep(10000);
        kv_interrupt(waited_for);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    commit(txn);
    OK(kv_close(waited_for));
}

static void refused(void)
{
    kv_compact_options how = KV_COMPACT_OPTIONS_INIT;
    kv_compact_report report = KV_COMPACT_REPORT_INIT;
    kv_options options = KV_OPTIONS_INIT;
    kv_db *db = fresh("refused.kv");
    how.stay = 2;
    SAYS(kv_compact(db, &how, &report), KV_INVALID, at("refused.kv"), "`stay` is neither 0 nor 1; ");
    how.stay = 0;
    how.punch = KV_JOB_COMPACT;
    SAYS(kv_compact(db, &how, &report), KV_INVALID, at("refused.kv"), "`punch` is neither 0 nor 1; ");
    how.punch = 0;
    how.reserved = 1;
    SAYS(kv_compact(db, &how, &report), KV_INVALID, at("refused.kv"), "KV_COMPACT_OPTIONS_INIT");
    report.struct_size = 0;
    SAYS(kv_compact(db, NULL, &report), KV_INVALID, at("refused.kv"), "KV_COMPACT_REPORT_INIT");
    OK(kv_close(db));
    options.flags = KV_OPEN_READ_ONLY;
    OK(kv_open("refused.kv", &options, &db));
    IS(kv_compact(db, NULL, NULL), KV_READ_ONLY);
    OK(kv_close(db));
    IS(kv_compact(db, NULL, NULL), KV_BAD_HANDLE);
}

int main(void)
{
    CHECK(getcwd(folder, sizeof folder) != NULL);
    moves();
    held();
    parked();
    waiting();
    refused();
    DONE;
}
