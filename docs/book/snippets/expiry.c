#include <endian.h>
#include <kv.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program when a call fails. */
static void must(kv_status status)
{
    if (status == KV_OK)
        return;
    fprintf(stderr, "%s\n", kv_error_message());
    exit(1);
}

static kv_table sessions, by_end;

/* The index is ordered by the time of the end: 8 bytes big-endian, then the name. */
static size_t end_key(unsigned char *out, size_t size, uint64_t end, const void *name, size_t len)
{
    uint64_t big_endian = htobe64(end);

    if (len > size - 8) {
        fprintf(stderr, "the name of a session has at most %d bytes\n", (int)size - 8);
        exit(1);
    }
    memcpy(out, &big_endian, 8);
    memcpy(out + 8, name, len);
    return 8 + len;
}

static void put_session(kv_txn *txn, const char *name, uint64_t end)
{
    unsigned char key[100];
    kv_slice old;
    uint64_t former;

    must(kv_replace(txn, sessions, KV_STR(name), &end, sizeof end, 0, &old));
    if (old.data) { /* it is prolonged: the index forgets its former end */
        memcpy(&former, old.data, sizeof former);
        must(kv_delete(txn, by_end, key, end_key(key, sizeof key, former, KV_STR(name)), 0));
    }
    must(kv_put(txn, by_end, key, end_key(key, sizeof key, end, KV_STR(name)), NULL, 0, 0));
}

/* Deletes what has ended. The work grows with what has ended, and not with what lives on. */
static void expire(kv_txn *txn, uint64_t now)
{
    kv_range ended = KV_RANGE_INIT;
    unsigned char bound[8];
    kv_slice key;
    kv_status status;

    ended.flags = KV_RANGE_BEFORE;
    ended.to.data = bound;
    ended.to.len = end_key(bound, sizeof bound, now, "", 0);
    while ((status = kv_take_first(txn, by_end, &ended, &key, NULL)) == KV_OK) {
        printf("%.*s has ended\n", (int)(key.len - 8), (const char *)key.data + 8);
        must(kv_delete(txn, sessions, (const char *)key.data + 8, key.len - 8, 0));
    }
    if (status != KV_NOTFOUND)
        must(status);
}

int main(void)
{
    kv_db *db;
    kv_txn *txn;
    uint64_t left;

    must(kv_open("sessions.kv", NULL, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    must(kv_table_create(txn, KV_STR("sessions"), NULL, &sessions));
    must(kv_table_create(txn, KV_STR("sessions by end"), NULL, &by_end));
    put_session(txn, "ann", 1000);
    put_session(txn, "bob", 2000);
    put_session(txn, "cid", 1500);
    put_session(txn, "ann", 3000); /* seconds since some day; time() in a program */
    expire(txn, 1800);
    must(kv_count(txn, sessions, NULL, &left));
    printf("%d sessions live on\n", (int)left);
    must(kv_txn_commit(txn, NULL));
    must(kv_close(db));
    return 0;
}
