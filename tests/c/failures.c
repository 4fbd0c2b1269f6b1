/*
 * Every function in every situation, the second half: damaged files, disks that fail or are full, missing locks,
 * failed syncs, other threads and processes, callbacks, limits, files that are no databases. As in statuses.c, each
 * call answers a status and neither crashes nor hangs; which ones they are is recorded.
 */
#include "world.h"

#include <sys/resource.h>

static void spoiled(struct world *w)
{
    kv_status status;
    if (!w->writing) return;
    refuse.writes = EIO;
    status = kv_put(w->txn, KV_MAIN, S("spoils"), big, 1 << 20, 0);
    refuse.writes = 0;
    CHECK(status == KV_IO);
}

/* ---- damage -------------------------------------------------------------------------------------------------- */

/* Damages pages of the open file: trees (1), other than the roots' level (2), extents (4). */
static void damage(int what)
{
    int fd = open(FILE_NAME, O_RDWR);
    unsigned char page[PAGE];
    off_t at;
    CHECK(fd >= 0);
    for (at = 4 * PAGE; pread(fd, page, sizeof page, at) == PAGE; at += PAGE) {
        int leaf = page[0] == 1, branch = page[0] == 2;
        if ((leaf && what & 1) || (branch && what & 2) || (!leaf && !branch && what & 4)) {
            page[PAGE / 2] ^= 0x55;
            page[100] ^= 0x55;
            CHECK(write_anyway(fd, page, sizeof page, at) == PAGE);
        }
    }
    close(fd);
}

static void damaged_trees(struct world *w)
{
    if (w->function->call != call_kv_cursor_put && w->function->call != call_kv_cursor_delete) {
        OK(kv_cursor_open(w->txn, KV_MAIN, bounded(&w->a), &w->a.cursor));
        OK(kv_cursor_first(w->a.cursor, NULL, NULL));
    }
    if (w->writing) OK(kv_put(w->txn, KV_MAIN, S("key 00120"), S("w"), 0));
    damage(3);
    w->a.range = bounded(&w->a);
    w->a.name = "another";
    w->a.name_len = 7;
}

static void damaged_catalogue(struct world *w) { damaged_trees(w), w->a.table = w->a.named, w->a.range = NULL; }
static void damaged_leaves(struct world *w) { damaged_trees(w), w->a.put_flags = KV_NO_OVERWRITE; }
static void damaged_leaves_append(struct world *w)
{
    damaged_trees(w), w->a.put_flags = KV_APPEND, w->a.op = KV_OP_DELETE;
}

static void damaged_values(struct world *w)
{
    OK(kv_cursor_seek(w->cursor, S("long"), KV_SEEK_EQ, NULL, NULL));
    damage(4);
    w->a.key = "long";
    w->a.klen = 4;
    w->a.room = 1 << 17;
    w->a.kind = KV_WRITE;
}

/* ---- the disk ------------------------------------------------------------------------------------------------ */

static int refused_errno, refused_later;

static void disk_refuses(struct world *w)
{
    w->a.value = big;
    w->a.vlen = 1 << 20;
    w->a.kind = KV_WRITE;
    if (w->writing) /* a commit has something to write */
        OK(kv_put(w->txn, KV_MAIN, S("something"), S("v"), 0));
    refuse.writes = refuse.lengths = refused_errno;
    refuse.later = refused_later;
}

static void allow(struct world *w)
{
    (void)w;
    memset(&refuse, 0, sizeof refuse);
}

static void sync_refused(struct world *w)
{
    if (w->writing) OK(kv_put(w->txn, KV_MAIN, S("something"), S("v"), 0));
    else lazy_commit(w);
    w->a.ms = 1;
    refuse.syncs = refused_errno;
}

/* An earlier sync has failed. */
static void poisoned(struct world *w)
{
    kv_status status;
    lazy_commit(w);
    w->a.ms = 1;
    w->a.kind = KV_WRITE;
    if (w->writing) return;
    refuse.syncs = EIO;
    status = kv_sync(w->db);
    refuse.syncs = 0;
    CHECK(status == KV_IN_DOUBT);
}

static void poisoned_account(struct world *w)
{
    poisoned(w);
    w->a.kind = KV_READ;
    w->a.job_flags = KV_JOB_CHECK_SPACE;
    w->a.id = UINT64_C(1) << 47;
}


static void poisoned_writer(struct world *w)
{
    kv_db *other;
    if (!w->writing) return;
    OK(kv_put(w->txn, KV_MAIN, S("something"), S("v"), 0));
    OK(kv_open(FILE_NAME, NULL, &other));
    w->a.got_db = other;
    refuse.syncs = EIO;
    CHECK(kv_sync(other) != KV_PANIC);
    refuse.syncs = 0;
}

static void locks_refused(struct world *w)
{
    w->a.kind = KV_WRITE;
    w->a.job_flags = KV_JOB_COMPACT;
    w->a.path = "template.kv";
    refuse.locks = ENOLCK;
}

static void opens_refused(struct world *w) { (void)w, refuse.opens = EACCES; }
static void opens_fail(struct world *w) { (void)w, refuse.opens = EIO; }
static void facts_refused(struct world *w) { (void)w, refuse.facts = EIO; }
static void rooms_refused(struct world *w) { (void)w, refuse.rooms = EIO, w->a.path = "template.kv"; }

/* Makes an edit of a write transaction: a large one, or as small a one as there is. */
static void edit(kv_txn *txn, int number, int large)
{
    char key[16];
    snprintf(key, sizeof key, "new %05d", number);
    if (large) OK(kv_put(txn, KV_MAIN, key, strlen(key), big, 200, 0));
    else OK(kv_delete(txn, KV_MAIN, S("q"), KV_BLIND));
}

/* So many that the trees outgrow what is kept in memory, and each time edits are applied, pages are written. */
#define MANY 8000

/* How many large or small edits it takes until they are applied to the tree, behind `large` large ones. */
static int edits_until_applied(int large, int of_large)
{
    static struct world w;
    kv_txn_stat stat = KV_TXN_STAT_INIT;
    uint64_t edits = 0;
    int i;
    opened(&w, &FUNCTIONS[0], 1, &little_memory);
    handles(&w);
    for (i = 0; i < large; i++)
        edit(w.txn, i, 1);
    for (i = 0;; i++) {
        edit(w.txn, large + i, of_large);
        OK(kv_stat_txn(w.txn, &stat));
        if (stat.edits < edits) break;
        edits = stat.edits;
    }
    end_world(&w);
    return i;
}

/* The next edit makes those before it be applied, and so does reading them in order. */
static void many_edits(struct world *w)
{
    static int large, small;
    int i;
    if (large == 0) {
        large = MANY + edits_until_applied(MANY, 1) + 1;
        large += edits_until_applied(large, 1);
        small = edits_until_applied(large, 0);
    }
    if (!w->writing) return;
    for (i = 0; i < large + small; i++)
        edit(w->txn, i, i < large);
}

static void many_edits_on_refusing_disk(struct world *w)
{
    many_edits(w);
    refuse.writes = refuse.lengths = refused_errno;
}

static void many_edits_of_damaged_trees(struct world *w)
{
    many_edits(w);
    if (w->parts != NULL) {
        kv_writer_close(w->parts);
        OK(kv_writer_open(w->txn, KV_MAIN, S("a"), 0, 0, &w->a.parts));
    }
    damage(3);
}

/* A commit too large to be listed for recovery is synced before its slot is written. */
static void large_commit(struct world *w)
{
    int i;
    char key = 'A';
    if (w->writing)
        for (i = 0; i < 10; i++, key++)
            OK(kv_put(w->txn, KV_MAIN, &key, 1, big, sizeof big, 0));
    refuse.syncs = refused_errno;
}

static void absent_on_refusing_disk(struct world *w)
{
    disk_refuses(w);
    w->a.key = "new";
    w->a.klen = 3;
    w->a.hint = 8 << 20;
    w->a.path = "new.kv";
    w->a.open_flags = KV_OPEN_NEW;
}

static void parts_on_refusing_disk(struct world *w)
{
    if (w->parts != NULL) OK(kv_writer_write(w->parts, big, 100000));
    absent_on_refusing_disk(w);
}

static void torn_on_refusing_disk(struct world *w)
{
    if (!w->writing) w->a.kind = KV_WRITE;
    w->a.job_flags = KV_JOB_CHECK_SPACE;
    w->a.key = "new";
    w->a.put_flags = 0;
    w->a.delete_flags = KV_BLIND;
    refuse.writes = refused_errno;
}

/* The sync of the commit on which this transaction builds has failed. */
static void poisoned_below(struct world *w)
{
    kv_status status;
    if (!w->writing) return;
    kv_txn_abort(w->txn);
    OK(kv_db_put(w->db, KV_MAIN, S("lazy"), S("v"), 0));
    w->a.txn = w->txn = begin(w->db, KV_WRITE);
    OK(kv_put(w->txn, KV_MAIN, S("something"), S("v"), 0));
    refuse.syncs = EIO;
    status = kv_sync(w->db);
    refuse.syncs = 0;
    CHECK(status == KV_IN_DOUBT);
}

static void large_commit_without_locks(struct world *w) { large_commit(w), refuse.syncs = 0, refuse.locks = ENOLCK; }
static void poisoned_looking(struct world *w) { poisoned(w), w->a.ms = 0; }
static void sync_without_locks(struct world *w) { sync_refused(w), refuse.syncs = 0, refuse.locks = ENOLCK; }
static void reads_refused(struct world *w) { w->a.path = "template.kv", refuse.reads = EIO; }

static void copy_without_files(struct world *w) { w->a.job_flags = KV_JOB_COMPACT, refuse.opens = EACCES; }
static void copy_without_directory(struct world *w) { w->a.job_flags = KV_JOB_COMPACT, refuse.opens = ENOENT; }
static void copy_to_full_disk(struct world *w) { w->a.job_flags = KV_JOB_COMPACT, disk_refuses(w); }

/* Another process has made the file grow, and its length cannot be learned. */
static void grown(struct world *w)
{
    pid_t child;
    int status;
    if (w->writing) return;
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        kv_db *own;
        OK(kv_open(FILE_NAME, NULL, &own));
        OK(kv_db_put(own, KV_MAIN, S("much"), big, sizeof big, 0));
        OK(kv_close(own));
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (strstr(w->function->name, "check") != NULL) w->a.job_flags = KV_JOB_CHECK_SPACE;
    refuse.facts = EIO;
}

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
            w.a.txn = writer;
            only = " kv_writer_open ";
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
               " kv_txn_commit kv_txn_commit_async ";
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

/* A commit that is published and cannot be synced for want of a lock is in doubt; what is not published is aborted. */
static void commits_without_locks(void)
{
    static struct world w;
    int large;
    for (large = 0; large < 2; large++) {
        kv_status status;
        opened(&w, &FUNCTIONS[0], 1, &usual);
        handles(&w);
        refused_errno = 0;
        if (large) large_commit(&w);
        else OK(kv_put(w.txn, KV_MAIN, S("something"), S("v"), 0));
        refuse.locks = ENOLCK;
        status = kv_txn_commit(w.txn, NULL);
        refuse.locks = 0;
        CHECK(status == (large ? KV_NO_LOCKS : KV_IN_DOUBT));
        if (large) IS(kv_db_get(w.db, KV_MAIN, S("A"), NULL, 0, NULL), KV_NOTFOUND);
        OK(kv_sync(w.db)); /* nothing is poisoned, and a later sync does it */
        if (!large) IS(kv_db_get(w.db, KV_MAIN, S("something"), NULL, 0, NULL), KV_TOO_SMALL);
        end_world(&w);
    }
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
    int errors[] = {EIO, ENOSPC}, e;
    enter_memory();
    outgrown(); /* first, while this process uses few addresses */
    RUN(usual, spoiled, NULL);
    RUN(always, damaged_trees, NULL);
    RUN(always, damaged_catalogue, NULL);
    RUN(always, damaged_leaves, NULL);
    RUN(always, damaged_leaves_append, NULL);
    RUN(always, damaged_values, NULL);
    for (e = 0; e < 2; e++) {
        refused_errno = errors[e];
        for (refused_later = 0; refused_later < 4; refused_later++)
            RUN(usual, disk_refuses, allow);
        RUN(lazy, sync_refused, allow);
    }
    RUN(lazy, poisoned, NULL);
    RUN(lazy, poisoned_account, NULL);
    RUN(lazy, poisoned_writer, NULL);
    RUN(usual, locks_refused, allow);
    RUN(usual, opens_refused, allow);
    RUN(usual, opens_fail, allow);
    RUN(usual, facts_refused, allow);
    RUN(usual, rooms_refused, allow);
    for (e = 0; e < 2; e++) {
        refused_errno = errors[e];
        refused_later = 0;
        RUN(little_memory, many_edits_on_refusing_disk, allow);
        RUN(usual, absent_on_refusing_disk, allow);
        RUN(usual, parts_on_refusing_disk, allow);
        RUN(torn, torn_on_refusing_disk, allow);
        RUN(usual, sync_refused, allow);
        RUN(usual, copy_to_full_disk, allow);
    }
    RUN(lazy, poisoned_below, NULL);
    RUN(lazy, poisoned_looking, NULL);
    RUN(lazy, sync_without_locks, allow);
    RUN(usual, sync_without_locks, allow);
    RUN(usual, reads_refused, allow);
    RUN(little_memory, many_edits_of_damaged_trees, NULL);
    only = " kv_txn_commit kv_txn_commit_async ";
    RUN(usual, large_commit, allow);
    RUN(usual, large_commit_without_locks, allow);
    only = NULL;
    RUN(usual, copy_without_files, allow);
    RUN(usual, copy_without_directory, allow);
    RUN(usual, in_use, in_use_no_more);
    only = " kv_txn_begin kv_txn_refresh kv_db_get kv_db_put kv_db_delete kv_db_check kv_check kv_db_backup kv_backup ";
    RUN(usual, grown, allow);
    only = " kv_txn_begin kv_db_put kv_db_delete kv_wait_commit kv_db_check kv_check ";
    RUN(usual, other_writes, other_wrote);
    interrupts = 1;
    only = " kv_txn_begin kv_db_put kv_db_delete kv_wait_commit ";
    RUN(for_ever, other_writes, other_wrote);
    only = " kv_close kv_txn_refresh kv_txn_commit kv_txn_commit_async kv_txn_abort kv_txn_id kv_get kv_sync ";
    RUN(usual, inside_callback, NULL);
    only = NULL;
    limits();
    commits_without_locks();
    files();
    DONE;
}
