/*
 * Errors: answers to expect, mistakes to see, and where the words and the details are.
 */
#include <kv.h>

#include <stdio.h>
#include <string.h>

static void tell(const char *what, kv_status status)
{
    kv_error detail = KV_ERROR_INIT;
    if (status == KV_OK) {
        printf("%-34s KV_OK\n", what);
        return;
    }
    kv_error_detail(&detail); /* about the last failure on this thread */
    printf("%-34s %s in %s: %s", what, kv_status_name(status), detail.function, detail.message);
    if (detail.sys_errno != 0)
        printf(" (%s)", strerror(detail.sys_errno));
    if (detail.needed != 0)
        printf(" (%d bytes needed)", (int)detail.needed);
    printf("\n");
}

int main(void)
{
    kv_db *db = NULL;
    kv_txn *txn = NULL, *second = NULL;
    kv_options options = KV_OPTIONS_INIT;
    kv_txn_options now = KV_TXN_OPTIONS_INIT;
    kv_slice value;
    char small[2];

    options.flags = KV_OPEN_EXISTING;
    tell("open what is not there", kv_open("nowhere/none.kv", &options, &db));
    if (kv_open("errors.kv", NULL, &db) != KV_OK || kv_txn_begin(db, KV_WRITE, NULL, &txn) != KV_OK)
        return 1;

    /* Answers: part of normal life, they spoil nothing. */
    tell("put", kv_put(txn, KV_MAIN, KV_STR("key"), KV_STR("value"), 0));
    tell("put what must be new", kv_put(txn, KV_MAIN, KV_STR("key"), KV_STR("other"), KV_NO_OVERWRITE));
    tell("get what is not there", kv_get(txn, KV_MAIN, KV_STR("none"), &value));
    tell("get into a small buffer", kv_get_copy(txn, KV_MAIN, KV_STR("key"), small, sizeof small, NULL));
    now.flags = KV_TXN_NOWAIT;
    tell("begin a second writer", kv_txn_begin(db, KV_WRITE, &now, &second));

    /* Mistakes: told as well, and nothing bad happens. */
    tell("wait for oneself", kv_txn_begin(db, KV_WRITE, NULL, &second));
    tell("a table that is none", kv_get(txn, 12345, KV_STR("key"), &value));
    tell("flags that are none", kv_put(txn, KV_MAIN, KV_STR("key"), KV_STR("value"), 1u << 20));
    tell("commit", kv_txn_commit(txn, NULL));
    tell("use after the end", kv_get(txn, KV_MAIN, KV_STR("key"), &value));
    kv_txn_abort(txn); /* after a commit: ignored, so one exit path serves all */
    tell("a handle of another kind", kv_get((kv_txn *)db, KV_MAIN, KV_STR("key"), &value));
    tell("close", kv_close(db));
    tell("close again", kv_close(db));
    return 0;
}
