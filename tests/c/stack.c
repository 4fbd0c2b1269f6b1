/*
 * Calls on a thread with little stack: kv.h says how much is enough, and a thread that has no more makes calls of every
 * kind. A page that must not be touched lies below the stack, so that a call which needs more ends the program.
 */
#include "check.h"

#include <pthread.h>
#include <sys/mman.h>

/* What kv.h says under "Threads". */
enum { ENOUGH = 64 * 1024 };
/* What check.h keeps for each thread lies at the upper end of its stack. */
enum { STACK = ENOUGH + LINES_KNOWN * sizeof(uint64_t), GUARD = 64 * 1024 };
enum { LONG = 3 * 1024 * 1024, KEY_LONG = 100 * 1000 };

static char *bytes;

/* Small entries, keys that make a tall tree, long keys and long values, in one transaction. */
static void write_much(kv_txn *txn)
{
    const int entries = quick() ? 3000 : 20000, tall = quick() ? 600 : 30000;
    kv_writer *writer = NULL;
    kv_table table;
    char key[512];
    int i;
    for (i = 0; i < entries; i++) {
        int n = snprintf(key, sizeof key, "k%08d", i * 7919 % entries);
        OK(kv_put(txn, KV_MAIN, key, (size_t)n, bytes, (size_t)(i % 200), 0));
    }
    OK(kv_table_create(txn, S("tall"), NULL, &table));
    memset(key, 'x', sizeof key);
    for (i = 0; i < tall; i++) {
        /* Keys that differ early and share much with one neighbour, so that separators are long. */
        snprintf(key, 16, "%07d", i / 16 * 7919 % 100000);
        key[7] = 'x';
        snprintf(key + 490, 16, "%08d", i);
        OK(kv_put(txn, table, key, 498, bytes, 200, 0));
    }
    for (i = 1; i < 40; i++)
        OK(kv_put(txn, table, bytes + i, (size_t)(KEY_LONG / i), S("long key"), 0));
    for (i = 1; i < 10; i++) {
        int n = snprintf(key, sizeof key, "long%d", i);
        OK(kv_put(txn, table, key, (size_t)n, bytes, (size_t)(LONG / i), 0));
    }
    OK(kv_writer_open(txn, table, S("parts"), 0, 0, &writer));
    for (i = 0; i < 20; i++)
        OK(kv_writer_write(writer, bytes, LONG / 20));
    OK(kv_writer_finish(writer));
}

static void read_much(const kv_txn *txn)
{
    static char room[1 << 16];
    static uint32_t ends[1 << 12];
    kv_batch batch = KV_BATCH_INIT;
    kv_cursor *cursor = NULL;
    kv_table table;
    kv_table_stat stat = KV_TABLE_STAT_INIT;
    kv_slice keys[4], values[4], key, value;
    kv_status status;
    uint64_t n;
    size_t found;
    int i;
    OK(kv_table_open(txn, S("tall"), &table));
    OK(kv_cursor_open(txn, table, NULL, &cursor));
    KV_EACH (status, cursor, &key, &value)
        CHECK(key.len > 0);
    CHECK(status == KV_OK);
    for (i = 0; i < 100; i++)
        OK(kv_cursor_random(cursor, &key, &value));
    kv_cursor_close(cursor);
    for (i = 0; i < 4; i++)
        keys[i] = slice(i % 2 == 0 ? "k00000007" : "none");
    OK(kv_get_many(txn, KV_MAIN, keys, 4, values, &found));
    CHECK(found == 2);
    batch.bytes = room;
    batch.bytes_size = sizeof room;
    batch.ends = ends;
    batch.ends_size = sizeof ends / sizeof *ends;
    OK(kv_scan(txn, KV_MAIN, NULL, &batch));
    OK(kv_count(txn, table, NULL, &n));
    OK(kv_stat_table(txn, table, 0, &stat));
    CHECK(stat.height >= (quick() ? 3 : 5));
}

static int32_t nowhere(void *ctx, const void *data, size_t len)
{
    (void)ctx;
    (void)data;
    (void)len;
    return 0;
}

static void maintain(kv_db *db, const kv_txn *txn)
{
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_salvage_report report = KV_SALVAGE_REPORT_INIT;
    OK(kv_check(txn, NULL, NULL, NULL, NULL));
    OK(kv_backup(txn, "copy.kv", NULL));
    OK(kv_backup_stream(txn, nowhere, NULL, NULL));
    OK(kv_salvage("stack.kv", "saved.kv", NULL, NULL, NULL, &report));
    CHECK(report.entries > 3000 && report.lost_entries == 0);
    job.flags = KV_JOB_CHECK_SPACE;
    OK(kv_db_check(db, &job, NULL, NULL, NULL));
    job.flags = KV_JOB_COMPACT | KV_JOB_OVERWRITE;
    OK(kv_db_backup(db, "copy.kv", &job));
}

/* Failures whose messages take some work. */
static void fail(kv_db *db)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_txn_options now = KV_TXN_OPTIONS_INIT;
    kv_txn *txn = NULL, *second = NULL;
    kv_db *other = NULL;
    FILE *file = fopen("other", "w");
    CHECK(file != NULL && fputs("no database at all, but text", file) >= 0 && fclose(file) == 0);
    IS(kv_open("other", NULL, &other), KV_NOT_A_DATABASE);
    options.flags = KV_OPEN_EXISTING;
    IS(kv_open("nowhere/none.kv", &options, &other), KV_NO_FILE);
    OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    now.flags = KV_TXN_NOWAIT;
    IS(kv_txn_begin(db, KV_WRITE, &now, &second), KV_BUSY);
    IS(kv_put(txn, KV_MAIN, S("k00000007"), S(""), KV_NO_OVERWRITE), KV_EXISTS);
    kv_txn_abort(txn);
}

static void delete_much(kv_txn *txn)
{
    kv_range range = KV_PREFIX(KV_STR("k0001"));
    kv_table table;
    kv_slice key, value;
    int i;
    OK(kv_delete_range(txn, KV_MAIN, &range, NULL));
    for (i = 0; i < 500; i++)
        OK(kv_take_first(txn, KV_MAIN, NULL, &key, &value));
    OK(kv_table_open(txn, S("tall"), &table));
    range.prefix = slice("00");
    OK(kv_delete_range(txn, table, &range, NULL));
    OK(kv_table_drop(txn, table));
}

static void *work(void *unused)
{
    kv_db *db = fresh("stack.kv");
    kv_txn *txn = begin(db, KV_WRITE);
    write_much(txn);
    commit(txn);
    OK(kv_close(db));
    OK(kv_open("stack.kv", NULL, &db));
    txn = begin(db, KV_READ);
    read_much(txn);
    maintain(db, txn);
    kv_txn_abort(txn);
    fail(db);
    txn = begin(db, KV_WRITE);
    delete_much(txn);
    commit(txn);
    OK(kv_close(db));
    return unused;
}

int main(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    char *memory;
    int i;
    bytes = malloc(LONG);
    CHECK(bytes != NULL);
    for (i = 0; i < LONG; i++)
        bytes[i] = (char)(i * 31 + (i >> 10));
    memory = mmap(NULL, GUARD + STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && mprotect(memory + GUARD, STACK, PROT_READ | PROT_WRITE) == 0);
    CHECK(pthread_attr_init(&attributes) == 0);
    if (pthread_attr_setstack(&attributes, memory + GUARD, STACK) != 0) {
        printf("SKIPPED: threads of this machine have more than %d bytes of stack\n", (int)STACK);
        return 0;
    }
    CHECK(pthread_create(&thread, &attributes, work, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    free(bytes);
    DONE;
}
