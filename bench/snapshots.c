/*
 * What snapshots cost, differences, giving space back, and reading what is not in memory: snapshots DIRECTORY
 * [ENTRIES]. Each line is one row. The entries (1,000,000) have keys of 8 random bytes and values of 150.
 */
#include <kv.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OK(call)                                                    \
    do {                                                            \
        if ((call) != KV_OK) {                                      \
            fprintf(stderr, "%s: %s\n", #call, kv_error_message()); \
            exit(1);                                                \
        }                                                           \
    } while (0)

enum { VALUE = 150, SNAPSHOTS = 1000, OPERATIONS = 20000, ROUNDS = 5, BLOCK = 1 << 20, TIMES_MAX = 1 << 20 };

static uint64_t entries = 1000000;
static char path[4096];

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *took, int count)
{
    qsort(took, (size_t)count, sizeof *took, by_size);
    return took[count / 2];
}

static kv_db *opened(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_db *db;

    options.durability = KV_DURABILITY_LAZY;
    OK(kv_open(path, &options, &db));
    return db;
}

static kv_txn *begun(kv_db *db, uint32_t kind)
{
    kv_txn *txn;

    OK(kv_txn_begin(db, kind, NULL, &txn));
    return txn;
}

static void put(kv_txn *txn, uint64_t entry, uint64_t version)
{
    unsigned char value[VALUE];
    uint64_t key = mix(entry + 1);

    memset(value, (int)version, sizeof value);
    memcpy(value, &version, sizeof version);
    OK(kv_put(txn, KV_MAIN, &key, sizeof key, value, sizeof value, 0));
}

static kv_db *filled(void)
{
    kv_db *db;
    kv_txn *txn;
    uint64_t i;

    unlink(path);
    db = opened();
    txn = begun(db, KV_WRITE);
    for (i = 0; i < entries; i++)
        put(txn, i, 1);
    OK(kv_txn_commit(txn, NULL));
    OK(kv_sync(db));
    return db;
}

static void snapshot(kv_db *db, int number)
{
    char name[32];
    kv_txn *txn = begun(db, KV_WRITE);

    snprintf(name, sizeof name, "snapshot %06d", number);
    OK(kv_snapshot_create(txn, name, strlen(name), NULL));
    OK(kv_txn_commit(txn, NULL));
}

static void drop(kv_db *db, int number)
{
    char name[32];
    kv_txn *txn = begun(db, KV_WRITE);

    snprintf(name, sizeof name, "snapshot %06d", number);
    OK(kv_snapshot_drop(txn, name, strlen(name)));
    OK(kv_txn_commit(txn, NULL));
}

static double gets(kv_db *db, uint64_t seed)
{
    kv_txn *txn = begun(db, KV_READ);
    double since = now();
    kv_slice value;
    int i;

    for (i = 0; i < 10 * OPERATIONS; i++) {
        uint64_t key = mix(mix(seed + (uint64_t)i) % entries + 1);
        OK(kv_get(txn, KV_MAIN, &key, sizeof key, &value));
    }
    since = (now() - since) / (10 * OPERATIONS);
    kv_txn_abort(txn);
    return since * 1e9;
}

static double puts_alone(kv_db *db, uint64_t seed)
{
    double since = now();
    int i;

    for (i = 0; i < OPERATIONS; i++) {
        kv_txn *txn = begun(db, KV_WRITE);
        put(txn, mix(seed + (uint64_t)i) % entries, seed);
        OK(kv_txn_commit(txn, NULL));
    }
    return (now() - since) / OPERATIONS * 1e6;
}

/* Lookups and commits of one put, with no snapshot and with a thousand of them, and what making and dropping them
 * takes. */
static void with_snapshots(kv_db *db)
{
    double get[2][ROUNDS], one_put[2][ROUNDS], make[SNAPSHOTS], let_go[SNAPSHOTS], since;
    uint64_t freed;
    int round, i, held;

    for (held = 0; held < 2; held++) {
        for (i = 0; held && i < SNAPSHOTS; i++) {
            since = now();
            snapshot(db, i);
            make[i] = (now() - since) * 1e6;
        }
        for (round = 0; round < ROUNDS; round++) {
            get[held][round] = gets(db, (uint64_t)round * 1000003);
            one_put[held][round] = puts_alone(db, (uint64_t)(round + 10 * held + 2));
        }
    }
    printf("get                %8.0f ns, with %d snapshots %.0f ns\n", median(get[0], ROUNDS), SNAPSHOTS,
           median(get[1], ROUNDS));
    printf("put, lazy commit   %8.1f us, with %d snapshots %.1f us\n", median(one_put[0], ROUNDS), SNAPSHOTS,
           median(one_put[1], ROUNDS));
    printf("snapshot_create    %8.1f us, lazy commit of its own\n", median(make, SNAPSHOTS));
    for (i = 0; i < SNAPSHOTS; i++) {
        since = now();
        drop(db, i);
        let_go[i] = (now() - since) * 1e6;
    }
    printf("drop               %8.1f us, lazy commit of its own\n", median(let_go, SNAPSHOTS));
    since = now();
    OK(kv_reclaim(db, &freed));
    printf("reclaim            %8.1f ms for %llu pages\n", (now() - since) * 1e3, (unsigned long long)freed);
}

static void diff_1pct(kv_db *db)
{
    kv_diff_counts counts = KV_DIFF_COUNTS_INIT;
    kv_txn *before = begun(db, KV_READ), *after, *txn = begun(db, KV_WRITE);
    double took[ROUNDS];
    uint64_t i;
    int round;

    for (i = 0; i < entries / 100; i++)
        put(txn, mix(i + 7) % entries, 77);
    OK(kv_txn_commit(txn, NULL));
    after = begun(db, KV_READ);
    for (round = 0; round < ROUNDS; round++) {
        kv_change change = KV_CHANGE_INIT;
        kv_diff *diff;
        double since = now();
        kv_status status;
        OK(kv_diff_open(before, after, KV_MAIN, NULL, &diff));
        while ((status = kv_diff_next(diff, &change)) == KV_OK)
            ;
        if (status != KV_NOTFOUND)
            OK(status);
        kv_diff_close(diff);
        took[round] = (now() - since) * 1e3;
    }
    OK(kv_diff_count(before, after, KV_MAIN, NULL, &counts));
    printf("diff_1pct          %8.2f ms for %llu changes of %llu entries\n", median(took, ROUNDS),
           (unsigned long long)counts.changed, (unsigned long long)entries);
    kv_txn_abort(before);
    kv_txn_abort(after);
}

static double took[TIMES_MAX];
static volatile int working;

/* Puts, one a commit, some thousand a second, until it is told to end. */
static void *writer(void *ctx)
{
    static int count;
    kv_db *db = ctx;

    for (count = 0; working && count < TIMES_MAX; count++) {
        double since = now();
        kv_txn *txn = begun(db, KV_WRITE);
        put(txn, mix((uint64_t)count) % entries / 10 * 10, 5);
        OK(kv_txn_commit(txn, NULL));
        took[count] = (now() - since) * 1e6;
        usleep(200);
    }
    return &count;
}

static int write_beside(kv_db *db, void (*beside)(kv_db *))
{
    pthread_t thread;
    void *count;

    working = 1;
    if (pthread_create(&thread, NULL, writer, db) != 0)
        exit(1);
    beside(db);
    working = 0;
    pthread_join(thread, &count);
    qsort(took, (size_t) * (int *)count, sizeof *took, by_size);
    return *(int *)count;
}

static void wait_a_second(kv_db *db)
{
    (void)db;
    sleep(1);
}

static kv_compact_report report = KV_COMPACT_REPORT_INIT;
static double compacting;

static void compact(kv_db *db)
{
    double since = now();

    OK(kv_compact(db, NULL, &report));
    compacting = now() - since;
}

/* stat() by another name: a figure of the same name is in use. */
static int stat_of(const char *name, struct stat *file)
{
    return stat(name, file);
}

static unsigned long long written(void)
{
    unsigned long long bytes = 0;
    char line[128];
    FILE *io = fopen("/proc/self/io", "r");

    while (io && fgets(line, sizeof line, io))
        sscanf(line, "wchar: %llu", &bytes);
    if (io)
        fclose(io);
    return bytes;
}

/* Nine of ten entries go, and the file is made smaller: alone, and in another file beside a writer. */
static void compact_rows(int beside)
{
    kv_db *db = filled();
    kv_db_stat stat = KV_DB_STAT_INIT;
    kv_txn *txn = begun(db, KV_WRITE);
    unsigned long long before;
    struct stat file;
    uint64_t i;
    int count;

    for (i = 0; i < entries; i++) {
        uint64_t key = mix(i + 1);
        if (i % 10)
            OK(kv_delete(txn, KV_MAIN, &key, sizeof key, 0));
    }
    OK(kv_txn_commit(txn, NULL));
    OK(kv_sync(db));
    if (beside) {
        double p50, p99;
        count = write_beside(db, wait_a_second);
        p50 = took[count / 2];
        p99 = took[count * 99LL / 100];
        count = write_beside(db, compact);
        printf("put beside compact %8.1f us (p50), %.1f us (p99) of %d; alone %.1f and %.1f us\n", took[count / 2],
               took[count * 99LL / 100], count, p50, p99);
        printf("compact, beside    %8.2f s, %llu pages moved, %.1f MB cut\n", compacting,
               (unsigned long long)report.moved_pages, report.cut_bytes / 1e6);
    } else {
        before = written();
        compact(db);
        before = written() - before;
        OK(kv_stat_db(db, &stat));
        if (stat_of(path, &file) != 0)
            exit(1);
        printf("compact            %8.2f s, %.1f MB given back, %.2f MB written for each; file %.2f of what lives\n",
               compacting, report.cut_bytes / 1e6, (double)before / (double)report.cut_bytes,
               (double)file.st_size / ((double)(stat.pages - stat.free_pages - stat.pending_pages) * stat.page_size));
    }
    OK(kv_close(db));
}

/* Reads the whole file, which is not in memory, as a copying program does. */
static double read_all(void)
{
    static char block[BLOCK];
    double since = now();
    int fd = open(path, O_RDONLY);

    while (read(fd, block, sizeof block) > 0)
        ;
    close(fd);
    return now() - since;
}

/* Reads all entries, upwards or downwards. */
static double scan_range(uint32_t flags)
{
    double since = now();
    kv_range range = KV_RANGE_INIT;
    kv_db *db = opened();
    kv_txn *txn = begun(db, KV_READ);
    kv_cursor *cursor;
    kv_slice key, value;
    kv_status status;
    uint64_t sum = 0;

    range.flags = flags;
    OK(kv_cursor_open(txn, KV_MAIN, &range, &cursor));
    while ((status = kv_cursor_next(cursor, &key, &value)) == KV_OK)
        sum += ((const unsigned char *)value.data)[0];
    if (status != KV_NOTFOUND || sum == 0)
        OK(status);
    kv_txn_abort(txn);
    OK(kv_close(db));
    return now() - since;
}

static double scan_up(void)
{
    return scan_range(0);
}

static double scan_down(void)
{
    return scan_range(KV_RANGE_REVERSE);
}

/* What a process has mapped stays in memory, so each reads in a process of its own. */
static double cold(double (*body)(void))
{
    double seconds = 0;
    int fd = open(path, O_RDONLY), ends[2];
    pid_t child;

    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    if (pipe(ends) != 0 || (child = fork()) < 0)
        exit(1);
    if (child == 0) {
        seconds = body();
        _exit(write(ends[1], &seconds, sizeof seconds) != sizeof seconds);
    }
    if (read(ends[0], &seconds, sizeof seconds) != sizeof seconds)
        exit(1);
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    return seconds;
}

static void scan_cold(void)
{
    double up[ROUNDS], down[ROUNDS], copy[ROUNDS], mb;
    struct stat file;
    int round;

    if (stat_of(path, &file) != 0)
        exit(1);
    mb = (double)file.st_size / 1e6;
    for (round = 0; round < ROUNDS; round++) {
        up[round] = cold(scan_up);
        down[round] = cold(scan_down);
        copy[round] = cold(read_all);
    }
    printf("scan_cold          %8.0f MB/s, downwards %.0f MB/s, read() of the same file %.0f MB/s\n",
           mb / median(up, ROUNDS), mb / median(down, ROUNDS), mb / median(copy, ROUNDS));
}

int main(int argc, char **argv)
{
    kv_db *db;

    if (argc < 2) {
        fprintf(stderr, "usage: %s DIRECTORY [ENTRIES]\n", argv[0]);
        return 2;
    }
    if (argc > 2)
        entries = strtoull(argv[2], NULL, 10);
    snprintf(path, sizeof path, "%s/snapshots.kv", argv[1]);
    db = filled();
    with_snapshots(db);
    diff_1pct(db);
    OK(kv_close(db));
    scan_cold();
    compact_rows(0);
    compact_rows(1);
    unlink(path);
    return 0;
}
