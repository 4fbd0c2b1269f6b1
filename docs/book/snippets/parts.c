#include <kv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program when a call fails. */
static void must(kv_status status)
{
    if (status == KV_OK)
        return;
    fprintf(stderr, "%s\n", kv_error_message());
    exit(1);
}

/* Files that arrive: each has lines "name=color", and is taken as a whole or not at all. */
static const char *const files[][3] = {
    {"apple=red", "plum=blue", NULL},
    {"fig=brown", "what is this", NULL},
    {"pear=green", "apple=yellow", NULL},
};

static int take_line(kv_txn *txn, const char *line)
{
    const char *color = strchr(line, '=');

    if (color == NULL)
        return 0;
    must(kv_put(txn, KV_MAIN, line, (size_t)(color - line), KV_STR(color + 1), 0));
    return 1;
}

int main(void)
{
    kv_db *db;
    kv_txn *txn, *nested;
    uint64_t number, before, count;
    size_t file, line;

    must(kv_open("fruit.kv", NULL, &db));
    must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
    for (file = 0; file < 3; file++) {
        int good = 1;

        must(kv_txn_nest(txn, &nested)); /* `txn` waits until this one has ended */
        for (line = 0; good && files[file][line] != NULL; line++)
            good = take_line(nested, files[file][line]);
        if (good)
            must(kv_txn_commit(nested, NULL)); /* into `txn`; the file is not touched yet */
        else
            kv_txn_abort(nested); /* fig is gone again, and the file before stays */
        printf("file %d is %s\n", (int)file, good ? "taken" : "left out");
    }

    must(kv_savepoint_create(txn, &before));
    must(kv_table_clear(txn, KV_MAIN)); /* a thought that is thought better of */
    must(kv_savepoint_rollback(txn, before));
    must(kv_count(txn, KV_MAIN, NULL, &count));
    must(kv_txn_commit(txn, &number)); /* one commit, and one sync, for all */
    printf("%d entries in commit %d\n", (int)count, (int)number);
    must(kv_close(db));
    return 0;
}
