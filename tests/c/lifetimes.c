/*
 * Bytes that a write transaction has returned stay as they are until its next write, whatever is read meanwhile, and
 * every step of a batch may be given them.
 */
#include "check.h"

enum { KEYS = 300, MOST = 900, ROUNDS = 60, LONG_KEY = 5000 };

static kv_db *db;
static kv_table tables[2];
static uint64_t state;

static void new_database(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_txn *txn;
    options.flags = KV_OPEN_MEMORY;
    OK(kv_open(NULL, &options, &db));
    OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    OK(kv_table_create(txn, KV_STR("second"), NULL, &tables[1]));
    OK(kv_txn_commit(txn, NULL));
}

static void check_and_close(void)
{
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    job.flags = KV_JOB_CHECK_SPACE;
    OK(kv_db_check(db, &job, NULL, NULL, NULL));
    OK(kv_close(db));
}

static unsigned chance(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % n;
}

static kv_op put_op(const char *key, kv_slice value)
{
    kv_op op;
    memset(&op, 0, sizeof op);
    op.op = KV_OP_PUT;
    op.table = KV_MAIN;
    op.key.data = key;
    op.key.len = strlen(key);
    op.value = value;
    return op;
}

static kv_slice text(const char *bytes)
{
    kv_slice slice;
    slice.data = bytes;
    slice.len = strlen(bytes);
    return slice;
}

static int holds(kv_txn *txn, const char *key, const char *value)
{
    kv_slice found;
    OK(kv_get(txn, KV_MAIN, KV_STR(key), &found));
    return found.len == strlen(value) && memcmp(found.data, value, found.len) == 0;
}

/* A step replaces bytes that a later step is given: as a value, and as a key. */
static void replaced_in_a_batch(void)
{
    kv_txn *txn;
    kv_slice old;
    kv_op ops[2];
    OK(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    OK(kv_put(txn, KV_MAIN, KV_STR("a"), KV_STR("OLD"), 0));
    OK(kv_get(txn, KV_MAIN, KV_STR("a"), &old));
    ops[0] = put_op("a", text("NEW"));
    ops[1] = put_op("b", old);
    OK(kv_write_batch(txn, ops, 2, NULL));
    CHECK(holds(txn, "a", "NEW") && holds(txn, "b", "OLD"));

    OK(kv_put(txn, KV_MAIN, KV_STR("OLD"), KV_STR("x"), 0));
    OK(kv_put(txn, KV_MAIN, KV_STR("NEW"), KV_STR("x"), 0));
    OK(kv_get(txn, KV_MAIN, KV_STR("b"), &old));
    ops[0] = put_op("b", text("NEW"));
    ops[1].op = KV_OP_DELETE;
    ops[1].key = old;
    OK(kv_write_batch(txn, ops, 2, NULL));
    IS(kv_get(txn, KV_MAIN, KV_STR("OLD"), NULL), KV_NOTFOUND);
    CHECK(holds(txn, "NEW", "x"));
    kv_txn_abort(txn);
}

/* Values of one transaction: where they are, and what they were. */
static kv_slice values[2 * KEYS];
static char copies[2 * KEYS][MOST];
static size_t count;

static void read_all(kv_txn *txn)
{
    kv_status status;
    char key[8];
    int table, i;
    count = 0;
    for (table = 0; table < 2; table++)
        for (i = 0; i < KEYS; i++) {
            snprintf(key, sizeof key, "k%03d", i);
            status = kv_get(txn, tables[table], key, 4, &values[count]);
            if (status == KV_NOTFOUND) continue;
            OK(status);
            memcpy(copies[count], values[count].data, values[count].len);
            count++;
        }
    /* A quarter of the 200 edits at least, however many of them hit a key again or delete one. */
    CHECK(count > 100);
}

static int all_are_there(void)
{
    size_t i;
    for (i = 0; i < count; i++)
        if (memcmp(values[i].data, copies[i], values[i].len) != 0) return 0;
    return 1;
}

/* Puts and deletes so that pages are placed before the commit, with long keys now and then. */
static void write_much(kv_txn *txn, unsigned long_keys)
{
    static char key[LONG_KEY], value[MOST];
    unsigned n = 200 + chance(400);
    memset(key, 'K', sizeof key);
    while (n--) {
        size_t len = long_keys && chance(12) == 0 ? LONG_KEY : 4;
        char name[8];
        snprintf(name, sizeof name, "k%03u", chance(KEYS));
        memcpy(key, name, 4);
        memset(value, 'a' + (int)chance(26), sizeof value);
        if (chance(5) == 0)
            OK(kv_delete(txn, tables[chance(2)], key, len, KV_BLIND));
        else
            OK(kv_put(txn, tables[chance(2)], key, len, value, chance(MOST), 0));
    }
}

/* While reads apply what was collected, and while a batch writes long values. */
static void values_stay(unsigned round)
{
    static char many[60000];
    kv_txn_options options = KV_TXN_OPTIONS_INIT;
    kv_txn *txn;
    kv_status status;
    kv_op ops[16];
    uint64_t n;
    static char keys[6][LONG_KEY];
    char names[16][24];
    size_t i, from, given;
    state = round;
    new_database();
    options.write_memory = 1;
    OK(kv_txn_begin(db, KV_WRITE, &options, &txn));
    write_much(txn, round % 2);
    /* Something is returned, so a batch collects and applies nothing. */
    status = kv_get(txn, KV_MAIN, "k000", 4, &values[0]);
    if (status == KV_OK)
        OK(kv_count(txn, KV_MAIN, NULL, &n));
    else
        IS(status, KV_NOTFOUND);
    for (i = 0; i < 6; i++) {
        memset(keys[i], 'K', sizeof keys[i]);
        snprintf(names[i], sizeof names[i], "k%03u", chance(KEYS));
        memcpy(keys[i], names[i], 4);
        ops[i] = put_op("", text("another value"));
        ops[i].key.data = keys[i];
        ops[i].key.len = round % 2 && chance(3) == 0 ? LONG_KEY : 4;
        ops[i].table = tables[chance(2)];
    }
    OK(kv_write_batch(txn, ops, 6, NULL));
    read_all(txn);
    OK(kv_count(txn, tables[round / 2 % 2], NULL, &n));
    CHECK(all_are_there());
    OK(kv_count(txn, tables[1 - round / 2 % 2], NULL, &n));
    CHECK(all_are_there());
    /* A batch with a long value, and copies of what was returned. */
    from = count > 15 ? chance((unsigned)count - 15) : 0;
    given = count - from < 15 ? count - from : 15;
    memset(many, 'L', sizeof many);
    ops[0] = put_op("long", text(""));
    ops[0].value.data = many;
    ops[0].value.len = sizeof many;
    for (i = 0; i < given; i++) {
        snprintf(names[i], sizeof names[i], "copy%04d", (int)(from + i));
        ops[i + 1] = put_op(names[i], values[from + i]);
    }
    OK(kv_write_batch(txn, ops, given + 1, NULL));
    for (i = 0; i < given; i++) {
        kv_slice found;
        OK(kv_get(txn, KV_MAIN, KV_STR(names[i]), &found));
        CHECK(found.len == values[from + i].len && memcmp(found.data, copies[from + i], found.len) == 0);
    }
    OK(kv_txn_commit(txn, NULL));
    check_and_close();
}

int main(void)
{
    unsigned round;
    new_database();
    replaced_in_a_batch();
    check_and_close();
    for (round = 0; round < ROUNDS; round++)
        values_stay(round);
    DONE;
}
