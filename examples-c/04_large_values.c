/*
 * Large values: written in parts, read in parts, kept after their transaction.
 */
#include <kv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PART = 64 * 1024, PARTS = 160 };

static void ok(kv_status status)
{
    if (status != KV_OK) {
        fprintf(stderr, "%s: %s\n", kv_status_name(status), kv_error_message());
        exit(1);
    }
}

static void make_part(unsigned char *part, int number)
{
    int i;
    for (i = 0; i < PART; i++)
        part[i] = (unsigned char)(i + number * 7);
}

int main(void)
{
    static unsigned char part[PART], read[PART];
    kv_db *db;
    kv_txn *txn;
    kv_writer *writer;
    kv_value_stat info = KV_VALUE_STAT_INIT;
    kv_buf *kept;
    kv_slice value;
    size_t got;
    int i;

    ok(kv_open("film.kv", NULL, &db));
    ok(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    /* Memory for one part is enough, however long it gets. The hint is optional; it lets the value lie in one piece. */
    ok(kv_writer_open(txn, KV_MAIN, KV_STR("film"), (uint64_t)PART * PARTS, 0, &writer));
    for (i = 0; i < PARTS; i++) {
        make_part(part, i);
        ok(kv_writer_write(writer, part, PART));
    }
    ok(kv_writer_finish(writer)); /* now the entry is there */
    ok(kv_txn_commit(txn, NULL));

    ok(kv_txn_begin(db, KV_READ, NULL, &txn));
    ok(kv_stat_value(txn, KV_MAIN, KV_STR("film"), &info)); /* its length, without touching it */
    printf("%.1f MB in %u piece(s)\n", (double)info.len / 1e6, info.extents);

    /* Read from the middle: only that part is fetched and verified. */
    ok(kv_value_read(txn, KV_MAIN, KV_STR("film"), (uint64_t)PART * 100, read, PART, &got));
    make_part(part, 100);
    printf("part 100 is %s\n", got == PART && memcmp(part, read, PART) == 0 ? "right" : "wrong");

    /* Or all of it at once, in place: no copy is made. */
    ok(kv_get(txn, KV_MAIN, KV_STR("film"), &value));
    printf("first bytes: %d %d %d\n", ((const unsigned char *)value.data)[0], ((const unsigned char *)value.data)[1],
        ((const unsigned char *)value.data)[2]);

    /* Bytes that are needed after the transaction are held by a buffer of their own. */
    ok(kv_get_buf(txn, KV_MAIN, KV_STR("film"), &value, &kept));
    kv_txn_abort(txn);
    ok(kv_close(db));
    make_part(part, PARTS - 1);
    printf("the end, long after closing, is %s\n",
        memcmp((const unsigned char *)value.data + value.len - PART, part, PART) == 0 ? "right" : "wrong");
    kv_buf_release(kept);
    return 0;
}
