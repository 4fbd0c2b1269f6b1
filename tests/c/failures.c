/*
 * Every function in every situation, the second part: damaged files, disks that fail or are full, missing locks, failed
 * syncs. As in statuses.c, each call answers a status and neither crashes nor hangs; which ones they are is recorded.
 */
#include "world.h"

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
    w->a.snapshot = slice("table");
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
    w->a.snapshot_flags = KV_SNAPSHOT_REPLACE;
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

int main(void)
{
    int errors[] = {EIO, ENOSPC}, e;
    enter_memory();
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
    only = " kv_txn_begin kv_txn_refresh kv_db_get kv_db_put kv_db_delete kv_db_check kv_check kv_db_backup kv_backup ";
    RUN(usual, grown, allow);
    only = NULL;
    commits_without_locks();
    DONE;
}
