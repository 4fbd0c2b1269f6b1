/*
 * Work to count instructions of: count WORK COUNT. Prints nothing; scripts/count-instructions.sh runs it under
 * callgrind and counts inside the library's functions only. The data are those of count.h. count_lmdb.c does the same
 * with LMDB.
 */
#include "count.h"

#include <kv.h>

#define OK(call)                                                          \
    do {                                                                  \
        if ((call) != KV_OK) {                                            \
            fprintf(stderr, "%s: %s\n", #call, kv_error_message());       \
            exit(1);                                                      \
        }                                                                 \
    } while (0)

static void load(kv_db *db, uint64_t count, int ascending)
{
    kv_txn *txn;
    uint64_t i;

    OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    for (i = 0; i < count; i++) {
        size_t length = key(ascending ? i : shuffled(i));

        if (ascending) lead(bytes, i);
        OK(kv_put(txn, KV_MAIN, bytes, length, value, value_length(), ascending ? KV_APPEND : 0));
    }
    OK(kv_txn_commit(txn, NULL));
}

/* Not static, so that it has a name to count below: the load makes the same calls. */
APART void one_commit(kv_db *db, size_t length);

void one_commit(kv_db *db, size_t length)
{
    kv_txn *txn;

    OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    OK(kv_put(txn, KV_MAIN, bytes, length, value, 150, 0));
    OK(kv_txn_commit(txn, NULL));
}

/*
 * Operations of one write transaction, called by pointer and not static for the same reason. Operation i of a work; the
 * cursor is for it alone, and stands before the first entry when i is 0.
 */
typedef void edit(kv_txn *txn, kv_cursor *cursor, uint64_t i);
edit edit_pop, edit_retain, edit_update, edit_seek_put, edit_get_put, edit_put_count, edit_queue;
APART void edit_commit(kv_txn *txn);

void edit_pop(kv_txn *txn, kv_cursor *cursor, uint64_t i)
{
    kv_range back = KV_RANGE_INIT;
    kv_slice found, other;

    (void)cursor;
    back.flags = KV_RANGE_REVERSE;
    OK(kv_take_first(txn, KV_MAIN, i % 2 ? &back : NULL, &found, &other));
}

void edit_retain(kv_txn *txn, kv_cursor *cursor, uint64_t i)
{
    kv_slice found, other;

    (void)txn, (void)i;
    OK(kv_cursor_next(cursor, &found, &other));
    OK(kv_cursor_next(cursor, &found, &other));
    OK(kv_cursor_delete(cursor));
}

void edit_update(kv_txn *txn, kv_cursor *cursor, uint64_t i)
{
    kv_slice found, other;

    (void)txn;
    OK(kv_cursor_next(cursor, &found, &other));
    OK(kv_cursor_put(cursor, other_value(i), value_length()));
}

void edit_seek_put(kv_txn *txn, kv_cursor *cursor, uint64_t i)
{
    kv_slice found, other;

    (void)txn;
    OK(kv_cursor_seek(cursor, bytes, key(shuffled(i)), KV_SEEK_EQ, &found, &other));
    OK(kv_cursor_put(cursor, other_value(i), value_length()));
}

void edit_get_put(kv_txn *txn, kv_cursor *cursor, uint64_t i)
{
    size_t length = key(shuffled(i));
    kv_slice found;

    (void)cursor;
    OK(kv_get(txn, KV_MAIN, bytes, length, &found));
    OK(kv_put(txn, KV_MAIN, bytes, length, other_value(i), value_length(), 0));
}

void edit_put_count(kv_txn *txn, kv_cursor *cursor, uint64_t i)
{
    uint64_t entries;

    (void)cursor;
    OK(kv_put(txn, KV_MAIN, bytes, key(shuffled(i)), other_value(i), value_length(), 0));
    OK(kv_count(txn, KV_MAIN, NULL, &entries));
}

void edit_queue(kv_txn *txn, kv_cursor *cursor, uint64_t i)
{
    kv_slice found, other;

    (void)cursor;
    OK(kv_put(txn, KV_MAIN, bytes, key_behind(i), other_value(i), value_length(), KV_APPEND));
    OK(kv_take_first(txn, KV_MAIN, NULL, &found, &other));
}

/* Edits that were collected and not applied are no cheaper for it. */
void edit_commit(kv_txn *txn)
{
    OK(kv_txn_commit(txn, NULL));
}

static const struct {
    const char *name;
    edit *call;
} EDITS[] = {
    {"pop", edit_pop},
    {"retain", edit_retain},
    {"update", edit_update},
    {"seek_put", edit_seek_put},
    {"get_put", edit_get_put},
    {"put_count", edit_put_count},
    {"queue", edit_queue},
};

static void edits(kv_db *db, edit *call, uint64_t count)
{
    kv_txn *txn;
    kv_cursor *cursor;
    uint64_t i;

    OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    for (i = 0; i < count; i++) call(txn, cursor, i);
    kv_cursor_close(cursor);
    edit_commit(txn);
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
    if (strcmp(work, "put") == 0 || strncmp(work, "append", 6) == 0) {
        load(db, count, *work == 'a');
        return kv_close(db) != KV_OK;
    }
    load(db, ENTRIES, 0);
    OK(kv_txn_begin(db, KV_READ, NULL, &txn));
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    /* Backwards over everything: pages are verified when first touched, and that is not what is counted. */
    OK(kv_cursor_last(cursor, &found, NULL));
    while (kv_cursor_prev(cursor, &found, NULL) == KV_OK) {}
    if (strcmp(work, "get") == 0 || strcmp(work, "get_i8") == 0) {
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
    for (i = 0; i < sizeof EDITS / sizeof *EDITS; i++) {
        if (strcmp(work, EDITS[i].name) == 0) edits(db, EDITS[i].call, count);
    }
    return kv_close(db) != KV_OK;
}

/* Handles are spread over lists by where the stack lies, in units of 1 MiB: calls at different depths must not
 * differ. */
int main(int argc, char **argv)
{
    volatile char room[1 << 16];

    room[0] = 0;
    return run(argc, argv) + room[0];
}
