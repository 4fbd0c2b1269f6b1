/*
 * Work to count instructions of: count WORK COUNT. Prints nothing; scripts/count-instructions.sh runs it under callgrind
 * and counts inside the library's functions only. Data: 24 random bytes -> 150 bytes, or with a work that ends in "_i8"
 * integers of 8 bytes -> 8 bytes; 100 000 entries.
 */
#include <kv.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK(call)                                                          \
    do {                                                                  \
        if ((call) != KV_OK) {                                            \
            fprintf(stderr, "%s: %s\n", #call, kv_error_message());       \
            exit(1);                                                      \
        }                                                                 \
    } while (0)

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

/* Puts key number i into `bytes`; its length. */
static size_t key(uint64_t i)
{
    int byte;

    if (small) {
        for (byte = 0; byte < 8; byte++) bytes[byte] = (unsigned char)(i >> (56 - 8 * byte));
        return 8;
    }
    for (byte = 0; byte < 24; byte++) bytes[byte] = (unsigned char)(mix(i * 3 + 1 + (uint64_t)(byte / 8)) >> (byte % 8 * 8));
    return 24;
}

static uint64_t shuffled(uint64_t i)
{
    return i * 2654435761u % ENTRIES;
}

static void load(kv_db *db, uint64_t count, int ascending)
{
    kv_txn *txn;
    uint64_t i;

    OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    for (i = 0; i < count; i++) {
        size_t length = key(ascending ? i : shuffled(i));

        if (ascending) {
            int byte;
            for (byte = 0; byte < 8; byte++) bytes[byte] = (unsigned char)(i >> (56 - 8 * byte));
        }
        OK(kv_put(txn, KV_MAIN, bytes, length, value, small ? 8 : 150, ascending ? KV_APPEND : 0));
    }
    OK(kv_txn_commit(txn, NULL));
}

/* Not static, so that it has a name to count below: the load makes the same calls. */
void one_commit(kv_db *db, size_t length);

void one_commit(kv_db *db, size_t length)
{
    kv_txn *txn;

    OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    OK(kv_put(txn, KV_MAIN, bytes, length, value, 150, 0));
    OK(kv_txn_commit(txn, NULL));
}

static int run(int argc, char **argv)
{
    const char *work = argc > 2 ? argv[1] : "";
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0, i;
    kv_db *db;
    kv_txn *txn;
    kv_cursor *cursor;
    kv_slice found, other;

    small = strstr(work, "_i8") != NULL;
    OK(kv_open("count.kv", NULL, &db));
    if (strncmp(work, "put", 3) == 0 || strncmp(work, "append", 6) == 0) {
        load(db, count, *work == 'a');
        return kv_close(db) != KV_OK;
    }
    load(db, ENTRIES, 0);
    OK(kv_txn_begin(db, KV_READ, NULL, &txn));
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    /* Backwards over everything: pages are verified when first touched, and that is not what is counted. */
    OK(kv_cursor_last(cursor, &found, NULL));
    while (kv_cursor_prev(cursor, &found, NULL) == KV_OK) {}
    if (strncmp(work, "get", 3) == 0) {
        for (i = 0; i < count; i++) OK(kv_get(txn, KV_MAIN, bytes, key(shuffled(i)), &found));
    } else if (strncmp(work, "next", 4) == 0) {
        for (i = 0; i < count; i++) OK(kv_cursor_next(cursor, &found, &other));
    }
    kv_cursor_close(cursor);
    kv_txn_abort(txn);
    if (strncmp(work, "begin", 5) == 0) {
        for (i = 0; i < count; i++) {
            OK(kv_txn_begin(db, KV_READ, NULL, &txn));
            kv_txn_abort(txn);
        }
    } else if (strncmp(work, "refresh", 7) == 0) {
        OK(kv_txn_begin(db, KV_READ, NULL, &txn));
        for (i = 0; i < count; i++) OK(kv_txn_refresh(txn));
        kv_txn_abort(txn);
    } else if (strncmp(work, "commit", 6) == 0) {
        for (i = 0; i < count; i++) one_commit(db, key(shuffled(i)));
    } else if (strncmp(work, "delete", 6) == 0) {
        OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
        for (i = 0; i < count; i++) OK(kv_delete(txn, KV_MAIN, bytes, key(shuffled(i)), 0));
        OK(kv_txn_commit(txn, NULL));
    }
    return kv_close(db) != KV_OK;
}

/* Handles are spread over lists by where the stack lies, in units of 1 MiB: calls at different depths must not differ. */
int main(int argc, char **argv)
{
    volatile char room[1 << 16];

    room[0] = 0;
    return run(argc, argv) + room[0];
}
