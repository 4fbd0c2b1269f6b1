/*
 * What memory and the page cache permit: limits FILE [MEGABYTES]. Models of what a store cannot do without, to compare
 * its rows with: nanoseconds per operation, medians of rounds in which the models take turns. FILE is made, with so
 * many megabytes (1024, which is `r24` at full scale), read through a mapping as stores read it, and removed. "Huge
 * pages" is memory of the same size that the system was asked to map in pieces of 2 MiB.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, LINE = 64, BATCH = 16, ENTRY = 174, CALL = 32768, ROUNDS = 9, OPERATIONS = 200000, MODELS_MAX = 32 };

static struct {
    char says[80];
    double took[ROUNDS];
} models[MODELS_MAX];
static int model;
static uint64_t sink;

static void check(int done, const char *what)
{
    if (!done) {
        perror(what);
        exit(1);
    }
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static void note(int round, const char *what, int number, const char *where, double ns)
{
    snprintf(models[model].says, sizeof models->says, what, number, where);
    models[model++].took[round] = ns;
}

/* Looks at some lines of one random page after the other; where the next page is depends on what was there. */
static double one_by_one(const unsigned char *bytes, uint64_t pages, int lines, uint64_t seed)
{
    double begun = now();
    uint64_t found = 0;
    int i, line;

    for (i = 0; i < OPERATIONS; i++) {
        const unsigned char *page = bytes + (mix(seed + (uint64_t)i + found) % pages) * PAGE;

        found = 0;
        for (line = 0; line < lines; line++) found += page[line * (PAGE / 8) + LINE * line];
    }
    sink += found;
    return (now() - begun) / OPERATIONS;
}

/* The same for pages of which 16 are known at once. */
static double many(const unsigned char *bytes, uint64_t pages, int lines, uint64_t seed)
{
    double begun = now();
    uint64_t found = 0;
    int i, j, line;

    for (i = 0; i < OPERATIONS; i += BATCH) {
        const unsigned char *at[BATCH];

        for (j = 0; j < BATCH; j++) {
            at[j] = bytes + (mix(seed + (uint64_t)(i + j) + found) % pages) * PAGE;
            for (line = 0; line < lines; line++) __builtin_prefetch(at[j] + line * (PAGE / 8) + LINE * line);
        }
        found = 0;
        for (j = 0; j < BATCH; j++)
            for (line = 0; line < lines; line++) found += at[j][line * (PAGE / 8) + LINE * line];
    }
    sink += found;
    return (now() - begun) / OPERATIONS;
}

/* Adds up all of it, as entries that lie side by side. */
static double in_order(const unsigned char *bytes, uint64_t size)
{
    double begun = now();
    uint64_t sum = 0, word, at;

    for (at = 0; at + 8 <= size; at += 8) {
        memcpy(&word, bytes + at, 8);
        sum += word;
    }
    sink += sum;
    return (now() - begun) / (double)(size / ENTRY);
}

/* Writes a new file of `size` bytes; answers what an entry's share of it takes. */
static double into_cache(const char *name, uint64_t size)
{
    static unsigned char call[CALL];
    uint64_t at;
    double begun, took;
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

    check(fd >= 0, name);
    begun = now();
    for (at = 0; at < size; at += CALL) {
        memset(call, (int)at, CALL);
        check(pwrite(fd, call, CALL, (off_t)at) == CALL, "write");
    }
    took = (now() - begun) / (double)(size / ENTRY);
    close(fd);
    unlink(name);
    return took;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

int main(int count, char **arguments)
{
    uint64_t size = (uint64_t)(count > 2 ? atoi(arguments[2]) : 1024) << 20, pages = size / PAGE;
    const unsigned char *kinds[2];
    static const char *names[2] = {"a file", "huge pages"};
    unsigned char *memory, *filter;
    char other[4096];
    uint64_t seed = 1, at;
    int fd, round, kind, lines;

    if (count < 2 || pages == 0) {
        fprintf(stderr, "usage: limits FILE [MEGABYTES] (FILE is made, and removed)\n");
        return 2;
    }
    snprintf(other, sizeof other, "%s.2", arguments[1]);
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED, "mmap");
    madvise(memory, size, MADV_HUGEPAGE);
    memset(memory, 0, size);
    fd = open(arguments[1], O_RDWR | O_CREAT | O_EXCL, 0600);
    check(fd >= 0, arguments[1]);
    for (at = 0; at < size; at += CALL) check(pwrite(fd, memory + at, CALL, (off_t)at) == CALL, "write");
    kinds[0] = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    check(kinds[0] != MAP_FAILED, "mmap");
    kinds[1] = memory;
    /* A filter of 10 bits per entry. */
    filter = calloc(size / ENTRY * 10 / 8 / PAGE + 1, PAGE);
    check(filter != NULL, "memory");
    memset(filter, 0, (size / ENTRY * 10 / 8 / PAGE + 1) * PAGE);
    for (round = 0; round < ROUNDS; round++) {
        model = 0;
        for (kind = 0; kind < 2; kind++)
            for (lines = 1; lines <= 4; lines *= 2)
                note(round, "a random page (lines of it: %d), %s", lines, names[kind],
                     one_by_one(kinds[kind], pages, lines, seed += OPERATIONS));
        for (kind = 0; kind < 2; kind++)
            for (lines = 1; lines <= 5; lines += 2)
                note(round, "16 random pages at once (lines of each: %d), %s", lines, names[kind],
                     many(kinds[kind], pages, lines, seed += OPERATIONS));
        note(round, "a random line of a filter of %d bits per entry%s", 10, "",
             one_by_one(filter, size / ENTRY * 10 / 8 / PAGE + 1, 1, seed += OPERATIONS));
        note(round, "adding up %d bytes in order, %s", ENTRY, names[0], in_order(kinds[0], size));
        note(round, "writing %d bytes in order into %s, checksum and syncs apart", ENTRY, "a new file", into_cache(other, size));
    }
    for (kind = 0; kind < model; kind++) {
        qsort(models[kind].took, ROUNDS, sizeof *models->took, ascending);
        printf("%-70s %8.1f ns\n", models[kind].says, models[kind].took[ROUNDS / 2]);
    }
    return unlink(arguments[1]) != 0 || sink == 1;
}
