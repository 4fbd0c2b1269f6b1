/*
 * How long opening takes after a process was killed: recovery DATABASE. Each line kills a child that has the database
 * open, in another state, several times, and tells the median and the worst time that kv_open() took then.
 */
#include <kv.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

enum { ENTRIES = 500000, TIMES = 7 };

/* The child makes `commits` commits of `puts` random puts each; 0: one transaction that does not end. */
static const struct {
    const char *says;
    int commits, puts;
    uint32_t durability;
} work[] = {
    {"closed cleanly", 0, 0, KV_DURABILITY_FULL},
    {"after a full commit of 1,000 puts", 1, 1000, KV_DURABILITY_FULL},
    {"after 240 lazy commits of one put", 240, 1, KV_DURABILITY_LAZY},
    {"after 100 lazy commits of 10 puts", 100, 10, KV_DURABILITY_LAZY},
    {"after 26 lazy commits of 100 puts", 26, 100, KV_DURABILITY_LAZY},
    {"after 9 lazy commits of 300 puts", 9, 300, KV_DURABILITY_LAZY},
    {"after 5 lazy commits of 1,000 puts", 5, 1000, KV_DURABILITY_LAZY},
    {"within a transaction of 1,000,000 puts", 0, 1000000, KV_DURABILITY_FULL},
    {"within a transaction of 3,000,000 puts", 0, 3000000, KV_DURABILITY_FULL},
};

static uint64_t state = 88172645463325252u;

static uint64_t any(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void put(kv_txn *txn, int count)
{
    uint64_t key[3];
    unsigned char value[150];
    int i;

    memset(value, 7, sizeof value);
    for (i = 0; i < count; i++) {
        key[0] = any();
        key[1] = any();
        key[2] = any();
        OK(kv_put(txn, KV_MAIN, key, sizeof key, value, sizeof value, 0));
    }
}

static void commit(kv_db *db, int puts)
{
    kv_txn *txn;

    OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    put(txn, puts);
    OK(kv_txn_commit(txn, NULL));
}

static void die_within(const char *path, size_t w)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_db *db;
    kv_txn *txn;
    int i;

    options.durability = work[w].durability;
    OK(kv_open(path, &options, &db));
    for (i = 0; i < work[w].commits; i++) commit(db, work[w].puts);
    if (work[w].commits == 0) {
        if (work[w].puts == 0) {
            OK(kv_close(db));
            _exit(0);
        }
        OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
        put(txn, work[w].puts);
    }
    kill(getpid(), SIGKILL);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

int main(int count, char **arguments)
{
    double took[TIMES];
    kv_db *db;
    size_t w;
    int time, status;

    if (count != 2) {
        fprintf(stderr, "usage: recovery DATABASE (which is made, and removed)\n");
        return 2;
    }
    OK(kv_open(arguments[1], NULL, &db));
    commit(db, ENTRIES);
    OK(kv_close(db));
    for (w = 0; w < sizeof work / sizeof *work; w++) {
        for (time = 0; time < TIMES; time++) {
            struct timespec before, after;
            pid_t child;

            any();
            child = fork();
            if (child == 0) die_within(arguments[1], w);
            if (waitpid(child, &status, 0) != child || (WIFEXITED(status) && WEXITSTATUS(status) != 0)) return 1;
            clock_gettime(CLOCK_MONOTONIC, &before);
            OK(kv_open(arguments[1], NULL, &db));
            clock_gettime(CLOCK_MONOTONIC, &after);
            took[time] = (after.tv_sec - before.tv_sec) * 1e3 + (after.tv_nsec - before.tv_nsec) / 1e6;
            OK(kv_close(db));
        }
        qsort(took, TIMES, sizeof *took, ascending);
        printf("%-40s median %6.2f ms, at most %6.2f ms\n", work[w].says, took[TIMES / 2], took[TIMES - 1]);
        fflush(stdout);
    }
    return unlink(arguments[1]) != 0;
}
