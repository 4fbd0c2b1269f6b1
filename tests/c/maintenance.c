/* Checking, copying and saving databases as a program does it. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

static int32_t count(void *ctx, const kv_fault *fault)
{
    CHECK(fault->struct_size == sizeof *fault && fault->status == KV_CORRUPT && strlen(fault->message) > 5);
    CHECK(fault->kind == KV_FAULT_UNREADABLE && fault->reserved == 0);
    ++*(int *)ctx;
    return 0;
}

static int32_t refuse_fault(void *ctx, const kv_fault *fault)
{
    (void)ctx, (void)fault;
    return 1;
}

static int32_t stop(void *ctx, uint64_t done, uint64_t total)
{
    CHECK(done <= total);
    ++*(int *)ctx;
    return 1;
}

static int32_t go_on(void *ctx, uint64_t done, uint64_t total)
{
    uint64_t *last = ctx;
    CHECK(done >= *last && done <= total);
    *last = done;
    return 0;
}

static void fill(kv_db *db, int from, int to)
{
    kv_txn *txn = begin(db, KV_WRITE);
    kv_table table;
    char key[32];
    int i;
    OK(kv_table_create(txn, S("fruit"), NULL, &table));
    OK(kv_table_set_note(txn, table, S("a note")));
    for (i = from; i < to; i++) {
        snprintf(key, sizeof key, "key %08d", i);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), key, strlen(key), 0));
        OK(kv_put(txn, table, key, strlen(key), S("apple"), 0));
    }
    commit(txn);
}

static uint64_t entries(const char *path, uint64_t tables)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_db *db;
    kv_txn *txn;
    int faults = 0;
    options.flags = KV_OPEN_EXISTING;
    job.flags = KV_JOB_CHECK_SPACE;
    OK(kv_open(path, &options, &db));
    txn = begin(db, KV_READ);
    OK(kv_check(txn, &job, count, &faults, &report));
    CHECK(faults == 0 && report.tables == tables);
    kv_txn_abort(txn);
    OK(kv_close(db));
    return report.entries;
}

static kv_db *db;

static void *writing(void *unused)
{
    int i;
    (void)unused;
    for (i = 0; i < 20; i++)
        fill(db, 10000 + 100 * i, 10000 + 100 * i + 100);
    return NULL;
}

/* Nothing but a file is replaced, whether it is named itself or by a link. */
static void onto_no_file(void)
{
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_txn *txn = begin(db, KV_READ);
    struct stat facts;
    size_t i;
    static const char *const names[] = {"pipe", "link-to-pipe", "folder", "link-to-folder"};
    CHECK(mkfifo("pipe", 0600) == 0 && symlink("pipe", "link-to-pipe") == 0);
    CHECK(mkdir("folder", 0700) == 0 && symlink("folder", "link-to-folder") == 0);
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        job.flags = KV_JOB_OVERWRITE;
        IS(kv_backup(txn, names[i], &job), KV_NOT_A_DATABASE);
        IS(kv_salvage("db.kv", names[i], &job, NULL, NULL, NULL), KV_NOT_A_DATABASE);
        job.flags |= KV_JOB_COMPACT;
        IS(kv_db_backup(db, names[i], &job), KV_NOT_A_DATABASE);
        IS(kv_backup(txn, names[i], NULL), KV_EXISTS);
        CHECK(lstat(names[i], &facts) == 0 && !S_ISREG(facts.st_mode));
    }
    /* A link that leads to a file is replaced, and so is one that leads nowhere. */
    job.flags = KV_JOB_OVERWRITE;
    CHECK(symlink("nowhere", "link") == 0);
    OK(kv_backup(txn, "link", &job));
    CHECK(lstat("link", &facts) == 0 && S_ISREG(facts.st_mode) && access("nowhere", F_OK) != 0);
    kv_txn_abort(txn);
}

/* A pipe that nobody reads is an error and no signal, neither now nor later. */
static void to_nobody(void)
{
    kv_txn *txn = begin(db, KV_READ);
    kv_error detail = KV_ERROR_INIT;
    int ends[2];
    CHECK(pipe(ends) == 0 && close(ends[0]) == 0);
    IS(kv_backup_stream(txn, kv_fd_write, &ends[1], NULL), KV_IO);
    OK(kv_error_detail(&detail));
    CHECK(detail.sys_errno == EPIPE && close(ends[1]) == 0);
    kv_txn_abort(txn);
}

static void copies(void)
{
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_txn *txn;
    pthread_t writer;
    struct stat before, after;
    uint64_t last = 0;
    int calls = 0, fd;
    fill(db, 0, 4000);
    txn = begin(db, KV_READ);
    CHECK(pthread_create(&writer, NULL, writing, NULL) == 0);
    OK(kv_backup(txn, "copy.kv", NULL));
    IS(kv_backup(txn, "copy.kv", NULL), KV_EXISTS);
    job.flags = KV_JOB_OVERWRITE | KV_JOB_COMPACT;
    job.progress = go_on;
    job.ctx = &last;
    CHECK(stat("copy.kv", &before) == 0);
    OK(kv_backup(txn, "copy.kv", &job));
    CHECK(stat("copy.kv", &after) == 0 && before.st_ino != after.st_ino && last > 0);
    CHECK(pthread_join(writer, NULL) == 0);
    CHECK(entries("copy.kv", 2) == 8000);

    to_nobody();
    fd = open("stream.kv", O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    OK(kv_backup_stream(txn, kv_fd_write, &fd, NULL));
    CHECK(close(fd) == 0);
    CHECK(entries("stream.kv", 2) == 8000);

    /* Failures of the stream, of the path, of the arguments; cancelling. */
    IS(kv_backup_stream(txn, kv_fd_write, &fd, NULL), KV_IO); /* closed */
    IS(kv_backup_stream(txn, NULL, NULL, NULL), KV_INVALID);
    IS(kv_backup(txn, "no/such/directory", NULL), KV_NO_FILE);
    IS(kv_backup(txn, NULL, NULL), KV_INVALID);
    job.flags = KV_JOB_OVERWRITE;
    job.progress = NULL;
    IS(kv_backup(txn, "db.kv", &job), KV_INVALID);
    job.flags = KV_JOB_CHECK_SPACE;
    IS(kv_backup(txn, "other.kv", &job), KV_INVALID);
    job.flags = 0;
    job.progress = stop;
    job.ctx = &calls;
    IS(kv_backup(txn, "other.kv", &job), KV_CANCELLED);
    CHECK(calls == 1 && access("other.kv", F_OK) != 0);
    IS(kv_check(txn, &job, NULL, NULL, NULL), KV_CANCELLED);
    kv_txn_abort(txn);
    IS(kv_backup(txn, "other.kv", NULL), KV_BAD_HANDLE);
    IS(kv_backup_stream(NULL, kv_fd_write, &fd, NULL), KV_BAD_HANDLE);
    IS(kv_check(txn, NULL, NULL, NULL, NULL), KV_BAD_HANDLE);
    txn = begin(db, KV_WRITE);
    IS(kv_backup(txn, "other.kv", NULL), KV_INVALID);
    IS(kv_check(txn, NULL, NULL, NULL, NULL), KV_INVALID);
    kv_txn_abort(txn);
}

static void damage(void)
{
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_salvage_report report = KV_SALVAGE_REPORT_INIT;
    kv_check_report checked = KV_CHECK_REPORT_INIT;
    kv_options options = KV_OPTIONS_INIT;
    kv_error error;
    kv_db *damaged;
    kv_txn *txn;
    char page[4096];
    int faults = 0, lost = 0, at, fd = open("stream.kv", O_RDWR);
    CHECK(fd >= 0);
    for (at = 16384;; at += 4096) { /* a leaf of the main table */
        CHECK(pread(fd, page, sizeof page, at) == (ssize_t)sizeof page);
        if (page[0] == 1 && page[1] == 1 && memcmp(page + 16, "\0\0\0\0\0\0\0\0", 8) == 0)
            break;
    }
    page[2000] ^= 1;
    CHECK(pwrite(fd, page, sizeof page, at) == (ssize_t)sizeof page);
    close(fd);
    options.flags = KV_OPEN_READ_ONLY;
    OK(kv_open("stream.kv", &options, &damaged));
    txn = begin(damaged, KV_READ);
    IS(kv_check(txn, NULL, count, &faults, &checked), KV_CORRUPT);
    CHECK(faults >= 1 && checked.faults == (uint64_t)faults);
    CHECK(checked.unaccounted_pages == 0);
    /* The leaf that cannot be read may have led to others. */
    job.flags = KV_JOB_CHECK_SPACE;
    IS(kv_check(txn, &job, NULL, NULL, &checked), KV_CORRUPT);
    CHECK(checked.unaccounted_pages >= 1 && strstr(kv_error_message(), "could not be accounted for") != NULL);
    IS(kv_check(txn, NULL, refuse_fault, NULL, NULL), KV_CANCELLED);
    IS(kv_backup(txn, "other.kv", NULL), KV_CORRUPT);
    error.struct_size = sizeof error;
    OK(kv_error_detail(&error));
    CHECK(error.page == (uint64_t)at / 4096 && error.table == KV_MAIN && access("other.kv", F_OK) != 0);
    kv_txn_abort(txn);
    OK(kv_close(damaged));

    OK(kv_salvage("stream.kv", "saved.kv", NULL, count, &lost, &report));
    CHECK(lost >= 1 && report.lost_subtrees == 1 && report.damaged_pages == 1 && report.lost_entries > 0);
    CHECK(report.entries + report.lost_entries == 8000 && report.tables == 2 && report.commit > 0);
    CHECK(entries("saved.kv", 2) == report.entries && report.lost_slots == 0);
    IS(kv_salvage("stream.kv", "saved.kv", NULL, NULL, NULL, NULL), KV_EXISTS);
    IS(kv_salvage("stream.kv", "stream.kv", NULL, NULL, NULL, NULL), KV_INVALID);
    IS(kv_salvage("none.kv", "x.kv", NULL, NULL, NULL, NULL), KV_NO_FILE);
    IS(kv_salvage(NULL, "x.kv", NULL, NULL, NULL, NULL), KV_INVALID);
    IS(kv_salvage("stream.kv", "x.kv", NULL, refuse_fault, NULL, NULL), KV_CANCELLED);
    job.flags = KV_JOB_COMPACT;
    IS(kv_salvage("stream.kv", "x.kv", &job, NULL, NULL, NULL), KV_INVALID);
    CHECK(access("x.kv", F_OK) != 0);

    /* The second meta slot, of a commit that then is not known. */
    fd = open("stream.kv", O_RDWR);
    memset(page, 'x', sizeof page);
    CHECK(fd >= 0 && pwrite(fd, page, sizeof page, 4096) == (ssize_t)sizeof page);
    close(fd);
    faults = lost;
    OK(kv_salvage("stream.kv", "x.kv", NULL, count, &lost, &report));
    CHECK(report.lost_slots == 2 && lost - faults == faults + 1);
    CHECK(unlink("x.kv") == 0);
}

int main(void)
{
    db = fresh("db.kv");
    copies();
    onto_no_file();
    damage();
    OK(kv_close(db));
    DONE;
}
