/*
 * A workload whose system calls are made to fail from outside (scripts/test-faults.sh). Prints what was acknowledged
 * and how everything else was answered; `verify` proves that the acknowledged is there.
 *
 *   workload run FILE       writes "acknowledged N" lines, ends with 0 whatever was answered, with 2 on a wrong answer
 *   workload verify FILE N  ends with 0 if commits 1 to N are there, whole, and the file is sound
 */
#include <kv.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMMITS = 12, KEYS = 20, LONG = 150000 };

static void say(const char *what, int n)
{
    char line[80];
    int len = snprintf(line, sizeof line, "%s %d\n", what, n);
    /* To a pipe: what is injected must not hit it. */
    if (write(1, line, (size_t)len) != len) _exit(3);
}

/* Only these tell of a failing system; anything else is a wrong answer. */
static int told(kv_status status)
{
    kv_error detail = KV_ERROR_INIT;
    if (kv_error_detail(&detail) != KV_OK || detail.status != status) return 0;
    if (strlen(kv_error_message()) < 8) return 0;
    switch (status) {
    case KV_IO:
    case KV_NO_SPACE:
        return detail.sys_errno != 0;
    case KV_IN_DOUBT:
    case KV_POISONED:
    case KV_TXN_FAILED:
    case KV_ACCESS:
    case KV_NO_LOCKS:
    case KV_NO_MEMORY:
        return 1;
    default:
        return 0;
    }
}

static int failed(const char *what, kv_status status)
{
    if (!told(status)) {
        fprintf(stderr, "%s: %s: %s\n", what, kv_status_name(status), kv_error_message());
        exit(2);
    }
    fprintf(stderr, "%s: %s\n", what, kv_status_name(status));
    return 0;
}

static void fill(char *bytes, size_t len, int commit, int key)
{
    size_t i;
    for (i = 0; i < len; i++) bytes[i] = (char)(commit * 31 + key * 7 + (int)(i % 251));
}

static size_t length(int commit, int key)
{
    return key == 0 && commit % 3 == 0 ? LONG : (size_t)(20 + commit * 3 + key);
}

static char bytes[LONG], expected[LONG];

/* One commit: every key says its number. */
static int commit_one(kv_db *db, int commit)
{
    kv_txn *txn = NULL;
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_status status;
    int key;
    options.durability = commit % 4 == 1 ? KV_DURABILITY_LAZY : KV_DURABILITY_FULL;
    status = kv_txn_begin(db, KV_WRITE, &options, &txn);
    if (status != KV_OK) return failed("begin", status);
    for (key = 0; key < KEYS; key++) {
        size_t len = length(commit, key);
        fill(bytes, len, commit, key);
        memcpy(bytes, &commit, sizeof commit);
        status = kv_put(txn, KV_MAIN, &key, sizeof key, bytes, len, 0);
        if (status != KV_OK) {
            kv_txn_abort(txn);
            return failed("put", status);
        }
    }
    status = kv_txn_commit(txn, NULL);
    if (status != KV_OK) return failed("commit", status);
    if (options.durability == KV_DURABILITY_LAZY) {
        status = kv_sync(db);
        if (status != KV_OK) return failed("sync", status);
    }
    return 1;
}

/* The commit that a database holds, 0 if none, -1 if it is not one. */
static int found(kv_db *db)
{
    kv_txn *txn = NULL;
    kv_status status = kv_txn_begin(db, KV_READ, NULL, &txn);
    int commit = 0, key;
    if (status != KV_OK) {
        failed("read", status);
        return -2;
    }
    for (key = 0; key < KEYS; key++) {
        kv_slice value;
        int says;
        status = kv_get(txn, KV_MAIN, &key, sizeof key, &value);
        if (status == KV_NOTFOUND && commit == 0) continue;
        if (status != KV_OK || value.len < sizeof says) return -1;
        memcpy(&says, value.data, sizeof says);
        if (key == 0) commit = says;
        if (says != commit || value.len != length(commit, key)) return -1;
        fill(expected, value.len, commit, key);
        memcpy(expected, &says, sizeof says);
        if (memcmp(value.data, expected, value.len) != 0) return -1;
    }
    kv_txn_abort(txn);
    return commit;
}

static int run(const char *path)
{
    int commit, acknowledged = 0, opens = 0;
    kv_db *db = NULL;
    for (commit = 1; commit <= COMMITS; commit++) {
        int there;
        while (db == NULL) {
            kv_status status = kv_open(path, NULL, &db);
            if (status == KV_OK) break;
            failed("open", status);
            if (++opens > 3) return 0;
        }
        if (commit_one(db, commit)) {
            acknowledged = commit;
            say("acknowledged", commit);
        }
        there = found(db);
        if (there == -1 || (there >= 0 && there < acknowledged && commit == acknowledged)) {
            fprintf(stderr, "commit %d: %d is there, %d was acknowledged\n", commit, there, acknowledged);
            return 2;
        }
        if (commit % 5 == 0 || acknowledged != commit) {
            kv_status status = kv_close(db);
            db = NULL;
            if (status != KV_OK) failed("close", status);
        }
    }
    if (db != NULL) {
        kv_status status = kv_close(db);
        if (status != KV_OK) failed("close", status);
    }
    return 0;
}

static int verify(const char *path, int acknowledged)
{
    kv_db *db = NULL;
    kv_txn *txn = NULL;
    kv_options options = KV_OPTIONS_INIT;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_status status;
    int there;
    job.flags = KV_JOB_CHECK_SPACE;
    options.flags = acknowledged > 0 ? KV_OPEN_EXISTING : 0;
    status = kv_open(path, &options, &db);
    if (status != KV_OK) {
        fprintf(stderr, "open: %s\n", kv_error_message());
        return 1;
    }
    there = found(db);
    if (there < acknowledged) {
        fprintf(stderr, "commit %d is there, %d was acknowledged\n", there, acknowledged);
        return 1;
    }
    if (kv_txn_begin(db, KV_READ, NULL, &txn) != KV_OK) {
        fprintf(stderr, "begin: %s\n", kv_error_message());
        return 1;
    }
    status = kv_check(txn, &job, NULL, NULL, NULL);
    kv_txn_abort(txn);
    if (status != KV_OK) {
        fprintf(stderr, "check: %s\n", kv_error_message());
        return 1;
    }
    if (!commit_one(db, COMMITS + 1) || kv_close(db) != KV_OK) {
        fprintf(stderr, "it does not go on\n");
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "run") == 0) return run(argv[2]);
    if (argc == 4 && strcmp(argv[1], "verify") == 0) return verify(argv[2], atoi(argv[3]));
    fprintf(stderr, "usage: workload run FILE | verify FILE N\n");
    return 64;
}
