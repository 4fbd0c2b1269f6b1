/*
 * What the steps of a workload share (steps_write.h, steps_read.h, steps_jobs.h). A step returns whether it was done:
 * it gives up when a call answers KV_NO_MEMORY, and any other failure ends the process.
 */
#ifndef STEPS_H
#define STEPS_H

#include "refusing.h"

#include <kv.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEYS = 400, LONG = 300000, MANY = 3000, WIDE = 150 };

static kv_db *db;
static uint64_t acknowledged; /* steps whose commit was answered KV_OK */
static int told;              /* calls that answered KV_NO_MEMORY */
static char path[4096], copy[4096], saved[4096];
static uint32_t page_size;
static char big[LONG], room[LONG + 1];
static const char *step_name = "";

static void wrong(int line, const char *call, kv_status status)
{
    fprintf(stderr, "line %d (%s, request %ld): %s: %s: %s\n", line, step_name, refuse_at, call, kv_status_name(status),
        kv_error_message());
    _exit(2);
}

/* Goes on after KV_OK, leaves the step after KV_NO_MEMORY, and ends the process after any other answer. */
#define IS(call, expected)                                                                        \
    do {                                                                                          \
        kv_status answer_ = (call);                                                               \
        if (answer_ == KV_NO_MEMORY || (answer_ == KV_TXN_FAILED && told)) {                      \
            told++;                                                                               \
            goto out;                                                                             \
        }                                                                                         \
        /* A step that was refused for good leaves later ones without what it should have made. */           \
        if (for_ever && told && answer_ != (expected) && answer_ < 0 && answer_ > -20) goto out;  \
        if (answer_ != (expected)) wrong(__LINE__, #call, answer_);                               \
    } while (0)
#define TRY(call) IS(call, KV_OK)
#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) wrong(__LINE__, #condition, KV_PANIC);                                  \
    } while (0)
#define S(text) (text), (sizeof(text) - 1)

static kv_slice slice(const char *text)
{
    kv_slice made;
    made.data = text;
    made.len = strlen(text);
    return made;
}

/* A key is its number, most significant byte first, and two more bytes. */
static size_t key_of(char *key, unsigned n)
{
    key[0] = (char)(n >> 24);
    key[1] = (char)(n >> 16);
    key[2] = (char)(n >> 8);
    key[3] = (char)n;
    key[4] = 'k';
    key[5] = (char)(n * 31);
    return 6;
}

/* Makes a batch that is to be filled, in buffers in which nothing is left of what was there before. */
static kv_batch empty_batch(char *bytes, size_t size, uint32_t *ends, size_t strings)
{
    kv_batch batch = KV_BATCH_INIT;
    memset(bytes, '#', size);
    memset(ends, 0xff, strings * sizeof *ends);
    batch.bytes = bytes;
    batch.bytes_size = size;
    batch.ends = ends;
    batch.ends_size = strings;
    return batch;
}

/* Whether a batch holds entries, of so many strings each, and they are as long as it says. */
static int is_filled(const kv_batch *batch, size_t strings)
{
    size_t i, count = batch->count * strings;
    for (i = 1; i < count; i++)
        if (batch->ends[i] < batch->ends[i - 1]) return 0;
    return count > 0 && batch->used > 0 && batch->ends[count - 1] == batch->used;
}

/* How many steps the database has seen. */
static kv_status steps_of(kv_txn *txn, uint64_t *steps)
{
    size_t len;
    kv_status status = kv_get_copy(txn, KV_MAIN, S("steps"), steps, sizeof *steps, &len);
    if (status == KV_NOTFOUND) {
        *steps = 0;
        return KV_OK;
    }
    return status;
}

/* Begins a step that writes: what was acknowledged is there, and nothing that was not. */
#define BEGIN_WRITE(lazy)                                                                         \
    do {                                                                                          \
        kv_txn_options options_ = KV_TXN_OPTIONS_INIT;                                            \
        uint64_t steps_;                                                                          \
        options_.durability = (lazy) ? KV_DURABILITY_LAZY : KV_DURABILITY_FULL;                   \
        TRY(kv_txn_begin(db, KV_WRITE, &options_, &txn));                                         \
        TRY(steps_of(txn, &steps_));                                                              \
        CHECK(steps_ == acknowledged);                                                            \
        steps_++;                                                                                 \
        TRY(kv_put(txn, KV_MAIN, S("steps"), &steps_, sizeof steps_, 0));                         \
    } while (0)

#define COMMIT(how)                                                                               \
    do {                                                                                          \
        kv_txn *ended_ = txn;                                                                     \
        txn = NULL;                                                                               \
        TRY(how(ended_, &id));                                                                    \
        acknowledged++;                                                                           \
    } while (0)

#endif
