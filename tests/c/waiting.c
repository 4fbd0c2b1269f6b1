/*
 * Commits awaited later, commits of another process, readers that do not end, and what a forked child may do.
 */
#include "check.h"

#include <sys/wait.h>
#include <time.h>

static void put(kv_db *db, const char *key, const char *value)
{
    OK(kv_db_put(db, KV_MAIN, key, strlen(key), value, strlen(value), 0));
}

static int has(kv_db *db, const char *key)
{
    char bytes[8];
    return kv_db_get(db, KV_MAIN, key, strlen(key), bytes, sizeof bytes, NULL) == KV_OK;
}

static uint64_t put_async(kv_db *db, const char *key, uint32_t durability)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_txn *txn;
    uint64_t id = 0;
    options.durability = durability;
    OK(kv_txn_begin(db, KV_WRITE, &options, &txn));
    OK(kv_put(txn, KV_MAIN, key, strlen(key), S("v"), 0));
    OK(kv_txn_commit_async(txn, &id));
    return id;
}

static void asynchronous(void)
{
    kv_db *db = fresh("async.kv");
    uint64_t a, b, visible, durable, newest = 0;

    a = put_async(db, "a", KV_DURABILITY_FULL);
    CHECK(!has(db, "a")); /* nobody sees what could vanish */
    IS(kv_wait_durable(db, a, 0), KV_BUSY);
    b = put_async(db, "b", KV_DURABILITY_LAZY);
    CHECK(b > a && !has(db, "b")); /* seeing b would show a */
    IS(kv_wait_durable(db, b + 1, -1), KV_INVALID);
    OK(kv_wait_durable(db, a, -1)); /* one sync for both */
    OK(kv_wait_durable(db, b, 0));
    CHECK(has(db, "a") && has(db, "b"));
    OK(kv_newest_commit(db, &visible, &durable));
    CHECK(visible == b && durable == b);

    a = put_async(db, "c", KV_DURABILITY_LAZY);
    CHECK(has(db, "c"));
    IS(kv_wait_durable(db, a, 0), KV_BUSY);
    OK(kv_wait_durable(db, a, 1));
    IS(kv_wait_commit(db, a, 0, &newest), KV_BUSY);
    IS(kv_wait_commit(db, a, 5, &newest), KV_BUSY);
    CHECK(newest == 0);
    OK(kv_wait_commit(db, a - 1, -1, &newest));
    CHECK(newest == a);

    /* Many at once are bounded: old ones become durable on the way. */
    for (a = 0; a < 200; a++)
        b = put_async(db, "d", KV_DURABILITY_FULL);
    OK(kv_newest_commit(db, &visible, NULL));
    CHECK(visible > b - 64);
    OK(kv_close(db));

    OK(kv_open("async.kv", NULL, &db)); /* closing made the rest durable */
    CHECK(has(db, "d"));
    OK(kv_close(db));
}

static kv_reader_info told;
static int tellings;

static void tell(void *ctx, const kv_reader_info *reader)
{
    CHECK(ctx == &told);
    told = *reader;
    tellings++;
}

static void stale(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_reader_info reader = KV_READER_INFO_INIT;
    struct timespec begun, now;
    kv_txn *txn;
    kv_db *db;
    int i;
    unlink("stale.kv");
    options.stale_reader = tell;
    options.stale_reader_ctx = &told;
    options.stale_reader_ms = 30;
    OK(kv_open("stale.kv", &options, &db));
    put(db, "a", "1");
    clock_gettime(CLOCK_MONOTONIC, &begun);
    txn = begin(db, KV_READ);
    for (i = 0; i < 3; i++)
        put(db, "a", "2");
    clock_gettime(CLOCK_MONOTONIC, &now); /* not yet for long, unless the machine was slow */
    CHECK(tellings == 0 || (now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 >= 25);
    usleep(100 * 1000);
    put(db, "a", "3");
    usleep(100 * 1000);
    put(db, "a", "4");
    CHECK(tellings == 1 && told.pid == (uint32_t)getpid() && told.age_ms >= 30 && told.kept_pages > 0);
    OK(kv_reader_at(db, 0, &reader));
    CHECK(reader.commit == told.commit && reader.pid == told.pid && reader.age_ms >= told.age_ms);
    IS(kv_reader_at(db, 1, &reader), KV_NOTFOUND);
    OK(kv_txn_refresh(txn)); /* it moved on: not stale any more */
    OK(kv_reader_at(db, 0, &reader));
    CHECK(reader.commit > told.commit && reader.age_ms < told.age_ms);
    kv_txn_abort(txn);
    OK(kv_close(db));
}

/* Runs `body` in a child; its exit status must be 0. */
static void in_child(void (*body)(void *), void *what)
{
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        body(what);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

struct inherited {
    kv_db *db;
    kv_txn *reader, *writer;
};

static void child(void *what)
{
    struct inherited *mine = what;
    kv_db *own;
    kv_txn *txn;
    kv_txn_options nowait = KV_TXN_OPTIONS_INIT;
    uint64_t id;
    IS(kv_sync(mine->db), KV_FORKED);
    IS(kv_txn_id(mine->reader, &id), KV_FORKED);
    IS(kv_put(mine->writer, KV_MAIN, S("c"), S("1"), 0), KV_FORKED);
    kv_txn_abort(mine->reader); /* releasing is harmless, and releases nothing of the parent's */
    kv_txn_abort(mine->writer);
    OK(kv_open("fork.kv", NULL, &own));
    CHECK(has(own, "a") && !has(own, "b"));
    nowait.flags = KV_TXN_NOWAIT;
    IS(kv_txn_begin(own, KV_WRITE, &nowait, &txn), KV_BUSY); /* the parent still writes */
    OK(kv_close(own));
}

static void child_writes(void *unused)
{
    kv_db *own;
    (void)unused;
    OK(kv_open("fork.kv", NULL, &own));
    CHECK(has(own, "b"));
    put(own, "c", "3");
    OK(kv_close(own));
}

static void forked(void)
{
    struct inherited mine;
    kv_reader_info reader = KV_READER_INFO_INIT;
    kv_slice value;
    uint64_t id, newest;
    mine.db = fresh("fork.kv");
    put(mine.db, "a", "1");
    mine.reader = begin(mine.db, KV_READ);
    mine.writer = begin(mine.db, KV_WRITE);
    OK(kv_put(mine.writer, KV_MAIN, S("b"), S("2"), 0));
    in_child(child, &mine);
    OK(kv_reader_at(mine.db, 0, &reader)); /* the child's exit ended nothing here */
    OK(kv_get(mine.reader, KV_MAIN, S("a"), &value));
    CHECK(same(value, "1"));
    OK(kv_txn_commit(mine.writer, &id));
    in_child(child_writes, NULL);
    OK(kv_wait_commit(mine.db, id, 0, &newest)); /* seen at once, without opening again */
    CHECK(has(mine.db, "c"));
    IS(kv_get(mine.reader, KV_MAIN, S("b"), &value), KV_NOTFOUND); /* the old snapshot is as it was */
    OK(kv_check(mine.reader, NULL, NULL, NULL, NULL));
    kv_txn_abort(mine.reader);
    OK(kv_close(mine.db));
    CHECK(access("fork.kv-shm", F_OK) != 0);
}

int main(void)
{
    asynchronous();
    stale();
    forked();
    DONE;
}
