/*
 * One file for machines of every kind (scripts/test-targets.sh): what one makes is compared byte for byte with what
 * another made, read by others, and written by processes of two kinds at once.
 *
 *   one_file make FILE               makes the file, by a fixed sequence of twelve commits
 *   one_file read FILE               checks it, with every page accounted for; prints its entries and a hash of them
 *   one_file write FILE WHO N KEEP   N commits of one entry each; the file is opened anew after each KEEP of them
 *   one_file found FILE WHO N ...    every entry of these writers is there, no other, and the file is sound
 */
#include <kv.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMMITS = 12, SHORT = 400, LONG = 4800000 };

static kv_db *db;
static kv_txn *txn;

static void ok(kv_status status, const char *what)
{
    if (status == KV_OK) return;
    fprintf(stderr, "one_file: %s: %s: %s\n", what, kv_status_name(status), kv_error_message());
    exit(1);
}

static void open_as(const char *path, uint32_t flags)
{
    kv_options options = KV_OPTIONS_INIT;
    options.flags = flags;
    ok(kv_open(path, &options, &db), "open");
}

static void begin(uint32_t kind)
{
    ok(kv_txn_begin(db, kind, NULL, &txn), "begin");
}

static void put(const void *key, size_t klen, const void *value, size_t vlen)
{
    ok(kv_put(txn, KV_MAIN, key, klen, value, vlen, 0), "put");
}

/* The same bytes everywhere. */
static void fill(unsigned char *bytes, size_t len, uint32_t seed)
{
    size_t i;
    for (i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(seed >> 24);
    }
}

/* ---- make ---- */

static void one_commit(uint32_t n, unsigned char *bytes)
{
    char text[200];
    unsigned char number[8] = {0};
    uint32_t i;

    begin(KV_WRITE);
    for (i = 0; i < SHORT; i++) {
        uint32_t k = i * COMMITS + n;
        number[5] = (unsigned char)(k >> 16);
        number[6] = (unsigned char)(k >> 8);
        number[7] = (unsigned char)k;
        fill(bytes, 120, k);
        put(number, 8, bytes, 8);
        put(bytes, 24, bytes + 24, i % 96);
        snprintf(text, sizeof text, "https://www.example.org/folder-%" PRIu32 "/page-%06" PRIu32, k % 7, k);
        put(text, strlen(text), bytes, i % 60);
    }
    /* Long keys, and values from a few pages to megabytes. */
    fill(bytes, LONG, n);
    put(bytes, 3000 + 10000 * n, bytes, 30);
    snprintf(text, sizeof text, "long value %" PRIu32, n);
    put(text, strlen(text), bytes, n % 3 == 0 ? LONG : 3000 + 20000 * n);
    /* What earlier commits wrote is deleted and replaced. */
    for (i = 0; n > 0 && i < SHORT; i += 3) {
        uint32_t k = i * COMMITS + n - 1;
        snprintf(text, sizeof text, "https://www.example.org/folder-%" PRIu32 "/page-%06" PRIu32, k % 7, k);
        if (i % 2 == 0)
            ok(kv_delete(txn, KV_MAIN, text, strlen(text), 0), "delete");
        else
            put(text, strlen(text), "replaced", 8);
    }
    ok(kv_txn_commit(txn, NULL), "commit");
}

static void make(const char *path)
{
    unsigned char *bytes = malloc(LONG);
    uint32_t n;
    if (bytes == NULL) exit(2);
    remove(path);
    open_as(path, KV_OPEN_NEW);
    for (n = 0; n < COMMITS; n++)
        one_commit(n, bytes);
    free(bytes);
    ok(kv_close(db), "close");
}

/* ---- read ---- */

static int32_t told(void *ctx, const kv_fault *fault)
{
    (void)ctx;
    fprintf(stderr, "one_file: a fault: %s\n", fault->message);
    return 0;
}

static void check(void)
{
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    job.flags = KV_JOB_CHECK_SPACE;
    ok(kv_check(txn, &job, told, NULL, &report), "check");
}

static uint64_t hashed(uint64_t hash, kv_slice slice)
{
    const unsigned char *bytes = slice.data;
    size_t i;
    for (i = 0; i < slice.len; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash * 31 + slice.len;
}

static void read_all(const char *path)
{
    kv_cursor *cursor;
    kv_slice key, value;
    kv_status status;
    uint64_t entries = 0, hash = UINT64_C(0xcbf29ce484222325);

    open_as(path, KV_OPEN_EXISTING);
    begin(KV_READ);
    check();
    ok(kv_cursor_open(txn, KV_MAIN, NULL, &cursor), "cursor");
    while ((status = kv_cursor_next(cursor, &key, &value)) == KV_OK) {
        hash = hashed(hashed(hash, key), value);
        entries++;
    }
    if (status != KV_NOTFOUND) ok(status, "next");
    printf("%" PRIu64 " entries, hash %016" PRIx64 "\n", entries, hash);
    kv_txn_abort(txn);
    ok(kv_close(db), "close");
}

/* ---- several writers ---- */

static void write_some(const char *path, const char *who, long n, long keep)
{
    char key[64];
    long i;
    for (i = 0; i < n; i++) {
        if (i % keep == 0) open_as(path, 0);
        begin(KV_WRITE);
        snprintf(key, sizeof key, "%s %06ld", who, i);
        put(key, strlen(key), who, strlen(who));
        ok(kv_txn_commit(txn, NULL), "commit");
        if (i % keep == keep - 1 || i == n - 1) ok(kv_close(db), "close");
    }
}

static void found(int argc, char **argv)
{
    uint64_t entries = 0, all = 0;
    char key[64];
    int at;
    open_as(argv[2], KV_OPEN_EXISTING);
    begin(KV_READ);
    check();
    for (at = 3; at + 1 < argc; at += 2) {
        long i, n = atol(argv[at + 1]);
        for (i = 0; i < n; i++) {
            snprintf(key, sizeof key, "%s %06ld", argv[at], i);
            ok(kv_get(txn, KV_MAIN, key, strlen(key), NULL), key);
        }
        entries += (uint64_t)n;
    }
    ok(kv_count(txn, KV_MAIN, NULL, &all), "count");
    if (all != entries) {
        fprintf(stderr, "one_file: %" PRIu64 " entries instead of %" PRIu64 "\n", all, entries);
        exit(1);
    }
    kv_txn_abort(txn);
    ok(kv_close(db), "close");
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";
    if (strcmp(verb, "make") == 0)
        make(argv[2]);
    else if (strcmp(verb, "read") == 0)
        read_all(argv[2]);
    else if (strcmp(verb, "write") == 0 && argc == 6)
        write_some(argv[2], argv[3], atol(argv[4]), atol(argv[5]));
    else if (strcmp(verb, "found") == 0)
        found(argc, argv);
    else
        return fprintf(stderr, "one_file: make, read, write or found?\n"), 2;
    return 0;
}
