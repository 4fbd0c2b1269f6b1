/*
 * Shortages that last, in several threads at once: long keys while only small requests are granted, everything refused,
 * and memory that is there again while what was made meanwhile is still in use.
 */
#ifndef SHORTAGES_H
#define SHORTAGES_H

#include "steps.h"

enum { LONGEST = 2 << 20, SHORTER = 100000, PREFILLED = 12, THREADS_MAX = 8, FILLED = SHORTER + LONG };

static size_t key_len;             /* of the long keys */
static int ready, may_go, may_end; /* threads that have come to a place */

/* Long keys that differ in their last bytes, so that separators are as long. */
static kv_slice long_key(char *bytes, unsigned n)
{
    kv_slice key;
    char end[8];
    memcpy(bytes + key_len - 6, end, key_of(end, n));
    key.data = bytes;
    key.len = key_len;
    return key;
}

static int passed(kv_status status)
{
    if (status == KV_NO_MEMORY) __atomic_add_fetch(&told, 1, __ATOMIC_RELAXED);
    if (status != KV_OK && status != KV_NO_MEMORY && status != KV_TXN_FAILED && status != KV_NOTFOUND && status != KV_EXISTS)
        wrong(__LINE__, "a call while memory is short", status);
    return status == KV_OK;
}

static void fill(kv_db *own, char *bytes)
{
    kv_txn *txn;
    unsigned i;
    if (kv_txn_begin(own, KV_WRITE, NULL, &txn) != KV_OK) wrong(__LINE__, "kv_txn_begin", KV_PANIC);
    for (i = 0; i < PREFILLED; i++) {
        kv_slice key = long_key(bytes, 10 * i);
        kv_status status = kv_put(txn, KV_MAIN, key.data, key.len, big, 900, 0);
        if (status != KV_OK) wrong(__LINE__, "kv_put", status);
    }
    if (kv_txn_commit(txn, NULL) != KV_OK) wrong(__LINE__, "kv_txn_commit", KV_PANIC);
}

/* Every call that takes or answers a key, each in a transaction of its own if it writes. */
static kv_status write_in_a_way(kv_txn *txn, unsigned way, char *bytes)
{
    kv_slice key = long_key(bytes, 10 * way + 5), there, value;
    kv_writer *writer;
    kv_cursor *cursor;
    kv_range range = KV_RANGE_INIT;
    kv_status status;
    uint64_t n;
    void *place;
    switch (way) {
    case 0:
        return kv_put(txn, KV_MAIN, key.data, key.len, big, 900, 0);
    case 1:
        return kv_reserve(txn, KV_MAIN, key.data, key.len, 900, 0, &place);
    case 2:
        status = kv_writer_open(txn, KV_MAIN, key.data, key.len, 0, 0, &writer);
        if (status == KV_OK) status = kv_writer_write(writer, big, LONG);
        return status == KV_OK ? kv_writer_finish(writer) : status;
    case 3:
        return kv_insert(txn, KV_MAIN, key.data, key.len, big, 900, &there);
    case 4:
        key = long_key(bytes, 40);
        return kv_replace(txn, KV_MAIN, key.data, key.len, big, 800, 0, &there);
    case 5:
        key = long_key(bytes, 50);
        return kv_take(txn, KV_MAIN, key.data, key.len, &value);
    case 6:
        return kv_take_first(txn, KV_MAIN, NULL, &there, &value);
    case 7:
        range.flags = KV_RANGE_FROM;
        range.from = long_key(bytes, 40);
        return kv_delete_range(txn, KV_MAIN, &range, &n);
    case 8:
        key = long_key(bytes, 20);
        return kv_delete(txn, KV_MAIN, key.data, key.len, 0);
    default:
        status = kv_cursor_open(txn, KV_MAIN, NULL, &cursor);
        if (status == KV_OK) status = kv_cursor_next(cursor, &there, &value);
        return status == KV_OK ? kv_cursor_delete(cursor) : status;
    }
}

/* `filled` is memory of the thread, of FILLED bytes. */
static void read_in_all_ways(kv_db *own, char *bytes, char *filled)
{
    kv_txn *txn;
    kv_cursor *cursor = NULL;
    kv_entry entries[8];
    kv_batch batch;
    kv_range range = KV_RANGE_INIT;
    kv_status status;
    kv_slice key, value, wanted = long_key(bytes, 33);
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    uint32_t ends[16];
    uint64_t n;
    size_t got;
    if (!passed(kv_txn_begin(own, KV_READ, NULL, &txn))) return;
    passed(kv_get(txn, KV_MAIN, wanted.data, wanted.len, &value));
    passed(kv_rank(txn, KV_MAIN, wanted.data, wanted.len, &n));
    if (passed(kv_cursor_open(txn, KV_MAIN, NULL, &cursor))) {
        passed(kv_cursor_seek(cursor, wanted.data, wanted.len, KV_SEEK_EQ, &key, &value));
        passed(kv_cursor_next_many(cursor, entries, 8, &got));
        passed(kv_cursor_first(cursor, &key, &value));
        passed(kv_cursor_next(cursor, &key, &value));
        passed(kv_cursor_last(cursor, &key, &value));
        passed(kv_cursor_nth(cursor, 3, &key, &value));
        batch = empty_batch(filled, FILLED, ends, 16);
        status = kv_cursor_fill(cursor, &batch);
        if (status == KV_TOO_SMALL) {
            /* The longest value is LONG; where other calls were refused, any entry can be the first. */
            if (key_len + LONG <= FILLED || batch.count != 0) wrong(__LINE__, "kv_cursor_fill", status);
        } else if (passed(status) && (!is_filled(&batch, 2) || ends[0] != key_len || memcmp(filled, bytes, key_len - 6) != 0)) {
            wrong(__LINE__, "what kv_cursor_fill has filled", status);
        }
        kv_cursor_close(cursor);
    }
    range.flags = KV_RANGE_FROM | KV_RANGE_BEFORE;
    range.from = range.to = wanted;
    passed(kv_count(txn, KV_MAIN, &range, &n));
    if (passed(kv_cursor_open(txn, KV_MAIN, &range, &cursor))) kv_cursor_close(cursor);
    range = (kv_range)KV_RANGE_INIT;
    range.flags = KV_RANGE_PREFIX;
    range.prefix = wanted;
    passed(kv_count(txn, KV_MAIN, &range, &n));
    passed(kv_check(txn, &job, fault, NULL, &report));
    kv_txn_abort(txn);
}

/* Comes to a place where the threads wait for the main one. */
static void meet(int *gate)
{
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(gate, __ATOMIC_SEQ_CST)) usleep(1000);
}

static void *lives_with_it(void *unused)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    char *bytes = __libc_malloc(LONGEST), *filled = __libc_malloc(FILLED);
    kv_db *own;
    kv_status status;
    unsigned round, way;
    if (bytes == NULL || filled == NULL) _exit(3);
    memset(bytes, 'p', LONGEST);
    options.flags = KV_OPEN_MEMORY;
    if ((status = kv_open(NULL, &options, &own)) != KV_OK) wrong(__LINE__, "kv_open", status);
    fill(own, bytes);
    meet(&may_go);
    for (round = 0; round < 3; round++) {
        for (way = 0; way < 10; way++) {
            kv_txn *txn;
            if (!passed(kv_txn_begin(own, KV_WRITE, NULL, &txn))) continue;
            if (passed(write_in_a_way(txn, way, bytes))) {
                passed(kv_txn_commit(txn, NULL));
            } else {
                kv_txn_abort(txn);
            }
        }
        read_in_all_ways(own, bytes, filled);
    }
    meet(&may_end);
    if ((status = kv_db_check(own, &job, fault, NULL, &report)) != KV_OK) wrong(__LINE__, "kv_db_check", status);
    if ((status = kv_close(own)) != KV_OK) wrong(__LINE__, "kv_close", status);
    free(filled);
    free(bytes);
    return unused;
}

/* Threads with long keys, each with a database of its own. */
static void long_keys(int threads, size_t len)
{
    pthread_t all[THREADS_MAX];
    int i;
    key_len = len;
    for (i = 0; i < threads; i++)
        if (pthread_create(&all[i], NULL, lives_with_it, NULL) != 0) _exit(3);
    while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) != threads) usleep(1000);
    armed = 1;
    __atomic_store_n(&may_go, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) != 2 * threads) usleep(1000);
    armed = 0;
    __atomic_store_n(&may_end, 1, __ATOMIC_SEQ_CST);
    for (i = 0; i < threads; i++) pthread_join(all[i], NULL);
    if (told == 0 && (refuse_above != 0 || refuse_at == 1)) wrong(__LINE__, "KV_NO_MEMORY was never answered", KV_OK);
}

static void long_keys_alone(void)
{
    refuse_above = 1 << 20;
    long_keys(1, LONGEST);
}

static void long_keys_in_threads(void)
{
    refuse_above = 1 << 20;
    long_keys(4, LONGEST);
}

/* The requests of four threads, of which those from number `refuse_at` on are refused, or none. */
static void refused_in_threads(void)
{
    for_ever = 1;
    long_keys(4, SHORTER);
}

/* The keys are such as the reserve serves, of which there are more than it has room for. */
static void everything_refused_in_threads(void)
{
    refuse_at = for_ever = 1;
    long_keys(THREADS_MAX, 300000);
}

/* While calls are refused when they begin, the handles that they do not open are NULL. */
static void no_handles(kv_txn *txn)
{
    kv_db *other = db;
    kv_txn *another = txn;
    kv_cursor *cursor = (kv_cursor *)txn;
    kv_writer *writer = (kv_writer *)txn;
    kv_buf *buffer = (kv_buf *)txn;
    kv_slice value;
    if (kv_open(path, NULL, &other) != KV_NO_MEMORY || other != NULL) wrong(__LINE__, "kv_open", KV_OK);
    if (kv_txn_begin(db, KV_READ, NULL, &another) != KV_NO_MEMORY || another != NULL)
        wrong(__LINE__, "kv_txn_begin", KV_OK);
    if (kv_cursor_open(txn, KV_MAIN, NULL, &cursor) != KV_NO_MEMORY || cursor != NULL)
        wrong(__LINE__, "kv_cursor_open", KV_OK);
    if (kv_writer_open(txn, KV_MAIN, S("k"), 0, 0, &writer) != KV_NO_MEMORY || writer != NULL)
        wrong(__LINE__, "kv_writer_open", KV_OK);
    if (kv_get_buf(txn, KV_MAIN, S("k"), &value, &buffer) != KV_NO_MEMORY || buffer != NULL)
        wrong(__LINE__, "kv_get_buf", KV_OK);
}

/* Cursors that were opened while memory was short live on when there is some again, and calls are no longer refused. */
static void memory_comes_back(void)
{
    enum { MOST = 500 };
    static char bound[20000];
    static kv_cursor *cursors[MOST];
    kv_range range = KV_RANGE_INIT;
    kv_txn *txn;
    kv_slice value;
    kv_status status = KV_OK;
    int i, shortage;
    range.flags = KV_RANGE_FROM;
    range.from.data = bound;
    range.from.len = sizeof bound;
    page_size = 4096;
    if (!step_open()) wrong(__LINE__, "kv_open", KV_PANIC);
    if ((status = kv_db_put(db, KV_MAIN, S("k"), S("v"), 0)) != KV_OK) wrong(__LINE__, "kv_db_put", status);
    if ((status = kv_txn_begin(db, KV_READ, NULL, &txn)) != KV_OK) wrong(__LINE__, "kv_txn_begin", status);
    for (shortage = 0, i = 0; shortage < 2; shortage++) {
        int before = i;
        refuse_at = for_ever = armed = 1;
        while (i < MOST && (status = kv_cursor_open(txn, KV_MAIN, &range, &cursors[i])) == KV_OK) i++;
        if (status != KV_NO_MEMORY || i == before) wrong(__LINE__, "kv_cursor_open", status);
        no_handles(txn);
        armed = 0;
        if ((status = kv_get(txn, KV_MAIN, S("k"), &value)) != KV_OK) wrong(__LINE__, "kv_get", status);
        if ((status = kv_db_put(db, KV_MAIN, S("k"), S("w"), 0)) != KV_OK) wrong(__LINE__, "kv_db_put", status);
    }
    kv_txn_abort(txn);
    if ((status = kv_close(db)) != KV_OK) wrong(__LINE__, "kv_close", status);
}

static const struct {
    const char *name;
    void (*run)(void);
} SHORTAGES[] = {
    {"long keys", long_keys_alone},
    {"long keys in 4 threads", long_keys_in_threads},
    {"everything refused in 8 threads", everything_refused_in_threads},
    {"memory comes back", memory_comes_back},
};

#endif
