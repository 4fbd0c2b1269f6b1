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

/*
 * A pair of key and value is one key here: the key, in which each byte 00 is followed by ff, then 00 00, then the
 * value. Such composites sort as pairs do, whatever bytes keys and values have.
 */
static size_t composite(
    unsigned char *out, size_t size, const char *key, size_t klen, const char *value, size_t vlen)
{
    size_t used = 0, zeros = 0, i;

    for (i = 0; i < klen; i++)
        zeros += key[i] == 0;
    if (klen + zeros + 2 > size || vlen > size - (klen + zeros + 2)) {
        fprintf(stderr, "a pair takes at most %d bytes\n", (int)size);
        exit(1);
    }
    for (i = 0; i < klen; i++) {
        out[used++] = (unsigned char)key[i];
        if (key[i] == 0)
            out[used++] = 0xff;
    }
    out[used++] = 0;
    out[used++] = 0;
    memcpy(out + used, value, vlen);
    return used + vlen;
}

static void add(kv_txn *txn, const char *key, const char *value)
{
    unsigned char pair[200];
    size_t len = composite(pair, sizeof pair, KV_STR(key), KV_STR(value));
    must(kv_put(txn, KV_MAIN, pair, len, NULL, 0, 0)); /* adding a pair twice changes nothing */
}

int main(void)
{
    unsigned char bytes[200];
    size_t len = composite(bytes, sizeof bytes, KV_STR("ann"), "", 0);
    kv_range ann = KV_PREFIX(bytes, len);
    kv_db *db;
    kv_txn *txn;
    kv_cursor *cursor;
    kv_slice pair;
    kv_status status;
    uint64_t count;

    must(kv_open("tags.kv", NULL, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    add(txn, "ann", "green");
    add(txn, "ann", "blue");
    add(txn, "anna", "red"); /* not a value of ann */
    add(txn, "ann", "blue");

    must(kv_count(txn, KV_MAIN, &ann, &count));
    printf("ann has %d values:", (int)count);
    must(kv_cursor_open(txn, KV_MAIN, &ann, &cursor));
    KV_EACH (status, cursor, &pair, NULL)
        printf(" %.*s", (int)(pair.len - len), (const char *)pair.data + len);
    must(status);
    putchar('\n');
    must(kv_txn_commit(txn, NULL));
    must(kv_close(db));
    return 0;
}
