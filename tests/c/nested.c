/*
 * Nested transactions, as the chapter of kv.h describes them: who may call what while one is open, how deep they may
 * be nested, and who ends whom, on any thread.
 */
#include "parts.h"

enum { DEPTH = 100 };

/* ---- nested transactions ------------------------------------------------------------------------------------- */

static void to_any_depth(void)
{
    kv_db *db = fresh("depth.kv");
    kv_txn *nested[DEPTH + 1];
    uint64_t id, built_on;
    char key[16];
    int i;
    nested[0] = begin(db, KV_WRITE);
    OK(kv_txn_id(nested[0], &built_on));
    for (i = 1; i <= DEPTH; i++) {
        snprintf(key, sizeof key, "%03d", i);
        nested[i] = nest(nested[i - 1]);
        put(nested[i], key, "v");
        CHECK(count(nested[i]) == (uint64_t)i); /* it sees what the outer ones have written */
    }
    /* Those at every tenth depth are undone, with everything that was committed into them. */
    for (i = DEPTH; i > 50; i--) {
        if (i % 10 == 0) {
            kv_txn_abort(nested[i]);
        } else {
            OK(kv_txn_commit(nested[i], &id));
            CHECK(id == built_on); /* the file is not touched */
        }
        IS(kv_get(nested[i], KV_MAIN, S("001"), NULL), KV_BAD_HANDLE);
        /* What is left below: nothing of the last one that was undone. */
        CHECK(count(nested[i - 1]) == (uint64_t)(i % 10 == 0 ? i - 1 : i / 10 * 10 + 9));
    }
    CHECK(count(nested[50]) == 59);
    OK(kv_txn_commit_async(nested[50], &id));
    for (i = 49; i > 0; i--) commit(nested[i]);
    OK(kv_txn_commit(nested[0], &id));
    CHECK(id == built_on + 1);
    nested[0] = begin(db, KV_READ);
    CHECK(count(nested[0]) == 59 && has(nested[0], "059", "v") && has(nested[0], "060", NULL));
    kv_txn_abort(nested[0]);
    sound(db);
    /* To abort the outermost one aborts them all. */
    nested[0] = begin(db, KV_WRITE);
    for (i = 1; i <= DEPTH; i++) nested[i] = nest(nested[i - 1]);
    put(nested[DEPTH], "undone", "v");
    kv_txn_abort(nested[0]);
    for (i = 0; i <= DEPTH; i++) IS(kv_put(nested[i], KV_MAIN, S("k"), S("v"), 0), KV_BAD_HANDLE);
    nested[0] = begin(db, KV_WRITE);
    CHECK(count(nested[0]) == 59);
    kv_txn_abort(nested[0]);
    OK(kv_close(db));
}

/* More than a stack has room for end together: by an abort, a commit that is refused, or the end of the database. */
static void deeper_than_a_stack(void)
{
    int depth = quick() ? 20000 : 100000, way, i;
    kv_db *db = in_memory();
    if (sizeof(void *) == 4) depth = 4000; /* there are 4096 handles */
    for (way = 0; way < 3; way++) {
        kv_txn *outermost = begin(db, KV_WRITE), *innermost = outermost;
        put(outermost, "outer", "v");
        for (i = 0; i < depth; i++) {
            kv_txn *nested = NULL;
            CHECK(kv_txn_nest(innermost, &nested) == KV_OK);
            innermost = nested;
        }
        put(innermost, "inner", "v");
        if (way == 0) kv_txn_abort(outermost);
        else if (way == 1) IS(kv_txn_commit(outermost, NULL), KV_CHILD_OPEN);
        else OK(kv_close(db));
        IS(kv_get(innermost, KV_MAIN, S("inner"), NULL), KV_BAD_HANDLE);
    }
}

/* Every other call on the outer transaction, or on its cursors, changes nothing while a nested one is open. */
static void outer_is_out_of_use(void)
{
    kv_db *db = fresh("outer.kv");
    kv_txn *txn = begin(db, KV_WRITE), *nested, *another = NULL, *reader = begin(db, KV_READ);
    kv_cursor *cursor, *unmade = NULL;
    kv_slice value = slice("untouched");
    kv_table table;
    kv_txn_stat stat = KV_TXN_STAT_INIT;
    uint64_t number = 77, first;
    void *place;
    put(txn, "a", "1");
    put(txn, "b", "2");
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    OK(kv_cursor_first(cursor, NULL, NULL));
    first = savepoint(txn);
    nested = nest(txn);
    SAYS(kv_get(txn, KV_MAIN, S("a"), &value), KV_CHILD_OPEN, at("outer.kv"), "nested transaction", "end it first");
    IS(kv_put(txn, KV_MAIN, S("c"), S("3"), 0), KV_CHILD_OPEN);
    IS(kv_delete(txn, KV_MAIN, S("a"), 0), KV_CHILD_OPEN);
    IS(kv_reserve(txn, KV_MAIN, S("c"), 4, 0, &place), KV_CHILD_OPEN);
    IS(kv_count(txn, KV_MAIN, NULL, &number), KV_CHILD_OPEN);
    IS(kv_table_create(txn, S("t"), NULL, &table), KV_CHILD_OPEN);
    IS(kv_table_open(txn, S("t"), &table), KV_CHILD_OPEN);
    IS(kv_snapshot_create(txn, S("s"), NULL), KV_CHILD_OPEN);
    IS(kv_stat_txn(txn, &stat), KV_CHILD_OPEN);
    IS(kv_txn_id(txn, &number), KV_CHILD_OPEN);
    IS(kv_savepoint_create(txn, &number), KV_CHILD_OPEN);
    IS(kv_savepoint_rollback(txn, first), KV_CHILD_OPEN);
    IS(kv_savepoint_release(txn, first), KV_CHILD_OPEN);
    IS(kv_txn_nest(txn, &another), KV_CHILD_OPEN);
    IS(kv_cursor_open(txn, KV_MAIN, NULL, &unmade), KV_CHILD_OPEN);
    IS(kv_cursor_get(cursor, &value, NULL), KV_CHILD_OPEN);
    IS(kv_cursor_next(cursor, &value, NULL), KV_CHILD_OPEN);
    IS(kv_cursor_put(cursor, S("3")), KV_CHILD_OPEN);
    IS(kv_cursor_delete(cursor), KV_CHILD_OPEN);
    IS(kv_revert(txn, reader, KV_NONE, NULL), KV_CHILD_OPEN);
    CHECK(another == NULL && unmade == NULL && number == 77 && same(value, "untouched"));
    /* The nested one goes on, and nothing was changed. */
    CHECK(count(nested) == 2 && has(nested, "a", "1") && has(nested, "b", "2"));
    put(nested, "a", "3");
    commit(nested);
    OK(kv_cursor_get(cursor, NULL, &value));
    CHECK(same(value, "3"));
    OK(kv_savepoint_rollback(txn, first));
    CHECK(has(txn, "a", "1") && count(txn) == 2);
    /* A cursor may be closed meanwhile. */
    nested = nest(txn);
    kv_cursor_close(cursor);
    IS(kv_cursor_next(cursor, NULL, NULL), KV_BAD_HANDLE);
    commit(nested);
    commit(txn);
    kv_txn_abort(reader);
    OK(kv_close(db));
}

static void ends_of_the_outer_one(void)
{
    kv_db *db = fresh("ends.kv");
    kv_txn *txn = begin(db, KV_WRITE), *nested, *inner;
    kv_cursor *cursor;
    /* To commit it aborts both. */
    put(txn, "outer", "v");
    nested = nest(txn);
    put(nested, "nested", "v");
    OK(kv_cursor_open(nested, KV_MAIN, NULL, &cursor));
    SAYS(kv_txn_commit(txn, NULL), KV_CHILD_OPEN, at("ends.kv"), "nested transaction was open", "aborted");
    IS(kv_txn_commit(nested, NULL), KV_BAD_HANDLE);
    IS(kv_get(txn, KV_MAIN, S("outer"), NULL), KV_BAD_HANDLE);
    IS(kv_cursor_first(cursor, NULL, NULL), KV_BAD_HANDLE);
    txn = begin(db, KV_WRITE);
    CHECK(count(txn) == 0);
    nested = nest(txn);
    IS(kv_txn_commit_async(txn, NULL), KV_CHILD_OPEN);
    /* So does the commit of a nested one in which another is open; the outer one goes on. */
    txn = begin(db, KV_WRITE);
    put(txn, "outer", "v");
    nested = nest(txn);
    put(nested, "nested", "v");
    inner = nest(nested);
    put(inner, "inner", "v");
    IS(kv_txn_commit(nested, NULL), KV_CHILD_OPEN);
    IS(kv_txn_commit(inner, NULL), KV_BAD_HANDLE);
    CHECK(count(txn) == 1 && has(txn, "outer", "v"));
    /* To abort it aborts the nested one. */
    nested = nest(txn);
    put(nested, "nested", "v");
    kv_txn_abort(txn);
    IS(kv_put(nested, KV_MAIN, S("k"), S("v"), 0), KV_BAD_HANDLE);
    IS(kv_txn_commit(nested, NULL), KV_BAD_HANDLE);
    kv_txn_abort(nested); /* harmless */
    /* To close the database ends them all. */
    txn = begin(db, KV_WRITE);
    CHECK(count(txn) == 0);
    nested = nest(txn);
    inner = nest(nested);
    put(inner, "inner", "v");
    OK(kv_close(db));
    IS(kv_put(inner, KV_MAIN, S("k"), S("v"), 0), KV_BAD_HANDLE);
    IS(kv_txn_commit(nested, NULL), KV_BAD_HANDLE);
    kv_txn_abort(inner);
    kv_txn_abort(txn);
    db = reopened("ends.kv", 0, 0);
    txn = begin(db, KV_WRITE);
    CHECK(count(txn) == 0);
    kv_txn_abort(txn);
    sound(db);
    OK(kv_close(db));
}

/* A value in parts keeps a nested transaction from being committed: that is undone, and the outer one goes on. */
static void writer_open_at_commit(void)
{
    kv_db *db = fresh("writer.kv");
    kv_txn *txn = begin(db, KV_WRITE), *nested;
    kv_writer *parts;
    put(txn, "outer", "v");
    nested = nest(txn);
    put(nested, "nested", "v");
    OK(kv_writer_open(nested, KV_MAIN, S("long"), 0, 0, &parts));
    OK(kv_writer_write(parts, big, sizeof big));
    IS(kv_txn_commit(nested, NULL), KV_CHILD_OPEN);
    IS(kv_writer_write(parts, S("more")), KV_BAD_HANDLE);
    IS(kv_get(nested, KV_MAIN, S("nested"), NULL), KV_BAD_HANDLE);
    CHECK(count(txn) == 1 && has(txn, "outer", "v"));
    nested = nest(txn);
    OK(kv_writer_open(nested, KV_MAIN, S("long"), 0, 0, &parts));
    OK(kv_writer_write(parts, big, sizeof big));
    OK(kv_writer_finish(parts));
    commit(nested);
    CHECK(count(txn) == 2);
    commit(txn);
    sound(db);
    OK(kv_close(db));
}

static void *in_another_thread(void *argument)
{
    kv_txn *nested = argument, *inner = nest(nested);
    put(inner, "thread", "v");
    commit(inner);
    commit(nested);
    return NULL;
}

static void threads(void)
{
    kv_db *db = fresh("threads.kv");
    kv_txn *txn = begin(db, KV_WRITE), *nested, *other = NULL;
    kv_txn_options at_once = KV_TXN_OPTIONS_INIT;
    pthread_t thread;
    put(txn, "outer", "v");
    nested = nest(txn);
    CHECK(pthread_create(&thread, NULL, in_another_thread, nested) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(has(txn, "thread", "v"));
    /* The write lock is that of the outermost transaction, and this thread has it. */
    nested = nest(txn);
    put(nested, "nested", "v");
    SAYS(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0), KV_DEADLOCK, at("threads.kv"), "this thread");
    IS(kv_db_delete(db, KV_MAIN, S("k"), 0), KV_DEADLOCK);
    IS(kv_txn_begin(db, KV_WRITE, NULL, &other), KV_DEADLOCK);
    at_once.flags = KV_TXN_NOWAIT;
    IS(kv_txn_begin(db, KV_WRITE, &at_once, &other), KV_BUSY);
    commit(nested);
    IS(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0), KV_DEADLOCK);
    commit(txn);
    OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0));
    OK(kv_close(db));
}

/* One thread nests and ends what it has nested, another one uses, ends or closes what is outside. */
static kv_txn *volatile outermost;
static volatile int rounds_left;

/* What a call on a nested transaction answers while another thread ends an outer one, or looks for what is in it. */
static int ends_elsewhere(kv_status status)
{
    return status == KV_OK || status == KV_BAD_HANDLE || status == KV_BUSY;
}

static void *nests(void *ignored)
{
    while (rounds_left > 0) {
        kv_txn *txn = outermost, *nested = NULL, *inner = NULL;
        kv_status status = kv_txn_nest(txn, &nested);
        CHECK(ends_elsewhere(status) || status == KV_CHILD_OPEN);
        if (status != KV_OK) continue;
        status = kv_txn_nest(nested, &inner);
        CHECK(ends_elsewhere(status));
        if (status == KV_OK) {
            CHECK(ends_elsewhere(kv_put(inner, KV_MAIN, S("k"), S("v"), 0)));
            CHECK(ends_elsewhere(kv_txn_commit(inner, NULL)));
        }
        if (rounds_left % 2 == 0) {
            kv_txn_abort(nested);
        } else {
            status = kv_txn_commit(nested, NULL); /* the inner one may have been ended by itself, by kv_close() */
            CHECK(ends_elsewhere(status) || status == KV_CHILD_OPEN);
        }
    }
    return ignored;
}

static void ends_race(void)
{
    kv_db *db = fresh("race.kv");
    pthread_t thread;
    kv_status status;
    uint64_t n;
    int i;
    alarm(200);
    rounds_left = quick() ? 200 : 3000;
    outermost = begin(db, KV_WRITE);
    CHECK(pthread_create(&thread, NULL, nests, NULL) == 0);
    for (; rounds_left > 0; rounds_left--) {
        for (i = 0; i < rounds_left % 50; i++) {
            status = kv_count(outermost, KV_MAIN, NULL, &n);
            CHECK(status == KV_OK || status == KV_CHILD_OPEN || status == KV_BUSY);
        }
        if (rounds_left % 7 == 0) {
            OK(kv_close(db));
            OK(kv_open("race.kv", NULL, &db));
        } else if (rounds_left % 3 == 0) {
            status = kv_txn_commit(outermost, NULL);
            CHECK(status == KV_OK || status == KV_CHILD_OPEN);
        } else {
            kv_txn_abort(outermost);
        }
        /* Whoever ends it gives its write lock back: otherwise this would wait for ever. */
        outermost = begin(db, KV_WRITE);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    alarm(0);
    kv_txn_abort(outermost);
    sound(db);
    OK(kv_close(db));
}

static kv_txn *innermost;
static pthread_barrier_t barrier;

static void *commits_the_innermost(void *rounds)
{
    int i;
    for (i = 0; i < *(int *)rounds; i++) {
        pthread_barrier_wait(&barrier);
        CHECK(ends_elsewhere(kv_txn_commit(innermost, NULL)));
        pthread_barrier_wait(&barrier);
    }
    return rounds;
}

/* One thread ends a transaction in the middle, while another ends the one nested in it: the outer one goes on. */
static void middle_and_innermost_end_at_once(void)
{
    kv_db *db = fresh("middle.kv");
    kv_txn *txn = begin(db, KV_WRITE), *middle;
    pthread_t thread;
    int i, rounds = quick() ? 500 : 5000;
    alarm(200);
    put(txn, "kept", "value");
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, commits_the_innermost, &rounds) == 0);
    for (i = 0; i < rounds; i++) {
        uint64_t n;
        OK(kv_txn_nest(txn, &middle));
        OK(kv_txn_nest(middle, &innermost));
        put(innermost, "undone", "value");
        pthread_barrier_wait(&barrier);
        kv_txn_abort(middle);
        pthread_barrier_wait(&barrier);
        OK(kv_count(txn, KV_MAIN, NULL, &n));
        CHECK(n == 1);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_barrier_destroy(&barrier) == 0);
    alarm(0);
    OK(kv_txn_commit(txn, NULL));
    sound(db);
    OK(kv_close(db));
}

int main(void)
{
    CHECK(getcwd(folder, sizeof folder) != NULL);
    memset(big, 'x', sizeof big);
    to_any_depth();
    deeper_than_a_stack();
    outer_is_out_of_use();
    ends_of_the_outer_one();
    writer_open_at_commit();
    threads();
    ends_race();
    middle_and_innermost_end_at_once();
    DONE;
}
