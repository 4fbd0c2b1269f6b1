/*
 * A small harness: CHECK(condition), OK(call), IS(call, status). A failure prints where and what, and ends the
 * program. DONE at the end of main prints "ok".
 *
 * If the environment variable KV_PAIRS names a file, each answer that IS has seen is appended to it, as a line
 * "function STATUS". scripts/status-table.py compares these lines with what kv.h documents. If KV_MESSAGES names a
 * file, each message is appended to it, to be read by whoever wants to know what users read.
 */
#ifndef CHECK_H
#define CHECK_H

#include <kv.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What holds for each message, whatever it says: it is one line without names that nobody outside knows. */
static inline void check_message(const kv_error *detail)
{
    static const char *const inner[] = {".part-", "kv_engine", "Err(", "Error::", "Some(", ".rs:"};
    const char *c;
    size_t i;
    if (detail->message == NULL || *detail->message == 0) goto bad;
    for (c = detail->message; *c != 0; c++)
        if ((unsigned char)*c < ' ' || *c == 127) goto bad;
    for (i = 0; i < sizeof inner / sizeof *inner; i++)
        if (detail->status != KV_PANIC && strstr(detail->message, inner[i]) != NULL) goto bad;
    return;
bad:
    fprintf(stderr, "%s: %s: a bad message: %s\n", detail->function, kv_status_name(detail->status), detail->message);
    exit(1);
}

/* How many different lines a thread may write. */
enum { LINES_KNOWN = 1 << 14 };

/*
 * Records that a function has returned something. A thread writes each line once; the line of another thread or
 * of a forked child may be the same, which does no harm. A line goes out in one write, so that no two are mixed.
 */
static inline void saw_line(const char *path, const char *line, size_t n)
{
    static __thread uint64_t known[LINES_KNOWN];
    uint64_t hash = UINT64_C(14695981039346656037);
    size_t at;
    int fd;
    for (at = 0; at < n; at++)
        hash = (hash ^ (unsigned char)line[at]) * UINT64_C(1099511628211);
    for (at = hash % LINES_KNOWN; known[at] != 0; at = (at + 1) % LINES_KNOWN)
        if (known[at] == hash) return;
    known[at] = hash;
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
    if (fd < 0 || write(fd, line, n) != (ssize_t)n) {
        fprintf(stderr, "cannot write to %s\n", path);
        exit(1);
    }
    close(fd);
}

static inline void saw(const char *function, size_t len, const char *answer)
{
    const char *pairs = getenv("KV_PAIRS"), *messages = getenv("KV_MESSAGES");
    char line[2048];
    kv_error detail = KV_ERROR_INIT;
    int n;
    if (pairs != NULL) {
        n = snprintf(line, sizeof line, "%.*s %s\n", (int)len, function, answer);
        saw_line(pairs, line, (size_t)n);
    }
    if (kv_error_detail(&detail) != KV_OK || strlen(detail.function) != len ||
        strncmp(detail.function, function, len) != 0 || strcmp(kv_status_name(detail.status), answer) != 0)
        return;
    check_message(&detail);
    if (messages != NULL) {
        n = snprintf(line, sizeof line, "%s %s: %s\n", detail.function, answer, detail.message);
        saw_line(messages, line, (size_t)n);
    }
}

/*
 * Records what a call has answered, given the text of the call. If that calls a function of the test, a failure is
 * that of the last function of the library, and it is not known which one succeeded. Asking for the detail does not
 * change it.
 */
static inline void saw_call(const char *call, kv_status status)
{
    kv_error detail = KV_ERROR_INIT;
    if (strncmp(call, "kv_", 3) == 0) {
        saw(call, strcspn(call, "("), kv_status_name(status));
    } else if (status != KV_OK && kv_error_detail(&detail) == KV_OK && detail.status == status) {
        saw(detail.function, strlen(detail.function), kv_status_name(status));
    }
}

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);     \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

#define IS(call, status)                                                                          \
    do {                                                                                          \
        kv_status answered_ = (call);                                                             \
        saw_call(#call, answered_);                                                               \
        if (answered_ != (status)) {                                                              \
            fprintf(stderr, "%s:%d: %s: %s (%s) instead of %s\n", __FILE__, __LINE__, #call,      \
                kv_status_name(answered_), kv_error_message(), kv_status_name(status));           \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)

#define OK(call) IS(call, KV_OK)

/* A string constant as (pointer, length). */
#define S(text) (text), (sizeof(text) - 1)

#define DONE                 \
    do {                     \
        printf("ok\n");      \
        return 0;            \
    } while (0)

/* Whether a slice holds exactly this text. */
static inline int same(kv_slice slice, const char *text)
{
    return slice.data != NULL && slice.len == strlen(text) && memcmp(slice.data, text, slice.len) == 0;
}

/* A slice of a text. */
static inline kv_slice slice(const char *text)
{
    kv_slice made;
    made.data = text;
    made.len = strlen(text);
    return made;
}

/* A new database in the current directory, which the test script has emptied. */
static inline kv_db *fresh(const char *path)
{
    kv_db *db = NULL;
    kv_options options = KV_OPTIONS_INIT;
    options.flags = KV_OPEN_NEW;
    unlink(path);
    OK(kv_open(path, &options, &db));
    CHECK(db != NULL);
    return db;
}

static inline kv_txn *begin(kv_db *db, uint32_t kind)
{
    kv_txn *txn = NULL;
    OK(kv_txn_begin(db, kind, NULL, &txn));
    CHECK(txn != NULL);
    return txn;
}

static inline void commit(kv_txn *txn)
{
    OK(kv_txn_commit(txn, NULL));
}

/* Tests of time do less under valgrind. */
static inline int quick(void)
{
    return getenv("KV_TEST_QUICK") != NULL;
}

#endif
