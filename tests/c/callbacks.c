/*
 * Callbacks that end what is in use below them: the answer is KV_BUSY and nothing has happened, whatever they call. No
 * call waits for its own thread. Other transactions may be ended, and new ones begun and committed.
 */
#include "check.h"

enum { ABORT, COMMIT, REFRESH, CLOSE, OTHERS, NESTED, DEEP, WAYS };

static kv_db *db;
static kv_txn *job; /* what the call below reads */
static int how, calls, depth;

static int32_t progress(void *ctx, uint64_t done, uint64_t total);

static void run_check(void)
{
    kv_job_options options = KV_JOB_OPTIONS_INIT;
    options.progress = progress;
    OK(kv_check(job, &options, NULL, NULL, NULL));
}

static void end_others(void)
{
    kv_txn *reader = begin(db, KV_READ), *writer = begin(db, KV_WRITE);
    kv_cursor *cursor;
    OK(kv_put(writer, KV_MAIN, S("new"), S("v"), 0));
    OK(kv_cursor_open(job, KV_MAIN, NULL, &cursor));
    OK(kv_cursor_next(cursor, NULL, NULL));
    kv_cursor_close(cursor);
    commit(writer);
    OK(kv_txn_refresh(reader));
    OK(kv_get(reader, KV_MAIN, S("new"), NULL));
    IS(kv_get(job, KV_MAIN, S("new"), NULL), KV_NOTFOUND);
    kv_txn_abort(reader);
    OK(kv_db_delete(db, KV_MAIN, S("new"), 0));
}

static int32_t progress(void *ctx, uint64_t done, uint64_t total)
{
    kv_error error = KV_ERROR_INIT;
    int level;
    (void)ctx;
    (void)done;
    (void)total;
    calls++;
    switch (how) {
    case ABORT:
        kv_txn_abort(job);
        OK(kv_error_detail(&error));
        CHECK(error.status == KV_BUSY);
        break;
    case COMMIT:
        IS(kv_txn_commit(job, NULL), KV_BUSY);
        IS(kv_txn_commit_async(job, NULL), KV_BUSY);
        break;
    case REFRESH:
        IS(kv_txn_refresh(job), KV_BUSY);
        break;
    case CLOSE:
        IS(kv_close(db), KV_BUSY);
        break;
    case OTHERS:
        end_others();
        break;
    case NESTED: /* a job in the callback of a job */
        if (depth++ == 0) run_check();
        kv_txn_abort(job);
        IS(kv_txn_commit(job, NULL), KV_BUSY);
        break;
    case DEEP: /* more of them than are told apart */
        level = ++depth;
        if (level < 20) run_check();
        IS(kv_txn_commit(job, NULL), KV_BUSY);
        if (level <= 20) IS(kv_txn_commit(NULL, NULL), level > 16 ? KV_BUSY : KV_BAD_HANDLE);
        break;
    }
    return 0;
}

static int32_t take(void *ctx, const void *data, size_t len)
{
    (void)ctx;
    (void)data;
    (void)len;
    kv_txn_abort(job);
    IS(kv_txn_commit(job, NULL), KV_BUSY);
    calls++;
    return 0;
}

/* The first call of this thread that a reader holds up is told of it. */
static void stale(void *ctx, const kv_reader_info *reader)
{
    (void)reader;
    IS(kv_close(db), KV_BUSY);
    kv_txn_abort(NULL);
    IS(kv_txn_commit(NULL, NULL), KV_BAD_HANDLE);
    kv_txn_abort(*(kv_txn **)ctx);
    calls++;
}

static void stale_readers(void)
{
    static kv_txn *reader;
    kv_options options = KV_OPTIONS_INIT;
    options.flags = KV_OPEN_MEMORY;
    options.stale_reader = stale;
    options.stale_reader_ctx = &reader;
    options.stale_reader_ms = 1;
    OK(kv_open(NULL, &options, &db));
    reader = begin(db, KV_READ);
    OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0));
    calls = 0;
    while (calls == 0) {
        usleep(1000);
        OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0));
    }
    IS(kv_get(reader, KV_MAIN, S("k"), NULL), KV_BAD_HANDLE); /* nothing used it, so the callback could end it */
    OK(kv_close(db));
}

int main(void)
{
    kv_job_options options = KV_JOB_OPTIONS_INIT;
    alarm(100);
    for (how = ABORT; how < WAYS; how++) {
        db = fresh("callbacks.kv");
        OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0));
        job = begin(db, KV_READ);
        calls = depth = 0;
        run_check();
        CHECK(calls > 0);
        options.progress = progress;
        options.flags = KV_JOB_OVERWRITE;
        depth = 20; /* no more jobs inside it */
        OK(kv_backup(job, "copy.kv", &options));
        options.flags = 0;
        calls = 0;
        OK(kv_backup_stream(job, take, NULL, &options));
        CHECK(calls > 1);
        /* It is as it was. */
        OK(kv_get(job, KV_MAIN, S("k"), NULL));
        IS(kv_get(job, KV_MAIN, S("new"), NULL), KV_NOTFOUND);
        OK(kv_txn_refresh(job));
        kv_txn_abort(job);
        IS(kv_get(job, KV_MAIN, S("k"), NULL), KV_BAD_HANDLE);
        OK(kv_close(db));
    }
    stale_readers();
    DONE;
}
