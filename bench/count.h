/*
 * The data of the programs that instructions are counted in: 100,000 entries of 24 random bytes -> 150 bytes, or, with
 * a work that ends in "_i8", integers of 8 bytes -> 8 bytes.
 */
#ifndef BENCH_COUNT_H
#define BENCH_COUNT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A function that is counted by its name must not become a part of its caller. */
#define APART __attribute__((noinline))

enum { ENTRIES = 100000 };

static int small;
static unsigned char bytes[24];
static unsigned char value[150];

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* Puts an integer in front of `bytes`, so that keys ascend with it. */
static void lead(unsigned char *at, uint64_t i)
{
    int byte;

    for (byte = 0; byte < 8; byte++) at[byte] = (unsigned char)(i >> (56 - 8 * byte));
}

/* Puts key number i into `bytes`; its length. */
static size_t key(uint64_t i)
{
    int byte;

    if (small) {
        lead(bytes, i);
        return 8;
    }
    for (byte = 0; byte < 24; byte++) {
        bytes[byte] = (unsigned char)(mix(i * 3 + 1 + (uint64_t)(byte / 8)) >> (byte % 8 * 8));
    }
    return 24;
}

/* Puts key number i of those behind all others into `bytes`; its length. */
static size_t key_behind(uint64_t i)
{
    memset(bytes, 0xFF, 8);
    lead(bytes + 8, i);
    return 24;
}

static uint64_t shuffled(uint64_t i)
{
    return i * 2654435761u % ENTRIES;
}

static size_t value_length(void)
{
    return small ? 8 : sizeof value;
}

/* Another value of the same length for each i. */
static const void *other_value(uint64_t i)
{
    memcpy(value, &i, sizeof i);
    return value;
}

#endif
