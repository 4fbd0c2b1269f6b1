/* Makes a file of LMDB on whatever machine it is compiled for, and says what LMDB reads from it. tests/make_files.py
 * writes its input and calls it (make_files.py foreign): databases to make and entries to put, a line each, bytes in
 * hex, with a dot before them.
 *
 *     make_foreign FILE PAGE-SIZE <INPUT >FILE.jsonl
 *
 * The fixtures were made with the C compiler of Zig, the sources of LMDB that the package lmdb 3.0 has, and qemu:
 *
 *     zig cc -O1 -target s390x-linux-musl -I LMDB make_foreign.c LMDB/mdb.c LMDB/midl.c -lpthread -o foreign
 *     make_files.py foreign ./foreign 512 files/s390x-1.0.mdb qemu-s390x
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lmdb.h"

static void check(int answer, const char *call)
{
    if (answer != 0) {
        fprintf(stderr, "%s: %s\n", call, mdb_strerror(answer));
        exit(1);
    }
}

/* Bytes that a word of the input has, in memory that is never freed. */
static MDB_val bytes_of(const char *hex)
{
    MDB_val val;
    size_t i;
    unsigned byte;

    val.mv_size = strlen(hex + 1) / 2;
    val.mv_data = malloc(val.mv_size + 1);
    for (i = 0; i < val.mv_size; i++) {
        sscanf(hex + 1 + 2 * i, "%2x", &byte);
        ((unsigned char *)val.mv_data)[i] = (unsigned char)byte;
    }
    ((unsigned char *)val.mv_data)[val.mv_size] = 0;
    return val;
}

static void print_bytes(const char *before, MDB_val val, const char *behind)
{
    size_t i;

    fputs(before, stdout);
    for (i = 0; i < val.mv_size; i++) printf("%02x", ((unsigned char *)val.mv_data)[i]);
    fputs(behind, stdout);
}

/* The entries of a database, without those of the main database that are named databases: all it has here. */
static void dump(MDB_txn *txn, const char *hex)
{
    MDB_val key, value, name = bytes_of(hex);
    MDB_cursor *cursor;
    MDB_stat stat;
    MDB_dbi dbi;
    unsigned flags;
    int is_main = name.mv_size == 0;

    check(mdb_dbi_open(txn, is_main ? NULL : name.mv_data, 0, &dbi), "mdb_dbi_open");
    check(mdb_dbi_flags(txn, dbi, &flags), "mdb_dbi_flags");
    check(mdb_stat(txn, dbi, &stat), "mdb_stat");
    if (is_main) fputs("{\"database\": null", stdout);
    else print_bytes("{\"database\": \"", name, "\"");
    printf(", \"flags\": %u, \"entries\": %u}\n", flags, is_main ? 0 : (unsigned)stat.ms_entries);
    if (is_main) return;
    check(mdb_cursor_open(txn, dbi, &cursor), "mdb_cursor_open");
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        print_bytes("{\"key\": \"", key, "\", ");
        print_bytes("\"value\": \"", value, "\"}\n");
    }
    mdb_cursor_close(cursor);
}

int main(int argc, char **argv)
{
    static char line[1 << 17], first[1 << 16], second[1 << 16], names[32][256];
    MDB_env *env;
    MDB_txn *txn;
    MDB_stat stat;
    MDB_dbi dbi = 0;
    unsigned flags;
    int count = 0, i, major, minor;

    if (argc != 3) return 1;
    check(mdb_env_create(&env), "mdb_env_create");
    check(mdb_env_set_maxdbs(env, 32), "mdb_env_set_maxdbs");
#if MDB_VERSION_MAJOR > 0
    check(mdb_env_set_pagesize(env, atoi(argv[2])), "mdb_env_set_pagesize");
#endif
    check(mdb_env_open(env, argv[1], MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0644), "mdb_env_open");
    check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "database %255s %u", names[count], &flags) == 2) {
            MDB_val name = bytes_of(names[count++]);
            check(mdb_dbi_open(txn, name.mv_data, flags | MDB_CREATE, &dbi), "mdb_dbi_open");
        } else if (sscanf(line, "put %65535s %65535s", first, second) == 2) {
            MDB_val key = bytes_of(first), value = bytes_of(second);
            check(mdb_put(txn, dbi, &key, &value, 0), "mdb_put");
        }
    }
    check(mdb_txn_commit(txn), "mdb_txn_commit");
    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    check(mdb_env_stat(env, &stat), "mdb_env_stat");
    mdb_version(&major, &minor, NULL);
    printf("{\"version\": \"%d.%d\", \"page_size\": %u, \"databases\": %d}\n", major, minor, stat.ms_psize, 1 + count);
    dump(txn, ".");
    for (i = 0; i < count; i++) dump(txn, names[i]);
    return 0;
}
