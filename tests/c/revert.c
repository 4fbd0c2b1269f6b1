/* Going back to earlier states: what kv_revert() makes of tables, and what it answers. */
#include "says.h"

static kv_txn *at_snapshot(kv_db *db, const char *name)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_txn *txn = NULL;
    options.snapshot = slice(name);
    OK(kv_txn_begin(db, KV_READ, &options, &txn));
    return txn;
}

static int has(const kv_txn *txn, kv_table table, const char *key, const char *value)
{
    kv_slice found;
    kv_status status = kv_get(txn, table, key, strlen(key), &found);
    if (value == NULL) return status == KV_NOTFOUND;
    return status == KV_OK && same(found, value);
}

static void sound(kv_db *db)
{
    kv_job_options how = KV_JOB_OPTIONS_INIT;
    how.flags = KV_JOB_CHECK_SPACE;
    OK(kv_db_check(db, &how, NULL, NULL, NULL));
}

/* A table, a long value and a snapshot of them, and then much that is different. */
static kv_table colours, shapes;

static kv_db *changed(const char *path)
{
    kv_db *db = fresh(path);
    kv_txn *txn = begin(db, KV_WRITE);
    kv_table other;
    memset(big, 'x', sizeof big);
    OK(kv_put(txn, KV_MAIN, S("a"), S("1"), 0));
    OK(kv_put(txn, KV_MAIN, S("b"), S("2"), 0));
    OK(kv_put(txn, KV_MAIN, S("long"), big, sizeof big, 0));
    OK(kv_table_create(txn, S("colours"), NULL, &colours));
    OK(kv_table_set_note(txn, colours, S("a note")));
    OK(kv_put(txn, colours, S("apple"), S("red"), 0));
    OK(kv_table_create(txn, S("shapes"), NULL, &shapes));
    OK(kv_put(txn, shapes, S("wheel"), S("round"), 0));
    OK(kv_snapshot_create(txn, S("before"), NULL));
    commit(txn);
    txn = begin(db, KV_WRITE);
    OK(kv_put(txn, KV_MAIN, S("a"), S("one"), 0));
    OK(kv_delete(txn, KV_MAIN, S("b"), 0));
    OK(kv_put(txn, KV_MAIN, S("c"), S("3"), 0));
    OK(kv_delete(txn, KV_MAIN, S("long"), 0));
    OK(kv_table_drop(txn, colours));
    OK(kv_table_rename(txn, shapes, S("colours")));
    OK(kv_table_set_note(txn, shapes, S("new")));
    OK(kv_table_create(txn, S("new"), NULL, &other));
    OK(kv_put(txn, other, S("k"), S("v"), 0));
    commit(txn);
    return db;
}

static void as_before(kv_txn *txn)
{
    kv_slice found;
    kv_table table;
    CHECK(has(txn, KV_MAIN, "a", "1") && has(txn, KV_MAIN, "b", "2") && has(txn, KV_MAIN, "c", NULL));
    OK(kv_get(txn, KV_MAIN, S("long"), &found));
    CHECK(found.len == sizeof big && memcmp(found.data, big, sizeof big) == 0);
    OK(kv_table_open(txn, S("colours"), &table));
    CHECK(table == colours && has(txn, colours, "apple", "red"));
    OK(kv_table_note(txn, colours, &found));
    CHECK(same(found, "a note"));
    OK(kv_table_open(txn, S("shapes"), &table));
    CHECK(table == shapes && has(txn, shapes, "wheel", "round"));
    OK(kv_table_note(txn, shapes, &found));
    CHECK(found.len == 0);
    IS(kv_table_open(txn, S("new"), &table), KV_NO_TABLE);
}

static void the_whole_database(void)
{
    kv_db *db = changed("whole.kv");
    kv_txn *from = at_snapshot(db, "before"), *txn, *reader = begin(db, KV_READ);
    uint64_t keys = 0;
    int32_t equal;
    kv_diff_counts counts = KV_DIFF_COUNTS_INIT;

    txn = begin(db, KV_WRITE);
    OK(kv_put(txn, KV_MAIN, S("own"), S("write"), 0));
    OK(kv_revert(txn, from, KV_NONE, &keys));
    CHECK(keys == 7); /* a, b, c, long, own; apple; k of the new table */
    as_before(txn);
    commit(txn);
    CHECK(has(reader, KV_MAIN, "a", "one") && has(reader, KV_MAIN, "b", NULL)); /* it sees what it saw */
    kv_txn_abort(from);
    sound(db);

    /* Back again, to a commit that only a reader has: nothing is lost by going back. */
    txn = begin(db, KV_WRITE);
    OK(kv_revert(txn, reader, KV_NONE, NULL));
    OK(kv_same(reader, txn, shapes, &equal));
    OK(kv_diff_count(reader, txn, KV_MAIN, NULL, &counts));
    CHECK(counts.added + counts.removed + counts.changed == 0);
    IS(kv_get(txn, colours, S("apple"), &(kv_slice){0}), KV_NO_TABLE);
    CHECK(has(txn, KV_MAIN, "own", NULL) && has(txn, shapes, "wheel", "round"));
    commit(txn);
    kv_txn_abort(reader);
    reader = at_snapshot(db, "before"); /* it stays, and with it the way back */
    as_before(reader);
    kv_txn_abort(reader);
    sound(db);
    OK(kv_close(db));
}

static void one_table(void)
{
    kv_db *db = changed("one.kv");
    kv_txn *from = at_snapshot(db, "before"), *txn = begin(db, KV_WRITE), *reader;
    kv_table table;
    kv_txn_stat stat = KV_TXN_STAT_INIT;
    uint64_t keys = 0, id, before;

    OK(kv_revert(txn, from, KV_MAIN, &keys));
    CHECK(keys == 4 && has(txn, KV_MAIN, "a", "1") && has(txn, KV_MAIN, "long", big) == 0);
    OK(kv_table_open(txn, S("new"), &table)); /* which stays as it is */
    /* The name is another table's now; that one gets its own back first. */
    SAYS(kv_revert(txn, from, colours, NULL), KV_EXISTS, at("one.kv"), "a table called \"colours\"", "all tables");
    CHECK(table_in_question() == shapes);
    OK(kv_revert(txn, from, shapes, &keys));
    CHECK(keys == 0);
    OK(kv_revert(txn, from, colours, &keys));
    CHECK(keys == 1);
    OK(kv_revert(txn, from, table, &keys)); /* `from` has no such table */
    CHECK(keys == 1);
    as_before(txn);
    OK(kv_stat_txn(txn, &stat));
    commit(txn);

    /* Who is there already makes no commit. */
    OK(kv_newest_commit(db, &before, NULL));
    reader = begin(db, KV_READ);
    txn = begin(db, KV_WRITE);
    OK(kv_revert(txn, reader, KV_NONE, &keys));
    OK(kv_txn_commit(txn, &id));
    CHECK(keys == 0 && id == before);
    kv_txn_abort(reader);
    kv_txn_abort(from);
    sound(db);
    OK(kv_close(db));
}

static void answers(void)
{
    kv_db *db = changed("answers.kv"), *other = fresh("other.kv");
    kv_txn *from = at_snapshot(db, "before"), *foreign = begin(other, KV_READ), *txn = begin(db, KV_WRITE);
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    uint64_t keys = 77;

    SAYS(kv_revert(txn, foreign, KV_NONE, &keys), KV_INVALID, at("answers.kv"), "`from`: it is of another database", "other.kv");
    SAYS(kv_revert(txn, txn, KV_NONE, &keys), KV_INVALID, at("answers.kv"), "`from`: this is a write", "KV_READ");
    SAYS(kv_revert(from, txn, KV_NONE, &keys), KV_INVALID, at("answers.kv"), "`from`: this is a write", "KV_READ");
    SAYS(kv_revert(from, from, KV_NONE, &keys), KV_READ_ONLY, at("answers.kv"), "`txn`: this is a read", "KV_WRITE");
    SAYS(kv_revert(txn, from, 12345, &keys), KV_NO_TABLE, at("answers.kv"), "12345");
    SAYS(kv_revert(txn, from, KV_TABLES, &keys), KV_READ_ONLY, at("answers.kv"), "list of tables");
    SAYS(kv_revert(txn, from, KV_SNAPSHOTS, &keys), KV_READ_ONLY, at("answers.kv"), "list of snapshots");
    IS(kv_revert(NULL, from, KV_NONE, &keys), KV_BAD_HANDLE);
    SAYS(kv_revert(txn, NULL, KV_NONE, &keys), KV_BAD_HANDLE, at("answers.kv"), "`from`: bad handle: it is NULL");
    SAYS(kv_get(from, 12345, S("k"), NULL), KV_NO_TABLE, at("answers.kv"), "; begin a transaction on a state that has it");
    CHECK(strstr(kv_error_message(), "kv_txn_refresh") == NULL); /* it sees its snapshot for ever */
    CHECK(keys == 77 && has(txn, KV_MAIN, "a", "one")); /* nothing was changed */
    OK(kv_revert(txn, from, KV_NONE, NULL));
    as_before(txn);
    kv_txn_abort(txn);
    kv_txn_abort(from);

    /* A state that is not kept: the message says which one is the oldest. */
    kv_txn_abort(foreign);
    foreign = begin(other, KV_WRITE);
    OK(kv_put(foreign, KV_MAIN, S("k"), S("v"), 0));
    commit(foreign);
    options.commit = 1;
    OK(kv_db_put(other, KV_MAIN, S("k"), S("w"), 0));
    SAYS(kv_txn_begin(other, KV_READ, &options, &txn), KV_NOTFOUND, at("other.kv"), "as old as commit 1",
         "the oldest that is kept is commit ");
    OK(kv_close(other));
    OK(kv_close(db));
}

int main(void)
{
    CHECK(getcwd(folder, sizeof folder) != NULL);
    the_whole_database();
    one_table();
    answers();
    DONE;
}
