/*
 * SAYS(call, status, path, texts ...): what a call answers, and what its message says; and the database that tests of
 * messages are about.
 */
#ifndef SAYS_H
#define SAYS_H

#include "check.h"
#include "refusals.h"

#include <limits.h>

#define PAGE 4096
/* A table's name that must not reach a terminal as it is, and how it is shown. */
#define NAME "us\ners\x1b[31m \"\\ \xff"
#define SHOWN_NAME "us\\ners\\u{1b}[31m \\\"\\\\ \\xff"

static char folder[PATH_MAX], big[100000];
static kv_table named;

/* The absolute path of a file of the test. */
static inline const char *at(const char *name)
{
    static char path[2][PATH_MAX + 256];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

/*
 * The message of the last failure begins with the path of a file (NULL: with no path of any), which is there once, and
 * contains all these texts, up to NULL.
 */
static inline void says(int line, kv_status answered, kv_status status, const char *path, const char *const *texts)
{
    kv_error detail = KV_ERROR_INIT;
    const char *message;
    const int writes = refuse.writes, opens = refuse.opens;
    CHECK(kv_error_detail(&detail) == KV_OK);
    message = detail.message;
    refuse.writes = refuse.opens = 0; /* what is recorded is written */
    if (answered != status || detail.status != status) {
        fprintf(stderr, "line %d: %s (%s)\n", line, kv_status_name(answered), message);
        exit(1);
    }
    check_message(&detail);
    saw(detail.function, strlen(detail.function), kv_status_name(status));
    if (path == NULL ? strstr(message, folder) != NULL
                     : strncmp(message, path, strlen(path)) != 0 || strncmp(message + strlen(path), ": ", 2) != 0 ||
                           strstr(message + 1, path) != NULL) {
        fprintf(stderr, "line %d: not the path %s: %s\n", line, path ? path : "(none)", message);
        exit(1);
    }
    for (; *texts != NULL; texts++)
        if (strstr(message, *texts) == NULL) {
            fprintf(stderr, "line %d: no \"%s\" in: %s\n", line, *texts, message);
            exit(1);
        }
    refuse.writes = writes, refuse.opens = opens;
}

#define SAYS(call, status, path, ...)                                \
    do {                                                             \
        static const char *const texts_[] = {__VA_ARGS__, NULL};     \
        kv_status status_ = (call);                                  \
        says(__LINE__, status_, status, path, texts_);               \
    } while (0)

static inline int system_error(void)
{
    kv_error detail = KV_ERROR_INIT;
    CHECK(kv_error_detail(&detail) == KV_OK);
    return detail.sys_errno;
}

static inline uint64_t table_in_question(void)
{
    kv_error detail = KV_ERROR_INIT;
    CHECK(kv_error_detail(&detail) == KV_OK);
    return detail.table;
}

static inline kv_db *reopened(const char *name, uint32_t flags, uint32_t verify)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_db *db;
    options.flags = flags;
    options.verify = verify;
    options.wait_ms = 20;
    OK(kv_open(name, &options, &db));
    return db;
}

/* A database whose path is short, with a table of a strange name. */
static inline void make(void)
{
    kv_db *db = fresh("a");
    kv_txn *txn = begin(db, KV_WRITE);
    char key[16];
    int i;
    OK(kv_table_create(txn, S(NAME), NULL, &named));
    for (i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "key %05d", i);
        OK(kv_put(txn, named, key, strlen(key), S("VICTIM: a value"), 0));
    }
    OK(kv_put(txn, KV_MAIN, S("k"), S("v"), 0));
    OK(kv_put(txn, KV_MAIN, S("kk"), S("vv"), 0));
    commit(txn);
    for (i = 0; i < 3; i++) /* later commits, so that opening verifies little */
        OK(kv_db_put(db, KV_MAIN, S("k"), S("v"), 0));
    OK(kv_close(db));
}

/* Copies a file and flips a byte behind each `mark`; a mark of NULL damages the slots. */
static inline void damaged_copy(const char *from, const char *to, const char *mark)
{
    int in = open(from, O_RDONLY), out = open(to, O_RDWR | O_CREAT | O_TRUNC, 0644);
    static char page[PAGE];
    off_t at_page;
    CHECK(in >= 0 && out >= 0);
    for (at_page = 0; pread(in, page, PAGE, at_page) == PAGE; at_page += PAGE) {
        if (mark == NULL && at_page < 4 * PAGE) page[600] ^= 1;
        if (mark != NULL && memmem(page, PAGE, mark, strlen(mark)) != NULL)
            ((char *)memmem(page, PAGE, mark, strlen(mark)))[0] ^= 1;
        CHECK(pwrite(out, page, PAGE, at_page) == PAGE);
    }
    CHECK(close(in) == 0 && close(out) == 0);
}

#endif
