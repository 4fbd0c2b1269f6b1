#include <kv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends the program when a call fails. */
static void must(kv_status status)
{
    if (status == KV_OK)
        return;
    fprintf(stderr, "%s\n", kv_error_message());
    exit(1);
}

/* Adds one to a counter, a hundred times. Threads share the handle of the database, and each begins transactions. */
static void *count(void *db)
{
    int i, n;

    for (i = 0; i < 100; i++) {
        kv_txn *txn;
        must(kv_txn_begin(db, KV_WRITE, NULL, &txn)); /* waits for its turn, among all threads and processes */
        must(kv_get_copy(txn, KV_MAIN, KV_STR("n"), &n, sizeof n, NULL));
        n++;
        must(kv_put(txn, KV_MAIN, KV_STR("n"), &n, sizeof n, 0));
        must(kv_txn_commit(txn, NULL));
    }
    return NULL;
}

int main(void)
{
    kv_options lazy = KV_OPTIONS_INIT;
    kv_db *db;
    pthread_t threads[2];
    pid_t child;
    kv_status created;
    int n = 0, status;

    lazy.durability = KV_DURABILITY_LAZY;
    child = fork();
    must(kv_open("counter.kv", &lazy, &db)); /* parent and child open it, each for itself: never across fork() */
    created = kv_db_put(db, KV_MAIN, KV_STR("n"), &n, sizeof n, KV_NO_OVERWRITE);
    if (created != KV_EXISTS) /* the other process was first */
        must(created);
    if (child == 0) {
        count(db);
        return kv_close(db) == KV_OK ? 0 : 1;
    }
    pthread_create(&threads[0], NULL, count, db);
    pthread_create(&threads[1], NULL, count, db);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    waitpid(child, &status, 0);

    must(kv_db_get(db, KV_MAIN, KV_STR("n"), &n, sizeof n, NULL));
    printf("%d\n", n);
    must(kv_close(db));
    return status == 0 ? 0 : 1;
}
