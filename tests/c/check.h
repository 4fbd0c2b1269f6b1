/*
 * A small harness: CHECK(condition), OK(call), IS(call, status). A failure prints where and what, and ends the program.
 * DONE at the end of main prints "ok".
 */
#ifndef CHECK_H
#define CHECK_H

#include <kv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);     \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

#define IS(call, status)                                                                          \
    do {                                                                                          \
        kv_status answered_ = (call);                                                             \
        if (answered_ != (status)) {                                                              \
            fprintf(stderr, "%s:%d: %s: %s (%s) instead of %s\n", __FILE__, __LINE__, #call,      \
                kv_status_name(answered_), kv_error_message(), kv_status_name(status));           \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)

#define OK(call) IS(call, KV_OK)

/* A string constant as (pointer, length). */
#define S(text) (text), (sizeof(text) - 1)

#define DONE                 \
    do {                     \
        printf("ok\n");      \
        return 0;            \
    } while (0)

/* Whether a slice holds exactly this text. */
static inline int same(kv_slice slice, const char *text)
{
    return slice.data != NULL && slice.len == strlen(text) && memcmp(slice.data, text, slice.len) == 0;
}

/* A slice of a text. */
static inline kv_slice slice(const char *text)
{
    kv_slice made;
    made.data = text;
    made.len = strlen(text);
    return made;
}

/* A new database in the current directory, which the test script has emptied. */
static inline kv_db *fresh(const char *path)
{
    kv_db *db = NULL;
    kv_options options = KV_OPTIONS_INIT;
    options.flags = KV_OPEN_NEW;
    unlink(path);
    OK(kv_open(path, &options, &db));
    CHECK(db != NULL);
    return db;
}

static inline kv_txn *begin(kv_db *db, uint32_t kind)
{
    kv_txn *txn = NULL;
    OK(kv_txn_begin(db, kind, NULL, &txn));
    CHECK(txn != NULL);
    return txn;
}

static inline void commit(kv_txn *txn)
{
    OK(kv_txn_commit(txn, NULL));
}

/* Tests of time do less under valgrind. */
static inline int quick(void)
{
    return getenv("KV_TEST_QUICK") != NULL;
}

#endif
