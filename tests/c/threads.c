/*
 * Threads: many on one reader, calls against a close on another thread, exclusive handles in use, interrupted waits.
 */
#include "check.h"

#include <pthread.h>
#include <time.h>

static kv_db *db;
static kv_txn *shared;
static kv_cursor *shared_cursor;
static volatile int stop;

static void nap(long milliseconds)
{
    struct timespec time;
    time.tv_sec = milliseconds / 1000;
    time.tv_nsec = milliseconds % 1000 * 1000000;
    nanosleep(&time, NULL);
}

static void start(pthread_t *threads, int n, void *(*body)(void *))
{
    int i;
    stop = 0;
    for (i = 0; i < n; i++)
        CHECK(pthread_create(&threads[i], NULL, body, NULL) == 0);
}

static void finish(pthread_t *threads, int n)
{
    int i;
    stop = 1;
    for (i = 0; i < n; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* Reads through one shared transaction, with cursors of its own. */
static void *reading(void *unused)
{
    int rounds;
    (void)unused;
    for (rounds = 0; rounds < (quick() ? 20 : 500); rounds++) {
        kv_cursor *c = NULL;
        kv_slice key, value;
        int n = 0;
        OK(kv_cursor_open(shared, KV_MAIN, NULL, &c));
        while (kv_cursor_next(c, &key, &value) == KV_OK) {
            kv_slice again;
            OK(kv_get(shared, KV_MAIN, key.data, key.len, &again));
            CHECK(again.len == value.len && memcmp(again.data, value.data, value.len) == 0);
            n++;
        }
        CHECK(n == 100);
        kv_cursor_close(c);
    }
    return NULL;
}

static void one_reader(void)
{
    pthread_t threads[4];
    uint64_t n;
    shared = begin(db, KV_READ);
    start(threads, 4, reading);
    finish(threads, 4);
    OK(kv_count(shared, KV_MAIN, NULL, &n));
    kv_txn_abort(shared);
}

/* Uses whatever the handles are at the moment; every answer must be one of two. */
static void *using(void *unused)
{
    (void)unused;
    while (!stop) {
        kv_status status;
        kv_slice value;
        char bytes[16];
        size_t len;
        status = kv_get_copy(shared, KV_MAIN, S("key 07"), bytes, sizeof bytes, &len);
        CHECK(status == KV_OK || status == KV_BAD_HANDLE);
        if (status == KV_OK)
            CHECK(len == 8 && memcmp(bytes, "value 07", 8) == 0);
        status = kv_cursor_seek(shared_cursor, S("key 07"), KV_SEEK_EQ, NULL, NULL);
        CHECK(status == KV_OK || status == KV_BAD_HANDLE || status == KV_BUSY);
        (void)value;
    }
    return NULL;
}

static void closed_below(void)
{
    pthread_t threads[3];
    int i;
    shared = begin(db, KV_READ);
    OK(kv_cursor_open(shared, KV_MAIN, NULL, &shared_cursor));
    start(threads, 3, using);
    for (i = 0; i < (quick() ? 100 : 5000); i++) {
        kv_txn *old = shared;
        kv_cursor *cursor;
        shared = begin(db, KV_READ);
        OK(kv_cursor_open(shared, KV_MAIN, NULL, &cursor));
        shared_cursor = cursor;
        kv_txn_abort(old); /* calls on it are in flight */
    }
    finish(threads, 3);
    kv_txn_abort(shared);
}

/* Begins and ends, and is told when the database goes. */
static void *beginning(void *unused)
{
    (void)unused;
    for (;;) {
        kv_txn *txn = NULL;
        kv_status status = kv_txn_begin(db, KV_READ, NULL, &txn);
        if (status == KV_BAD_HANDLE)
            return NULL;
        CHECK(status == KV_OK);
        status = kv_get(txn, KV_MAIN, S("key 07"), NULL);
        CHECK(status == KV_OK || status == KV_BAD_HANDLE);
        kv_txn_abort(txn);
    }
}

static void *waiting(void *unused)
{
    kv_txn *txn = NULL;
    kv_status status = kv_txn_begin(db, KV_WRITE, NULL, &txn);
    (void)unused;
    CHECK(status == KV_CANCELLED || status == KV_BAD_HANDLE);
    CHECK(txn == NULL);
    return NULL;
}

static void interrupted(void)
{
    pthread_t threads[2];
    kv_txn *writer = begin(db, KV_WRITE);
    int i;
    start(threads, 2, waiting);
    for (i = 0; i < 20; i++) { /* they may not have begun to wait at the first */
        nap(10);
        kv_interrupt(db);
    }
    finish(threads, 2);
    OK(kv_put(writer, KV_MAIN, S("after"), S("1"), 0));
    OK(kv_delete(writer, KV_MAIN, S("after"), 0));
    commit(writer);
}

/* The write transaction of another thread: waited for, not a deadlock. */
static void *handing_over(void *txn)
{
    nap(50);
    commit(txn);
    return NULL;
}

static void taken_over(void)
{
    kv_txn *mine, *next;
    pthread_t thread;
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    mine = begin(db, KV_WRITE);
    options.wait_ms = 20;
    CHECK(pthread_create(&thread, NULL, handing_over, mine) == 0);
    nap(100);
    CHECK(pthread_join(thread, NULL) == 0);
    OK(kv_txn_begin(db, KV_WRITE, &options, &next));
    kv_txn_abort(next);
}

/* Waits for the writer whose database is being closed: closing must abort it first. */
static void *checking(void *txn)
{
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_status status;
    job.flags = KV_JOB_CHECK_SPACE;
    status = kv_check(txn, &job, NULL, NULL, NULL);
    CHECK(status == KV_OK || status == KV_BAD_HANDLE || status == KV_CANCELLED);
    return NULL;
}

static void database_closed(void)
{
    pthread_t readers[2], waiters[2], checker;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_txn *writer = begin(db, KV_WRITE), *checked = begin(db, KV_READ);
    int i;
    start(readers, 2, beginning);
    for (i = 0; i < 2; i++)
        CHECK(pthread_create(&waiters[i], NULL, waiting, NULL) == 0);
    CHECK(pthread_create(&checker, NULL, checking, checked) == 0);
    nap(50);
    job.flags = KV_JOB_CHECK_SPACE;
    IS(kv_check(checked, &job, NULL, NULL, NULL), KV_DEADLOCK); /* this thread has the writer itself */
    OK(kv_close(db));
    CHECK(pthread_join(checker, NULL) == 0);
    kv_txn_abort(checked);
    IS(kv_put(writer, KV_MAIN, S("k"), S("v"), 0), KV_BAD_HANDLE);
    finish(readers, 2);
    finish(waiters, 2);
}

/* A write transaction shared by mistake: turns or KV_BUSY, never damage. */
static void *writing(void *txn)
{
    int i;
    char key[16];
    for (i = 0; i < 2000; i++) {
        kv_status status;
        snprintf(key, sizeof key, "w%d", i);
        status = kv_put(txn, KV_MAIN, key, strlen(key), S("v"), 0);
        CHECK(status == KV_OK || status == KV_BUSY);
    }
    return NULL;
}

static void shared_by_mistake(void)
{
    pthread_t threads[2];
    kv_txn *txn = begin(db, KV_WRITE);
    int i;
    for (i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, writing, txn) == 0);
    finish(threads, 2);
    kv_txn_abort(txn);
}

static volatile int closed;

/* Now and then steps a cursor that another thread steps without a pause. */
static void *meddling(void *cursor)
{
    uint64_t mine = 0;
    int i;
    while (!stop) {
        kv_status status = kv_cursor_next(cursor, NULL, NULL);
        CHECK(status == KV_OK || status == KV_BUSY || status == KV_NOTFOUND);
        mine += status == KV_OK;
        for (i = 0; i < 2000 && !stop; i++)
            ;
    }
    return (void *)(uintptr_t)mine;
}

static void *closing(void *cursor)
{
    nap(1);
    kv_cursor_close(cursor);
    closed = 1;
    return NULL;
}

/* A cursor that one thread has used so often that it owns it, and another thread uses or closes by mistake. */
static void taken_from_owner(int kind)
{
    const uint64_t entries = quick() ? 100000 : 1000000;
    kv_txn *txn = begin(db, KV_WRITE);
    kv_cursor *cursor;
    kv_slice key;
    pthread_t thread;
    kv_status status;
    void *others;
    uint64_t i, count, steps = 1000; /* each that is answered KV_OK moves the cursor by one entry */
    int round;
    for (i = 0; i < entries; i++) {
        unsigned char bytes[8];
        int at;
        for (at = 0; at < 8; at++)
            bytes[at] = (unsigned char)(i >> (56 - 8 * at));
        OK(kv_put(txn, KV_MAIN, bytes, 8, "", 0, 0));
    }
    commit(txn);
    txn = begin(db, kind);
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    OK(kv_count(txn, KV_MAIN, NULL, &count));
    for (i = 0; i < steps; i++)
        OK(kv_cursor_next(cursor, &key, NULL));
    stop = 0;
    CHECK(pthread_create(&thread, NULL, meddling, cursor) == 0);
    while ((status = kv_cursor_next(cursor, &key, NULL)) != KV_NOTFOUND) {
        CHECK(status == KV_OK || status == KV_BUSY);
        steps += status == KV_OK;
    }
    stop = 1;
    CHECK(pthread_join(thread, &others) == 0);
    CHECK(steps + (uintptr_t)others == count); /* had two calls moved it at once, it would be more */
    for (round = 0; round < (quick() ? 20 : 200); round++) {
        kv_cursor_close(cursor);
        OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
        for (i = 0; i < 1000; i++)
            OK(kv_cursor_next(cursor, NULL, NULL));
        closed = 0;
        CHECK(pthread_create(&thread, NULL, closing, cursor) == 0);
        do {
            int late = closed;
            status = kv_cursor_next(cursor, &key, NULL);
            if (status == KV_NOTFOUND)
                status = kv_cursor_first(cursor, &key, NULL);
            /* KV_BUSY while the other thread waits for the call before to end */
            CHECK(status == KV_BAD_HANDLE || ((status == KV_OK || status == KV_BUSY) && !late));
        } while (status != KV_BAD_HANDLE);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    kv_txn_abort(txn);
}

static kv_txn *volatile passed_txn;
static volatile int passed;

/* Aborts the transaction of each round, while the other thread closes its database. */
static void *aborting(void *unused)
{
    int round = 0;
    (void)unused;
    while (!stop) {
        if (passed == round)
            continue;
        round = passed;
        kv_txn_abort(passed_txn);
        __atomic_store_n(&passed, -round, __ATOMIC_SEQ_CST);
        round = -round;
    }
    return NULL;
}

/* A transaction that is aborted while its database is closed is gone, whichever of the two comes first: nothing is kept
 * for a reader that nobody has. */
static void aborted_while_closed(void)
{
    kv_db_stat stat = KV_DB_STAT_INIT;
    kv_cursor *cursors[8];
    pthread_t thread;
    kv_db *watching, *closed;
    kv_txn *txn;
    int round, i;
    OK(kv_open("threads.kv", NULL, &watching));
    passed = 0;
    start(&thread, 1, aborting);
    for (round = 1; round <= (quick() ? 50 : 4000); round++) {
        OK(kv_open("threads.kv", NULL, &closed));
        OK(kv_txn_begin(closed, KV_READ, NULL, &txn));
        for (i = 0; i < 8; i++)
            OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursors[i]));
        passed_txn = txn;
        __atomic_store_n(&passed, round, __ATOMIC_SEQ_CST);
        for (i = 0; i < round % 200; i++)
            __atomic_load_n(&passed, __ATOMIC_SEQ_CST);
        OK(kv_close(closed));
        while (__atomic_load_n(&passed, __ATOMIC_SEQ_CST) != -round)
            ;
    }
    finish(&thread, 1);
    OK(kv_stat_db(watching, &stat));
    CHECK(stat.readers == 0);
    OK(kv_close(watching));
}

int main(void)
{
    kv_txn *txn;
    char key[16], value[16];
    int i;
    db = fresh("threads.kv");
    txn = begin(db, KV_WRITE);
    for (i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key %02d", i);
        snprintf(value, sizeof value, "value %02d", i);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), value, strlen(value), 0));
    }
    commit(txn);
    one_reader();
    closed_below();
    interrupted();
    taken_over();
    shared_by_mistake();
    taken_from_owner(KV_READ);
    taken_from_owner(KV_WRITE);
    database_closed();
    aborted_while_closed();
    DONE;
}
