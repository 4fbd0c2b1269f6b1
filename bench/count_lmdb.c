/*
 * The work of count.c through LMDB: count_lmdb WORK COUNT. `make count COUNT=lmdb` counts inside liblmdb.so. What LMDB
 * has no call for is done as its users must: a cursor takes the first entry, and a statistic has the number of entries.
 */
#include "count.h"

#include <lmdb.h>

#define OK(call)                                                          \
    do {                                                                  \
        int code_ = (call);                                               \
        if (code_ != MDB_SUCCESS) {                                       \
            fprintf(stderr, "%s: %s\n", #call, mdb_strerror(code_));      \
            exit(1);                                                      \
        }                                                                 \
    } while (0)

static MDB_env *env;
static MDB_dbi dbi;

static MDB_val val(const void *data, size_t length)
{
    MDB_val val;

    val.mv_data = (void *)data;
    val.mv_size = length;
    return val;
}

static void put(MDB_txn *txn, size_t length, const void *data, unsigned flags)
{
    MDB_val at = val(bytes, length), put = val(data, value_length());

    OK(mdb_put(txn, dbi, &at, &put, flags));
}

static void load(uint64_t count, int ascending)
{
    MDB_txn *txn;
    uint64_t i;

    OK(mdb_txn_begin(env, NULL, 0, &txn));
    for (i = 0; i < count; i++) {
        size_t length = key(ascending ? i : shuffled(i));

        if (ascending) lead(bytes, i);
        put(txn, length, value, ascending ? MDB_APPEND : 0);
    }
    OK(mdb_txn_commit(txn));
}

APART void one_commit(size_t length);

void one_commit(size_t length)
{
    MDB_txn *txn;

    OK(mdb_txn_begin(env, NULL, 0, &txn));
    put(txn, length, value, 0);
    OK(mdb_txn_commit(txn));
}

/* As in count.c. */
typedef void edit(MDB_txn *txn, MDB_cursor *cursor, uint64_t i);
edit edit_pop, edit_retain, edit_update, edit_seek_put, edit_get_put, edit_put_count, edit_queue;
APART void edit_commit(MDB_txn *txn);

void edit_pop(MDB_txn *txn, MDB_cursor *cursor, uint64_t i)
{
    MDB_val found, other;

    (void)txn;
    OK(mdb_cursor_get(cursor, &found, &other, i % 2 ? MDB_LAST : MDB_FIRST));
    OK(mdb_cursor_del(cursor, 0));
}

void edit_retain(MDB_txn *txn, MDB_cursor *cursor, uint64_t i)
{
    MDB_val found, other;

    (void)txn, (void)i;
    OK(mdb_cursor_get(cursor, &found, &other, MDB_NEXT));
    OK(mdb_cursor_get(cursor, &found, &other, MDB_NEXT));
    OK(mdb_cursor_del(cursor, 0));
}

void edit_update(MDB_txn *txn, MDB_cursor *cursor, uint64_t i)
{
    MDB_val found, other;

    (void)txn;
    OK(mdb_cursor_get(cursor, &found, &other, MDB_NEXT));
    other = val(other_value(i), value_length());
    OK(mdb_cursor_put(cursor, &found, &other, MDB_CURRENT));
}

void edit_seek_put(MDB_txn *txn, MDB_cursor *cursor, uint64_t i)
{
    size_t length = key(shuffled(i));
    MDB_val found = val(bytes, length), other;

    (void)txn;
    OK(mdb_cursor_get(cursor, &found, &other, MDB_SET_KEY));
    other = val(other_value(i), value_length());
    OK(mdb_cursor_put(cursor, &found, &other, MDB_CURRENT));
}

void edit_get_put(MDB_txn *txn, MDB_cursor *cursor, uint64_t i)
{
    size_t length = key(shuffled(i));
    MDB_val at = val(bytes, length), found;

    (void)cursor;
    OK(mdb_get(txn, dbi, &at, &found));
    put(txn, length, other_value(i), 0);
}

void edit_put_count(MDB_txn *txn, MDB_cursor *cursor, uint64_t i)
{
    MDB_stat stat;

    (void)cursor;
    put(txn, key(shuffled(i)), other_value(i), 0);
    OK(mdb_stat(txn, dbi, &stat));
}

void edit_queue(MDB_txn *txn, MDB_cursor *cursor, uint64_t i)
{
    MDB_val found, other;

    put(txn, key_behind(i), other_value(i), MDB_APPEND);
    OK(mdb_cursor_get(cursor, &found, &other, MDB_FIRST));
    OK(mdb_cursor_del(cursor, 0));
}

void edit_commit(MDB_txn *txn)
{
    OK(mdb_txn_commit(txn));
}

static const struct {
    const char *name;
    edit *call;
} EDITS[] = {
    {"pop", edit_pop},
    {"retain", edit_retain},
    {"update", edit_update},
    {"seek_put", edit_seek_put},
    {"get_put", edit_get_put},
    {"put_count", edit_put_count},
    {"queue", edit_queue},
};

static void edits(edit *call, uint64_t count)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    uint64_t i;

    OK(mdb_txn_begin(env, NULL, 0, &txn));
    OK(mdb_cursor_open(txn, dbi, &cursor));
    for (i = 0; i < count; i++) call(txn, cursor, i);
    mdb_cursor_close(cursor);
    edit_commit(txn);
}

static void run(const char *work, uint64_t count)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val found, other;
    uint64_t i;

    if (strcmp(work, "put") == 0 || strncmp(work, "append", 6) == 0) {
        load(count, *work == 'a');
        return;
    }
    load(ENTRIES, 0);
    OK(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    OK(mdb_cursor_open(txn, dbi, &cursor));
    if (strcmp(work, "get") == 0 || strcmp(work, "get_i8") == 0) {
        for (i = 0; i < count; i++) {
            found = val(bytes, key(shuffled(i)));
            OK(mdb_get(txn, dbi, &found, &other));
        }
    } else if (strncmp(work, "next", 4) == 0) {
        for (i = 0; i < count; i++) OK(mdb_cursor_get(cursor, &found, &other, MDB_NEXT));
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    if (strcmp(work, "begin") == 0) {
        for (i = 0; i < count; i++) {
            OK(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
            mdb_txn_abort(txn);
        }
    } else if (strcmp(work, "refresh") == 0) {
        OK(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
        for (i = 0; i < count; i++) {
            mdb_txn_reset(txn);
            OK(mdb_txn_renew(txn));
        }
        mdb_txn_abort(txn);
    } else if (strcmp(work, "commit") == 0) {
        for (i = 0; i < count; i++) one_commit(key(shuffled(i)));
    } else if (strcmp(work, "delete") == 0) {
        OK(mdb_txn_begin(env, NULL, 0, &txn));
        for (i = 0; i < count; i++) {
            found = val(bytes, key(shuffled(i)));
            OK(mdb_del(txn, dbi, &found, NULL));
        }
        OK(mdb_txn_commit(txn));
    }
    for (i = 0; i < sizeof EDITS / sizeof *EDITS; i++) {
        if (strcmp(work, EDITS[i].name) == 0) edits(EDITS[i].call, count);
    }
}

int main(int argc, char **argv)
{
    const char *work = argc > 2 ? argv[1] : "";
    MDB_txn *txn;

    small = strstr(work, "_i8") != NULL;
    OK(mdb_env_create(&env));
    OK(mdb_env_set_mapsize(env, (size_t)1 << 30));
    OK(mdb_env_open(env, "count.mdb", MDB_NOSUBDIR, 0644));
    OK(mdb_txn_begin(env, NULL, 0, &txn));
    OK(mdb_dbi_open(txn, NULL, 0, &dbi));
    OK(mdb_txn_commit(txn));
    run(work, argc > 2 ? strtoull(argv[2], NULL, 10) : 0);
    mdb_env_close(env);
    return 0;
}
