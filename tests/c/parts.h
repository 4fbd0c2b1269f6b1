/*
 * What the tests of savepoints and of nested transactions share: short ways to put, look and begin a part that can be
 * undone.
 */
#ifndef PARTS_H
#define PARTS_H

#include "says.h"

static inline kv_db *in_memory(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_db *db = NULL;
    options.flags = KV_OPEN_MEMORY;
    OK(kv_open(NULL, &options, &db));
    return db;
}

static inline void put(kv_txn *txn, const char *key, const char *value)
{
    OK(kv_put(txn, KV_MAIN, key, strlen(key), value, strlen(value), 0));
}

static inline int has(const kv_txn *txn, const char *key, const char *value)
{
    kv_slice found;
    kv_status status = kv_get(txn, KV_MAIN, key, strlen(key), &found);
    if (value == NULL) return status == KV_NOTFOUND;
    return status == KV_OK && same(found, value);
}

static inline uint64_t count(const kv_txn *txn)
{
    uint64_t n = 0;
    OK(kv_count(txn, KV_MAIN, NULL, &n));
    return n;
}

static inline uint64_t savepoint(kv_txn *txn)
{
    uint64_t number = 0;
    OK(kv_savepoint_create(txn, &number));
    CHECK(number != 0);
    return number;
}

static inline kv_txn *nest(kv_txn *outer)
{
    kv_txn *nested = NULL;
    OK(kv_txn_nest(outer, &nested));
    CHECK(nested != NULL && nested != outer);
    return nested;
}

static inline void sound(kv_db *db)
{
    kv_job_options how = KV_JOB_OPTIONS_INIT;
    how.flags = KV_JOB_CHECK_SPACE;
    OK(kv_db_check(db, &how, NULL, NULL, NULL));
}

#endif
