/*
 * What messages say of calls that are refused: the key and the table by its name, the argument, why a handle is
 * refused, who writes; and what to do next. messages.c has those about files, disks and damage.
 */
#include "says.h"

#include <ctype.h>
#include <sys/wait.h>

/* Ordinary answers name what they are about. */
static void answers(void)
{
    static char long_key[3000];
    kv_db *db = reopened("a", 0, 0), *none;
    kv_txn *txn = begin(db, KV_WRITE), *read = begin(db, KV_READ);
    kv_table_options fresh_table = KV_TABLE_OPTIONS_INIT;
    kv_table table;
    kv_slice value;
    size_t len;
    char buffer[4];
    kv_extent extents[1];
    kv_db_stat nothing = {0};
    kv_options odd = KV_OPTIONS_INIT;
    memset(long_key, 'l', sizeof long_key);
    SAYS(kv_put(txn, named, S("key 00007"), S("v"), KV_NO_OVERWRITE), KV_EXISTS, at("a"),
        "the key \"key 00007\" in table \"" SHOWN_NAME "\" (number ", "exists already", "; put without KV_NO_OVERWRITE");
    CHECK(table_in_question() == named);
    OK(kv_put(txn, KV_MAIN, long_key, sizeof long_key, S("v"), 0));
    SAYS(kv_put(txn, KV_MAIN, long_key, sizeof long_key, S("v"), KV_NO_OVERWRITE), KV_EXISTS, at("a"),
        "lll...\" (3000 bytes) in the main table");
    SAYS(kv_put(txn, named, S("a\0\n"), S("v"), KV_APPEND), KV_ORDER, at("a"), "the key \"a\\0\\n\"", "\"key 00399\"",
        "in order");
    CHECK(table_in_question() == named);
    fresh_table.flags = KV_TABLE_NEW;
    SAYS(kv_table_create(txn, S(NAME), &fresh_table, &table), KV_EXISTS, at("a"), "the table \"" SHOWN_NAME "\"",
        "KV_TABLE_NEW");
    CHECK(table_in_question() == named);
    SAYS(kv_table_open(txn, S("no\nne"), &table), KV_NO_TABLE, at("a"), "\"no\\nne\"", "; create it");
    CHECK(table_in_question() == KV_NONE);
    SAYS(kv_get(read, 123456789, S("k"), NULL), KV_NO_TABLE, at("a"), "123456789 in commit ", "which this transaction sees",
        "made later", "kv_txn_refresh", "open it again by name");
    CHECK(table_in_question() == 123456789);
    SAYS(kv_get(txn, 123456789, S("k"), NULL), KV_NO_TABLE, at("a"), "123456789", "never committed", "; open it again by name");
    CHECK(table_in_question() == 123456789);
    /* Whoever reads cannot create it. */
    SAYS(kv_table_open(read, S("no\nne"), &table), KV_NO_TABLE, at("a"), "\"no\\nne\" in commit ", "kv_txn_refresh");
    CHECK(strstr(kv_error_message(), "kv_table_create") == NULL && table_in_question() == KV_NONE);
    SAYS(kv_put(read, KV_MAIN, S("k"), S("v"), 0), KV_READ_ONLY, at("a"), "; begin one with KV_WRITE");
    SAYS(kv_put(txn, KV_TABLES, S("k"), S("v"), 0), KV_READ_ONLY, at("a"), "kv_table_create");
    SAYS(kv_put(txn, KV_MAIN, long_key, (size_t)1 << 30, S("v"), 0), KV_TOO_BIG, at("a"), "key of 1073741824 bytes", "; ");
    IS(kv_get(read, KV_MAIN, S("none"), &value), KV_NOTFOUND);
    CHECK(strcmp(kv_error_message(), "not found") == 0);

    IS(kv_get_copy(read, KV_MAIN, S("kk"), NULL, 0, &len), KV_TOO_SMALL);
    SAYS(kv_get_copy(read, named, S("key 00001"), buffer, sizeof buffer, &len), KV_TOO_SMALL, at("a"), "15 bytes are needed",
        "there is room for 4", "; ");
    SAYS(kv_value_extents(read, named, S("key 00001"), extents, 0, &len), KV_TOO_SMALL, at("a"), "1 piece is needed",
        "there is room for 0");
    SAYS(kv_get(read, KV_NONE, S("k"), NULL), KV_NO_TABLE, at("a"), "KV_NONE");
    SAYS(kv_stat_db(db, &nothing), KV_INVALID, at("a"), "kv_db_stat: struct_size", "KV_DB_STAT_INIT");
    odd.struct_size = 9;
    SAYS(kv_open("a", &odd, &none), KV_INVALID, at("a"), "kv_options: struct_size is 9", "KV_OPTIONS_INIT");

    /* Arguments are called by their names. */
    SAYS(kv_put(txn, KV_MAIN, NULL, 3, S("v"), 0), KV_INVALID, at("a"), "key", "NULL");
    SAYS(kv_put(txn, KV_MAIN, S("k"), NULL, 3, 0), KV_INVALID, at("a"), "value", "NULL");
    SAYS(kv_table_open(txn, NULL, 3, &table), KV_INVALID, at("a"), "name", "NULL");
    SAYS(kv_table_open(txn, S("t"), NULL), KV_INVALID, at("a"), "`table`", "NULL");
    SAYS(kv_put(txn, KV_MAIN, S("k"), S("v"), KV_BLIND), KV_INVALID, at("a"), "KV_BLIND");
    SAYS(kv_txn_begin(db, KV_SEEK_EQ, NULL, &txn), KV_INVALID, at("a"), "KV_SEEK_EQ", "KV_READ, KV_WRITE");
    CHECK(txn == NULL);
    SAYS(kv_txn_refresh(NULL), KV_BAD_HANDLE, NULL, "NULL", "kv_txn", "kv_txn_begin()");
    kv_txn_abort(read);
    (void)kv_close(db);

    {
        kv_options options = KV_OPTIONS_INIT;
        options.flags = KV_OPEN_MEMORY;
        OK(kv_open(NULL, &options, &none));
        SAYS(kv_db_put(none, 12345, S("k"), S("v"), 0), KV_NO_TABLE, "(database in memory)", "12345");
        OK(kv_close(none));
    }
}

/* A handle that is refused: which of the ways of being wrong it is. */
static void handles(void)
{
    kv_db *db = reopened("a", 0, 0);
    kv_txn *txn = begin(db, KV_READ), *ended = begin(db, KV_READ);
    kv_cursor *cursor;
    int here;
    kv_txn_abort(ended);
    OK(kv_cursor_open(txn, KV_MAIN, NULL, &cursor));
    SAYS(kv_txn_id(NULL, (uint64_t *)big), KV_BAD_HANDLE, NULL, "it is NULL", "give the kv_txn that kv_txn_begin() answered");
    SAYS(kv_txn_id(ended, (uint64_t *)big), KV_BAD_HANDLE, NULL, "it was closed, or has ended");
    SAYS(kv_txn_id((kv_txn *)&here, (uint64_t *)big), KV_BAD_HANDLE, NULL, "no handle of this library", "kv_txn_begin()");
    SAYS(kv_txn_id((kv_txn *)db, (uint64_t *)big), KV_BAD_HANDLE, NULL, "it is a kv_db; give a kv_txn");
    SAYS(kv_txn_id((kv_txn *)cursor, (uint64_t *)big), KV_BAD_HANDLE, NULL, "it is a kv_cursor; give a kv_txn");
    SAYS(kv_cursor_next((kv_cursor *)txn, NULL, NULL), KV_BAD_HANDLE, NULL, "it is a kv_txn; give a kv_cursor");
    SAYS(kv_sync((kv_db *)txn), KV_BAD_HANDLE, NULL, "it is a kv_txn; give a kv_db");
    SAYS(kv_txn_commit((kv_txn *)db, NULL), KV_BAD_HANDLE, NULL, "it is a kv_db; give a kv_txn");
    OK(kv_close(db));
    SAYS(kv_get(txn, KV_MAIN, S("k"), NULL), KV_BAD_HANDLE, NULL, "the database of this kv_txn was closed", "end the transaction");
    SAYS(kv_cursor_next(cursor, NULL, NULL), KV_BAD_HANDLE, NULL, "the database of this kv_cursor was closed");
    SAYS(kv_close(db), KV_BAD_HANDLE, NULL, "it was closed");
    kv_txn_abort(txn);
}

/* Who writes: in this process, and in another. */
static void writers(void)
{
    kv_db *db = reopened("a", 0, 0), *second = reopened("a", 0, 0);
    kv_txn_options now = KV_TXN_OPTIONS_INIT;
    kv_db_stat stat = KV_DB_STAT_INIT;
    kv_job_options space = KV_JOB_OPTIONS_INIT;
    kv_txn *txn = begin(db, KV_WRITE), *other;
    char text[64], noted[64];
    const char *number;
    int told[2], goes_on[2], status;
    pid_t child;
    now.flags = KV_TXN_NOWAIT;
    SAYS(kv_txn_begin(second, KV_WRITE, &now, &other), KV_BUSY, at("a"), "another transaction of this process is writing, for ",
        " ms now; ");
    OK(kv_stat_db(second, &stat));
    CHECK(stat.writer == (uint32_t)getpid() && stat.writer_ms < 60000 && stat.dead_pages_known == 1);
    kv_txn_abort(txn);
    OK(kv_stat_db(db, &stat));
    CHECK(stat.writer == 0 && stat.writer_ms == 0);
    OK(kv_close(second));
    OK(kv_close(db));

    CHECK(pipe(told) == 0 && pipe(goes_on) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        db = reopened("a", 0, 0);
        txn = begin(db, KV_WRITE);
        CHECK(write(told[1], "w", 1) == 1 && read(goes_on[0], text, 1) == 1);
        kv_txn_abort(txn);
        OK(kv_close(db));
        _exit(0);
    }
    CHECK(read(told[0], text, 1) == 1);
    usleep(20000);
    db = reopened("a", 0, 0);
    SAYS(kv_txn_begin(db, KV_WRITE, NULL, &txn), KV_BUSY, at("a"), "process", "writing, for ");
    /* Where others' locks cannot be seen, the message has the number that the writer has noted. */
    snprintf(text, sizeof text, "process %d", (int)child);
    snprintf(noted, sizeof noted, "another process (the last one known is %d)", (int)child);
    number = strstr(kv_error_message(), text);
    if ((number == NULL || isdigit((unsigned char)number[strlen(text)])) && strstr(kv_error_message(), noted) == NULL) {
        fprintf(stderr, "neither \"%s\" nor \"%s\" in: %s\n", text, noted, kv_error_message());
        exit(1);
    }
    space.flags = KV_JOB_CHECK_SPACE;
    SAYS(kv_db_check(db, &space, NULL, NULL, NULL), KV_BUSY, at("a"), "writing, for ", "wait for longer");
    OK(kv_txn_begin(db, KV_READ, NULL, &txn));
    SAYS(kv_check(txn, &space, NULL, NULL, NULL), KV_BUSY, at("a"), "writing, for ", "wait for longer");
    kv_txn_abort(txn);
    OK(kv_stat_db(db, &stat));
    CHECK(stat.writer == (uint32_t)child && stat.writer_ms >= 10);
    /* This process came second and has not written: it does not know which pages are free. */
    CHECK(stat.dead_pages_known == 0);
    CHECK(write(goes_on[1], "g", 1) == 1);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(kv_stat_db(db, &stat));
    CHECK(stat.writer == 0 && stat.dead_pages_known == 0);
    kv_txn_abort(begin(db, KV_WRITE));
    OK(kv_stat_db(db, &stat));
    CHECK(stat.dead_pages_known == 1);

    /* A handle of the parent names its file in the child. */
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        SAYS(kv_sync(db), KV_FORKED, at("a"), "before fork()", "; open the database again");
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(kv_close(db));
}

int main(void)
{
    CHECK(getcwd(folder, sizeof folder) != NULL);
    make();
    answers();
    handles();
    writers();
    DONE;
}
