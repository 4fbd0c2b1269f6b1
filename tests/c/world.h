/*
 * A world: a copy of one small database, open, with one of each handle, and the arguments for a call. A situation
 * changes some of it; `each` runs every function in it and records what it answered (see saw() in check.h).
 */
#ifndef WORLD_H
#define WORLD_H

#include "calls.h"
#include "refusals.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FILE_NAME "s.kv"
#define PAGE 4096

/* What a situation finds: the template's copy, opened, with one of each handle. */
struct world {
    args a;
    const struct function *function;
    int writing;
    uint64_t write_memory;
    kv_db *db;
    kv_txn *txn, *before;
    kv_cursor *cursor;
    kv_diff *diff;
    kv_writer *parts;
    kv_buf *buffer;
};

static char *template;
static size_t template_len;
static char big[KEY_MAX + 1];
static kv_table named;
static int calls;

static inline void record(const struct function *function, kv_status status)
{
    calls++;
    saw(function->name, strlen(function->name), status == NOTHING ? "-" : kv_status_name(status));
}

static inline void put_file(const char *path, const void *data, size_t len)
{
    int fd;
    unlink(path); /* a file of its own, whoever still has the former one open */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len && close(fd) == 0);
}

/* A database with a tree of two levels, a long value, tables with a name and a note, and snapshots. One is dropped. */
static inline void make_template(void)
{
    kv_db *db = fresh("template.kv");
    kv_txn *txn = begin(db, KV_WRITE);
    kv_table table;
    struct stat facts;
    char key[16];
    int i, fd;
    for (i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "key %05d", i);
        OK(kv_put(txn, KV_MAIN, key, strlen(key), S("a value that is as long as some are"), 0));
    }
    OK(kv_put(txn, KV_MAIN, S("k"), S("v"), 0));
    OK(kv_put(txn, KV_MAIN, S("long"), big, 100000, 0));
    OK(kv_table_create(txn, S("table"), NULL, &table));
    named = table;
    OK(kv_table_set_note(txn, table, S("note")));
    OK(kv_put(txn, table, S("k"), S("v"), 0));
    OK(kv_table_create(txn, S("other"), NULL, &table));
    OK(kv_put(txn, table, S("k"), S("v"), 0));
    OK(kv_snapshot_create(txn, S("table"), NULL));
    commit(txn);
    txn = begin(db, KV_WRITE);
    OK(kv_put(txn, KV_MAIN, S("key 00000"), S("u"), 0));
    OK(kv_snapshot_create(txn, S("dropped"), NULL));
    commit(txn);
    txn = begin(db, KV_WRITE);
    OK(kv_put(txn, KV_MAIN, S("key 00001"), S("u"), 0));
    OK(kv_snapshot_drop(txn, S("dropped")));
    commit(txn);
    for (i = 0; i < 3; i++) /* later commits, so that opening verifies little */
        OK(kv_db_put(db, KV_MAIN, S("key 00000"), S("w"), 0));
    OK(kv_close(db));
    fd = open("template.kv", O_RDONLY);
    CHECK(fd >= 0 && fstat(fd, &facts) == 0);
    template_len = (size_t)facts.st_size;
    template = malloc(template_len);
    CHECK(template != NULL && read(fd, template, template_len) == (ssize_t)template_len);
    close(fd);
}

static inline int starts(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

static inline void defaults(args *a)
{
    memset(a, 0, offsetof(args, bytes));
    a->table = KV_MAIN;
    a->named = named;
    a->key = "k";
    a->klen = 1;
    a->value = "value";
    a->vlen = 5;
    a->name = "table";
    a->name_len = 5;
    a->note = "a note";
    a->note_len = 6;
    a->kind = KV_READ;
    a->how = KV_SEEK_GE;
    a->op = KV_OP_PUT;
    a->id = 1;
    a->percent = 50;
    a->path = FILE_NAME;
    a->damaged = FILE_NAME;
    a->target = "target.kv";
    a->room = 4096;
    a->struct_size = UINT32_MAX;
    a->open_flags = KV_OPEN_EXISTING;
}

static inline int32_t take_all(void *ctx, const void *data, size_t len)
{
    (void)ctx, (void)data, (void)len;
    return 0;
}

/* Damages a slot that holds an old commit, as a crash does that tears it. */
static inline void tear(void)
{
    unsigned char slot[4096];
    uint64_t id, least = UINT64_MAX;
    int fd = open(FILE_NAME, O_RDWR), at, torn = 0;
    CHECK(fd >= 0);
    for (at = 0; at < 4; at++) {
        CHECK(pread(fd, slot, sizeof slot, at * 4096) == 4096);
        memcpy(&id, slot + 48, sizeof id);
        if (slot[0] == 0x89 && id < least) least = id, torn = at;
    }
    CHECK(pwrite(fd, "torn", 4, torn * 4096 + 600) == 4 && close(fd) == 0);
}

/* How a world is made; zero is the usual way. */
struct making {
    uint32_t open_flags, verify;
    int lazy, for_ever, torn;
    uint64_t write_memory;
};

static inline void opened(struct world *w, const struct function *function, int writing, const struct making *making)
{
    kv_options options = KV_OPTIONS_INIT;
    defaults(&w->a);
    w->a.write = take_all;
    w->function = function;
    w->writing = writing;
    w->write_memory = making->write_memory;
    unlink("target.kv");
    put_file(FILE_NAME, template, template_len);
    if (making->torn) tear();
    options.flags = making->open_flags;
    options.verify = making->verify;
    options.durability = making->lazy ? KV_DURABILITY_LAZY : KV_DURABILITY_FULL;
    options.wait_ms = making->for_ever ? 0 : 5;
    OK(kv_open(FILE_NAME, &options, &w->db));
    w->a.db = w->db;
}

/* Whether a function is about two transactions. */
static inline int compares(const struct function *function)
{
    return starts(function->name, "kv_diff_") || function->call == call_kv_same || function->call == call_kv_revert;
}

/* An earlier reader, and the difference between it and the transaction, which has one change. */
static inline void with_difference(struct world *w)
{
    if (w->writing) OK(kv_put(w->txn, KV_MAIN, S("key 00105"), S("changed"), 0));
    OK(kv_diff_open(w->before, w->txn, KV_MAIN, NULL, &w->diff));
    w->a.before = w->before;
    w->a.diff = w->diff;
}

/* One of each handle; a cursor that stands on an entry; a writer for the functions that need one. */
static inline void handles(struct world *w)
{
    kv_slice value;
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    options.write_memory = w->write_memory;
    w->before = NULL;
    w->diff = NULL;
    if (compares(w->function)) {
        OK(kv_txn_begin(w->db, KV_READ, NULL, &w->before));
        if (!w->writing) {
            kv_status put = kv_db_put(w->db, KV_MAIN, S("key 00105"), S("changed"), 0);
            CHECK(put == KV_OK || put == KV_READ_ONLY);
        }
    }
    OK(kv_txn_begin(w->db, w->writing ? KV_WRITE : KV_READ, &options, &w->txn));
    if (w->writing && starts(w->function->name, "kv_savepoint_")) OK(kv_savepoint_create(w->txn, &w->a.savepoint));
    OK(kv_cursor_open(w->txn, KV_MAIN, NULL, &w->cursor));
    OK(kv_cursor_seek(w->cursor, S("key 00100"), KV_SEEK_EQ, NULL, NULL));
    w->parts = NULL;
    if (w->writing && (starts(w->function->name, "kv_writer_") && w->function->call != call_kv_writer_open))
        OK(kv_writer_open(w->txn, KV_MAIN, S("parts"), 0, 0, &w->parts));
    OK(kv_get_buf(w->txn, KV_MAIN, S("k"), &value, &w->buffer));
    w->a.txn = w->txn;
    w->a.cursor = w->cursor;
    w->a.parts = w->parts;
    w->a.buffer = w->buffer;
    if (w->before != NULL) with_difference(w);
}

static inline void end_world(struct world *w)
{
    kv_buf_release(w->buffer);
    kv_buf_release(w->a.got_buffer);
    kv_txn_abort(w->a.got_txn);
    kv_txn_abort(w->txn);
    kv_txn_abort(w->before);
    (void)kv_close(w->a.got_db);
    (void)kv_close(w->db);
}

typedef void (*change)(struct world *w);

#define LITTLE_MEMORY (64 << 10)
static const struct making usual = {0, 0, 0, 0, 0, 0}, always = {0, KV_VERIFY_ALWAYS, 0, 0, 0, 0},
    lazy = {0, 0, 1, 0, 0, 0}, read_only = {KV_OPEN_READ_ONLY, 0, 0, 0, 0, 0}, for_ever = {0, 0, 0, 1, 0, 0},
    torn = {0, 0, 0, 0, 1, 0}, little_memory = {0, KV_VERIFY_ALWAYS, 0, 0, 0, LITTLE_MEMORY};

/* Names of the functions that are run, with spaces around them; NULL: all. */
static const char *only;

static inline int wanted(const char *name)
{
    char spaced[64];
    snprintf(spaced, sizeof spaced, " %s ", name);
    return only == NULL || strstr(only, spaced) != NULL;
}

/* Runs every function, in a read and in a write transaction; `before` makes the situation, `after` ends it. */
static inline void each(const struct making *making, change before, change after)
{
    static struct world w;
    static size_t turn;
    size_t f;
    int writing;
    turn++;
    for (f = 0; f < N_FUNCTIONS; f++)
        for (writing = 0; writing < 2; writing++) {
            kv_status status;
            if (!wanted(FUNCTIONS[f].name) || (quick() && only == NULL && (f + turn) % 16 != 0)) continue;
            opened(&w, &FUNCTIONS[f], writing, making);
            if (!(making->open_flags & KV_OPEN_READ_ONLY) || !writing) handles(&w);
            else w.txn = w.before = NULL, w.cursor = NULL, w.buffer = NULL;
            if (before != NULL) before(&w);
            status = w.function->call(&w.a);
            if (after != NULL) after(&w);
            record(w.function, status);
            end_world(&w);
        }
}

/* Runs every function without a world of its own. */
static inline void all_on(args *a)
{
    size_t f;
    for (f = 0; f < N_FUNCTIONS; f++) {
        record(&FUNCTIONS[f], FUNCTIONS[f].call(a));
        (void)kv_close(a->got_db);
        a->got_db = NULL;
    }
}

static inline void lazy_commit(struct world *w)
{
    if (w->writing) return;
    OK(kv_db_put(w->db, KV_MAIN, S("lazy"), S("v"), 0));
    OK(kv_newest_commit(w->db, &w->a.id, NULL));
}

/* Makes an edit of a write transaction: a large one, or as small a one as there is. */
static inline void edit(kv_txn *txn, int number, int large)
{
    char key[16];
    snprintf(key, sizeof key, "new %05d", number);
    if (large) OK(kv_put(txn, KV_MAIN, key, strlen(key), big, 200, 0));
    else OK(kv_delete(txn, KV_MAIN, S("q"), KV_BLIND));
}

/* Runs a situation. One that hangs is ended. */
#define RUN(making, before, after)                                                        \
    do {                                                                                  \
        if (getenv("KV_TRACE") != NULL) fprintf(stderr, "%s\n", #before);                 \
        alarm(quick() ? 240 : 60);                                                        \
        each(&(making), before, after);                                                   \
        alarm(0);                                                                         \
    } while (0)

static inline void leave_memory(void)
{
    DIR *here = opendir(".");
    struct dirent *entry;
    char path[64];
    while (here != NULL && (entry = readdir(here)) != NULL)
        unlink(entry->d_name);
    if (here != NULL) closedir(here);
    if (getcwd(path, sizeof path) != NULL) rmdir(path);
}

/* Works where files are kept in memory, if there is such a place: thousands of databases are made and thrown away. */
static inline void enter_memory(void)
{
    char path[] = "/dev/shm/kv-test.XXXXXX";
    memset(big, 'b', sizeof big);
    if (mkdtemp(path) != NULL && chdir(path) == 0) atexit(leave_memory);
    make_template();
}

#endif
