/*
 * Savepoints and nested transactions, as the chapter of kv.h describes them: what is undone and what stays, who may
 * call what while a nested transaction is open, and who ends whom.
 */
#include "says.h"

enum { DEPTH = 100 };

static kv_db *in_memory(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_db *db = NULL;
    options.flags = KV_OPEN_MEMORY;
    OK(kv_open(NULL, &options, &db));
    return db;
}

static void put(kv_txn *txn, const char *key, const char *value)
{
    OK(kv_put(txn, KV_MAIN, key, strlen(key), value, strlen(value), 0));
}

static int has(const kv_txn *txn, const char *key, const char *value)
{
    kv_slice found;
    kv_status status = kv_get(txn, KV_MAIN, key, strlen(key), &found);
    if (value == NULL) return status == KV_NOTFOUND;
    return status == KV_OK && same(found, value);
}

static uint64_t count(const kv_txn *txn)
{
    uint64_t n = 0;
    OK(kv_count(txn, KV_MAIN, NULL, &n));
    return n;
}

static uint64_t savepoint(kv_txn *txn)
{
    uint64_t number = 0;
    OK(kv_savepoint_create(txn, &number));
    CHECK(number != 0);
    return number;
}

static kv_txn *nest(kv_txn *outer)
{
    kv_txn *nested = NULL;
    OK(kv_txn_nest(outer, &nested));
    CHECK(nested != NULL && nested != outer);
    return nested;
}

static void sound(kv_db *db)
{
    kv_job_options how = KV_JOB_OPTIONS_INIT;
    how.flags = KV_JOB_CHECK_SPACE;
    OK(kv_db_check(db, &how, NULL, NULL, NULL));
}

/* ---- savepoints ---------------------------------------------------------------------------------------------- */

static void back_to_savepoints(void)
{
    kv_db *db = fresh("back.kv");
    kv_txn *txn = begin(db, KV_WRITE);
    uint64_t points[10];
    char key[2] = "0";
    int i;
    put(txn, "before", "1");
    for (i = 0; i < 10; i++) {
        points[i] = savepoint(txn);
        CHECK(i == 0 || points[i] != points[i - 1]);
        key[0] = (char)('0' + i);
        put(txn, key, "v");
    }
    CHECK(count(txn) == 11);
    /* To an inner one, twice; then to an outer one, with which the later ones are gone. */
    OK(kv_savepoint_rollback(txn, points[7]));
    CHECK(count(txn) == 8 && has(txn, "6", "v") && has(txn, "7", NULL));
    put(txn, "again", "v");
    OK(kv_delete(txn, KV_MAIN, S("before"), 0));
    OK(kv_savepoint_rollback(txn, points[7]));
    CHECK(count(txn) == 8 && has(txn, "again", NULL) && has(txn, "before", "1"));
    IS(kv_savepoint_rollback(txn, points[8]), KV_INVALID);
    OK(kv_savepoint_rollback(txn, points[3]));
    CHECK(count(txn) == 4);
    IS(kv_savepoint_rollback(txn, points[7]), KV_INVALID);
    IS(kv_savepoint_release(txn, points[7]), KV_INVALID);
    /* Released ones and later ones are gone, and what was written stays. */
    put(txn, "kept", "v");
    OK(kv_savepoint_release(txn, points[2]));
    CHECK(count(txn) == 5 && has(txn, "kept", "v"));
    IS(kv_savepoint_rollback(txn, points[2]), KV_INVALID);
    IS(kv_savepoint_rollback(txn, points[3]), KV_INVALID);
    CHECK(count(txn) == 5);
    OK(kv_savepoint_rollback(txn, points[1]));
    CHECK(count(txn) == 2 && has(txn, "0", "v") && has(txn, "kept", NULL));
    commit(txn);
    txn = begin(db, KV_READ);
    CHECK(count(txn) == 2 && has(txn, "before", "1") && has(txn, "0", "v"));
    kv_txn_abort(txn);
    sound(db);
    OK(kv_close(db));
}

static void numbers(void)
{
    kv_db *db = fresh("numbers.kv"), *other = in_memory();
    kv_txn *txn = begin(db, KV_WRITE), *elsewhere = begin(other, KV_WRITE), *reader = begin(db, KV_READ), *nested;
    uint64_t first = savepoint(txn), foreign = savepoint(elsewhere), number = 77;
    CHECK(first != foreign); /* no two of this process are equal */
    put(txn, "k", "v");
    SAYS(kv_savepoint_rollback(txn, foreign), KV_INVALID, at("numbers.kv"), "no such savepoint");
    SAYS(kv_savepoint_release(txn, foreign), KV_INVALID, at("numbers.kv"), "no such savepoint");
    IS(kv_savepoint_rollback(txn, 0), KV_INVALID);
    IS(kv_savepoint_rollback(txn, UINT64_MAX), KV_INVALID);
    IS(kv_savepoint_release(txn, 0), KV_INVALID);
    CHECK(has(txn, "k", "v"));
    IS(kv_savepoint_create(txn, NULL), KV_INVALID);
    IS(kv_txn_nest(txn, NULL), KV_INVALID);
    /* A transaction that reads has none. */
    nested = txn;
    SAYS(kv_savepoint_create(reader, &number), KV_READ_ONLY, at("numbers.kv"), "KV_WRITE");
    SAYS(kv_savepoint_rollback(reader, first), KV_READ_ONLY, at("numbers.kv"), "KV_WRITE");
    SAYS(kv_savepoint_release(reader, first), KV_READ_ONLY, at("numbers.kv"), "KV_WRITE");
    SAYS(kv_txn_nest(reader, &nested), KV_READ_ONLY, at("numbers.kv"), "KV_WRITE");
    CHECK(number == 77 && nested == NULL);
    /* One of the outer transaction is none of a nested one, and the other way round. */
    nested = nest(txn);
    number = savepoint(nested);
    IS(kv_savepoint_rollback(nested, first), KV_INVALID);
    IS(kv_savepoint_release(nested, first), KV_INVALID);
    commit(nested);
    IS(kv_savepoint_rollback(txn, number), KV_INVALID);
    OK(kv_savepoint_rollback(txn, first));
    CHECK(has(txn, "k", NULL));
    /* The end of the transaction ends its savepoints. */
    commit(txn);
    txn = begin(db, KV_WRITE);
    IS(kv_savepoint_rollback(txn, first), KV_INVALID);
    kv_txn_abort(txn);
    kv_txn_abort(reader);
    kv_txn_abort(elsewhere);
    OK(kv_close(other));
    OK(kv_close(db));
}

/* A value that is written in parts is neither saved nor nested in; going back gives it up. */
static void values_in_parts(void)
{
    kv_db *db = fresh("parts.kv");
    kv_txn *txn = begin(db, KV_WRITE), *nested = txn;
    kv_writer *parts;
    uint64_t before = savepoint(txn), number = 77;
    void *place;
    OK(kv_writer_open(txn, KV_MAIN, S("long"), 0, 0, &parts));
    OK(kv_writer_write(parts, big, sizeof big));
    SAYS(kv_savepoint_create(txn, &number), KV_INVALID, at("parts.kv"), "in parts", "finish it or give it up");
    SAYS(kv_txn_nest(txn, &nested), KV_INVALID, at("parts.kv"), "in parts");
    CHECK(number == 77 && nested == NULL);
    OK(kv_writer_write(parts, big, sizeof big)); /* it goes on */
    OK(kv_savepoint_rollback(txn, before));
    IS(kv_writer_write(parts, S("more")), KV_BAD_HANDLE);
    IS(kv_writer_finish(parts), KV_BAD_HANDLE);
    CHECK(count(txn) == 0);
    kv_writer_close(parts);
    OK(kv_savepoint_create(txn, &number)); /* it does not count as open */
    OK(kv_writer_open(txn, KV_MAIN, S("long"), 0, 0, &parts));
    OK(kv_savepoint_rollback(txn, number));
    kv_writer_close(parts);
    /* Room that was reserved and not filled yet goes with what is undone. */
    OK(kv_reserve(txn, KV_MAIN, S("reserved"), 8, 0, &place));
    OK(kv_savepoint_rollback(txn, number));
    CHECK(has(txn, "reserved", NULL));
    OK(kv_reserve(txn, KV_MAIN, S("reserved"), 8, 0, &place));
    memcpy(place, "12345678", 8);
    number = savepoint(txn);
    OK(kv_delete(txn, KV_MAIN, S("reserved"), 0));
    OK(kv_savepoint_rollback(txn, number));
    CHECK(has(txn, "reserved", "12345678"));
    /* What was begun and undone keeps nobody from the commit. */
    OK(kv_writer_open(txn, KV_MAIN, S("long"), 0, 0, &parts));
    OK(kv_savepoint_rollback(txn, number));
    commit(txn);
    kv_writer_close(parts);
    sound(db);
    OK(kv_close(db));
}

static void cursors_stay(void)
{
    kv_db *db = fresh("cursors.kv");
    kv_txn *txn = begin(db, KV_WRITE), *nested;
    kv_cursor *on, *on_new, *inside;
    kv_slice key;
    uint64_t number;
    put(txn, "b", "1");
    put(txn, "d", "1");
    number = savepoint(txn);
    put(txn, "a", "2");
    put(txn, "c", "2");
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &on));
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &on_new));
    OK(kv_cursor_seek(on, S("b"), KV_SEEK_EQ, NULL, NULL));
    OK(kv_cursor_seek(on_new, S("c"), KV_SEEK_EQ, NULL, NULL));
    OK(kv_savepoint_rollback(txn, number));
    OK(kv_cursor_get(on, &key, NULL));
    CHECK(same(key, "b"));
    OK(kv_cursor_next(on, &key, NULL));
    CHECK(same(key, "d"));
    OK(kv_cursor_next(on_new, &key, NULL)); /* what lies behind the key that is gone */
    CHECK(same(key, "d"));
    OK(kv_cursor_prev(on, &key, NULL));
    CHECK(same(key, "b"));
    IS(kv_cursor_prev(on, &key, NULL), KV_NOTFOUND);
    /* Those of a nested transaction are closed with it, and those of the outer one go on. */
    OK(kv_cursor_seek(on, S("b"), KV_SEEK_EQ, NULL, NULL));
    nested = nest(txn);
    put(nested, "c", "3");
    OK(kv_cursor_open(nested, KV_MAIN, NULL, &inside));
    OK(kv_cursor_first(inside, NULL, NULL));
    commit(nested);
    IS(kv_cursor_next(inside, NULL, NULL), KV_BAD_HANDLE);
    OK(kv_cursor_next(on, &key, NULL));
    CHECK(same(key, "c"));
    nested = nest(txn);
    OK(kv_delete(nested, KV_MAIN, S("c"), 0));
    kv_txn_abort(nested);
    OK(kv_cursor_get(on, &key, NULL));
    CHECK(same(key, "c"));
    kv_txn_abort(txn);
    OK(kv_close(db));
}

/* Tables, notes and snapshots are undone with everything else. */
static void tables_notes_and_snapshots(void)
{
    kv_db *db = fresh("tables.kv");
    kv_txn *txn = begin(db, KV_WRITE), *inside;
    kv_table kept, dropped, table;
    kv_snapshot_stat stat = KV_SNAPSHOT_STAT_INIT;
    kv_slice note;
    uint64_t number;
    int way;
    OK(kv_table_create(txn, S("kept"), NULL, &kept));
    OK(kv_table_create(txn, S("dropped"), NULL, &dropped));
    OK(kv_table_set_note(txn, kept, S("a note")));
    OK(kv_put(txn, dropped, S("k"), S("v"), 0));
    OK(kv_snapshot_create(txn, S("old"), NULL));
    commit(txn);
    txn = begin(db, KV_WRITE);
    for (way = 0; way < 2; way++) { /* by a savepoint, and by a nested transaction */
        number = savepoint(txn);
        inside = way == 0 ? txn : nest(txn);
        OK(kv_table_create(inside, S("new"), NULL, &table));
        OK(kv_put(inside, table, S("k"), S("v"), 0));
        OK(kv_table_rename(inside, kept, S("renamed")));
        OK(kv_table_set_note(inside, kept, S("another")));
        OK(kv_table_drop(inside, dropped));
        OK(kv_table_create(inside, S("dropped"), NULL, &table));
        OK(kv_snapshot_create(inside, S("fresh"), NULL));
        OK(kv_snapshot_rename(inside, S("old"), S("older")));
        if (way == 0) OK(kv_savepoint_rollback(txn, number));
        else kv_txn_abort(inside);
        IS(kv_table_open(txn, S("new"), &table), KV_NO_TABLE);
        IS(kv_table_open(txn, S("renamed"), &table), KV_NO_TABLE);
        OK(kv_table_open(txn, S("kept"), &table));
        CHECK(table == kept);
        OK(kv_table_note(txn, kept, &note));
        CHECK(same(note, "a note"));
        OK(kv_table_open(txn, S("dropped"), &table));
        CHECK(table == dropped);
        OK(kv_get(txn, dropped, S("k"), NULL));
        OK(kv_stat_snapshot(txn, S("old"), &stat));
        IS(kv_stat_snapshot(txn, S("fresh"), &stat), KV_NOTFOUND);
        IS(kv_stat_snapshot(txn, S("older"), &stat), KV_NOTFOUND);
    }
    commit(txn);
    txn = begin(db, KV_READ);
    OK(kv_get(txn, dropped, S("k"), NULL));
    OK(kv_stat_snapshot(txn, S("old"), &stat));
    IS(kv_stat_snapshot(txn, S("fresh"), &stat), KV_NOTFOUND);
    kv_txn_abort(txn);
    sound(db);
    OK(kv_close(db));
}

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

/* ---- failures ------------------------------------------------------------------------------------------------ */

/* Others do without what a full disk has ended: a nested transaction, or what was written since a savepoint. */
static void full_disk(void)
{
    kv_db *db = fresh("full.kv");
    kv_txn *txn = begin(db, KV_WRITE), *nested;
    kv_status status;
    uint64_t number, unused;
    put(txn, "before", "v");
    nested = nest(txn);
    put(nested, "nested", "v");
    refuse.writes = refuse.lengths = ENOSPC;
    status = kv_put(nested, KV_MAIN, S("spoils"), big, sizeof big, 0);
    memset(&refuse, 0, sizeof refuse);
    CHECK(status == KV_NO_SPACE);
    IS(kv_put(nested, KV_MAIN, S("k"), S("v"), 0), KV_TXN_FAILED);
    IS(kv_txn_commit(nested, NULL), KV_TXN_FAILED);
    CHECK(count(txn) == 1 && has(txn, "before", "v"));
    put(txn, "behind", "v");
    number = savepoint(txn);
    put(txn, "since", "v");
    refuse.writes = refuse.lengths = ENOSPC;
    status = kv_put(txn, KV_MAIN, S("spoils"), big, sizeof big, 0);
    memset(&refuse, 0, sizeof refuse);
    CHECK(status == KV_NO_SPACE);
    IS(kv_put(txn, KV_MAIN, S("k"), S("v"), 0), KV_TXN_FAILED);
    IS(kv_savepoint_create(txn, &unused), KV_TXN_FAILED);
    IS(kv_savepoint_release(txn, number), KV_TXN_FAILED);
    IS(kv_txn_nest(txn, &nested), KV_TXN_FAILED);
    OK(kv_savepoint_rollback(txn, number));
    CHECK(count(txn) == 2 && has(txn, "since", NULL));
    put(txn, "since", "w");
    commit(txn);
    txn = begin(db, KV_READ);
    CHECK(count(txn) == 3 && has(txn, "behind", "v") && has(txn, "since", "w"));
    kv_txn_abort(txn);
    sound(db);
    OK(kv_close(db));
}

int main(void)
{
    CHECK(getcwd(folder, sizeof folder) != NULL);
    memset(big, 'x', sizeof big);
    back_to_savepoints();
    numbers();
    values_in_parts();
    cursors_stay();
    tables_notes_and_snapshots();
    to_any_depth();
    deeper_than_a_stack();
    outer_is_out_of_use();
    ends_of_the_outer_one();
    writer_open_at_commit();
    threads();
    ends_race();
    middle_and_innermost_end_at_once();
    full_disk();
    DONE;
}
