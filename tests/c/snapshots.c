/* Named snapshots as a program uses them: made, read, listed, renamed, kept, dropped, and what the calls answer. */
#include "says.h"

#include <pthread.h>

enum { ENTRIES = 3000 };

/* Replaces every value by one that begins with `letter`. */
static void write_all(kv_txn *txn, char letter)
{
    char key[16], value[100];
    int i;
    memset(value, letter, sizeof value);
    for (i = 0; i < ENTRIES; i++) {
        snprintf(key, sizeof key, "key %08d", i);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), value, sizeof value, 0));
    }
}

/* Begins a transaction on a snapshot. */
static kv_txn *at_snapshot(kv_db *db, const char *name)
{
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_txn *txn = NULL;
    options.snapshot = slice(name);
    OK(kv_txn_begin(db, KV_READ, &options, &txn));
    return txn;
}

/* Reads all that a transaction sees: every value begins with the letter. */
static void shows(kv_txn *txn, char letter)
{
    kv_cursor *cursor = NULL;
    kv_slice key, value;
    kv_status status;
    uint64_t n = 0, count;
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    KV_EACH (status, cursor, &key, &value) {
        CHECK(value.len == 100 && *(const char *)value.data == letter);
        n++;
    }
    CHECK(status == KV_OK && n == ENTRIES);
    OK(kv_count(txn, KV_MAIN, NULL, &count));
    CHECK(count == ENTRIES);
}

static void shows_snapshot(kv_db *db, const char *name, char letter)
{
    kv_txn *txn = at_snapshot(db, name);
    shows(txn, letter);
    kv_txn_abort(txn);
}

static kv_snapshot_stat stat_of(const kv_txn *txn, const char *name)
{
    kv_snapshot_stat stat = KV_SNAPSHOT_STAT_INIT;
    OK(kv_stat_snapshot(txn, name, strlen(name), &stat));
    return stat;
}

/* The names that there are, with spaces behind them. */
static const char *names(kv_db *db)
{
    static char text[256];
    kv_range range = KV_RANGE_INIT;
    kv_txn *txn = begin(db, KV_READ);
    kv_cursor *cursor = NULL;
    kv_slice key;
    kv_status status;
    text[0] = 0;
    range.flags = KV_RANGE_FROM;
    range.from = slice("\1");
    OK(kv_cursor_open(txn, KV_SNAPSHOTS, &range, &cursor));
    KV_EACH (status, cursor, &key, NULL) {
        strncat(text, key.data, key.len);
        strcat(text, " ");
    }
    CHECK(status == KV_OK);
    kv_txn_abort(txn);
    return text;
}

static uint64_t checked(kv_db *db, kv_check_report *report)
{
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_check_report found = KV_CHECK_REPORT_INIT;
    job.flags = KV_JOB_CHECK_SPACE;
    OK(kv_db_check(db, &job, NULL, NULL, &found));
    if (report != NULL) *report = found;
    return found.snapshots;
}

static uint64_t parked(kv_db *db)
{
    kv_db_stat stat = KV_DB_STAT_INIT;
    OK(kv_stat_db(db, &stat));
    return stat.parked_pages;
}

/* The life of a row of snapshots, across a close. */
static void life(void)
{
    kv_db *db = fresh("life.kv");
    kv_snapshot_options options = KV_SNAPSHOT_OPTIONS_INIT;
    kv_snapshot_stat one, two;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_txn *txn = begin(db, KV_WRITE), *reader, *old;
    uint64_t freed, commit_id, alone[2], both;

    options.note = slice("before the change");
    OK(kv_snapshot_create(txn, S("a"), &options)); /* of all that the transaction writes, later writes too */
    write_all(txn, 'a');
    OK(kv_txn_commit(txn, &commit_id));
    reader = begin(db, KV_READ);
    one = stat_of(reader, "a");
    CHECK(one.commit == commit_id && one.flags == 0 && same(one.note, "before the change"));
    CHECK(one.time > UINT64_C(1600000000000000000) && one.file_pages >= one.used_pages && one.used_pages > 50);
    shows_snapshot(db, "a", 'a');

    /* What an old reader sees is recorded in a commit of its own. */
    txn = begin(db, KV_WRITE);
    write_all(txn, 'b');
    commit(txn);
    options.flags = KV_SNAPSHOT_KEEP;
    options.note = slice("");
    OK(kv_snapshot_create(reader, S("again"), &options));
    kv_txn_abort(reader);
    OK(kv_close(db));
    OK(kv_open("life.kv", NULL, &db));
    shows_snapshot(db, "again", 'a');
    CHECK(strcmp(names(db), "a again ") == 0);
    reader = begin(db, KV_READ);
    two = stat_of(reader, "again");
    CHECK(two.commit == one.commit && two.flags == KV_SNAPSHOT_KEEP && memcmp(two.guid, one.guid, 16) == 0);
    CHECK(two.note.data != NULL && two.note.len == 0 && two.time == one.time);
    kv_txn_abort(reader);

    /* Renamed onto another name, replaced, and kept. */
    txn = begin(db, KV_WRITE);
    OK(kv_snapshot_create(txn, S("new"), NULL));
    OK(kv_snapshot_rename(txn, S("new"), S("a")));
    IS(kv_snapshot_drop(txn, S("again")), KV_INVALID);
    OK(kv_snapshot_keep(txn, S("again"), 0));
    OK(kv_snapshot_keep(txn, S("a"), 1));
    two = stat_of(txn, "a"); /* its figures are known when it is committed */
    CHECK(two.flags == KV_SNAPSHOT_KEEP && two.commit > one.commit && two.file_pages == 0);
    commit(txn);
    shows_snapshot(db, "a", 'b');
    txn = begin(db, KV_WRITE);
    two = stat_of(txn, "a");
    CHECK(two.file_pages > 0 && two.used_pages > 0);
    write_all(txn, 'c');
    OK(kv_snapshot_keep(txn, S("a"), 0));
    options.flags = KV_SNAPSHOT_REPLACE;
    OK(kv_snapshot_create(txn, S("a"), &options));
    commit(txn);
    shows_snapshot(db, "a", 'c');
    CHECK(checked(db, &report) == 2 && report.faults == 0);

    /* What each keeps, and both together. */
    OK(kv_snapshot_cost(db, S("a"), S("a"), &alone[0]));
    OK(kv_snapshot_cost(db, S("again"), S("again"), &alone[1]));
    OK(kv_snapshot_cost(db, S("a"), S("again"), &both));
    CHECK(alone[0] == 0 && alone[1] > 0 && both >= alone[1]);
    SAYS(kv_snapshot_cost(db, S("a"), S("none"), &both), KV_NOTFOUND, at("life.kv"), "no snapshot \"none\"");
    SAYS(kv_snapshot_cost(db, S("none"), S("a"), &both), KV_NOTFOUND, at("life.kv"), "no snapshot \"none\"");
    txn = begin(db, KV_WRITE);
    SAYS(kv_snapshot_cost(db, S("a"), S("a"), &both), KV_DEADLOCK, at("life.kv"), "wait for itself");
    kv_txn_abort(txn);

    /* Dropped under a reader, which goes on; then everything is given back. */
    old = at_snapshot(db, "again");
    txn = begin(db, KV_WRITE);
    OK(kv_snapshot_drop(txn, S("again")));
    OK(kv_snapshot_drop(txn, S("a")));
    write_all(txn, 'd');
    commit(txn);
    CHECK(strcmp(names(db), "") == 0);
    OK(kv_reclaim(db, NULL));
    shows(old, 'a');
    OK(kv_txn_refresh(old));
    shows(old, 'd');
    kv_txn_abort(old);
    OK(kv_reclaim(db, &freed));
    CHECK(parked(db) == 0 && checked(db, &report) == 0 && report.parked_pages == 0);
    OK(kv_close(db));
}

/* Pages that only snapshots have are counted, and come back. */
static void figures(void)
{
    kv_db *db = fresh("figures.kv");
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_txn *txn;
    uint64_t freed = 0;
    char key[16];
    int i;
    txn = begin(db, KV_WRITE);
    write_all(txn, 'a');
    OK(kv_snapshot_create(txn, S("a"), NULL));
    commit(txn);
    for (i = 0; i < 600; i++) { /* until what died is written into the bookkeeping */
        txn = begin(db, KV_WRITE);
        snprintf(key, sizeof key, "key %08d", i * 1237 % ENTRIES);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), S("b"), 0));
        OK(kv_txn_commit_async(txn, NULL));
    }
    OK(kv_sync(db));
    CHECK(checked(db, &report) == 1 && report.parked_pages == parked(db) && report.parked_pages > 20);
    shows_snapshot(db, "a", 'a');
    txn = begin(db, KV_WRITE);
    OK(kv_snapshot_drop(txn, S("a")));
    commit(txn);
    OK(kv_reclaim(db, &freed));
    CHECK(parked(db) == 0 && checked(db, NULL) == 0 && freed == report.parked_pages);
    OK(kv_reclaim(db, &freed));
    CHECK(freed == 0);
    OK(kv_close(db));
}

/* A state as of a commit, and as of a time. */
static void as_of(void)
{
    kv_db *db = fresh("asof.kv");
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_snapshot_stat stats[3];
    kv_txn *txn;
    uint64_t id;
    char name[2] = "a";
    int i;
    OK(kv_db_put(db, KV_MAIN, S("before"), S("all snapshots"), 0));
    OK(kv_db_delete(db, KV_MAIN, S("before"), 0));
    for (i = 0; i < 3; i++, name[0]++) {
        txn = begin(db, KV_WRITE);
        write_all(txn, *name);
        OK(kv_snapshot_create(txn, name, 1, NULL));
        commit(txn);
        usleep(2000);
        OK(kv_db_put(db, KV_MAIN, S("key 00000000"), S("between"), 0));
        txn = begin(db, KV_READ);
        stats[i] = stat_of(txn, name);
        kv_txn_abort(txn);
    }
    for (i = 0; i < 3; i++) {
        options.commit = i < 2 ? stats[i + 1].commit - 1 : stats[i].commit;
        OK(kv_txn_begin(db, KV_READ, &options, &txn));
        OK(kv_txn_id(txn, &id));
        CHECK(id == stats[i].commit);
        shows(txn, (char)('a' + i));
        kv_txn_abort(txn);
        options.commit = 0;
        options.time = i < 2 ? stats[i + 1].time - 1 : stats[i].time;
        OK(kv_txn_begin(db, KV_READ, &options, &txn));
        shows(txn, (char)('a' + i));
        kv_txn_abort(txn);
        options.time = 0;
    }
    /* The newest of all is a state that is kept. */
    options.commit = UINT64_MAX;
    OK(kv_txn_begin(db, KV_READ, &options, &txn));
    OK(kv_txn_id(txn, &id));
    CHECK(id > stats[2].commit);
    kv_txn_abort(txn);
    options.commit = stats[0].commit - 1;
    IS(kv_txn_begin(db, KV_READ, &options, &txn), KV_NOTFOUND);
    options.commit = 0;
    options.time = stats[0].time - 1;
    IS(kv_txn_begin(db, KV_READ, &options, &txn), KV_NOTFOUND);
    CHECK(txn == NULL);
    OK(kv_close(db));
}

/* What is refused, and what the messages say. */
static void refused(void)
{
    kv_db *db = fresh("refused.kv"), *other;
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_snapshot_options how = KV_SNAPSHOT_OPTIONS_INIT;
    kv_snapshot_stat stat = KV_SNAPSHOT_STAT_INIT;
    kv_txn *txn = begin(db, KV_WRITE), *reader = NULL;
    const char *path = at("refused.kv");

    how.flags = KV_SNAPSHOT_KEEP;
    OK(kv_snapshot_create(txn, S("kept"), &how));
    OK(kv_snapshot_create(txn, S("one"), NULL));
    SAYS(kv_snapshot_create(txn, S("one"), NULL), KV_EXISTS, path, "the snapshot \"one\"", "KV_SNAPSHOT_REPLACE");
    CHECK(table_in_question() == KV_SNAPSHOTS);
    SAYS(kv_snapshot_drop(txn, S("kept")), KV_INVALID, path, "\"kept\" is to be kept; ", "kv_snapshot_keep");
    how.flags = KV_SNAPSHOT_REPLACE;
    SAYS(kv_snapshot_create(txn, S("kept"), &how), KV_INVALID, path, "\"kept\" is to be kept; ");
    SAYS(kv_snapshot_rename(txn, S("one"), S("kept")), KV_INVALID, path, "\"kept\" is to be kept; ");
    SAYS(kv_snapshot_drop(txn, S("no\nne")), KV_NOTFOUND, path, "there is no snapshot \"no\\nne\"; ", "KV_SNAPSHOTS");
    SAYS(kv_snapshot_rename(txn, S("none"), S("two")), KV_NOTFOUND, path, "no snapshot \"none\"");
    SAYS(kv_snapshot_keep(txn, S("none"), 1), KV_NOTFOUND, path, "no snapshot \"none\"");
    SAYS(kv_stat_snapshot(txn, S("none"), &stat), KV_NOTFOUND, path, "no snapshot \"none\"");
    SAYS(kv_snapshot_create(txn, S(""), NULL), KV_INVALID, path, "must not be empty", "; give 1 to 512 bytes");
    SAYS(kv_snapshot_rename(txn, S("\0"), S("two")), KV_INVALID, path, "byte 0; give 1 to 512 bytes");
    SAYS(kv_snapshot_rename(txn, S("one"), S("\0")), KV_INVALID, path, "byte 0; give 1 to 512 bytes");
    SAYS(kv_snapshot_keep(txn, S("one"), 2), KV_INVALID, path, "`keep` is neither 0 nor 1; ");
    how.note.data = big;
    how.note.len = 1100;
    SAYS(kv_snapshot_create(txn, S("long"), &how), KV_TOO_BIG, path, "note", "1024");
    SAYS(kv_snapshot_create(txn, big, 513, NULL), KV_TOO_BIG, path, "name", "512");
    SAYS(kv_put(txn, KV_SNAPSHOTS, S("x"), S("y"), 0), KV_READ_ONLY, path, "kv_snapshot_create");
    SAYS(kv_table_drop(txn, KV_SNAPSHOTS), KV_READ_ONLY, path, "list of snapshots");
    commit(txn);

    options.snapshot = slice("none");
    SAYS(kv_txn_begin(db, KV_READ, &options, &reader), KV_NOTFOUND, path, "no snapshot \"none\"; ", "KV_SNAPSHOTS");
    options.snapshot = slice("one");
    SAYS(kv_txn_begin(db, KV_WRITE, &options, &reader), KV_INVALID, path, "KV_READ");
    options.commit = 1;
    SAYS(kv_txn_begin(db, KV_READ, &options, &reader), KV_INVALID, path, "exclude each other; ");
    options.commit = 0;
    options.snapshot.len = 0; /* an empty name is none, and not the newest state */
    SAYS(kv_txn_begin(db, KV_READ, &options, &reader), KV_INVALID, path, "must not be empty", "; leave it out");
    options.snapshot.data = NULL;
    options.time = 1;
    SAYS(kv_txn_begin(db, KV_READ, &options, &reader), KV_NOTFOUND, path, "as old as this time (the oldest that is kept is ",
         "; look");
    options.snapshot.data = big;
    options.snapshot.len = 513;
    options.time = 0;
    SAYS(kv_txn_begin(db, KV_READ, &options, &reader), KV_TOO_BIG, path, "512");
    /* A program that was made for an earlier version has a shorter struct. */
    options.struct_size = 32;
    OK(kv_txn_begin(db, KV_READ, &options, &reader));
    kv_txn_abort(reader);

    /* The list is no part of what a snapshot shows. */
    reader = at_snapshot(db, "one");
    IS(kv_stat_snapshot(reader, S("one"), &stat), KV_NO_TABLE);
    IS(kv_get(reader, KV_SNAPSHOTS, S("one"), NULL), KV_NO_TABLE);
    SAYS(kv_snapshot_drop(reader, S("one")), KV_READ_ONLY, path, "read transaction");
    OK(kv_snapshot_create(reader, S("two"), NULL)); /* what it sees has another name then */
    SAYS(kv_snapshot_create(reader, S("kept"), &how), KV_TOO_BIG, path, "note");
    how.note.len = 0;
    SAYS(kv_snapshot_create(reader, S("kept"), &how), KV_INVALID, path, "\"kept\" is to be kept; ");
    OK(kv_open("refused.kv", NULL, &other));
    txn = begin(other, KV_WRITE);
    SAYS(kv_snapshot_create(reader, S("three"), NULL), KV_DEADLOCK, path, "wait for itself");
    SAYS(kv_reclaim(db, NULL), KV_DEADLOCK, path, "wait for itself");
    kv_txn_abort(txn);
    OK(kv_close(other));
    kv_txn_abort(reader);
    OK(kv_close(db));
    CHECK(strlen(path) > 0);
}

/* Commits record snapshots by themselves, and rows are thinned. */
static void history(void)
{
    kv_db *db = fresh("history.kv");
    kv_retention policy = KV_RETENTION_INIT, found = KV_RETENTION_INIT;
    kv_txn *txn = begin(db, KV_WRITE);
    kv_snapshot_stat stat;
    uint64_t dropped = 7;
    char automatic[64];
    const char *path = at("history.kv");

    SAYS(kv_stat_history(txn, &found), KV_NOTFOUND, path, "no policy");
    policy.interval = 3600;
    SAYS(kv_history(txn, &policy), KV_INVALID, path, "`policy`: nothing would stay");
    SAYS(kv_snapshot_thin(txn, S("row/"), &policy, &dropped), KV_INVALID, path, "`retention`: nothing would stay");
    SAYS(kv_snapshot_thin(txn, S("row/"), NULL, &dropped), KV_INVALID, path, "`retention` is NULL, so nothing would stay");
    policy.last = 2;
    policy.weekly = 4;
    policy.interval = 0;
    SAYS(kv_history(txn, &policy), KV_INVALID, path, "`interval`");
    policy.interval = 3600;
    OK(kv_history(txn, &policy));
    OK(kv_stat_history(txn, &found));
    CHECK(found.interval == 3600 && found.last == 2 && found.hourly == 0 && found.weekly == 4 && found.monthly == 0);
    CHECK(found.struct_size == sizeof found);
    write_all(txn, 'a');
    commit(txn);
    snprintf(automatic, sizeof automatic, "%.25s", names(db));
    CHECK(strlen(names(db)) == 26 && memcmp(automatic, "auto/2", 6) == 0);
    shows_snapshot(db, automatic, 'a');
    txn = begin(db, KV_WRITE);
    stat = stat_of(txn, automatic);
    CHECK(stat.automatic == 1 && stat.flags == 0);
    write_all(txn, 'b');
    OK(kv_snapshot_create(txn, S("row/1"), NULL));
    OK(kv_snapshot_create(txn, S("row/2"), NULL));
    OK(kv_snapshot_create(txn, S("other"), NULL));
    commit(txn);
    CHECK(strncmp(names(db), automatic, 25) == 0 && strcmp(names(db) + 25, " other row/1 row/2 ") == 0);
    txn = begin(db, KV_WRITE);
    OK(kv_snapshot_thin(txn, S("row/"), &policy, &dropped));
    CHECK(dropped == 0);
    policy.last = 1;
    OK(kv_snapshot_thin(txn, S("row/"), &policy, &dropped));
    CHECK(dropped == 1);
    OK(kv_history(txn, NULL));
    IS(kv_stat_history(txn, &found), KV_NOTFOUND);
    OK(kv_history(txn, NULL));
    OK(kv_snapshot_rename(txn, automatic, strlen(automatic), S("mine")));
    stat = stat_of(txn, "mine");
    CHECK(stat.automatic == 0);
    commit(txn);
    CHECK(strcmp(names(db), "mine other row/2 ") == 0);
    CHECK(checked(db, NULL) == 3);
    OK(kv_close(db));
}

/* A snapshot is read where nothing can be written. */
static void read_only(void)
{
    kv_db *db = reopened("refused.kv", KV_OPEN_READ_ONLY, 0);
    kv_txn *txn = at_snapshot(db, "one");
    IS(kv_snapshot_create(txn, S("four"), NULL), KV_READ_ONLY);
    IS(kv_reclaim(db, NULL), KV_READ_ONLY);
    kv_txn_abort(txn);
    CHECK(strcmp(names(db), "kept one two ") == 0);
    OK(kv_close(db));
}

/* A copy of a snapshot is that state, and has no snapshots. */
static void copies(void)
{
    kv_db *db, *copy;
    kv_txn *txn;
    OK(kv_open("asof.kv", NULL, &db));
    txn = at_snapshot(db, "b");
    OK(kv_check(txn, NULL, NULL, NULL, NULL));
    OK(kv_backup(txn, "copy.kv", NULL));
    kv_txn_abort(txn);
    OK(kv_open("copy.kv", NULL, &copy));
    txn = begin(copy, KV_READ);
    shows(txn, 'b');
    kv_txn_abort(txn);
    CHECK(strcmp(names(copy), "") == 0 && checked(copy, NULL) == 0 && strcmp(names(db), "a b c ") == 0);
    OK(kv_close(copy));
    OK(kv_close(db));
}

static kv_db *waited_for;
static volatile int ended;

static void *creates(void *unused)
{
    kv_txn *txn = begin(waited_for, KV_READ);
    (void)unused;
    IS(kv_snapshot_create(txn, S("waits"), NULL), KV_CANCELLED);
    kv_txn_abort(txn);
    ended++;
    return NULL;
}

static void *costs(void *unused)
{
    uint64_t pages;
    (void)unused;
    IS(kv_snapshot_cost(waited_for, S("a"), S("b"), &pages), KV_CANCELLED);
    ended++;
    return NULL;
}

static void *reclaims(void *unused)
{
    (void)unused;
    IS(kv_reclaim(waited_for, NULL), KV_CANCELLED);
    ended++;
    return NULL;
}

/* A call that waits for a writer can be ended. */
static void waiting(void)
{
    void *(*calls[])(void *) = {creates, reclaims, costs};
    pthread_t thread;
    kv_txn *txn;
    int i;
    waited_for = fresh("waiting.kv");
    txn = begin(waited_for, KV_WRITE);
    write_all(txn, 'a');
    for (i = 0; i < 3; i++) {
        CHECK(pthread_create(&thread, NULL, calls[i], NULL) == 0);
        while (ended == i) {
            usleep(10000);
            kv_interrupt(waited_for);
        }
        CHECK(pthread_join(thread, NULL) == 0);
    }
    commit(txn);
    CHECK(strcmp(names(waited_for), "") == 0);
    OK(kv_close(waited_for));
}

int main(void)
{
    CHECK(getcwd(folder, sizeof folder) != NULL);
    life();
    figures();
    as_of();
    refused();
    history();
    read_only();
    copies();
    waiting();
    DONE;
}
