/*
 * Children of a test: they are made, waited for, and count in a database that they open for themselves.
 */
#ifndef CHILDREN_H
#define CHILDREN_H

#include "check.h"

#include <signal.h>
#include <sys/wait.h>

#define PATH "fork.kv"

/* A child that hangs must not hang the test. */
static inline pid_t start(void)
{
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(30);
    }
    return child;
}

static inline void ended(pid_t child, int signalled)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (signalled != 0) {
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signalled);
    } else {
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static inline uint64_t number(const kv_txn *txn, const char *key)
{
    kv_slice value;
    uint64_t n = 0;
    kv_status status = kv_get(txn, KV_MAIN, key, strlen(key), &value);
    if (status == KV_NOTFOUND) return 0;
    CHECK(status == KV_OK && value.len == sizeof n);
    memcpy(&n, value.data, sizeof n);
    return n;
}

static inline void count(kv_txn *txn, const char *key)
{
    uint64_t n = number(txn, key) + 1;
    OK(kv_put(txn, KV_MAIN, key, strlen(key), &n, sizeof n, 0));
}

static inline kv_db *again(void)
{
    kv_db *db = NULL;
    kv_options options = KV_OPTIONS_INIT;
    options.flags = KV_OPEN_EXISTING;
    OK(kv_open(PATH, &options, &db));
    return db;
}

static inline kv_status try_seat(kv_db *db, kv_txn **txn)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    options.flags = KV_TXN_NOWAIT;
    return kv_txn_begin(db, KV_WRITE, &options, txn);
}

/* What another process gets now: KV_OK if it could commit, KV_BUSY if the write lock is taken. */
static inline kv_status other(const char *key)
{
    pid_t child = start();
    int status;
    if (child == 0) {
        kv_db *db = again();
        kv_txn *txn;
        kv_status got = try_seat(db, &txn);
        if (got == KV_OK) {
            count(txn, key);
            commit(txn);
        }
        OK(kv_close(db));
        _exit(got == KV_OK ? 0 : got == KV_BUSY ? 40 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 40);
    return WEXITSTATUS(status) == 0 ? KV_OK : KV_BUSY;
}

#endif
