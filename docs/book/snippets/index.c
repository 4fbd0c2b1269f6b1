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

static kv_table people, by_city;

/* An entry of the index is city, a zero byte, and the name. The value is empty. */
static size_t index_key(char *out, size_t size, const void *city, size_t len, const char *name)
{
    size_t rest = strlen(name);

    if (len >= size || rest > size - len - 1) { /* a key that was cut would be that of somebody else */
        fprintf(stderr, "a city and a name have at most %d bytes\n", (int)size - 1);
        exit(1);
    }
    memcpy(out, city, len);
    out[len] = 0;
    memcpy(out + len + 1, name, rest);
    return len + 1 + rest;
}

/* Puts a person, and moves the entry of the index in the same transaction. */
static void put_person(kv_txn *txn, const char *name, const char *city)
{
    char key[200];
    kv_slice old;
    size_t len;

    must(kv_replace(txn, people, KV_STR(name), KV_STR(city), 0, &old));
    if (old.data) {
        len = index_key(key, sizeof key, old.data, old.len, name);
        must(kv_delete(txn, by_city, key, len, 0));
    }
    len = index_key(key, sizeof key, city, strlen(city), name);
    must(kv_put(txn, by_city, key, len, NULL, 0, 0));
}

static void show_city(const kv_txn *txn, const char *city)
{
    size_t len = strlen(city) + 1; /* the zero byte belongs to the prefix, or "Os" would find Oslo */
    kv_range here = KV_PREFIX(city, len);
    kv_cursor *cursor;
    kv_slice key;
    kv_status status;

    printf("%s:", city);
    must(kv_cursor_open(txn, by_city, &here, &cursor));
    KV_EACH (status, cursor, &key, NULL)
        printf(" %.*s", (int)(key.len - len), (const char *)key.data + len);
    must(status);
    putchar('\n');
}

int main(void)
{
    kv_db *db;
    kv_txn *txn;

    must(kv_open("people.kv", NULL, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    must(kv_table_create(txn, KV_STR("people"), NULL, &people));
    must(kv_table_create(txn, KV_STR("people by city"), NULL, &by_city));
    put_person(txn, "ann", "Oslo");
    put_person(txn, "bob", "Rome");
    put_person(txn, "cid", "Oslo");
    put_person(txn, "ann", "Rome"); /* she moves, and so does her entry */
    must(kv_txn_commit(txn, NULL));

    must(kv_txn_begin(db, KV_READ, NULL, &txn));
    show_city(txn, "Oslo");
    show_city(txn, "Rome");
    kv_txn_abort(txn);
    must(kv_close(db));
    return 0;
}
