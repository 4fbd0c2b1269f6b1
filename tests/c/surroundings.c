/*
 * Every function in every situation, the third part: other threads, callbacks, limits, files that are no databases. As
 * in statuses.c, each call answers a status and neither crashes nor hangs; which ones they are is recorded.
 */
#include "world.h"

#include <sys/resource.h>

/* ---- other threads ------------------------------------------------------------------------------------------- */

static pthread_t other_thread;
static volatile int other_ready, other_ends;

static void *puts_slowly(void *argument)
{
    struct world *w = argument;
    kv_status status;
    hold.thread = pthread_self();
    hold.on = 1;
    status = kv_put(w->txn, KV_MAIN, S("slow"), big, 1 << 20, 0);
    hold.waits = 1;
    CHECK(status == KV_OK);
    return NULL;
}

static void in_use(struct world *w)
{
    if (!w->writing) return;
    hold.waits = 0;
    CHECK(pthread_create(&other_thread, NULL, puts_slowly, w) == 0);
    while (!hold.waits) usleep(50);
}

static void in_use_no_more(struct world *w)
{
    if (!w->writing) return;
    hold.on = 0;
    CHECK(pthread_join(other_thread, NULL) == 0);
}

/* Holds the write transaction until the test needs it no more, or for a while; if it is told to, it ends waits. */
static int interrupts;

static void *writes(void *argument)
{
    struct world *w = argument;
    kv_txn *txn = begin(w->db, KV_WRITE);
    int i;
    other_ready = 1;
    for (i = 0; i < (interrupts ? 10000 : 300) && !other_ends; i++) {
        usleep(1000);
        if (interrupts) kv_interrupt(w->db);
    }
    kv_txn_abort(txn);
    return NULL;
}

static void other_writes(struct world *w)
{
    if (w->writing) return;
    other_ready = other_ends = 0;
    w->a.kind = KV_WRITE;
    w->a.job_flags = KV_JOB_CHECK_SPACE;
    w->a.ms = interrupts ? -1 : 5;
    OK(kv_newest_commit(w->db, &w->a.id, NULL));
    CHECK(pthread_create(&other_thread, NULL, writes, w) == 0);
    while (!other_ready) usleep(50);
}

static void other_wrote(struct world *w)
{
    if (w->writing) return;
    other_ends = 1;
    CHECK(pthread_join(other_thread, NULL) == 0);
}

static struct world *in_callback_of;
static kv_status in_callback_status;

static int32_t calls_function(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx, (void)total, (void)done;
    in_callback_status = in_callback_of->function->call(&in_callback_of->a);
    return 1;
}

/* What a function answers inside a callback of a check that uses the transaction. */
static void inside_callback(struct world *w)
{
    kv_job_options options = KV_JOB_OPTIONS_INIT;
    if (w->writing) return;
    options.progress = calls_function;
    in_callback_of = w;
    IS(kv_check(w->txn, &options, NULL, NULL, NULL), KV_CANCELLED);
    record(w->function, in_callback_status);
    w->a.db = NULL;
}

/* ---- limits -------------------------------------------------------------------------------------------------- */

static void run_wanted(args *a)
{
    size_t f;
    for (f = 0; f < N_FUNCTIONS; f++)
        if (wanted(FUNCTIONS[f].name)) record(&FUNCTIONS[f], FUNCTIONS[f].call(a));
}

/* In a child, since the memory of handles is never given back. */
static void limits(void)
{
    static struct world w;
    int all;
    for (all = 0; all < 2; all++) {
        int status;
        pid_t child;
        if (all && quick()) break;
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            kv_status made;
            kv_txn *writer;
            kv_slice value;
            alarm(60);
            opened(&w, &FUNCTIONS[0], 0, &usual);
            handles(&w);
            writer = begin(w.db, KV_WRITE);
            do {
                kv_txn *txn;
                kv_buf *buffer;
                made = all ? kv_get_buf(w.txn, KV_MAIN, S("k"), &value, &buffer)
                           : kv_txn_begin(w.db, KV_READ, NULL, &txn);
            } while (made == KV_OK);
            CHECK(made == KV_LIMIT);
            only = " kv_open kv_txn_begin kv_cursor_open kv_get_buf kv_db_get kv_db_check kv_db_backup "
                   " kv_scan kv_db_put ";
            run_wanted(&w.a);
            w.a.before = w.txn;
            only = " kv_diff_open ";
            run_wanted(&w.a);
            w.a.txn = writer;
            only = " kv_writer_open kv_txn_nest ";
            run_wanted(&w.a);
            kv_txn_abort(writer);
            w.a.txn = w.txn;
            w.a.job_flags = KV_JOB_CHECK_SPACE;
            only = " kv_check kv_db_check ";
            run_wanted(&w.a);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* Edits that are not applied before the commit, of keys that are new each time. */
static kv_txn *txn_with_edits(kv_db *db)
{
    static int number;
    kv_txn *txn = begin(db, KV_WRITE);
    int i;
    for (i = 0; i < 2000; i++)
        edit(txn, number++, 1);
    return txn;
}

/* A file that has grown to the end of the addresses reserved for it, in a child that gets few of them. */
static void outgrown(void)
{
    static struct world w;
    const struct rlimit addresses = {3 << 29, 3 << 29};
    int status;
    pid_t child;
    if (quick()) return; /* valgrind and emulators need addresses of their own */
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        size_t f;
        CHECK(setrlimit(RLIMIT_AS, &addresses) == 0);
        alarm(60);
        opened(&w, &FUNCTIONS[0], 0, &lazy);
        do {
            status = kv_txn_commit(txn_with_edits(w.db), NULL);
        } while (status == KV_OK);
        CHECK(status == KV_LIMIT);
        w.a.value = big;
        w.a.vlen = 2 << 20;
        only = " kv_db_put ";
        run_wanted(&w.a);
        w.a.table = named;
        w.a.key = "new";
        w.a.klen = 3;
        only = " kv_put kv_insert kv_replace kv_put_packed kv_write_batch kv_writer_write "
               " kv_savepoint_create kv_txn_nest kv_txn_commit kv_txn_commit_async ";
        for (f = 0; f < N_FUNCTIONS; f++) {
            if (!wanted(FUNCTIONS[f].name)) continue;
            w.a.txn = txn_with_edits(w.db);
            if (FUNCTIONS[f].call == call_kv_writer_write)
                OK(kv_writer_open(w.a.txn, KV_MAIN, S("parts"), 0, 0, &w.a.parts));
            record(&FUNCTIONS[f], FUNCTIONS[f].call(&w.a));
            kv_txn_abort(w.a.txn);
        }
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- files --------------------------------------------------------------------------------------------------- */

static uint32_t crc32c(const unsigned char *bytes, size_t len)
{
    uint32_t crc = UINT32_MAX;
    int bit;
    while (len-- > 0)
        for (crc ^= *bytes++, bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
    return ~crc;
}

/* Every slot says that the file has another version of the format. */
static void version(uint32_t number)
{
    char *file = malloc(template_len);
    uint32_t crc;
    int slot;
    CHECK(file != NULL);
    memcpy(file, template, template_len);
    for (slot = 0; slot < 4; slot++) {
        char *at = file + slot * 4096;
        if ((unsigned char)*at != 0x89) continue;
        memcpy(at + 8, &number, sizeof number);
        crc = crc32c((unsigned char *)at, 4092);
        memcpy(at + 4092, &crc, sizeof crc);
    }
    put_file("file.kv", file, template_len);
    free(file);
}

static void open_and_salvage(const char *path, uint32_t flags)
{
    static args a;
    size_t f;
    defaults(&a);
    a.path = a.damaged = path;
    a.open_flags = flags;
    for (f = 0; f < N_FUNCTIONS; f++)
        if (FUNCTIONS[f].call == call_kv_open || FUNCTIONS[f].call == call_kv_salvage) {
            kv_status status = FUNCTIONS[f].call(&a);
            memset(&refuse, 0, sizeof refuse);
            record(&FUNCTIONS[f], status);
            (void)kv_close(a.got_db);
            unlink("target.kv");
        }
}

static void files(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_db *reader;
    version(UINT32_MAX);
    open_and_salvage("file.kv", 0);
    version(0);
    open_and_salvage("file.kv", 0);
    put_file("file.kv", big, 20000);
    open_and_salvage("file.kv", 0);
    put_file("file.kv", "", 0);
    open_and_salvage("file.kv", 0);
    open_and_salvage("file.kv", KV_OPEN_READ_ONLY);
    open_and_salvage(".", 0);
    put_file("file.kv", template, 16384 + 100);
    open_and_salvage("file.kv", 0);
    memset(template + 600, 1, 4); /* a database whose slots are all damaged */
    memset(template + 4096 + 600, 1, 4);
    memset(template + 8192 + 600, 1, 4);
    memset(template + 12288 + 600, 1, 4);
    put_file("file.kv", template, template_len);
    open_and_salvage("file.kv", 0);

    /* This process may only read it. */
    options.flags = KV_OPEN_READ_ONLY;
    refuse.opens_to_write = EACCES;
    CHECK(kv_open("template.kv", &options, &reader) == KV_OK);
    memset(&refuse, 0, sizeof refuse);
    open_and_salvage("template.kv", 0);
    OK(kv_close(reader));
}

int main(void)
{
    enter_memory();
    outgrown(); /* first, while this process uses few addresses */
    RUN(usual, in_use, in_use_no_more);
    only = " kv_txn_begin kv_db_put kv_db_delete kv_wait_commit kv_db_check kv_check ";
    RUN(usual, other_writes, other_wrote);
    interrupts = 1;
    only = " kv_txn_begin kv_db_put kv_db_delete kv_wait_commit ";
    RUN(for_ever, other_writes, other_wrote);
    only = " kv_close kv_txn_refresh kv_txn_commit kv_txn_commit_async kv_txn_abort kv_txn_id kv_get kv_sync ";
    RUN(usual, inside_callback, NULL);
    only = NULL;
    limits();
    files();
    DONE;
}
