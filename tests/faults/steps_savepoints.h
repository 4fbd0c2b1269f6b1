/* Steps of the workload (steps.h) that go back within a transaction, by savepoints and by transactions nested in it. */
#include "steps.h"

static int step_savepoints(void)
{
    kv_txn *txn = NULL, *nested = NULL, *ended;
    kv_table table;
    uint64_t id, outside, inside, before, count;
    char key[8];
    unsigned i;
    BEGIN_WRITE(0);
    TRY(kv_put(txn, KV_MAIN, S("~outside"), big, LONG, 0));
    TRY(kv_count(txn, KV_MAIN, NULL, &before));
    TRY(kv_savepoint_create(txn, &outside));
    for (i = 0; i < KEYS; i++) {
        size_t len = key_of(key, 200000 + i);
        TRY(kv_put(txn, KV_MAIN, key, len, big, 200, 0));
    }
    TRY(kv_savepoint_create(txn, &inside));
    TRY(kv_delete(txn, KV_MAIN, S("~outside"), 0));
    TRY(kv_table_create(txn, S("undone"), NULL, &table));
    TRY(kv_put(txn, table, S("k"), big, LONG, 0));
    TRY(kv_savepoint_rollback(txn, inside));
    TRY(kv_savepoint_release(txn, inside));
    TRY(kv_savepoint_rollback(txn, outside));
    TRY(kv_count(txn, KV_MAIN, NULL, &count));
    CHECK(count == before);
    TRY(kv_txn_nest(txn, &nested));
    TRY(kv_delete(nested, KV_MAIN, S("~outside"), 0));
    TRY(kv_put(nested, KV_MAIN, S("~nested"), S("v"), 0));
    ended = nested;
    nested = NULL;
    TRY(kv_txn_commit(ended, NULL));
    TRY(kv_count(txn, KV_MAIN, NULL, &count));
    CHECK(count == before);
    COMMIT(kv_txn_commit);
    return 1;
out:
    kv_txn_abort(nested);
    kv_txn_abort(txn);
    return 0;
}

/* What a nested transaction writes, much of which is refused. Returns whether none of it was. */
static int fill_nested(kv_txn *nested)
{
    char key[8];
    unsigned i;
    kv_table table;
    TRY(kv_table_create(nested, S("nested"), NULL, &table));
    for (i = 0; i < KEYS; i++) {
        size_t len = key_of(key, 300000 + i);
        TRY(kv_put(nested, table, key, len, big, 300, 0));
    }
    TRY(kv_put(nested, table, S("~long"), big, LONG, 0));
    return 1;
out:
    return 0;
}

/*
 * A transaction goes on without the one nested in it that was refused something, and is committed. If the way back is
 * refused as well, it has failed and says so.
 */
static int step_goes_on(void)
{
    kv_txn *txn = NULL, *nested = NULL, *ended;
    kv_slice value;
    kv_table table;
    uint64_t id;
    int filled;
    BEGIN_WRITE(1);
    TRY(kv_put(txn, KV_MAIN, S("~before"), S("outer"), 0));
    TRY(kv_txn_nest(txn, &nested));
    TRY(kv_put(nested, KV_MAIN, S("~before"), S("inner"), 0));
    filled = fill_nested(nested);
    ended = nested;
    nested = NULL;
    if (filled) TRY(kv_txn_commit(ended, NULL));
    else kv_txn_abort(ended);
    TRY(kv_get(txn, KV_MAIN, S("~before"), &value));
    CHECK(value.len == 5 && memcmp(value.data, filled ? "inner" : "outer", 5) == 0);
    IS(kv_table_open(txn, S("nested"), &table), filled ? KV_OK : KV_NO_TABLE);
    if (filled) TRY(kv_table_drop(txn, table));
    COMMIT(kv_txn_commit);
    return 1;
out:
    kv_txn_abort(nested);
    kv_txn_abort(txn);
    return 0;
}
