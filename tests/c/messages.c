/*
 * What messages say of files, disks and damage: the file, the table by its name, the page, and what to do next; and
 * kv_error_detail() beside them. answers.c has the messages of calls that are refused for other reasons. That every
 * message is one line without internal names is checked for all functions in all situations by check.h.
 */
#include "says.h"

#include <sys/stat.h>

static int32_t take_all(void *ctx, const void *data, size_t len) { return (void)ctx, (void)data, (void)len, 0; }

/* Where faults were found: the pages, and whether the words name the catalogue. */
struct found {
    uint64_t pages[32];
    int count, of_catalogue, of_records;
};

static int32_t note_fault(void *ctx, const kv_fault *fault)
{
    struct found *found = ctx;
    CHECK(found->count < 32 && (fault->table == KV_NONE || fault->table < (uint64_t)1 << 53));
    found->of_catalogue += strstr(fault->message, "in the catalogue") != NULL && fault->table == KV_NONE;
    found->of_records += strstr(fault->message, "looked for elsewhere: ") != NULL;
    found->pages[found->count++] = fault->page;
    return 0;
}

/* The catalogue has no number that a program could use, its records are no entries, and damage to it is found once. */
static void damaged_catalogue(void)
{
    kv_check_report checked = KV_CHECK_REPORT_INIT;
    kv_salvage_report saved = KV_SALVAGE_REPORT_INIT;
    kv_error detail = KV_ERROR_INIT;
    struct found found = {{0}, 0, 0, 0};
    kv_job_options again = KV_JOB_OPTIONS_INIT;
    kv_db *db;
    kv_txn *read;
    int i, k;
    damaged_copy("a", "f", "us\ners");
    db = reopened("f", 0, 0);
    read = begin(db, KV_READ);
    SAYS(kv_get(read, named, S("k"), NULL), KV_CORRUPT, at("f"), " at page ", " in the catalogue");
    OK(kv_error_detail(&detail));
    CHECK(detail.table == KV_NONE && detail.page != KV_NONE);
    SAYS(kv_check(read, NULL, note_fault, &found, &checked), KV_CORRUPT, at("f"), "faults");
    CHECK(found.of_catalogue == 1 && checked.faults == (uint64_t)found.count);
    for (i = 0; i < found.count; i++)
        for (k = 0; k < i; k++)
            CHECK(found.pages[i] != found.pages[k]);
    kv_txn_abort(read);
    OK(kv_close(db));
    found.count = found.of_catalogue = 0;
    again.flags = KV_JOB_OVERWRITE;
    OK(kv_salvage("f", "saved", &again, note_fault, &found, &saved));
    CHECK(found.of_catalogue > 0 && found.of_records == 1 && saved.lost_entries == 0 && saved.damaged_pages == 1);
    CHECK(unlink("saved") == 0);
}

/* Damage is told with path, page and the name of the table, and with advice that fits the function. */
static void damage(void)
{
    static const char in_table[] = " in table \"" SHOWN_NAME "\" (number ";
    kv_db *db;
    kv_txn *read, *write;
    kv_cursor *cursor;
    kv_slice value;
    kv_error detail = KV_ERROR_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_job_options compact = KV_JOB_OPTIONS_INIT;
    uint64_t count;
    damaged_copy("a", "d", "VICTIM");
    db = reopened("d", 0, KV_VERIFY_ALWAYS);
    read = begin(db, KV_READ);
    SAYS(kv_get(read, named, S("key 00007"), &value), KV_CORRUPT, at("d"), "corrupt: ", " at page ", in_table,
        "; run kv_check", "kv_salvage", "backup");
    OK(kv_error_detail(&detail));
    CHECK(detail.table == named && detail.page != KV_NONE && detail.sys_errno == 0);
    SAYS(kv_get(read, named, S("key 00007"), NULL), KV_CORRUPT, at("d"), in_table);
    SAYS(kv_db_get(db, named, S("key 00007"), NULL, 0, NULL), KV_CORRUPT, at("d"), in_table);
    OK(kv_cursor_open(read, named, NULL, &cursor));
    SAYS(kv_cursor_next(cursor, NULL, &value), KV_CORRUPT, at("d"), " at page ", in_table);
    SAYS(kv_cursor_seek(cursor, S("key 00100"), KV_SEEK_GE, NULL, &value), KV_CORRUPT, at("d"), in_table);
    SAYS(kv_rank(read, named, S("key 00100"), &count), KV_CORRUPT, at("d"), in_table);
    SAYS(kv_check(read, NULL, NULL, NULL, &report), KV_CORRUPT, at("d"), "kv_salvage", "faults");
    CHECK(strstr(kv_error_message(), "run kv_check") == NULL);
    SAYS(kv_backup(read, "copy", NULL), KV_CORRUPT, at("d"), " at page ", in_table, "kv_salvage");
    compact.flags = KV_JOB_COMPACT;
    SAYS(kv_backup(read, "copy", &compact), KV_CORRUPT, at("d"), " at page ", in_table);
    SAYS(kv_backup_stream(read, take_all, NULL, NULL), KV_CORRUPT, at("d"), " at page ", in_table);
    kv_txn_abort(read);

    write = begin(db, KV_WRITE);
    SAYS(kv_put(write, named, S("key 00007"), S("v"), KV_NO_OVERWRITE), KV_CORRUPT, at("d"), " at page ", in_table);
    SAYS(kv_put(write, KV_MAIN, S("x"), S("v"), 0), KV_TXN_FAILED, at("d"), "earlier", in_table, "); abort it");
    CHECK(strstr(kv_error_message(), "restore") == NULL);
    SAYS(kv_txn_commit(write, NULL), KV_TXN_FAILED, at("d"), in_table, "); it was aborted");
    write = begin(db, KV_WRITE);
    OK(kv_put(write, named, S("key 00007"), S("w"), 0));
    SAYS(kv_txn_commit(write, NULL), KV_CORRUPT, at("d"), " at page ", in_table, "run kv_check");
    /* The main table has no name. */
    OK(kv_close(db));
    damaged_copy("a", "d", "kk");
    db = reopened("d", 0, KV_VERIFY_ALWAYS);
    SAYS(kv_db_get(db, KV_MAIN, S("k"), NULL, 0, NULL), KV_CORRUPT, at("d"), " in the main table");
    OK(kv_close(db));

    /* What cannot be opened cannot be checked. */
    damaged_copy("a", "d", NULL);
    SAYS(kv_open("d", NULL, &db), KV_CORRUPT, at("d"), "cannot be opened", "kv_salvage", "backup");
    CHECK(strstr(kv_error_message(), "kv_check") == NULL);
}

/* What is not there, there already, or something else. */
static void files(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_db *db, *none;
    kv_txn *read;
    int fd;
    options.flags = KV_OPEN_EXISTING;
    SAYS(kv_open("no/such", &options, &db), KV_NO_FILE, at("no/such"), ": no such file: its directory ", "/no is not there",
        "; look whether");
    CHECK(system_error() == ENOENT && strstr(kv_error_message(), "No such file") == NULL);
    SAYS(kv_open("none", &options, &db), KV_NO_FILE, at("none"), ": no such file; look whether", "KV_OPEN_EXISTING");
    CHECK(symlink("circle", "circle") == 0);
    SAYS(kv_open("circle", NULL, &db), KV_NO_FILE, at("circle"), "leads in a circle", "; look whether");
    CHECK(system_error() == ELOOP && unlink("circle") == 0);
    SAYS(kv_open("a/b", NULL, &db), KV_NO_FILE, at("a/b"), "; look whether");
    CHECK(system_error() == ENOTDIR);
    options.flags = KV_OPEN_NEW;
    SAYS(kv_open("a", &options, &db), KV_EXISTS, at("a"), "exists already", "KV_OPEN_NEW");
    SAYS(kv_open(".", NULL, &db), KV_NOT_A_DATABASE, folder, "directory", "; look whether");
    CHECK(system_error() == EISDIR);
    fd = open("other", O_CREAT | O_WRONLY, 0644);
    CHECK(write(fd, "SQLite format 3", 16) == 16 && ftruncate(fd, 100000) == 0 && close(fd) == 0);
    SAYS(kv_open("other", NULL, &db), KV_NOT_A_DATABASE, at("other"), "SQLite", "; look whether");
    fd = open("empty", O_CREAT | O_WRONLY, 0644);
    CHECK(close(fd) == 0);
    options.flags = KV_OPEN_EXISTING;
    SAYS(kv_open("empty", &options, &db), KV_NOT_A_DATABASE, at("empty"), "empty", "; look whether");
    CHECK(strstr(kv_error_message(), "changes nothing") == NULL);
    CHECK(truncate("empty", 16384) == 0);
    SAYS(kv_open("empty", &options, &db), KV_NOT_A_DATABASE, at("empty"), "holds only zeros, 16384 bytes",
        "open it without KV_OPEN_EXISTING");
    CHECK(truncate("empty", 1) == 0);
    SAYS(kv_open("empty", &options, &db), KV_NOT_A_DATABASE, at("empty"), "holds only a zero", "without KV_OPEN_EXISTING");
    db = reopened("a", 0, 0);
    SAYS(kv_open("a-shm", &options, &none), KV_NOT_A_DATABASE, at("a-shm"), "shared memory", "; open the database, whose name");
    CHECK(strstr(kv_error_message(), "whether the path") == NULL);
    OK(kv_close(db));
    SAYS(kv_open("/proc/self/mem", NULL, &db), KV_NOT_A_DATABASE, "/proc/self/mem", "on no disk", "; look whether");
    SAYS(kv_open("/dev/zero", NULL, &db), KV_NOT_A_DATABASE, "/dev/zero", "a character device", "; look whether");
    damaged_copy("a", "headless", "no such text");
    fd = open("headless", O_WRONLY);
    CHECK(pwrite(fd, big, 4 * PAGE, 0) == 4 * PAGE && close(fd) == 0);
    SAYS(kv_open("headless", NULL, &db), KV_NOT_A_DATABASE, at("headless"), "if it was a database", "kv_salvage");
    SAYS(kv_open(NULL, NULL, &db), KV_INVALID, NULL, "path", "NULL");
    options.flags = KV_OPEN_NEW | KV_OPEN_EXISTING;
    SAYS(kv_open("a", &options, &db), KV_INVALID, at("a"), "KV_OPEN_NEW", "KV_OPEN_EXISTING");
    options.flags = KV_OPEN_MEMORY | KV_OPEN_READ_ONLY;
    SAYS(kv_open("a", &options, &db), KV_INVALID, at("a"), "KV_OPEN_MEMORY excludes", "KV_OPEN_READ_ONLY");

    refuse.opens = EACCES;
    SAYS(kv_open("a", NULL, &db), KV_ACCESS, at("a"), "Permission denied", "; look at the permissions",
        "KV_OPEN_READ_ONLY");
    CHECK(system_error() == EACCES);
    /* That would not help where there is nothing to be read. */
    SAYS(kv_open("none", NULL, &db), KV_ACCESS, at("none"), "Permission denied", "; look at the permissions");
    CHECK(strstr(kv_error_message(), "KV_OPEN_READ_ONLY") == NULL);
    refuse.opens = EMFILE;
    SAYS(kv_open("a", NULL, &db), KV_IO, at("a"), "open", "Too many open files");
    CHECK(system_error() == EMFILE);
    refuse.opens = 0, refuse.locks = ENOLCK;
    SAYS(kv_open("a", NULL, &db), KV_NO_LOCKS, at("a"), "No locks available", "put the database on a file system with locks");
    CHECK(system_error() == ENOLCK);
    refuse.locks = 0, refuse.writes = ENOSPC;
    SAYS(kv_open("new", NULL, &db), KV_NO_SPACE, at("new"), "No space left", "free space");
    CHECK(system_error() == ENOSPC);
    refuse.writes = 0;

    db = reopened("a", 0, 0);
    read = begin(db, KV_READ);
    SAYS(kv_backup(read, "other", NULL), KV_EXISTS, at("other"), "exists already", "KV_JOB_OVERWRITE");
    SAYS(kv_backup(read, "no/such", NULL), KV_NO_FILE, at("no/such"), "; look whether");
    CHECK(system_error() == ENOENT);
    SAYS(kv_backup(read, "a", NULL), KV_INVALID, at("a"), "the database itself");
    for (job.flags = 0; job.flags <= KV_JOB_COMPACT; job.flags += KV_JOB_COMPACT) {
        refuse.writes = ENOSPC;
        SAYS(kv_backup(read, "copy", &job), KV_NO_SPACE, at("copy"), "No space left", "free space");
        CHECK(system_error() == ENOSPC);
        refuse.writes = 0, refuse.syncs = EIO;
        SAYS(kv_backup(read, "copy", &job), KV_IO, at("copy"), "Input/output error", "; look at the disk");
        CHECK(system_error() == EIO && access("copy", F_OK) != 0);
        refuse.syncs = 0;
    }
    kv_txn_abort(read);
    SAYS(kv_salvage("no/such", "copy", NULL, NULL, NULL, NULL), KV_NO_FILE, at("no/such"), "; look whether");
    SAYS(kv_salvage("other", "copy", NULL, NULL, NULL, NULL), KV_NOT_A_DATABASE, at("other"), "; look whether");
    SAYS(kv_salvage("d", "other", NULL, NULL, NULL, NULL), KV_EXISTS, at("other"), "KV_JOB_OVERWRITE");
    refuse.writes = ENOSPC;
    SAYS(kv_salvage("d", "copy", NULL, NULL, NULL, NULL), KV_NO_SPACE, at("copy"), "No space left");
    refuse.writes = 0;
    SAYS(kv_salvage("d", "d", NULL, NULL, NULL, NULL), KV_INVALID, at("d"), "damaged file itself");
    OK(kv_close(db));

    /* Line breaks and bytes of any kind in a path. */
    options.flags = KV_OPEN_EXISTING;
    SAYS(kv_open("b\nc\x1b\xff", &options, &db), KV_NO_FILE, at("b\\nc\\u{1b}\\xff"), "; look whether");
}

/* Puts until something fails. */
static kv_status put_many(kv_txn *txn)
{
    uint32_t i;
    kv_status status = KV_OK;
    for (i = 0; i < 1000 && status == KV_OK; i++)
        status = kv_put(txn, KV_MAIN, &i, sizeof i, big, sizeof big, 0);
    return status;
}

/* Disks that fail under an open database. */
static void disks(void)
{
    kv_db *db = reopened("a", 0, 0);
    kv_txn *txn = begin(db, KV_WRITE);
    kv_txn_options small = KV_TXN_OPTIONS_INIT, later = KV_TXN_OPTIONS_INIT;
    OK(kv_put(txn, KV_MAIN, S("big"), big, sizeof big, 0));
    refuse.writes = refuse.lengths = ENOSPC;
    SAYS(kv_txn_commit(txn, NULL), KV_NO_SPACE, at("a"), "No space left",
        "; nothing was committed: free space and begin again");
    CHECK(system_error() == ENOSPC);
    SAYS(kv_db_put(db, KV_MAIN, S("big"), big, sizeof big, 0), KV_NO_SPACE, at("a"), "; free space and repeat");
    /* A transaction that has met this cannot be repeated in part. */
    refuse.writes = refuse.lengths = 0;
    small.write_memory = 1 << 20;
    OK(kv_txn_begin(db, KV_WRITE, &small, &txn));
    refuse.writes = refuse.lengths = ENOSPC;
    SAYS(put_many(txn), KV_NO_SPACE, at("a"), "; abort this transaction, free space, and begin again");
    SAYS(kv_put(txn, KV_MAIN, S("k"), S("v"), 0), KV_TXN_FAILED, at("a"), "No space left on device (os error 28)); abort it");
    kv_txn_abort(txn);
    refuse.writes = refuse.lengths = EFBIG;
    SAYS(kv_db_put(db, KV_MAIN, S("big"), big, sizeof big, 0), KV_NO_SPACE, at("a"), "File too large", "ulimit -f");
    CHECK(system_error() == EFBIG);
    refuse.writes = refuse.lengths = EIO;
    SAYS(kv_db_put(db, KV_MAIN, S("big"), big, sizeof big, 0), KV_IO, at("a"), "Input/output error", "; look at the disk");
    CHECK(system_error() == EIO);
    refuse.writes = refuse.lengths = 0, refuse.syncs = EIO;
    SAYS(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0), KV_IN_DOUBT, at("a"), "in doubt", "Input/output error", "; close and open");
    CHECK(system_error() == EIO);
    refuse.syncs = 0;
    SAYS(kv_sync(db), KV_POISONED, at("a"), "sync failed", "; close every handle");
    SAYS(kv_close(db), KV_POISONED, at("a"), "sync failed", "; close every handle");

    /* Also closing names the file, although the handle is gone by then. */
    damaged_copy("a", "e", "no such text");
    db = reopened("e", 0, 0);
    later.durability = KV_DURABILITY_LAZY;
    OK(kv_txn_begin(db, KV_WRITE, &later, &txn));
    OK(kv_put(txn, KV_MAIN, S("k"), S("v"), 0));
    commit(txn);
    refuse.syncs = EIO;
    SAYS(kv_close(db), KV_IN_DOUBT, at("e"), "in doubt", "Input/output error", "; close and open");
    CHECK(system_error() == EIO);
    refuse.syncs = 0;
    SAYS(kv_close(db), KV_BAD_HANDLE, NULL, "it was closed");
}

/*
 * Advice is for the user who opens files, and not for the one who has started the program: this user may not read the
 * file. Only root can become another user.
 */
static void other_users(void)
{
    kv_db *db;
    kv_status answer;
    int fd;
    if (geteuid() != 0) return;
    fd = open("mine", O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0 && close(fd) == 0 && chmod(".", 0755) == 0);
    /* The folders above need not let others in, and the message is the same then. */
    CHECK(seteuid(65534) == 0);
    answer = kv_open("mine", NULL, &db);
    CHECK(seteuid(0) == 0 && unlink("mine") == 0); /* what is recorded is written as root */
    SAYS(answer, KV_ACCESS, at("mine"), "Permission denied", "; look at the permissions");
    CHECK(strstr(kv_error_message(), "KV_OPEN_READ_ONLY") == NULL);
}

/* A path as long as paths can be does not push out what is said about it. */
static void long_paths(void)
{
    char path[4000];
    kv_options options = KV_OPTIONS_INIT;
    kv_db *db;
    size_t i;
    options.flags = KV_OPEN_EXISTING;
    for (i = 0; i + 1 < sizeof path; i++)
        path[i] = i % 100 == 99 ? '/' : '\n';
    path[i] = 0;
    IS(kv_open(path, &options, &db), KV_NO_FILE);
    CHECK(strncmp(kv_error_message(), "/", 1) == 0 && strstr(kv_error_message(), "; look whether") != NULL);
}

int main(void)
{
    CHECK(getcwd(folder, sizeof folder) != NULL);
    make();
    damage();
    damaged_catalogue();
    files();
    other_users();
    long_paths();
    disks();
    DONE;
}
