/*
 * Children that are made past the handlers of fork(), also on a full disk: what they do with what they inherited is
 * answered by KV_FORKED, never looks like damage, and changes nothing for the parent.
 */
#include "children.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* The system call itself. A child that hangs must not hang the test. */
static pid_t start_past_handlers(void)
{
    pid_t child;
    fflush(NULL);
#ifdef __s390x__
    child = (pid_t)syscall(SYS_clone, 0L, (long)SIGCHLD, 0L, 0L, 0L);
#else
    child = (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
#endif
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(30);
    }
    return child;
}

/* Whether the system wipes pages in such a child, by which the library notices it. An emulator may only say so. */
static int pages_are_wiped(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status;
    pid_t child;
    CHECK(page != MAP_FAILED);
    if (madvise(page, 4096, MADV_WIPEONFORK) != 0) return 0;
    *page = 1;
    child = start_past_handlers();
    if (child == 0) _exit(*page);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && munmap(page, 4096) == 0);
    return WEXITSTATUS(status) == 0;
}

static char big[300000];

/* What a transaction does in the child before it is committed. */
enum { NOTHING, COUNTS, CLEARS, PUTS_LONG, PUTS_MANY, READS, MAKES_TABLE, WAYS };

/* The answer of a call for which the child's copy of its parent's memory can be enough. */
static void forked_or_ok(kv_status status)
{
    if (status != KV_OK) IS(status, KV_FORKED);
}

static void use_in_child(kv_txn *txn, int way, int is_in_memory)
{
    uint64_t n;
    kv_status status = KV_OK;
    kv_table table;
    uint32_t i;
    switch (way) {
    case COUNTS:
        for (i = 0; i < 2; i++)
            if (is_in_memory)
                forked_or_ok(kv_count(txn, KV_MAIN, NULL, &n));
            else
                IS(kv_count(txn, KV_MAIN, NULL, &n), KV_FORKED);
        break;
    case CLEARS:
        IS(kv_table_clear(txn, KV_MAIN), KV_FORKED);
        break;
    case PUTS_LONG:
        IS(kv_put(txn, KV_MAIN, S("long"), big, sizeof big, 0), KV_FORKED);
        IS(kv_put(txn, KV_MAIN, S("long"), big, 50000, 0), KV_FORKED);
        break;
    case PUTS_MANY:
        for (i = 0; i < 2000 && status == KV_OK; i++) status = kv_put(txn, KV_MAIN, &i, sizeof i, big, 900, 0);
        if (is_in_memory)
            IS(status, KV_FORKED);
        else
            OK(status); /* All of it is collected. */
        break;
    case READS:
        forked_or_ok(kv_get(txn, KV_MAIN, S("k"), NULL));
        break;
    case MAKES_TABLE:
        forked_or_ok(kv_table_create(txn, S("new"), NULL, &table));
        break;
    default:
        break;
    }
}

/* Every other function that takes the database. */
static void refused_in_child(kv_db *db, kv_txn *reader)
{
    kv_db_stat stat = KV_DB_STAT_INIT;
    kv_identity identity = KV_IDENTITY_INIT;
    kv_reader_info info = KV_READER_INFO_INIT;
    kv_txn *txn;
    kv_slice value;
    uint64_t id;
    IS(kv_newest_commit(db, &id, NULL), KV_FORKED);
    IS(kv_stat_db(db, &stat), KV_FORKED);
    IS(kv_db_identity(db, &identity), KV_FORKED);
    IS(kv_reader_at(db, 0, &info), KV_FORKED);
    IS(kv_wait_commit(db, 0, 0, &id), KV_FORKED);
    IS(kv_wait_durable(db, 1, 0), KV_FORKED);
    IS(kv_sync(db), KV_FORKED);
    IS(kv_txn_begin(db, KV_READ, NULL, &txn), KV_FORKED);
    IS(try_seat(db, &txn), KV_FORKED);
    IS(kv_db_get(db, KV_MAIN, S("k"), NULL, 0, NULL), KV_FORKED);
    IS(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0), KV_FORKED);
    IS(kv_db_delete(db, KV_MAIN, S("k"), KV_BLIND), KV_FORKED);
    IS(kv_db_check(db, NULL, NULL, NULL, NULL), KV_FORKED);
    IS(kv_db_backup(db, "copy", NULL), KV_FORKED);
    IS(kv_check(reader, NULL, NULL, NULL, NULL), KV_FORKED);
    IS(kv_backup(reader, "copy", NULL), KV_FORKED);
    IS(kv_backup_stream(reader, kv_fd_write, NULL, NULL), KV_FORKED);
    IS(kv_get(reader, KV_MAIN, S("k"), &value), KV_FORKED);
    IS(kv_txn_refresh(reader), KV_FORKED);
    kv_interrupt(db);
    kv_txn_abort(reader);
    IS(kv_close(db), KV_FORKED);
}

/* Begins a transaction whose commit waits for no sync. */
static kv_txn *begin_lazy(kv_db *db)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_txn *txn = NULL;
    options.durability = KV_DURABILITY_LAZY;
    OK(kv_txn_begin(db, KV_WRITE, &options, &txn));
    return txn;
}

/* Puts until the disk is full or all are there, and deletes some again if it is full. Returns whether it was. */
static int fill(kv_db *db, uint32_t most)
{
    uint32_t i, k;
    for (i = 0; i < most; i += 50) {
        kv_txn *txn = begin_lazy(db);
        kv_status status = KV_OK;
        for (k = i; k < i + 50 && status == KV_OK; k++) status = kv_put(txn, KV_MAIN, &k, sizeof k, big, 3000, 0);
        if (status == KV_OK)
            status = kv_txn_commit(txn, NULL);
        else
            kv_txn_abort(txn);
        if (status == KV_OK) continue;
        IS(status, KV_NO_SPACE);
        CHECK(i >= 300);
        for (k = 0; k < 100; k++) {
            txn = begin_lazy(db);
            OK(kv_delete(txn, KV_MAIN, &k, sizeof k, 0));
            commit(txn);
        }
        return 1;
    }
    return 0;
}

/*
 * One child of a process that has a transaction open, of which pages are built already if there is little
 * `write_memory`: nothing that it does with what it inherited looks like damage, or changes anything.
 */
static void past_handlers(int is_full, int way, uint64_t write_memory)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_db *db = fresh(PATH);
    kv_txn *reader, *writer;
    kv_status status;
    pid_t child;
    uint32_t i;
    OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0));
    CHECK(fill(db, is_full ? 100000 : 100) == is_full);
    reader = begin(db, KV_READ);
    options.write_memory = write_memory;
    OK(kv_txn_begin(db, KV_WRITE, &options, &writer));
    for (i = 0, status = KV_OK; i < 60 && status == KV_OK; i++)
        status = kv_put(writer, KV_MAIN, &i, sizeof i, big, 700, 0);
    OK(status);
    child = start_past_handlers();
    if (child == 0) {
        use_in_child(writer, way, write_memory != 0);
        IS(kv_txn_commit(writer, NULL), KV_FORKED);
        refused_in_child(db, reader);
        _exit(0);
    }
    ended(child, 0);
    commit(writer);
    kv_txn_abort(reader);
    OK(kv_db_check(db, NULL, NULL, NULL, &report));
    OK(kv_close(db));
}

static void made_past_the_handlers(void)
{
    struct rlimit limit;
    int is_full, way;
    pid_t child;
    if (!pages_are_wiped()) {
        printf("SKIPPED: children made past the handlers of fork(): no pages are wiped in them here\n");
        return;
    }
    /* The limit takes the place of a full disk, and ends with the child. */
    for (is_full = 0; is_full < 2; is_full++) {
        child = start();
        if (child == 0) {
            limit.rlim_cur = limit.rlim_max = 4 << 20;
            CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
            for (way = 0; way < WAYS; way++) {
                past_handlers(is_full, way, 0);
                past_handlers(is_full, way, 4096);
            }
            _exit(0);
        }
        ended(child, 0);
    }
}

int main(void)
{
    made_past_the_handlers();
    DONE;
}
