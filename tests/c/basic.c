/*
 * Each chapter of kv.h once, as a program uses it: database, transactions, tables, entries, errors, observing. Cursors,
 * batches and long values have tests of their own.
 */
#include "check.h"

static void database(void)
{
    kv_db *db = NULL, *second = NULL;
    kv_options options = KV_OPTIONS_INIT;
    char buffer[8];
    size_t len = 0;
    uint64_t visible = 0, durable = 0;

    options.flags = KV_OPEN_EXISTING;
    IS(kv_open("none.kv", &options, &db), KV_NO_FILE);
    CHECK(db == NULL);
    options.flags = KV_OPEN_NEW;
    options.page_size = 16384;
    OK(kv_open("one.kv", &options, &db));
    IS(kv_open("one.kv", &options, &second), KV_EXISTS);
    OK(kv_open("one.kv", NULL, &second)); /* two handles on one environment */

    OK(kv_db_put(db, KV_MAIN, S("key"), S("value"), 0));
    IS(kv_db_put(db, KV_MAIN, S("key"), S("other"), KV_NO_OVERWRITE), KV_EXISTS);
    OK(kv_db_get(second, KV_MAIN, S("key"), buffer, sizeof buffer, &len));
    CHECK(len == 5 && memcmp(buffer, "value", 5) == 0);
    len = 0;
    IS(kv_db_get(db, KV_MAIN, S("key"), buffer, 3, &len), KV_TOO_SMALL);
    CHECK(len == 5);
    OK(kv_db_delete(db, KV_MAIN, S("key"), 0));
    IS(kv_db_delete(db, KV_MAIN, S("key"), 0), KV_NOTFOUND);
    OK(kv_db_delete(db, KV_MAIN, S("key"), KV_BLIND));
    IS(kv_db_get(db, KV_MAIN, S("key"), buffer, sizeof buffer, NULL), KV_NOTFOUND);

    OK(kv_sync(db));
    OK(kv_newest_commit(db, &visible, &durable));
    CHECK(visible > 0 && durable == visible);
    OK(kv_newest_commit(db, NULL, NULL));
    OK(kv_close(second));
    OK(kv_close(db));

    /* Lazily, and closed: still there. */
    options.flags = 0;
    options.page_size = 0;
    options.durability = KV_DURABILITY_LAZY;
    OK(kv_open("one.kv", &options, &db));
    OK(kv_db_put(db, KV_MAIN, S("late"), S("1"), 0));
    OK(kv_close(db));
    options.flags = KV_OPEN_READ_ONLY;
    OK(kv_open("one.kv", &options, &db));
    OK(kv_db_get(db, KV_MAIN, S("late"), buffer, sizeof buffer, NULL));
    IS(kv_db_put(db, KV_MAIN, S("late"), S("2"), 0), KV_READ_ONLY);
    OK(kv_close(db));

    options.flags = KV_OPEN_MEMORY;
    OK(kv_open(NULL, &options, &db));
    OK(kv_db_put(db, KV_MAIN, S("a"), S(""), 0));
    OK(kv_db_get(db, KV_MAIN, S("a"), NULL, 0, &len));
    CHECK(len == 0);
    OK(kv_close(db));
}

static void transactions(void)
{
    kv_db *db = fresh("txn.kv");
    kv_txn *reader = begin(db, KV_READ), *writer = begin(db, KV_WRITE), *third = NULL;
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    uint64_t before, id = 0, now = 0;
    kv_slice value;

    OK(kv_txn_id(reader, &before));
    OK(kv_put(writer, KV_MAIN, S("k"), S("v"), 0));
    OK(kv_get(writer, KV_MAIN, S("k"), &value)); /* a writer sees what it wrote */
    CHECK(same(value, "v"));
    IS(kv_get(reader, KV_MAIN, S("k"), &value), KV_NOTFOUND);

    options.flags = KV_TXN_NOWAIT;
    IS(kv_txn_begin(db, KV_WRITE, &options, &third), KV_BUSY);
    CHECK(third == NULL);
    IS(kv_txn_begin(db, KV_WRITE, NULL, &third), KV_DEADLOCK); /* this thread would wait for itself */
    CHECK(third == NULL);

    OK(kv_txn_commit(writer, &id));
    CHECK(id > before);
    IS(kv_get(reader, KV_MAIN, S("k"), &value), KV_NOTFOUND); /* a snapshot does not change */
    OK(kv_txn_refresh(reader));
    OK(kv_txn_id(reader, &now));
    CHECK(now == id);
    OK(kv_get(reader, KV_MAIN, S("k"), &value));
    CHECK(same(value, "v"));
    IS(kv_put(reader, KV_MAIN, S("k"), S("v"), 0), KV_READ_ONLY);
    OK(kv_txn_commit(reader, &now)); /* ends a reader */
    CHECK(now == id);

    writer = begin(db, KV_WRITE);
    IS(kv_txn_refresh(writer), KV_INVALID);
    OK(kv_put(writer, KV_MAIN, S("k"), S("lost"), 0));
    kv_txn_abort(writer);
    kv_txn_abort(writer); /* again: harmless */
    reader = begin(db, KV_READ);
    OK(kv_get(reader, KV_MAIN, S("k"), &value));
    CHECK(same(value, "v"));
    kv_txn_abort(reader);

    options.flags = 0;
    options.durability = KV_DURABILITY_LAZY;
    options.wait_ms = 10;
    options.write_memory = 1 << 20;
    OK(kv_txn_begin(db, KV_WRITE, &options, &writer));
    OK(kv_put(writer, KV_MAIN, S("lazy"), S("1"), 0));
    commit(writer);
    OK(kv_close(db));
}

/* The number in a slice, whose first byte is the least. */
static uint64_t little_endian(kv_slice slice)
{
    const unsigned char *bytes = slice.data;
    uint64_t number = 0;
    size_t i;
    for (i = slice.len; i > 0; i--)
        number = number << 8 | bytes[i - 1];
    return number;
}

static void tables(void)
{
    kv_db *db = fresh("tables.kv");
    kv_txn *txn = begin(db, KV_WRITE);
    kv_table birds, fish, found;
    kv_table_options options = KV_TABLE_OPTIONS_INIT;
    kv_slice value, key, name;
    kv_cursor *list;
    uint64_t n;

    OK(kv_table_create(txn, S("birds"), NULL, &birds));
    CHECK(birds > KV_TABLES && birds < (UINT64_C(1) << 53));
    OK(kv_table_create(txn, S("birds"), NULL, &found)); /* opens it */
    CHECK(found == birds);
    options.flags = KV_TABLE_NEW;
    IS(kv_table_create(txn, S("birds"), &options, &found), KV_EXISTS);
    OK(kv_table_create(txn, S("fish"), &options, &fish));
    CHECK(fish != birds);

    OK(kv_put(txn, birds, S("owl"), S("night"), 0));
    OK(kv_put(txn, fish, S("cod"), S("sea"), 0));
    IS(kv_get(txn, fish, S("owl"), NULL), KV_NOTFOUND);
    IS(kv_put(txn, KV_TABLES, S("x"), S("y"), 0), KV_READ_ONLY);

    OK(kv_table_note(txn, birds, &value));
    CHECK(value.data != NULL && value.len == 0);
    OK(kv_table_set_note(txn, birds, S("schema 1")));
    OK(kv_table_note(txn, birds, &value));
    OK(kv_table_name(txn, birds, &name));
    OK(kv_table_set_note(txn, birds, S("schema 2")));
    OK(kv_table_rename(txn, birds, S("fowl")));
    CHECK(same(value, "schema 1") && same(name, "birds")); /* valid after writes */
    OK(kv_table_rename(txn, birds, S("birds")));
    OK(kv_table_set_note(txn, birds, S("schema 1")));
    commit(txn);

    txn = begin(db, KV_READ);
    OK(kv_table_open(txn, S("birds"), &found));
    CHECK(found == birds); /* the same number in every transaction */
    IS(kv_table_open(txn, S("bats"), &found), KV_NO_TABLE);
    IS(kv_get(txn, 12345, S("owl"), &value), KV_NO_TABLE);
    OK(kv_table_note(txn, birds, &value));
    CHECK(same(value, "schema 1"));
    OK(kv_count(txn, KV_TABLES, NULL, &n)); /* listing tables is reading one */
    CHECK(n == 2);
    OK(kv_cursor_open(txn, KV_TABLES, NULL, &list));
    OK(kv_cursor_next(list, &key, &value));
    CHECK(same(key, "birds") && value.len == 8 && little_endian(value) == birds);
    OK(kv_cursor_next(list, &key, NULL));
    CHECK(same(key, "fish"));
    IS(kv_cursor_next(list, &key, NULL), KV_NOTFOUND);
    kv_txn_abort(txn);

    txn = begin(db, KV_WRITE);
    /* A name may be bytes that the transaction has answered, which are valid until its next write. */
    OK(kv_put(txn, KV_MAIN, S("name"), S("fish"), 0));
    OK(kv_take(txn, KV_MAIN, S("name"), &value));
    OK(kv_table_rename(txn, birds, value.data, value.len)); /* replaces */
    IS(kv_get(txn, fish, S("cod"), &value), KV_NO_TABLE);
    OK(kv_table_open(txn, S("fish"), &found));
    CHECK(found == birds);
    OK(kv_table_clear(txn, birds));
    IS(kv_get(txn, birds, S("owl"), &value), KV_NOTFOUND);
    OK(kv_table_drop(txn, birds));
    IS(kv_get(txn, birds, S("owl"), &value), KV_NO_TABLE);
    IS(kv_table_drop(txn, KV_MAIN), KV_INVALID);
    commit(txn);
    OK(kv_close(db));
}

static void entries(void)
{
    kv_db *db = fresh("entries.kv");
    kv_txn *txn = begin(db, KV_WRITE);
    kv_slice value, key, old;
    kv_range range = KV_RANGE_INIT;
    char buffer[16];
    size_t len;
    uint64_t n;
    void *place;

    OK(kv_put(txn, KV_MAIN, S(""), S("empty key"), 0));
    OK(kv_put(txn, KV_MAIN, S("empty value"), NULL, 0, 0));
    OK(kv_get(txn, KV_MAIN, NULL, 0, &value));
    CHECK(same(value, "empty key"));
    OK(kv_get(txn, KV_MAIN, S("empty value"), &value));
    CHECK(value.data != NULL && value.len == 0);

    OK(kv_put(txn, KV_MAIN, S("a"), S("1"), KV_NO_OVERWRITE));
    IS(kv_put(txn, KV_MAIN, S("a"), S("2"), KV_NO_OVERWRITE), KV_EXISTS);
    IS(kv_put(txn, KV_MAIN, S("b"), S("2"), KV_NO_INSERT), KV_NOTFOUND);
    OK(kv_put(txn, KV_MAIN, S("a"), S("3"), KV_NO_INSERT));
    OK(kv_put(txn, KV_MAIN, S("zz"), S("last"), KV_APPEND));
    IS(kv_put(txn, KV_MAIN, S("zy"), S("late"), KV_APPEND), KV_ORDER);
    IS(kv_put(txn, KV_MAIN, S("a"), S("3"), 3), KV_INVALID);

    OK(kv_insert(txn, KV_MAIN, S("i"), S("1"), &value));
    IS(kv_insert(txn, KV_MAIN, S("i"), S("2"), &value), KV_EXISTS);
    CHECK(same(value, "1"));
    IS(kv_insert(txn, KV_MAIN, S("i"), S("2"), NULL), KV_EXISTS);
    OK(kv_replace(txn, KV_MAIN, S("i"), S("2"), 0, &old));
    CHECK(same(old, "1"));
    OK(kv_replace(txn, KV_MAIN, S("j"), S("1"), 0, &old));
    CHECK(old.data == NULL);

    OK(kv_reserve(txn, KV_MAIN, S("r"), 4, 0, &place));
    CHECK(memcmp(place, "\0\0\0\0", 4) == 0);
    memcpy(place, "done", 4);
    OK(kv_get(txn, KV_MAIN, S("r"), &value));
    CHECK(same(value, "done"));

    OK(kv_get_copy(txn, KV_MAIN, S("r"), buffer, sizeof buffer, &len));
    CHECK(len == 4 && memcmp(buffer, "done", 4) == 0);
    IS(kv_get_copy(txn, KV_MAIN, S("r"), buffer, 3, &len), KV_TOO_SMALL);
    CHECK(len == 4);
    OK(kv_get(txn, KV_MAIN, S("r"), NULL)); /* presence */
    IS(kv_get(txn, KV_MAIN, S("q"), NULL), KV_NOTFOUND);

    /* Bytes that were returned are good as input: copy an entry, and put a value under its own key. */
    OK(kv_get(txn, KV_MAIN, S("r"), &value));
    OK(kv_put(txn, KV_MAIN, S("copy"), value.data, value.len, 0));
    OK(kv_get(txn, KV_MAIN, S("copy"), &value));
    OK(kv_put(txn, KV_MAIN, value.data, value.len, value.data, value.len, 0));
    OK(kv_get(txn, KV_MAIN, S("done"), &value));
    CHECK(same(value, "done"));
    OK(kv_delete(txn, KV_MAIN, value.data, value.len, 0));
    IS(kv_get(txn, KV_MAIN, S("done"), &value), KV_NOTFOUND);

    OK(kv_delete(txn, KV_MAIN, S("copy"), 0));
    IS(kv_delete(txn, KV_MAIN, S("copy"), 0), KV_NOTFOUND);
    OK(kv_delete(txn, KV_MAIN, S("copy"), KV_BLIND));
    OK(kv_take(txn, KV_MAIN, S("r"), &value));
    CHECK(same(value, "done"));
    IS(kv_take(txn, KV_MAIN, S("r"), &value), KV_NOTFOUND);

    /* The queue: put at the end, take from the front. */
    OK(kv_put(txn, KV_MAIN, S("q/1"), S("first"), 0));
    OK(kv_put(txn, KV_MAIN, S("q/2"), S("second"), 0));
    OK(kv_put(txn, KV_MAIN, S("q/3"), S("third"), 0));
    range.flags = KV_RANGE_PREFIX;
    range.prefix = slice("q/");
    OK(kv_take_first(txn, KV_MAIN, &range, &key, &value));
    CHECK(same(key, "q/1") && same(value, "first"));
    range.flags |= KV_RANGE_REVERSE;
    OK(kv_take_first(txn, KV_MAIN, &range, &key, NULL));
    CHECK(same(key, "q/3"));
    OK(kv_take_first(txn, KV_MAIN, &range, NULL, &value));
    CHECK(same(value, "second"));
    IS(kv_take_first(txn, KV_MAIN, &range, &key, &value), KV_NOTFOUND);

    OK(kv_put(txn, KV_MAIN, S("d1"), S(""), 0));
    OK(kv_put(txn, KV_MAIN, S("d2"), S(""), 0));
    OK(kv_put(txn, KV_MAIN, S("d3"), S(""), 0));
    memset(&range, 0, sizeof range);
    IS(kv_delete_range(txn, KV_MAIN, &range, &n), KV_INVALID);
    IS(kv_delete_range(txn, KV_MAIN, NULL, &n), KV_INVALID);
    range.flags = KV_RANGE_FROM | KV_RANGE_BEFORE;
    range.from = slice("d1");
    range.to = slice("d3");
    OK(kv_delete_range(txn, KV_MAIN, &range, &n));
    CHECK(n == 2);
    OK(kv_delete_range(txn, KV_MAIN, &range, NULL));
    OK(kv_get(txn, KV_MAIN, S("d3"), NULL));
    commit(txn);
    OK(kv_close(db));
}

static void errors(void)
{
    kv_db *db = fresh("errors.kv");
    kv_txn *txn = begin(db, KV_READ);
    kv_error detail = KV_ERROR_INIT;
    kv_slice value;
    char small[1];
    size_t len;

    IS(kv_put(txn, KV_MAIN, S("k"), S("v"), 0), KV_READ_ONLY);
    CHECK(strlen(kv_error_message()) > 5);
    OK(kv_error_detail(&detail));
    CHECK(detail.status == KV_READ_ONLY && strcmp(detail.function, "kv_put") == 0);
    CHECK(detail.message == kv_error_message());
    IS(kv_get(txn, KV_MAIN, S("k"), &value), KV_NOTFOUND); /* not the older message */
    CHECK(strcmp(kv_error_message(), "not found") == 0);
    OK(kv_error_detail(&detail));
    CHECK(detail.status == KV_NOTFOUND && strcmp(detail.function, "kv_get") == 0);
    CHECK(detail.page == KV_NONE && detail.table == KV_NONE && detail.sys_errno == 0);
    kv_txn_abort(txn);
    OK(kv_db_put(db, KV_MAIN, S("k"), S("four"), 0));
    IS(kv_db_get(db, KV_MAIN, S("k"), small, 1, &len), KV_TOO_SMALL);
    OK(kv_error_detail(&detail));
    CHECK(detail.status == KV_TOO_SMALL && detail.needed == 4);
    CHECK(kv_error_detail(NULL) == KV_INVALID);
    detail.struct_size = 0;
    CHECK(kv_error_detail(&detail) == KV_INVALID);
    /* A program that knows less of the struct. */
    detail.struct_size = 8;
    detail.sys_errno = 77;
    OK(kv_error_detail(&detail));
    CHECK(detail.status == KV_TOO_SMALL && detail.sys_errno == 77);
    OK(kv_close(db));
}

static int32_t count_faults(void *ctx, const kv_fault *fault)
{
    ++*(int *)ctx;
    fprintf(stderr, "fault: %s\n", fault->message);
    return 0;
}

static void observing(void)
{
    kv_db *db = fresh("stat.kv");
    kv_txn *txn = begin(db, KV_WRITE);
    kv_db_stat file = KV_DB_STAT_INIT;
    kv_table_stat table = KV_TABLE_STAT_INIT, leaves = KV_TABLE_STAT_INIT;
    kv_txn_stat mine = KV_TXN_STAT_INIT;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_reader_info reader = KV_READER_INFO_INIT;
    char key[32];
    int i, faults = 0;

    for (i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "key %06d", i);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), S("some value of a few bytes"), 0));
    }
    OK(kv_stat_txn(txn, &mine));
    CHECK(mine.kind == KV_WRITE);
    commit(txn);

    OK(kv_stat_db(db, &file));
    CHECK(file.closed_properly == 1 && file.lost_slots == 0 && file.announced_pages_used <= file.announced_pages);
    CHECK(file.struct_size == sizeof file && file.page_size == 4096 && file.pages > 4 && file.visible == file.durable);
    txn = begin(db, KV_READ);
    OK(kv_stat_table(txn, KV_MAIN, 0, &table));
    CHECK(table.entries == 3000 && table.height >= 2 && table.leaf_pages > 1 && table.branch_pages >= 1);
    OK(kv_stat_table(txn, KV_MAIN, 1, &leaves));
    CHECK(leaves.leaf_pages == table.leaf_pages && leaves.items == 3000 && leaves.branch_pages == 0);
    IS(kv_stat_table(txn, KV_MAIN, table.height + 1, &leaves), KV_NOTFOUND);
    OK(kv_stat_txn(txn, &mine));
    CHECK(mine.kind == KV_READ && mine.commit == file.visible);
    OK(kv_reader_at(db, 0, &reader));
    CHECK(reader.commit == mine.commit);
    IS(kv_reader_at(db, 1, &reader), KV_NOTFOUND);
    kv_txn_abort(txn);
    IS(kv_reader_at(db, 0, &reader), KV_NOTFOUND);

    txn = begin(db, KV_READ);
    OK(kv_check(txn, NULL, NULL, NULL, NULL));
    job.flags = KV_JOB_CHECK_SPACE;
    OK(kv_check(txn, &job, count_faults, &faults, &report));
    kv_txn_abort(txn);
    CHECK(faults == 0 && report.faults == 0 && report.entries == 3000 && report.tables >= 1);
    CHECK(report.commit == file.visible && report.pages >= report.tree_pages);
    OK(kv_close(db));
}

int main(void)
{
    database();
    transactions();
    tables();
    entries();
    errors();
    observing();
    DONE;
}
