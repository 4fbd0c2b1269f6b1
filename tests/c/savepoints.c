/*
 * Savepoints, as the chapter of kv.h describes them: what is undone and what stays, and what a full disk leaves of a
 * transaction. nested.c is about nested transactions.
 */
#include "parts.h"

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
    full_disk();
    DONE;
}
