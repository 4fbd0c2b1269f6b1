#include <kv.h>
#include <signal.h>
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

/* Counts up in both accounts, in one transaction each time, and tells through the pipe what was committed. */
static void work(int acknowledge)
{
    kv_options lazy = KV_OPTIONS_INIT;
    kv_db *db;
    kv_txn *txn;
    int n;

    lazy.durability = KV_DURABILITY_LAZY;
    must(kv_open("accounts.kv", &lazy, &db));
    for (n = 1;; n++) {
        must(kv_txn_begin(db, KV_WRITE, NULL, &txn));
        must(kv_put(txn, KV_MAIN, KV_STR("one"), &n, sizeof n, 0));
        must(kv_put(txn, KV_MAIN, KV_STR("other"), &n, sizeof n, 0));
        must(kv_txn_commit(txn, NULL));
        if (write(acknowledge, &n, sizeof n) != sizeof n)
            exit(1);
    }
}

int main(void)
{
    int ends[2], acknowledged = 0, n, one, other;
    kv_db *db;
    pid_t child;

    if (pipe(ends) != 0 || (child = fork()) < 0)
        return 1;
    if (child == 0)
        work(ends[1]);
    close(ends[1]);
    while (acknowledged < 1000 && read(ends[0], &n, sizeof n) == sizeof n)
        acknowledged = n;
    kill(child, SIGKILL); /* in the middle of something */
    waitpid(child, NULL, 0);
    while (read(ends[0], &n, sizeof n) == sizeof n) /* what it had told and we had not read */
        acknowledged = n;

    must(kv_open("accounts.kv", NULL, &db)); /* there is nothing to repair, and nobody to wait for */
    must(kv_db_get(db, KV_MAIN, KV_STR("one"), &one, sizeof one, NULL));
    must(kv_db_get(db, KV_MAIN, KV_STR("other"), &other, sizeof other, NULL));
    printf("what was acknowledged is %s\n", one >= acknowledged ? "there" : "lost");
    printf("the accounts %s\n", one == other ? "agree" : "differ");
    must(kv_close(db));
    return 0;
}
