/*
 * What a durable commit can cost on this disk: disk FILE. Times what engines do to make a small change durable, in a
 * file of 128 MiB that was written and synced before, at random places; the ways take turns. Medians, in microseconds.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 32768, ROUNDS = 300, CALL = 32768 };

static const struct {
    const char *says;
    /* sync_first: a sync of its own before the slot */
    int pages, places, slot, data_sync, sync_first;
} ways[] = {
    {"3 pages in one place, a slot, fdatasync", 3, 1, 1, 0, 0},
    {"a leaf, 2 branches, a slot, fdatasync (libkv)", 3, 2, 1, 0, 0},
    {"3 pages, fdatasync, a slot, RWF_DSYNC (LMDB)", 3, 3, 1, 1, 1},
    {"5 pages in one place, a slot, fdatasync", 5, 1, 1, 0, 0},
    {"5 pages in two places, a slot, fdatasync", 5, 2, 1, 0, 0},
    {"6 pages in one place, fdatasync", 6, 1, 0, 0, 0},
    {"1 page in a fixed place, fdatasync", 0, 0, 1, 0, 0},
    {"1 page in a fixed place, RWF_DSYNC", 0, 0, 1, 1, 0},
    {"1000 pages in one place, a slot, fdatasync", 1000, 1, 1, 0, 0},
    {"1000 pages in 300 places, a slot, fdatasync", 1000, 300, 1, 0, 0},
    {"43 pages (1000 edits as a log), fdatasync", 43, 1, 0, 0, 0},
};

enum { WAYS = sizeof ways / sizeof *ways };

static unsigned char bytes[CALL];
static double took[WAYS][ROUNDS];
static uint64_t state = 88172645463325252u;

static uint64_t any(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void check(int done, const char *what)
{
    if (!done) {
        perror(what);
        exit(1);
    }
}

static void write_pages(int fd, uint64_t page, int pages)
{
    while (pages > 0) {
        int now = pages < CALL / PAGE ? pages : CALL / PAGE;

        check(pwrite(fd, bytes, (size_t)now * PAGE, (off_t)(page * PAGE)) == (ssize_t)now * PAGE, "write");
        page += (uint64_t)now;
        pages -= now;
    }
}

static void commit(int fd, size_t way, int round)
{
    int place, places = ways[way].places;

    bytes[round % PAGE]++;
    for (place = 0; place < places; place++) {
        int pages = (ways[way].pages + place) / places;

        write_pages(fd, 8 + any() % (uint64_t)(PAGES - 8 - pages), pages);
    }
    if (ways[way].sync_first) check(fdatasync(fd) == 0, "fdatasync");
    if (ways[way].slot) {
        struct iovec slot = {bytes, PAGE};

        check(pwritev2(fd, &slot, 1, (off_t)(round % 4) * PAGE, ways[way].data_sync ? RWF_DSYNC : 0) == PAGE, "write");
    }
    if (!ways[way].data_sync) check(fdatasync(fd) == 0, "fdatasync");
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

int main(int count, char **arguments)
{
    struct sched_param fifo = {1};
    size_t way;
    int fd, round, page;

    if (count != 2) {
        fprintf(stderr, "usage: disk FILE (which is made, and removed)\n");
        return 2;
    }
    fd = open(arguments[1], O_RDWR | O_CREAT | O_EXCL, 0600);
    check(fd >= 0, arguments[1]);
    for (page = 0; page < PAGES; page += CALL / PAGE) write_pages(fd, (uint64_t)page, CALL / PAGE);
    check(fsync(fd) == 0, "fsync");
    if (sched_setscheduler(0, SCHED_FIFO, &fifo) != 0) puts("(not under chrt -f 1: times include waiting for a processor)");
    for (round = 0; round < ROUNDS; round++)
        for (way = 0; way < WAYS; way++) {
            struct timespec before, after;

            clock_gettime(CLOCK_MONOTONIC, &before);
            commit(fd, way, round);
            clock_gettime(CLOCK_MONOTONIC, &after);
            took[way][round] = (after.tv_sec - before.tv_sec) * 1e6 + (after.tv_nsec - before.tv_nsec) / 1e3;
        }
    for (way = 0; way < WAYS; way++) {
        qsort(took[way], ROUNDS, sizeof **took, ascending);
        printf("%-46s %8.1f us\n", ways[way].says, took[way][ROUNDS / 2]);
    }
    return unlink(arguments[1]) != 0;
}
