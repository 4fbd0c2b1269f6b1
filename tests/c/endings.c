/*
 * Threads that end in the middle of things: cancelled inside a call, and committing in the destructors of their own
 * thread-specific data, when most of what a thread has is gone.
 */
#include "check.h"

#include <pthread.h>

static kv_db *db;
static pthread_barrier_t barrier;

/* ---- cancelled threads ---- */

static int beats;

static void drop(void *txn)
{
    kv_txn_abort(*(kv_txn **)txn);
}

/* Everything in here that waits is a point at which a thread can be cancelled. */
static void *work(void *ignored)
{
    uint32_t i;
    (void)ignored;
    for (i = 0;; i++) {
        kv_txn *txn = NULL;
        pthread_cleanup_push(drop, &txn);
        if (kv_txn_begin(db, KV_WRITE, NULL, &txn) == KV_OK) {
            kv_txn *ended = txn;
            OK(kv_put(txn, KV_MAIN, &i, sizeof i, S("x"), 0));
            txn = NULL;
            OK(kv_txn_commit(ended, NULL));
        }
        OK(kv_db_put(db, KV_MAIN, S("same"), S("v"), 0));
        __atomic_add_fetch(&beats, 1, __ATOMIC_RELAXED);
        pthread_testcancel();
        pthread_cleanup_pop(0);
    }
    return NULL;
}

/* A thread that is cancelled ends between two calls, and the next writer can write. */
static void cancelled(void)
{
    int round, rounds = quick() ? 3 : 40;
    db = fresh("cancelled.kv");
    for (round = 0; round < rounds; round++) {
        pthread_t threads[2];
        void *answer;
        int i, before = __atomic_load_n(&beats, __ATOMIC_RELAXED), state = -1;
        kv_txn_options options = KV_TXN_OPTIONS_INIT;
        kv_txn *txn;
        for (i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
        while (__atomic_load_n(&beats, __ATOMIC_RELAXED) < before + 3) usleep(100);
        usleep((useconds_t)(round * 97 % 3000));
        for (i = 0; i < 2; i++) CHECK(pthread_cancel(threads[i]) == 0);
        for (i = 0; i < 2; i++) {
            CHECK(pthread_join(threads[i], &answer) == 0);
            CHECK(answer == PTHREAD_CANCELED);
        }
        options.wait_ms = 5000;
        OK(kv_txn_begin(db, KV_WRITE, &options, &txn));
        OK(kv_put(txn, KV_MAIN, S("k"), S("v"), 0));
        commit(txn);
        /* A call leaves the state of its thread as it was. */
        CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state) == 0 && state == PTHREAD_CANCEL_ENABLE);
        OK(kv_sync(db));
        CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state) == 0 && state == PTHREAD_CANCEL_DISABLE);
    }
    OK(kv_close(db));
}

static kv_txn *large, *small;
static int done;

/*
 * Its cancellation waits for the first point at which a thread can be cancelled. That is why it uses CHECK alone: OK
 * may write to a file.
 */
static void *work_on(void *ignored)
{
    static char value[20000];
    kv_cursor *cursor;
    kv_txn *nested;
    kv_diff *diff;
    kv_change change = KV_CHANGE_INIT;
    kv_diff_counts counts = KV_DIFF_COUNTS_INIT;
    int32_t equal;
    kv_slice key, found;
    uint64_t n;
    uint32_t i;
    int state;
    CHECK(pthread_cancel(pthread_self()) == 0);
    for (i = 0; i < 4000; i++) {
        uint32_t other = i * 7919 % 4000;
        CHECK(kv_put(large, KV_MAIN, &i, sizeof i, value, i % 16 == 0 ? sizeof value : 300, 0) == KV_OK);
        if (i % 3 == 0) CHECK(kv_replace(large, KV_MAIN, &i, sizeof i, value, 200, 0, &found) == KV_OK);
        if (i % 5 == 0) CHECK(kv_get_copy(large, KV_MAIN, &i, sizeof i, value, sizeof value, NULL) == KV_OK);
        if (i % 50 == 0) CHECK(kv_count(large, KV_MAIN, NULL, &n) == KV_OK);
        if (i % 7 == 0) CHECK(kv_delete(large, KV_MAIN, &other, sizeof other, KV_BLIND) == KV_OK);
    }
    CHECK(kv_cursor_open(large, KV_MAIN, NULL, &cursor) == KV_OK);
    for (i = 0; kv_cursor_next(cursor, &key, &found) == KV_OK; i++) {
        if (i % 2 == 0) CHECK(kv_cursor_put(cursor, value, 400) == KV_OK);
        if (i % 5 == 0) CHECK(kv_cursor_delete(cursor) == KV_OK);
    }
    CHECK(kv_cursor_seek(cursor, S(""), KV_SEEK_GE, &key, &found) == KV_OK);
    CHECK(kv_cursor_rank(cursor, &n) == KV_OK);
    CHECK(kv_cursor_random(cursor, &key, &found) == KV_OK);
    CHECK(kv_cursor_count(cursor, &n) == KV_OK);
    CHECK(kv_cursor_first(cursor, &key, &found) == KV_OK);
    CHECK(kv_cursor_last(cursor, &key, &found) == KV_OK);
    CHECK(kv_cursor_prev(cursor, &key, &found) == KV_OK);
    CHECK(kv_cursor_get(cursor, &key, &found) == KV_OK);
    CHECK(kv_cursor_nth(cursor, 7, &key, &found) == KV_OK);
    CHECK(kv_cursor_percentile(cursor, 50, &key, &found) == KV_OK);
    CHECK(kv_take(large, KV_MAIN, key.data, key.len, &found) == KV_OK);
    CHECK(kv_insert(large, KV_MAIN, S("new"), S("value"), &found) == KV_OK);
    CHECK(kv_get(large, KV_MAIN, S("new"), &found) == KV_OK);
    kv_cursor_close(cursor);
    CHECK(kv_diff_count(small, large, KV_MAIN, NULL, &counts) == KV_OK && counts.added > 1000);
    CHECK(kv_savepoint_create(large, &n) == KV_OK);
    CHECK(kv_txn_nest(large, &nested) == KV_OK && kv_put(nested, KV_MAIN, S("nested"), S("v"), 0) == KV_OK);
    CHECK(kv_txn_commit(nested, NULL) == KV_OK && kv_savepoint_release(large, n) == KV_OK);
    CHECK(kv_savepoint_create(large, &n) == KV_OK && kv_savepoint_rollback(large, n) == KV_OK);
    CHECK(kv_same(small, large, KV_NONE, &equal) == KV_OK && !equal);
    CHECK(kv_diff_open(small, large, KV_MAIN, NULL, &diff) == KV_OK);
    for (i = 0; kv_diff_next(diff, &change) == KV_OK; i++) continue;
    CHECK(i > 1000);
    for (i = 0; i < 100; i++) CHECK(kv_take_first(large, KV_MAIN, NULL, &key, &found) == KV_OK);
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state) == 0 && state == PTHREAD_CANCEL_ENABLE);
    CHECK(pthread_setcancelstate(state, NULL) == 0);
    done = 1;
    pthread_testcancel();
    return ignored;
}

/* Whatever a call reads, writes or waits for: no point at which a thread can be cancelled lies in it. */
static void cancelled_from_the_beginning(void)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    pthread_t thread;
    void *answer;
    db = fresh("beginning.kv");
    options.write_memory = 64 << 10;
    small = begin(db, KV_READ);
    OK(kv_txn_begin(db, KV_WRITE, &options, &large));
    CHECK(pthread_create(&thread, NULL, work_on, NULL) == 0);
    CHECK(pthread_join(thread, &answer) == 0 && answer == PTHREAD_CANCELED && done);
    kv_txn_abort(small);
    commit(large);
    OK(kv_db_check(db, 0, NULL, NULL, NULL));
    OK(kv_close(db));
}

static int full[2];
static volatile int filled, answer_of_write = -1;
static char much[1 << 20];

static void *write_much(void *ignored)
{
    filled = 1;
    answer_of_write = kv_fd_write(&full[1], much, sizeof much);
    pthread_testcancel();
    return ignored;
}

/* A thread that is cancelled while it writes to a pipe that nobody empties yet ends behind the call, too. */
static void cancelled_while_writing(void)
{
    static char part[1 << 16];
    pthread_t thread;
    void *answer;
    size_t got = 0;
    CHECK(pipe(full) == 0);
    CHECK(pthread_create(&thread, NULL, write_much, NULL) == 0);
    while (!filled) usleep(100);
    usleep(50000); /* it waits for room in the pipe by now */
    CHECK(pthread_cancel(thread) == 0);
    while (got < sizeof much) {
        ssize_t n = read(full[0], part, sizeof part);
        CHECK(n > 0);
        got += (size_t)n;
    }
    CHECK(pthread_join(thread, &answer) == 0 && answer == PTHREAD_CANCELED && answer_of_write == 0);
    CHECK(close(full[0]) == 0 && close(full[1]) == 0);
}

/* ---- destructors ---- */

enum { THREADS = 8, EARLIER = 20 };

static pthread_key_t key;
static int rounds_of[THREADS];
static kv_status answers[THREADS];

/* Other libraries set their values again in destructors; POSIX runs up to four rounds, and this is the last. */
static void destroy(void *value)
{
    int i = (int)(long)value - 1;
    char k = (char)('a' + i);
    if (++rounds_of[i] < 4) {
        pthread_setspecific(key, value);
        return;
    }
    pthread_barrier_wait(&barrier);
    answers[i] = kv_db_put(db, KV_MAIN, &k, 1, S("v"), 0);
    if (answers[i] != KV_OK) fprintf(stderr, "%c: %s\n", k, kv_error_message());
    /* Errors are kept for this thread to the end. */
    IS(kv_db_get(db, KV_MAIN, S("missing"), NULL, 0, NULL), KV_NOTFOUND);
    CHECK(strcmp(kv_error_message(), "not found") == 0);
    IS(kv_db_get(NULL, KV_MAIN, S("missing"), NULL, 0, NULL), KV_BAD_HANDLE);
    CHECK(strstr(kv_error_message(), "handle") != NULL);
}

/* Threads that commit side by side, as those of a server do. */
static void *commits(void *value)
{
    char k = (char)(0x40 + (long)value);
    int i;
    for (i = 0; i < EARLIER; i++) {
        pthread_barrier_wait(&barrier);
        OK(kv_db_put(db, KV_MAIN, &k, 1, S("0"), 0));
    }
    pthread_setspecific(key, value);
    return NULL;
}

static void destructors(void)
{
    pthread_t threads[THREADS];
    int round, rounds = quick() ? 1 : 10;
    long i;
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0 && pthread_key_create(&key, destroy) == 0);
    for (round = 0; round < rounds; round++) {
        db = fresh("destructors.kv");
        memset(rounds_of, 0, sizeof rounds_of);
        for (i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, commits, (void *)(i + 1)) == 0);
        for (i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
        for (i = 0; i < THREADS; i++) {
            char k = (char)('a' + i), value;
            CHECK(rounds_of[i] == 4);
            CHECK(answers[i] == KV_OK);
            OK(kv_db_get(db, KV_MAIN, &k, 1, &value, 1, NULL));
        }
        OK(kv_close(db));
    }
}

int main(void)
{
    alarm(100);
    cancelled();
    cancelled_from_the_beginning();
    cancelled_while_writing();
    destructors();
    DONE;
}
