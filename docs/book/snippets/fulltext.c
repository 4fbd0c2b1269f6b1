#include <ctype.h>
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

static kv_table texts, words;

/* An entry of the index is a word, a zero byte, and the number of the text. */
static size_t index_key(char *out, size_t size, const char *word, size_t len, uint32_t number)
{
    uint32_t big_endian = htobe32(number);
    if (len > size - 5)
        len = size - 5;
    memcpy(out, word, len);
    out[len] = 0;
    memcpy(out + len + 1, &big_endian, 4);
    return len + 5;
}

static void put_text(kv_txn *txn, uint32_t number, const char *text)
{
    char word[64], key[80];
    size_t len = 0;
    const char *at;
    uint32_t big_endian = htobe32(number);

    must(kv_put(txn, texts, &big_endian, 4, KV_STR(text), 0));
    for (at = text;; at++) {
        if (isalpha((unsigned char)*at)) {
            if (len < sizeof word) /* of longer words, the beginning is enough */
                word[len++] = (char)tolower((unsigned char)*at);
        } else if (len > 0) {
            must(kv_put(txn, words, key, index_key(key, sizeof key, word, len, number), NULL, 0, 0));
            len = 0;
        }
        if (*at == 0)
            break;
    }
}

/* Shows the texts that have both words: walks over those with the rarer one, and asks for the other. */
static void search(const kv_txn *txn, const char *one, const char *other)
{
    kv_range of_one = KV_PREFIX(one, strlen(one) + 1), of_other = KV_PREFIX(other, strlen(other) + 1);
    uint64_t ones, others;
    kv_cursor *cursor;
    kv_slice key, text;
    kv_status status;
    char asked[80];
    size_t len;
    uint32_t big_endian;

    must(kv_count(txn, words, &of_one, &ones));
    must(kv_count(txn, words, &of_other, &others));
    printf("%s is in %d texts, %s in %d\n", one, (int)ones, other, (int)others);
    must(kv_cursor_open(txn, words, ones <= others ? &of_one : &of_other, &cursor));
    KV_EACH (status, cursor, &key, NULL) {
        const char *rest = ones <= others ? other : one;
        memcpy(&big_endian, (const char *)key.data + key.len - 4, 4);
        len = index_key(asked, sizeof asked, KV_STR(rest), be32toh(big_endian));
        status = kv_get(txn, words, asked, len, NULL);
        if (status == KV_NOTFOUND)
            continue;
        must(status);
        must(kv_get(txn, texts, &big_endian, 4, &text));
        printf("%d: %.*s\n", (int)be32toh(big_endian), (int)text.len, (const char *)text.data);
    }
    must(status);
}

int main(void)
{
    kv_db *db;
    kv_txn *txn;

    must(kv_open("texts.kv", NULL, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    must(kv_table_create(txn, KV_STR("texts"), NULL, &texts));
    must(kv_table_create(txn, KV_STR("words"), NULL, &words));
    put_text(txn, 1, "The pear is green.");
    put_text(txn, 2, "The plum is blue, and so is the sea.");
    put_text(txn, 3, "Green plums are sour; a blue plum is not.");
    must(kv_txn_commit(txn, NULL));

    must(kv_txn_begin(db, KV_READ, NULL, &txn));
    search(txn, "plum", "is");
    kv_txn_abort(txn);
    must(kv_close(db));
    return 0;
}
