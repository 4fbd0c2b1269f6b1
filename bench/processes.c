/*
 * What a durable commit of one put costs when several processes and threads commit at once: processes DATABASE. The
 * kinds of crowds take turns, round after round; each line tells, for one kind, the median over the rounds of the
 * time that passed per commit of whichever, and of the processor's time for it.
 */
#include <kv.h>

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OK(call)                                                    \
    do {                                                            \
        if ((call) != KV_OK) {                                      \
            fprintf(stderr, "%s: %s\n", #call, kv_error_message()); \
            _exit(1);                                               \
        }                                                           \
    } while (0)

enum { ENTRIES = 200000, COMMITS = 4000, ROUNDS = 7 };

static const struct {
    int processes, threads;
} crowds[] = {{1, 1}, {1, 2}, {2, 1}, {1, 8}, {8, 1}, {4, 2}, {1, 32}, {32, 1}};

enum { CROWDS = sizeof crowds / sizeof *crowds };

static kv_db *db;

static uint64_t any(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void put(kv_txn *txn, uint64_t number)
{
    uint64_t key[3];
    unsigned char value[150];

    key[0] = number * 0x9E3779B97F4A7C15u;
    key[1] = key[0] ^ key[0] >> 29;
    key[2] = number;
    memset(value, (int)number, sizeof value);
    OK(kv_put(txn, KV_MAIN, key, sizeof key, value, sizeof value, 0));
}

static int commits_each;

static void *commit(void *seed)
{
    uint64_t state = (uint64_t)(uintptr_t)seed * 0x9E3779B97F4A7C15u + 1;
    int i;

    for (i = 0; i < commits_each; i++) {
        kv_txn *txn;

        OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
        put(txn, any(&state) % ENTRIES);
        OK(kv_txn_commit(txn, NULL));
    }
    return NULL;
}

/* One process: opens the database, says so, and begins when the parent has closed its end of `start`. */
static void work(const char *path, int process, int threads, int ready, int start)
{
    pthread_t thread[64];
    char byte = 0;
    int i;

    OK(kv_open(path, NULL, &db));
    if (write(ready, &byte, 1) != 1 || read(start, &byte, 1) != 0) _exit(1);
    for (i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, commit, (void *)(uintptr_t)(process * 64 + i + 1)) != 0) _exit(1);
    for (i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    OK(kv_close(db));
    _exit(0);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

/* The microseconds of processor that ended children have used. */
static double used(void)
{
    struct rusage usage;

    getrusage(RUSAGE_CHILDREN, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* Lets one crowd commit. Returns 0 if that succeeds. */
static int run(const char *path, int processes, int threads, double *wall, double *cpu)
{
    int ready[2], start[2], i, status, failed = 0;
    double begun, before = used();
    char byte;

    commits_each = COMMITS / (processes * threads);
    if (pipe(ready) != 0 || pipe(start) != 0) return 1;
    for (i = 0; i < processes; i++) {
        pid_t child = fork();

        if (child < 0) return 1;
        if (child == 0) {
            close(start[1]);
            work(path, i, threads, ready[1], start[0]);
        }
    }
    close(start[0]);
    for (i = 0; i < processes; i++)
        if (read(ready[0], &byte, 1) != 1) return 1;
    begun = now();
    close(start[1]);
    for (i = 0; i < processes; i++)
        if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) failed = 1;
    *wall = (now() - begun) / (commits_each * processes * threads);
    *cpu = (used() - before) / (commits_each * processes * threads);
    close(ready[0]);
    close(ready[1]);
    return failed;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

int main(int count, char **arguments)
{
    static double wall[CROWDS][ROUNDS], cpu[CROWDS][ROUNDS];
    int rounds = ROUNDS, round, c;
    uint64_t i;
    kv_txn *txn;

    if (count != 2 && count != 3) {
        fprintf(stderr, "usage: processes DATABASE [ROUNDS] (the database is made, and removed)\n");
        return 2;
    }
    if (count == 3 && ((rounds = atoi(arguments[2])) < 1 || rounds > ROUNDS)) return 2;
    OK(kv_open(arguments[1], NULL, &db));
    OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    for (i = 0; i < ENTRIES; i++) put(txn, i);
    OK(kv_txn_commit(txn, NULL));
    OK(kv_close(db));
    for (round = 0; round < rounds; round++)
        for (c = 0; c < CROWDS; c++)
            if (run(arguments[1], crowds[c].processes, crowds[c].threads, &wall[c][round], &cpu[c][round]) != 0) return 1;
    for (c = 0; c < CROWDS; c++) {
        qsort(wall[c], rounds, sizeof(double), ascending);
        qsort(cpu[c], rounds, sizeof(double), ascending);
        printf("%2d processes of %2d threads: %7.1f us a commit (%.1f to %.1f), %7.1f us of processor\n",
               crowds[c].processes, crowds[c].threads, wall[c][rounds / 2], wall[c][0], wall[c][rounds - 1],
               cpu[c][rounds / 2]);
    }
    return unlink(arguments[1]) != 0;
}
