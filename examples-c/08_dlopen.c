/*
 * A program that runs without libkv and uses it where it is there: it loads the library with dlopen() and looks up the
 * functions that it needs. It is compiled with kv.h and linked with -ldl, and not with -lkv.
 */
#include <kv.h>

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* The functions that are used, by their names in kv.h, which also declares their types. */
#define FUNCTIONS(X) \
    X(kv_version) \
    X(kv_error_message) \
    X(kv_open) \
    X(kv_close) \
    X(kv_txn_begin) \
    X(kv_txn_commit) \
    X(kv_txn_abort) \
    X(kv_put) \
    X(kv_cursor_open) \
    X(kv_cursor_next)

struct library {
#define FIELD(name) __typeof__(name) *name;
    FUNCTIONS(FIELD)
#undef FIELD
};

/* Finds the functions; returns 0 and tells why if the library or one of them is missing. */
static int load(const char *name, struct library *kv)
{
    /* RTLD_NOW: what is missing is missing here, and not in the middle of the program. The name has the number of the
     * interface, because a library with another number is another library. */
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    void *found;
    if (handle == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 0;
    }
    /* memcpy, as ISO C has no cast from a pointer to data to one to a function. */
#define FIND(name) \
    if ((found = dlsym(handle, #name)) == NULL) { \
        fprintf(stderr, "%s\n", dlerror()); \
        dlclose(handle); \
        return 0; \
    } \
    memcpy(&kv->name, &found, sizeof found);
    FUNCTIONS(FIND)
#undef FIND
    /* It stays loaded: threads that have used it run a destructor of it when they end. */
    return 1;
}

int main(int argc, char **argv)
{
    struct library kv;
    kv_db *db = NULL;
    kv_txn *txn = NULL;
    kv_cursor *cursor = NULL;
    kv_range range = KV_PREFIX(KV_STR("fruit/"));
    kv_slice key, value;
    kv_status status;
    int failed = 1;

    if (!load(argc > 1 ? argv[1] : "libkv.so.0", &kv))
        return 2;
    printf("libkv %s\n", kv.kv_version());
    if (kv.kv_open("loaded.kv", NULL, &db) != KV_OK || kv.kv_txn_begin(db, KV_WRITE, NULL, &txn) != KV_OK)
        goto out;
    if (kv.kv_put(txn, KV_MAIN, KV_STR("fruit/apple"), KV_STR("red"), 0) != KV_OK ||
        kv.kv_put(txn, KV_MAIN, KV_STR("fruit/banana"), KV_STR("yellow"), 0) != KV_OK ||
        kv.kv_txn_commit(txn, NULL) != KV_OK)
        goto out;
    if (kv.kv_txn_begin(db, KV_READ, NULL, &txn) != KV_OK || kv.kv_cursor_open(txn, KV_MAIN, &range, &cursor) != KV_OK)
        goto out;
    /* KV_EACH calls kv_cursor_next by its name; this is the same loop through the pointer. */
    while ((status = kv.kv_cursor_next(cursor, &key, &value)) == KV_OK)
        printf("%.*s is %.*s\n", (int)key.len, (const char *)key.data, (int)value.len, (const char *)value.data);
    failed = status != KV_NOTFOUND;

out:
    if (failed)
        fprintf(stderr, "%s\n", kv.kv_error_message());
    kv.kv_txn_abort(txn);
    if (kv.kv_close(db) != KV_OK)
        failed = 1;
    return failed;
}
