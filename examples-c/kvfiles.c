/*
 * kvfiles: directories in a database, one entry a file: path -> contents.
 *
 *   kvfiles import DB DIR...    store every regular file below DIR; commits every 32 MB, so a kill loses no more
 *   kvfiles verify DB [DIR...]  compare every byte of every entry with its file, and with DIR find files not stored
 *   kvfiles ls DB [PREFIX]      sizes and paths
 *   kvfiles cat DB PATH         contents of one
 *   kvfiles stat DB             figures, and a check of the whole database
 *   kvfiles check DB            the check alone
 *   kvfiles backup DB TO        a copy, while others use it
 *   kvfiles salvage DB TO       what can be read of a damaged DB, into a new one
 *
 * Symbolic links are not followed. What cannot be read is reported and counted; the exit status is 1 then.
 */
#include <kv.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, COMMIT_BYTES = 32 << 20, COMMIT_FILES = 20000 };

static unsigned char buffer[BUFFER];

/* One run of the program. */
static struct {
    kv_db *db;
    kv_txn *txn;
    uint64_t files, bytes;           /* done */
    uint64_t unreadable, wrong;      /* troubles */
    uint64_t open_files, open_bytes; /* not committed yet */
    uint64_t commits;
    double begun, shown;
} run;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "kvfiles: %s: %s\n", what, kv_error_message());
    kv_txn_abort(run.txn);
    kv_close(run.db);
    exit(2);
}

static void ok(kv_status status, const char *what)
{
    if (status != KV_OK)
        die(what);
}

/* A line that overwrites itself, for people only. */
static void progress(const char *verb, int last)
{
    double time = now();
    if (!isatty(STDERR_FILENO) || (!last && time - run.shown < 0.1))
        return;
    run.shown = time;
    time -= run.begun;
    fprintf(stderr, "\r%s %llu files, %.1f MB, %.0f MB/s, %.0f files/s   %s", verb, (unsigned long long)run.files,
        (double)run.bytes / 1e6, (double)run.bytes / 1e6 / time, (double)run.files / time, last ? "\n" : "");
}

static void unreadable(const char *path)
{
    fprintf(stderr, "kvfiles: %s: %s\n", path, strerror(errno));
    run.unreadable++;
}

static ssize_t read_some(int fd, void *into, size_t size)
{
    ssize_t got;
    do
        got = read(fd, into, size);
    while (got < 0 && errno == EINTR);
    return got;
}

static void commit(void)
{
    ok(kv_txn_commit(run.txn, NULL), "commit");
    run.txn = NULL;
    run.commits++;
    run.open_files = run.open_bytes = 0;
}

/* Stores one file: a small one by kv_put, a large one in parts, whatever its length. */
static void import_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    uint64_t length = 0;
    ssize_t got = fd < 0 ? -1 : read_some(fd, buffer, BUFFER);

    if (got < 0) {
        unreadable(path);
        if (fd >= 0)
            close(fd);
        return;
    }
    if (run.txn == NULL)
        ok(kv_txn_begin(run.db, KV_WRITE, NULL, &run.txn), "begin");
    if (got < BUFFER) {
        /* A read that is shorter may be the end, or not: ask once more. */
        ssize_t more = read_some(fd, buffer + got, (size_t)(BUFFER - got));
        if (more < 0) {
            unreadable(path);
            close(fd);
            return;
        }
        got += more;
        if (got < BUFFER || more == 0) {
            ok(kv_put(run.txn, KV_MAIN, KV_STR(path), buffer, (size_t)got, 0), path);
            length = (uint64_t)got;
            got = 0;
        }
    }
    if (got > 0) {
        struct stat info;
        kv_writer *writer;
        uint64_t hint = fstat(fd, &info) == 0 && info.st_size > 0 ? (uint64_t)info.st_size : 0;
        ok(kv_writer_open(run.txn, KV_MAIN, KV_STR(path), hint, 0, &writer), path);
        do {
            ok(kv_writer_write(writer, buffer, (size_t)got), path);
            length += (uint64_t)got;
            got = read_some(fd, buffer, BUFFER);
        } while (got > 0);
        if (got < 0) {
            unreadable(path);
            kv_writer_close(writer); /* no half files */
            close(fd);
            return;
        }
        ok(kv_writer_finish(writer), path);
    }
    close(fd);
    run.files++;
    run.bytes += length;
    run.open_files++;
    run.open_bytes += length;
    if (run.open_bytes >= COMMIT_BYTES || run.open_files >= COMMIT_FILES)
        commit();
    progress("imported", 0);
}

/* Whether the file has exactly these contents; -1: it cannot be read. */
static int same(const char *path, kv_slice value)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const unsigned char *expected = value.data;
    size_t left = value.len;
    ssize_t got;
    if (fd < 0)
        return -1;
    while ((got = read_some(fd, buffer, BUFFER)) > 0) {
        if ((size_t)got > left || memcmp(buffer, expected, (size_t)got) != 0)
            break;
        expected += got;
        left -= (size_t)got;
    }
    close(fd);
    return got < 0 ? -1 : got == 0 && left == 0;
}

/* Compares every entry below a path ("" is all of them) with its file. */
static void verify_entries(const char *below)
{
    kv_range range = KV_PREFIX(KV_STR(below));
    kv_cursor *cursor;
    kv_slice key, value;
    kv_status status;

    ok(kv_cursor_open(run.txn, KV_MAIN, &range, &cursor), "cursor");
    KV_EACH (status, cursor, &key, &value) {
        char *path = malloc(key.len + 1);
        int equal;
        if (path == NULL)
            exit(2);
        memcpy(path, key.data, key.len);
        path[key.len] = 0;
        equal = same(path, value);
        if (equal < 0)
            unreadable(path);
        if (equal == 0) {
            fprintf(stderr, "kvfiles: %s: differs\n", path);
            run.wrong++;
        }
        free(path);
        run.files++;
        run.bytes += value.len;
        progress("verified", 0);
    }
    ok(status, "verify");
    kv_cursor_close(cursor);
}

static void is_stored(const char *path)
{
    if (kv_get(run.txn, KV_MAIN, KV_STR(path), NULL) == KV_OK || access(path, R_OK) != 0)
        return;
    fprintf(stderr, "kvfiles: %s: not stored\n", path);
    run.wrong++;
}

/* Calls a function with every regular file below a directory, in order of names. */
static void walk(const char *directory, void (*each)(const char *path))
{
    struct dirent **names;
    int i, n = scandir(directory, &names, NULL, alphasort);
    if (n < 0) {
        unreadable(directory);
        return;
    }
    for (i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        size_t size = strlen(directory) + strlen(name) + 2;
        char *path = malloc(size);
        struct stat info;
        if (path == NULL)
            exit(2);
        snprintf(path, size, "%s/%s", directory, name);
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            if (lstat(path, &info) != 0)
                unreadable(path);
            else if (S_ISDIR(info.st_mode))
                walk(path, each);
            else if (S_ISREG(info.st_mode))
                each(path);
        }
        free(path);
        free(names[i]);
    }
    free(names);
}

/* "DIR/", "DIR//" and "DIR" name the same entries. */
static char *trimmed(const char *directory, const char *end)
{
    size_t len = strlen(directory);
    char *made = malloc(len + 2);
    if (made == NULL)
        exit(2);
    while (len > 1 && directory[len - 1] == '/')
        len--;
    snprintf(made, len + 2, "%.*s%s", (int)len, directory, end);
    return made;
}

static void open_database(const char *path, uint32_t flags)
{
    kv_options options = KV_OPTIONS_INIT;
    options.flags = flags;
    ok(kv_open(path, &options, &run.db), path);
    if (flags & KV_OPEN_READ_ONLY)
        ok(kv_txn_begin(run.db, KV_READ, NULL, &run.txn), "begin");
    run.begun = now();
}

static int finish(const char *verb)
{
    double time = now() - run.begun;
    progress(verb, 1);
    printf("%s %llu files, %.1f MB in %.2f s: %.1f MB/s, %.0f files/s", verb, (unsigned long long)run.files,
        (double)run.bytes / 1e6, time, (double)run.bytes / 1e6 / time, (double)run.files / time);
    if (run.commits != 0)
        printf(", %llu commits", (unsigned long long)run.commits);
    if (run.unreadable != 0)
        printf(", %llu unreadable", (unsigned long long)run.unreadable);
    if (run.wrong != 0)
        printf(", %llu WRONG", (unsigned long long)run.wrong);
    printf("\n");
    return run.unreadable != 0 || run.wrong != 0;
}

static int import(char **directories)
{
    for (; *directories != NULL; directories++) {
        char *directory = trimmed(*directories, "");
        walk(directory, import_file);
        free(directory);
    }
    if (run.txn != NULL)
        commit();
    return finish("imported");
}

static int verify(char **directories)
{
    if (*directories == NULL)
        verify_entries("");
    for (; *directories != NULL; directories++) {
        char *directory = trimmed(*directories, ""), *below = trimmed(*directories, "/");
        verify_entries(below);
        walk(directory, is_stored);
        free(directory);
        free(below);
    }
    return finish("verified");
}

static int ls(const char *prefix)
{
    kv_range range = KV_PREFIX(KV_STR(prefix));
    kv_value_stat info = KV_VALUE_STAT_INIT;
    kv_cursor *cursor;
    kv_slice key;
    kv_status status;
    ok(kv_cursor_open(run.txn, KV_MAIN, &range, &cursor), "cursor");
    KV_EACH (status, cursor, &key, NULL) { /* no value: contents are not touched */
        ok(kv_stat_value(run.txn, KV_MAIN, key.data, key.len, &info), "stat");
        printf("%12llu %.*s\n", (unsigned long long)info.len, (int)key.len, (const char *)key.data);
    }
    ok(status, "list");
    return 0;
}

static int cat(const char *path)
{
    uint64_t at = 0;
    size_t got;
    do {
        ok(kv_value_read(run.txn, KV_MAIN, KV_STR(path), at, buffer, BUFFER, &got), path);
        if (fwrite(buffer, 1, got, stdout) != got)
            return 2;
        at += got;
    } while (got == BUFFER);
    return 0;
}

static int32_t tell(void *unused, const kv_fault *fault)
{
    (void)unused;
    fprintf(stderr, "kvfiles: FAULT: %s\n", fault->message);
    return 0;
}

static int check(void)
{
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_status status = kv_check(run.txn, NULL, tell, NULL, &report);
    if (status != KV_OK && status != KV_CORRUPT)
        die("check");
    printf("check: commit %llu, %llu entries, %llu faults\n", (unsigned long long)report.commit,
        (unsigned long long)report.entries, (unsigned long long)report.faults);
    return report.faults != 0;
}

static int figures(void)
{
    kv_db_stat file = KV_DB_STAT_INIT;
    kv_table_stat table = KV_TABLE_STAT_INIT;
    ok(kv_stat_db(run.db, &file), "stat");
    ok(kv_stat_table(run.txn, KV_MAIN, 0, &table), "stat");
    printf("commit %llu; %llu files in %.1f MB: %u levels, %llu branch, %llu leaf, %llu content pages of %u bytes; %llu free\n",
        (unsigned long long)file.visible, (unsigned long long)table.entries, (double)file.pages * file.page_size / 1e6,
        table.height, (unsigned long long)table.branch_pages, (unsigned long long)table.leaf_pages,
        (unsigned long long)table.overflow_pages, file.page_size, (unsigned long long)file.free_pages);
    if (!file.closed_properly)
        printf("opened after a crash: %u incomplete commit(s) discarded\n", file.discarded);
    if (file.lost_slots != 0)
        printf("a meta slot is damaged or torn; nothing is lost, and the next commits write it anew\n");
    return check();
}

static int32_t percent(void *verb, uint64_t done, uint64_t total)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s: %3.0f %%%s", (const char *)verb, total ? 100.0 * (double)done / (double)total : 100.0,
            done == total ? "\n" : "");
    return 0;
}

static int salvage(const char *from, const char *to)
{
    static char verb[] = "salvage";
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_salvage_report report = KV_SALVAGE_REPORT_INIT;
    job.progress = percent;
    job.ctx = verb;
    ok(kv_salvage(from, to, &job, tell, NULL, &report), from);
    printf("commit %llu: %llu entries in %llu tables saved, %llu of them uncertain; %llu lost\n",
        (unsigned long long)report.commit, (unsigned long long)report.entries, (unsigned long long)report.tables,
        (unsigned long long)report.uncertain, (unsigned long long)report.lost_entries);
    /* With records of tables, an unknown number of entries is lost: it is not in lost_entries. */
    return report.lost_entries != 0 || report.uncertain != 0 || report.lost_subtrees != 0;
}

static int backup(const char *to)
{
    static char verb[] = "backup";
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    job.progress = percent;
    job.ctx = verb;
    ok(kv_backup(run.txn, to, &job), to);
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    int answer;
    if (argc >= 4 && strcmp(verb, "import") == 0) {
        open_database(argv[2], 0);
        answer = import(argv + 3);
    } else if (argc >= 3 && strcmp(verb, "verify") == 0) {
        open_database(argv[2], KV_OPEN_READ_ONLY);
        answer = verify(argv + 3);
    } else if ((argc == 3 || argc == 4) && strcmp(verb, "ls") == 0) {
        open_database(argv[2], KV_OPEN_READ_ONLY);
        answer = ls(argc == 4 ? argv[3] : "");
    } else if (argc == 4 && strcmp(verb, "cat") == 0) {
        open_database(argv[2], KV_OPEN_READ_ONLY);
        answer = cat(argv[3]);
    } else if (argc == 3 && strcmp(verb, "stat") == 0) {
        open_database(argv[2], KV_OPEN_READ_ONLY);
        answer = figures();
    } else if (argc == 3 && strcmp(verb, "check") == 0) {
        open_database(argv[2], KV_OPEN_READ_ONLY);
        answer = check();
    } else if (argc == 4 && strcmp(verb, "backup") == 0) {
        open_database(argv[2], KV_OPEN_READ_ONLY);
        answer = backup(argv[3]);
    } else if (argc == 4 && strcmp(verb, "salvage") == 0) {
        return salvage(argv[2], argv[3]);
    } else {
        fprintf(stderr, "usage: kvfiles import DB DIR... | verify DB [DIR...] | ls DB [PREFIX] | cat DB PATH |\n"
                        "       stat DB | check DB | backup DB TO | salvage DB TO\n");
        return 2;
    }
    kv_txn_abort(run.txn);
    ok(kv_close(run.db), "close");
    return answer;
}
