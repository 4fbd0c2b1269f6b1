/*
 * Differences: what kv_diff_... tells of two transactions, in whatever order these end, and what programs do wrong.
 */
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>

/* A database of 1000 entries and a table; `before` sees them, and what follows is up to the test. */
static kv_table colours;

static kv_db *filled(const char *path, kv_txn **before)
{
    kv_db *db = fresh(path);
    kv_txn *txn = begin(db, KV_WRITE);
    char key[16];
    int i;
    for (i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key %05d", i);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), S("a value that is as long as some are"), 0));
    }
    OK(kv_table_create(txn, S("colours"), NULL, &colours));
    OK(kv_put(txn, colours, S("apple"), S("red"), 0));
    commit(txn);
    *before = begin(db, KV_READ);
    return db;
}

static void change_some(kv_txn *txn)
{
    OK(kv_put(txn, KV_MAIN, S("key 00100"), S("changed"), 0));
    OK(kv_delete(txn, KV_MAIN, S("key 00500"), 0));
    OK(kv_put(txn, KV_MAIN, S("key 00500+"), S("added"), 0));
    OK(kv_put(txn, KV_MAIN, S("key 00700"), S("a value that is as long as some are"), 0)); /* as it was */
}

static int is(const kv_change *change, uint32_t kind, const char *key)
{
    return change->kind == kind && same(change->key, key);
}

/* Expects the three changes that change_some() makes. */
static void three(kv_diff *diff, int reverse)
{
    kv_change change = KV_CHANGE_INIT;
    int i;
    for (i = 0; i < 3; i++) {
        OK(kv_diff_next(diff, &change));
        switch (reverse ? 2 - i : i) {
        case 0:
            CHECK(is(&change, KV_CHANGE_CHANGED, "key 00100") && same(change.after, "changed"));
            CHECK(same(change.before, "a value that is as long as some are"));
            break;
        case 1:
            CHECK(is(&change, KV_CHANGE_REMOVED, "key 00500") && change.before.len == 35);
            CHECK(change.after.data == NULL && change.after.len == 0);
            break;
        default:
            CHECK(is(&change, KV_CHANGE_ADDED, "key 00500+") && same(change.after, "added"));
            CHECK(change.before.data == NULL && change.before.len == 0);
        }
    }
    IS(kv_diff_next(diff, &change), KV_NOTFOUND);
    IS(kv_diff_next(diff, &change), KV_NOTFOUND);
}

static void changes_of_commits(void)
{
    kv_txn *before, *after, *txn;
    kv_db *db = filled("commits.kv", &before);
    kv_range range = KV_RANGE_INIT;
    kv_diff_counts counts = KV_DIFF_COUNTS_INIT;
    kv_diff *diff;
    int32_t equal = 7;

    after = begin(db, KV_READ);
    OK(kv_same(before, after, KV_NONE, &equal));
    CHECK(equal == 1);
    kv_txn_abort(after);
    txn = begin(db, KV_WRITE);
    change_some(txn);
    commit(txn);
    after = begin(db, KV_READ);
    OK(kv_same(before, after, KV_NONE, &equal));
    CHECK(equal == 0);
    OK(kv_same(before, after, KV_MAIN, &equal));
    CHECK(equal == 0);
    OK(kv_same(before, after, colours, &equal));
    CHECK(equal == 1);

    OK(kv_diff_open(before, after, KV_MAIN, NULL, &diff));
    three(diff, 0);
    kv_diff_close(diff);
    kv_diff_close(diff);
    range.flags = KV_RANGE_REVERSE | KV_RANGE_FROM;
    range.from = slice("key 001");
    OK(kv_diff_open(before, after, KV_MAIN, &range, &diff));
    three(diff, 1);
    kv_diff_close(diff);
    OK(kv_diff_count(before, after, KV_MAIN, NULL, &counts));
    CHECK(counts.added == 1 && counts.removed == 1 && counts.changed == 1 && counts.reserved == 0);
    OK(kv_diff_count(after, before, KV_MAIN, &range, &counts));
    CHECK(counts.added == 1 && counts.removed == 1 && counts.changed == 1);
    range.flags = KV_RANGE_PREFIX;
    range.from.data = NULL, range.from.len = 0;
    range.prefix = slice("key 001");
    OK(kv_diff_count(before, after, KV_MAIN, &range, &counts));
    CHECK(counts.added == 0 && counts.removed == 0 && counts.changed == 1);
    OK(kv_diff_open(after, after, KV_MAIN, NULL, &diff)); /* no transaction differs from itself */
    IS(kv_diff_next(diff, &(kv_change)KV_CHANGE_INIT), KV_NOTFOUND);
    kv_txn_abort(before);
    kv_txn_abort(after);
    OK(kv_close(db));
}

static void changes_of_a_writer(void)
{
    kv_txn *before, *txn;
    kv_db *db = filled("writer.kv", &before);
    kv_change change = KV_CHANGE_INIT;
    kv_diff *diff, *reversed;
    kv_table table;
    kv_slice name;
    int32_t equal;

    txn = begin(db, KV_WRITE);
    OK(kv_same(before, txn, KV_NONE, &equal));
    CHECK(equal == 1);
    change_some(txn);
    OK(kv_same(before, txn, KV_NONE, &equal));
    CHECK(equal == 0);
    OK(kv_diff_open(before, txn, KV_MAIN, NULL, &diff));
    OK(kv_diff_open(txn, before, KV_MAIN, NULL, &reversed));
    three(diff, 0);
    OK(kv_diff_next(reversed, &change));
    CHECK(is(&change, KV_CHANGE_CHANGED, "key 00100") && same(change.before, "changed"));
    OK(kv_delete(txn, KV_MAIN, S("key 00050"), 0)); /* before the place, so it is not told */
    OK(kv_delete(txn, KV_MAIN, S("key 00150"), 0)); /* behind it */
    OK(kv_diff_next(reversed, &change));
    CHECK(is(&change, KV_CHANGE_ADDED, "key 00150") && change.after.len == 35);
    kv_diff_close(diff);

    /* A table that is made anew has another number; the list of tables tells that. */
    OK(kv_table_drop(txn, colours));
    OK(kv_table_create(txn, S("colours"), NULL, &table));
    OK(kv_put(txn, table, S("plum"), S("blue"), 0));
    OK(kv_diff_open(before, txn, colours, NULL, &diff));
    OK(kv_diff_next(diff, &change));
    CHECK(is(&change, KV_CHANGE_REMOVED, "apple") && same(change.before, "red"));
    IS(kv_diff_next(diff, &change), KV_NOTFOUND);
    OK(kv_diff_open(before, txn, table, NULL, &diff));
    OK(kv_diff_next(diff, &change));
    CHECK(is(&change, KV_CHANGE_ADDED, "plum"));
    name = change.key;
    OK(kv_put(txn, table, name.data, name.len, S("ripe"), 0)); /* a key of a difference is an input, too */
    OK(kv_diff_open(before, txn, KV_TABLES, NULL, &diff));
    OK(kv_diff_next(diff, &change));
    CHECK(is(&change, KV_CHANGE_CHANGED, "colours"));
    IS(kv_diff_next(diff, &change), KV_NOTFOUND);
    IS(kv_diff_open(before, txn, 77, NULL, &diff), KV_NO_TABLE);
    CHECK(diff == NULL);
    IS(kv_same(before, txn, 77, &equal), KV_NO_TABLE);
    commit(txn);
    IS(kv_diff_next(reversed, &change), KV_BAD_HANDLE);
    kv_txn_abort(before);
    OK(kv_close(db));
}

static const char *string(const kv_batch *batch, size_t at, size_t *len)
{
    uint32_t begins = at == 0 ? 0 : batch->ends[at - 1];
    *len = batch->ends[at] - begins;
    return (const char *)batch->bytes + begins;
}

static int is_string(const kv_batch *batch, size_t at, const char *text)
{
    size_t len;
    const char *found = string(batch, at, &len);
    return len == strlen(text) && memcmp(found, text, len) == 0;
}

static void changes_in_batches(void)
{
    static char bytes[4096];
    static uint32_t ends[64];
    static uint8_t kinds[64];
    kv_txn *before, *after, *txn;
    kv_db *db = filled("batches.kv", &before);
    kv_batch batch = KV_BATCH_INIT;
    kv_change change = KV_CHANGE_INIT;
    kv_diff *diff;

    txn = begin(db, KV_WRITE);
    change_some(txn);
    commit(txn);
    after = begin(db, KV_READ);
    batch.bytes = bytes;
    batch.bytes_size = sizeof bytes;
    batch.ends = ends;
    batch.ends_size = 64;
    batch.kinds = kinds;
    OK(kv_diff_open(before, after, KV_MAIN, NULL, &diff));
    OK(kv_diff_fill(diff, &batch));
    CHECK(batch.count == 3 && batch.at_end == 1 && batch.needed == 0);
    CHECK(is_string(&batch, 0, "key 00100") && is_string(&batch, 2, "changed"));
    CHECK(is_string(&batch, 3, "key 00500") && is_string(&batch, 5, ""));
    CHECK(is_string(&batch, 6, "key 00500+") && is_string(&batch, 7, "") && is_string(&batch, 8, "added"));
    CHECK(kinds[0] == KV_KIND_PRESENT && kinds[1] == KV_KIND_PRESENT && kinds[2] == KV_KIND_PRESENT);
    CHECK(kinds[4] == KV_KIND_PRESENT && kinds[5] == KV_KIND_ABSENT && kinds[7] == KV_KIND_ABSENT);
    IS(kv_diff_fill(diff, &batch), KV_NOTFOUND);
    CHECK(batch.count == 0 && batch.at_end == 1);
    kv_diff_close(diff);

    /* One after the other; what finds no room comes again. */
    OK(kv_diff_open(before, after, KV_MAIN, NULL, &diff));
    batch.limit = 1;
    OK(kv_diff_fill(diff, &batch));
    CHECK(batch.count == 1 && batch.at_end == 0 && is_string(&batch, 0, "key 00100"));
    batch.limit = 0;
    batch.bytes_size = 20;
    IS(kv_diff_fill(diff, &batch), KV_TOO_SMALL);
    CHECK(batch.needed == 9 + 35 && batch.count == 0);
    batch.bytes_size = 9 + 35 + 3;
    OK(kv_diff_fill(diff, &batch));
    CHECK(batch.count == 1 && batch.needed == 10 + 5 && is_string(&batch, 0, "key 00500"));
    OK(kv_diff_next(diff, &change));
    CHECK(is(&change, KV_CHANGE_ADDED, "key 00500+"));
    kv_diff_close(diff);

    batch.bytes_size = sizeof bytes;
    batch.flags = KV_BATCH_KEYS;
    batch.limit = 2;
    OK(kv_diff_open(before, after, KV_MAIN, NULL, &diff));
    OK(kv_diff_fill(diff, &batch));
    CHECK(batch.count == 2 && is_string(&batch, 0, "key 00100") && is_string(&batch, 1, "key 00500"));
    CHECK(kinds[0] == KV_CHANGE_CHANGED && kinds[1] == KV_CHANGE_REMOVED);
    batch.flags = KV_BATCH_VALUES;
    batch.limit = 0;
    OK(kv_diff_fill(diff, &batch));
    CHECK(batch.count == 1 && is_string(&batch, 0, "") && is_string(&batch, 1, "added") && kinds[0] == KV_KIND_ABSENT);
    batch.flags = KV_BATCH_KEYS | KV_BATCH_VALUES;
    IS(kv_diff_fill(diff, &batch), KV_INVALID);
    kv_txn_abort(before);
    kv_txn_abort(after);
    OK(kv_close(db));
}

/* A difference ends with the first of its transactions that ends; none of the orders leaves anything behind. */
static void any_order(void)
{
    int order, writing;
    for (writing = 0; writing < 2; writing++)
        for (order = 0; order < 6; order++) {
            kv_txn *before, *after, *txn;
            kv_db *db = filled("order.kv", &before);
            kv_change change = KV_CHANGE_INIT;
            kv_cursor *cursors[3];
            kv_diff *diffs[4];
            int i;
            txn = begin(db, KV_WRITE);
            change_some(txn);
            if (writing) {
                after = txn;
            } else {
                commit(txn);
                after = begin(db, KV_READ);
            }
            for (i = 0; i < 4; i++) { /* children of both, among children of one */
                if (i < 3) OK(kv_cursor_open(i % 2 ? before : after, KV_MAIN, NULL, &cursors[i]));
                OK(kv_diff_open(i % 2 ? before : after, i % 2 ? after : before, KV_MAIN, NULL, &diffs[i]));
                OK(kv_diff_next(diffs[i], &change));
            }
            kv_diff_close(diffs[1]);
            kv_cursor_close(cursors[0]);
            IS(kv_diff_next(diffs[1], &change), KV_BAD_HANDLE);
            switch (order) {
            case 0:
            case 1:
                kv_txn_abort(order == 0 ? before : after);
                break;
            case 2:
                OK(kv_close(db));
                db = NULL;
                CHECK(writing || same(change.key, "key 00100")); /* bytes of a reader outlive the database */
                break;
            case 3:
                kv_diff_close(diffs[3]);
                kv_diff_close(diffs[0]);
                kv_txn_abort(after);
                break;
            case 4:
                if (writing) {
                    OK(kv_txn_commit(after, NULL));
                } else { /* it goes on in the newer state, which has no other changes */
                    OK(kv_txn_refresh(after));
                    OK(kv_diff_next(diffs[0], &change));
                    CHECK(is(&change, KV_CHANGE_ADDED, "key 00500"));
                    kv_txn_abort(before);
                }
                break;
            default:
                kv_txn_abort(before);
                kv_txn_abort(after);
                before = begin(db, KV_READ); /* in the same slots */
                after = begin(db, KV_READ);
            }
            for (i = 0; i < 4; i++) {
                IS(kv_diff_next(diffs[i], &change), KV_BAD_HANDLE);
                kv_diff_close(diffs[i]);
            }
            kv_txn_abort(before);
            kv_txn_abort(after);
            OK(kv_close(db));
        }
}

/* Thousands of differences beside long transactions leave no trace in these. */
static void many(void)
{
    kv_txn *before, *after;
    kv_db *db = filled("many.kv", &before);
    kv_diff *diff, *kept[50];
    int i;
    after = begin(db, KV_READ);
    for (i = 0; i < 50; i++) OK(kv_diff_open(i % 2 ? before : after, i % 3 ? before : after, KV_MAIN, NULL, &kept[i]));
    for (i = 0; i < 3000; i++) {
        OK(kv_diff_open(before, after, KV_MAIN, NULL, &diff));
        kv_diff_close(i % 7 == 0 ? kept[i / 7 % 50] : diff);
        if (i % 7 == 0) kept[i / 7 % 50] = diff;
    }
    OK(kv_txn_refresh(before)); /* finds all of its children, and none that is gone */
    for (i = 0; i < 50; i++) IS(kv_diff_next(kept[i], &(kv_change)KV_CHANGE_INIT), KV_NOTFOUND);
    kv_txn_abort(after);
    OK(kv_txn_refresh(before));
    kv_txn_abort(before);
    OK(kv_close(db));
}

/* Whether the last failure says this. */
static int says(const char *what) { return strstr(kv_error_message(), what) != NULL; }

static void mistakes(void)
{
    kv_txn *before, *after, *other, *txn;
    kv_db *db = filled("mistakes.kv", &before), *another = filled("another.kv", &other);
    kv_range range = KV_RANGE_INIT;
    kv_diff *diff = (kv_diff *)db;
    kv_diff_counts counts = KV_DIFF_COUNTS_INIT;
    kv_change change = KV_CHANGE_INIT;
    kv_cursor *cursor;
    int32_t equal;

    after = begin(db, KV_READ);
    txn = begin(db, KV_WRITE);
    change_some(txn);
    IS(kv_diff_open(before, other, KV_MAIN, NULL, &diff), KV_INVALID);
    CHECK(diff == NULL && says("different databases (`before` is of /") && says("mistakes.kv); give two of one"));
    CHECK(says("another.kv: "));
    IS(kv_diff_count(before, other, KV_MAIN, NULL, &counts), KV_INVALID);
    CHECK(says("mistakes.kv); give two of one"));
    IS(kv_same(before, other, KV_NONE, &equal), KV_INVALID);
    CHECK(says("mistakes.kv); give two of one"));
    IS(kv_diff_open(before, after, KV_NONE, NULL, &diff), KV_NO_TABLE);
    CHECK(diff == NULL && says("a difference is of one; give its number") && says("kv_same()"));
    IS(kv_diff_count(before, after, KV_NONE, NULL, &counts), KV_NO_TABLE);
    CHECK(says("a difference is of one; give its number"));
    IS(kv_diff_open(txn, txn, KV_MAIN, NULL, &diff), KV_INVALID);
    CHECK(says("one write transaction"));
    IS(kv_diff_open(NULL, after, KV_MAIN, NULL, &diff), KV_BAD_HANDLE);
    CHECK(says("`before`: bad handle: it is NULL"));
    IS(kv_diff_open(before, NULL, KV_MAIN, NULL, &diff), KV_BAD_HANDLE);
    CHECK(says("`after`: bad handle: it is NULL"));
    IS(kv_diff_open(before, after, 99, NULL, &diff), KV_NO_TABLE);
    CHECK(says("number 99 in either of the two states") && !says("kv_txn_refresh"));
    range.flags = 1u << 31;
    IS(kv_diff_open(before, after, KV_MAIN, &range, &diff), KV_INVALID);
    IS(kv_diff_open(before, after, KV_MAIN, NULL, NULL), KV_INVALID);
    IS(kv_same(before, after, KV_MAIN, NULL), KV_INVALID);
    IS(kv_diff_count(before, after, KV_MAIN, NULL, NULL), KV_INVALID);
    counts.struct_size = 0;
    IS(kv_diff_count(before, after, KV_MAIN, NULL, &counts), KV_INVALID);

    /* A struct that cannot be filled moves nothing. */
    OK(kv_diff_open(before, txn, KV_MAIN, NULL, &diff));
    IS(kv_diff_next(diff, NULL), KV_INVALID);
    CHECK(says("the kv_change to be filled is NULL"));
    change.struct_size = 0;
    IS(kv_diff_next(diff, &change), KV_INVALID);
    IS(kv_diff_fill(diff, NULL), KV_INVALID);
    change.struct_size = sizeof change;
    OK(kv_diff_next(diff, &change));
    CHECK(is(&change, KV_CHANGE_CHANGED, "key 00100"));

    OK(kv_cursor_open(before, KV_MAIN, NULL, &cursor));
    IS(kv_diff_next((kv_diff *)cursor, &change), KV_BAD_HANDLE);
    IS(kv_diff_next((kv_diff *)before, &change), KV_BAD_HANDLE);
    IS(kv_cursor_next((kv_cursor *)diff, NULL, NULL), KV_BAD_HANDLE);
    kv_diff_close((kv_diff *)cursor);
    kv_cursor_close((kv_cursor *)diff);
    kv_diff_close(NULL);
    OK(kv_diff_next(diff, &change)); /* nothing of that did anything */
    OK(kv_cursor_next(cursor, NULL, NULL));
    kv_txn_abort(txn);
    IS(kv_diff_next(diff, &change), KV_BAD_HANDLE);
    CHECK(says("a difference ends with the first of its two transactions"));
    OK(kv_close(another));
    kv_txn_abort(other);
    kv_txn_abort(before);
    kv_txn_abort(after);
    OK(kv_close(db));
}

static kv_txn *ending;

static void *ends_it(void *ignored)
{
    kv_txn_abort(ending);
    return ignored;
}

/* Threads that end the two transactions at once, while a third uses the difference. */
static void ended_meanwhile(void)
{
    int rounds;
    for (rounds = 0; rounds < (quick() ? 5 : 60); rounds++) {
        kv_txn *before, *after;
        kv_db *db = filled("meanwhile.kv", &before);
        kv_change change = KV_CHANGE_INIT;
        kv_diff *diff;
        pthread_t thread;
        kv_status status;
        OK(kv_db_put(db, KV_MAIN, S("key 00100"), S("changed"), 0));
        after = begin(db, KV_READ);
        OK(kv_diff_open(before, after, KV_MAIN, NULL, &diff));
        ending = rounds % 2 ? before : after;
        CHECK(pthread_create(&thread, NULL, ends_it, NULL) == 0);
        status = kv_diff_next(diff, &change);
        CHECK(status == KV_OK || status == KV_BAD_HANDLE);
        kv_txn_abort(rounds % 2 ? after : before);
        CHECK(pthread_join(thread, NULL) == 0);
        IS(kv_diff_next(diff, &change), KV_BAD_HANDLE);
        OK(kv_close(db));
    }
}

static kv_txn *shared_ones[2];

static void *compares(void *argument)
{
    int i, turned = argument != NULL;
    for (i = 0; i < (quick() ? 200 : 5000); i++) {
        kv_diff_counts counts = KV_DIFF_COUNTS_INIT;
        kv_diff *diff;
        OK(kv_diff_count(shared_ones[turned], shared_ones[!turned], KV_MAIN, NULL, &counts));
        CHECK(counts.changed == 1);
        OK(kv_diff_open(shared_ones[turned], shared_ones[!turned], KV_MAIN, NULL, &diff));
        kv_diff_close(diff);
    }
    return NULL;
}

/* Threads that share two readers and name them in either order do not wait for each other. */
static void shared_by_threads(void)
{
    kv_txn *before;
    kv_db *db = filled("shared.kv", &before);
    pthread_t thread;
    OK(kv_db_put(db, KV_MAIN, S("key 00100"), S("changed"), 0));
    shared_ones[0] = before;
    shared_ones[1] = begin(db, KV_READ);
    CHECK(pthread_create(&thread, NULL, compares, db) == 0);
    compares(NULL);
    CHECK(pthread_join(thread, NULL) == 0);
    kv_txn_abort(shared_ones[0]);
    kv_txn_abort(shared_ones[1]);
    OK(kv_close(db));
}

static void forked(void)
{
    kv_txn *before, *after;
    kv_db *db = filled("forked.kv", &before);
    kv_batch batch = KV_BATCH_INIT;
    kv_change change = KV_CHANGE_INIT;
    kv_diff *diff, *none;
    pid_t child;
    int status;
    int32_t equal;
    OK(kv_db_put(db, KV_MAIN, S("key 00100"), S("changed"), 0));
    after = begin(db, KV_READ);
    OK(kv_diff_open(before, after, KV_MAIN, NULL, &diff));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        IS(kv_diff_next(diff, &change), KV_FORKED);
        IS(kv_diff_fill(diff, &batch), KV_FORKED);
        IS(kv_diff_open(before, after, KV_MAIN, NULL, &none), KV_FORKED);
        IS(kv_same(before, after, KV_MAIN, &equal), KV_FORKED);
        kv_diff_close(diff);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(kv_diff_next(diff, &change));
    kv_txn_abort(before);
    kv_txn_abort(after);
    OK(kv_close(db));
}

int main(void)
{
    changes_of_commits();
    changes_of_a_writer();
    changes_in_batches();
    any_order();
    many();
    mistakes();
    ended_meanwhile();
    shared_by_threads();
    forked();
    DONE;
}
