/*
 * A prototype, for an estimate: what commits would cost if their edits went to a log first and reached the tree many
 * commits later. log DIRECTORY. The log is a ring, written before and overwritten in place, so that a sync has one
 * place to write and no metadata; threads that commit at once share syncs. The edits stay in memory, in a hash table,
 * as readers would need them, until 4 or 64 MiB have collected: then one lazy transaction of libkv applies them, and
 * is synced. That work is part of the time of all rows but those of single durable puts with 64 MiB, which end before
 * it is due: there, add what a lazy put takes. Reading, recovery and other processes are not part of this program.
 */
#include <kv.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECK(done)                                                                   \
    do {                                                                              \
        if (!(done)) {                                                                \
            fprintf(stderr, "%s: %s, %s\n", #done, strerror(errno), kv_error_message()); \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)

enum { KEY = 24, VALUE = 150, EDIT = KEY + VALUE + 8, RING = 96 << 20, MOST = 64 << 20, BUCKETS = 1 << 20, PAGE = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t synced = PTHREAD_COND_INITIALIZER;
static unsigned char edits[MOST + (1 << 20)]; /* Not yet applied. */
static uint32_t buckets[BUCKETS], chain[sizeof edits / EDIT + 1];
static size_t used;                          /* Bytes of `edits`. */
static size_t logged;                        /* Of them, in the log's file. */
static uint64_t place;                       /* In the ring, of the next page to write. */
static uint64_t commits, durable;            /* Commits in `edits` since the begin, and of them on the disk. */
static size_t most;                          /* Bytes of edits that are applied together. */
static int syncing;
static int ring;
static kv_db *db;

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* Adds a put of a random key. */
static void put(uint64_t *state)
{
    unsigned char *edit = edits + used;
    uint32_t number = (uint32_t)(used / EDIT) + 1, *bucket;
    int word;

    for (word = 0; word < 3; word++) {
        uint64_t x = mix(*state += 0x9E3779B97F4A7C15u);

        memcpy(edit + 8 * word, &x, 8);
        if (word == 0) {
            bucket = &buckets[x % BUCKETS];
            chain[number] = *bucket;
            *bucket = number;
        }
    }
    memset(edit + KEY, 7, VALUE + 8);
    used += EDIT;
}

/* Everything collected becomes one durable transaction. With the lock, and when it is all in the log. */
static void apply(void)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_txn *txn;
    size_t at;

    options.durability = KV_DURABILITY_LAZY;
    CHECK(kv_txn_begin(db, KV_WRITE, &options, &txn) == KV_OK);
    for (at = 0; at < used; at += EDIT) CHECK(kv_put(txn, KV_MAIN, edits + at, KEY, edits + at + KEY, VALUE, 0) == KV_OK);
    CHECK(kv_txn_commit(txn, NULL) == KV_OK && kv_sync(db) == KV_OK);
    memset(buckets, 0, sizeof buckets);
    used = logged = 0;
}

/* Writes to the ring what is not in it, from a page's begin on. With the lock. */
static void write_log(void)
{
    static unsigned char pages[sizeof edits + PAGE];
    size_t bytes = used - logged, whole = (bytes + PAGE - 1) / PAGE * PAGE;

    if (bytes == 0) return;
    if (place + whole > RING) place = 0;
    memcpy(pages, edits + logged, bytes);
    CHECK(pwrite(ring, pages, whole, (off_t)place) == (ssize_t)whole);
    place += whole;
    logged = used;
}

static void commit(uint64_t *state, int puts, int is_durable)
{
    uint64_t mine;

    pthread_mutex_lock(&lock);
    while (puts-- > 0) put(state);
    mine = ++commits;
    if (!is_durable) write_log();
    while (is_durable && durable < mine) {
        uint64_t covered;

        if (syncing) {
            pthread_cond_wait(&synced, &lock);
            continue;
        }
        write_log();
        covered = commits;
        syncing = 1;
        pthread_mutex_unlock(&lock);
        CHECK(fdatasync(ring) == 0);
        pthread_mutex_lock(&lock);
        syncing = 0;
        durable = covered;
        pthread_cond_broadcast(&synced);
    }
    if (used > most) {
        write_log();
        apply();
        durable = commits;
    }
    pthread_mutex_unlock(&lock);
}

struct job {
    uint64_t state;
    int times, puts, is_durable;
};

static void *work(void *argument)
{
    struct job *job = argument;

    while (job->times-- > 0) commit(&job->state, job->puts, job->is_durable);
    return NULL;
}

static void row(const char *says, int threads, int times, int puts, int is_durable)
{
    static uint64_t seed;
    pthread_t thread[16];
    struct job job[16];
    struct timespec before, after;
    double took;
    int i;

    clock_gettime(CLOCK_MONOTONIC, &before);
    for (i = 0; i < threads; i++) {
        struct job one = {mix(++seed), times / threads, puts, is_durable};

        job[i] = one;
        CHECK(pthread_create(&thread[i], NULL, work, &job[i]) == 0);
    }
    for (i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    took = (after.tv_sec - before.tv_sec) * 1e6 + (after.tv_nsec - before.tv_nsec) / 1e3;
    printf("%-46s %9.1f us a commit\n", says, took / times);
    fflush(stdout);
}

int main(int count, char **arguments)
{
    static unsigned char zeros[1 << 15];
    struct sched_param fifo = {1};
    uint64_t state = 5;
    char path[4096], log[4096];
    kv_txn *txn;
    int i;

    if (count != 2) {
        fprintf(stderr, "usage: log DIRECTORY (for files that are removed)\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/log-prototype.kv", arguments[1]);
    snprintf(log, sizeof log, "%s/log-prototype.log", arguments[1]);
    unlink(path);
    CHECK((ring = open(log, O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0);
    for (i = 0; i < RING; i += (int)sizeof zeros) CHECK(pwrite(ring, zeros, sizeof zeros, i) == sizeof zeros);
    CHECK(fsync(ring) == 0);
    CHECK(kv_open(path, NULL, &db) == KV_OK);
    CHECK(kv_txn_begin(db, KV_WRITE, NULL, &txn) == KV_OK);
    for (i = 0; i < 1000000; i++) {
        used = 0;
        put(&state);
        CHECK(kv_put(txn, KV_MAIN, edits, KEY, edits + KEY, VALUE, 0) == KV_OK);
    }
    CHECK(kv_txn_commit(txn, NULL) == KV_OK);
    used = 0;
    memset(buckets, 0, sizeof buckets);
    if (sched_setscheduler(0, SCHED_FIFO, &fifo) != 0) puts("(not under chrt -f 1: times include waiting for a processor)");
    for (most = 4 << 20; most <= MOST; most *= 16) {
        int many = most == MOST ? 4 : 1;

        printf("%u MiB of edits are applied together\n", (unsigned)(most >> 20));
        row("  one put, durable, 1 thread", 1, 25000, 1, 1);
        row("  one put, durable, 8 threads", 8, 50000, 1, 1);
        row("  100 puts, durable", 1, 2000 * many, 100, 1);
        row("  1,000 puts, durable", 1, 300 * many, 1000, 1);
        row("  one put, lazy", 1, 300000 * many, 1, 0);
    }
    CHECK(kv_close(db) == KV_OK);
    return unlink(path) != 0 || unlink(log) != 0;
}
