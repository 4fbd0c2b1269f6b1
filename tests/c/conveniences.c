/* What saves programs work of their own: macros, names and identities, calls that are a transaction of their own, and
 * messages that name a wrong flag. */
#include "check.h"

#include <fcntl.h>

static uint64_t count_all(kv_txn *txn, const kv_range *range, kv_status *status)
{
    kv_cursor *cursor;
    kv_slice key, value;
    uint64_t n = 0;
    OK(kv_cursor_open(txn, KV_MAIN, range, &cursor));
    KV_EACH (*status, cursor, &key, &value)
        n++;
    kv_cursor_close(cursor);
    return n;
}

static void macros(kv_db *db)
{
    kv_txn *txn = begin(db, KV_WRITE);
    kv_range users = KV_PREFIX(KV_STR("user/")), nothing = KV_PREFIX("none", 4);
    kv_cursor *cursor;
    kv_slice value, key;
    kv_status status;
    uint64_t n;
    OK(kv_put(txn, KV_MAIN, KV_STR("user/1"), KV_STR("Ann"), 0));
    OK(kv_put(txn, KV_MAIN, KV_STR("user/2"), KV_STR("Ben"), KV_APPEND));
    OK(kv_put(txn, KV_MAIN, KV_STR("war"), KV_STR("and peace"), 0));
    OK(kv_get(txn, KV_MAIN, KV_STR("user/1"), &value));
    CHECK(same(value, "Ann"));
    OK(kv_count(txn, KV_MAIN, &users, &n));
    CHECK(n == 2);
    CHECK(count_all(txn, &users, &status) == 2 && status == KV_OK);
    CHECK(count_all(txn, &nothing, &status) == 0 && status == KV_OK);
    CHECK(count_all(txn, NULL, &status) == 3 && status == KV_OK);

    /* A loop that is left, and one whose cursor is closed under it. */
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    KV_EACH (status, cursor, &key, NULL)
        if (same(key, "user/2"))
            break;
    CHECK(status == KV_OK && same(key, "user/2"));
    KV_EACH (status, cursor, &key, NULL)
        kv_cursor_close(cursor);
    CHECK(status == KV_BAD_HANDLE);
    commit(txn);
}

static void names(kv_db *db)
{
    kv_txn *txn = begin(db, KV_WRITE), *reader;
    kv_table fruit, tools;
    kv_slice name;
    OK(kv_table_create(txn, KV_STR("fruit"), NULL, &fruit));
    OK(kv_table_create(txn, KV_STR("tools"), NULL, &tools));
    OK(kv_table_name(txn, fruit, &name));
    CHECK(same(name, "fruit"));
    OK(kv_table_rename(txn, tools, KV_STR("hammers")));
    CHECK(same(name, "fruit"));
    commit(txn);
    reader = begin(db, KV_READ);
    OK(kv_table_name(reader, tools, &name));
    CHECK(same(name, "hammers"));
    OK(kv_table_name(reader, KV_MAIN, &name));
    CHECK(same(name, ""));
    OK(kv_table_name(reader, KV_TABLES, &name));
    CHECK(same(name, ""));
    IS(kv_table_name(reader, 12345, &name), KV_NO_TABLE);
    IS(kv_table_name(reader, fruit, NULL), KV_INVALID);
    IS(kv_table_name(NULL, fruit, &name), KV_BAD_HANDLE);
    kv_txn_abort(reader);
    IS(kv_table_name(reader, fruit, &name), KV_BAD_HANDLE);
}

static void identity(kv_db *db)
{
    kv_identity here = KV_IDENTITY_INIT, there = KV_IDENTITY_INIT, copy = KV_IDENTITY_INIT;
    kv_options options = KV_OPTIONS_INIT;
    char expected[4096];
    kv_db *again, *memory, *backup;
    CHECK(getcwd(expected, sizeof expected - 10) != NULL);
    strcat(expected, "/a.kv");
    OK(kv_db_identity(db, &here));
    CHECK(strcmp(here.path, expected) == 0 && here.format_version == 1);
    OK(kv_open("./a.kv", NULL, &again));
    OK(kv_db_identity(again, &there));
    CHECK(memcmp(here.uuid, there.uuid, sizeof here.uuid) == 0);
    OK(kv_close(again));

    OK(kv_db_backup(db, "copy.kv", NULL));
    IS(kv_db_backup(db, "copy.kv", NULL), KV_EXISTS);
    OK(kv_open("copy.kv", NULL, &backup));
    OK(kv_db_identity(backup, &copy));
    CHECK(memcmp(here.uuid, copy.uuid, sizeof here.uuid) != 0);
    OK(kv_close(backup));

    options.flags = KV_OPEN_MEMORY;
    OK(kv_open(NULL, &options, &memory));
    OK(kv_db_identity(memory, &there));
    CHECK(there.path[0] == 0);
    OK(kv_close(memory));
    IS(kv_db_identity(db, NULL), KV_INVALID);
    IS(kv_db_identity(memory, &there), KV_BAD_HANDLE);
}

static void check(kv_db *db)
{
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_txn *writer;
    OK(kv_db_check(db, NULL, NULL, NULL, &report));
    CHECK(report.tables >= 3 && report.entries >= 3 && report.faults == 0);
    job.flags = KV_JOB_CHECK_SPACE;
    OK(kv_db_check(db, &job, NULL, NULL, &report));
    writer = begin(db, KV_WRITE);
    IS(kv_db_check(db, &job, NULL, NULL, &report), KV_DEADLOCK);
    kv_txn_abort(writer);
}

/* A damaged table must not look like a short one. */
static void damage(void)
{
    static const char junk[4096];
    kv_db *db = fresh("broken.kv");
    kv_txn *txn = begin(db, KV_WRITE);
    kv_status status;
    int fd, page;
    OK(kv_put(txn, KV_MAIN, KV_STR("key"), KV_STR("value"), 0));
    commit(txn);
    OK(kv_close(db));
    CHECK((fd = open("broken.kv", O_WRONLY)) >= 0);
    for (page = 4; page < (int)(lseek(fd, 0, SEEK_END) / 4096); page++)
        CHECK(pwrite(fd, junk, sizeof junk, 4096L * page) == sizeof junk);
    close(fd);
    OK(kv_open("broken.kv", NULL, &db));
    txn = begin(db, KV_READ);
    CHECK(count_all(txn, NULL, &status) == 0 && status == KV_CORRUPT);
    kv_txn_abort(txn);
    OK(kv_close(db));
}

/* Swapped arguments do not pass, and the message names what was given. */
static void flags(kv_db *db)
{
    kv_txn *txn = NULL;
    IS(kv_txn_begin(db, KV_NO_OVERWRITE, NULL, &txn), KV_INVALID);
    CHECK(strstr(kv_error_message(), "/a.kv: kind: KV_NO_OVERWRITE is none of KV_READ, KV_WRITE") != NULL);
    IS(kv_txn_begin(db, KV_TABLES, NULL, &txn), KV_INVALID);
    txn = begin(db, KV_WRITE);
    IS(kv_put(txn, KV_MAIN, KV_STR("k"), KV_STR("v"), KV_WRITE), KV_INVALID);
    IS(kv_put(txn, KV_MAIN, KV_STR("k"), KV_STR("v"), KV_BLIND), KV_INVALID);
    CHECK(strstr(kv_error_message(), "KV_BLIND cannot be given to this call") != NULL);
    IS(kv_put(txn, KV_MAIN, KV_STR("k"), KV_STR("v"), KV_APPEND | KV_NO_INSERT), KV_INVALID);
    IS(kv_put(txn, KV_WRITE, KV_STR("k"), KV_STR("v"), 0), KV_NO_TABLE);
    IS(kv_delete(txn, KV_MAIN, KV_STR("k"), KV_NO_INSERT), KV_INVALID);
    CHECK(strstr(kv_error_message(), "it takes KV_BLIND") != NULL);
    kv_txn_abort(txn);
}

int main(void)
{
    kv_db *db = fresh("a.kv");
    macros(db);
    names(db);
    identity(db);
    check(db);
    flags(db);
    damage();
    OK(kv_close(db));
    DONE;
}
