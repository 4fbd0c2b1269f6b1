#include <kv.h>
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

/* One process waits for what another one commits, without asking again and again. */
int main(void)
{
    kv_db *db;
    uint64_t seen = 0;
    char news[20];
    size_t len;
    kv_status status;
    pid_t child = fork();

    must(kv_open("news.kv", NULL, &db));
    if (child == 0) {
        must(kv_db_put(db, KV_MAIN, KV_STR("news"), KV_STR("it rains"), 0));
        return kv_close(db) == KV_OK ? 0 : 1;
    }
    for (;;) {
        must(kv_newest_commit(db, &seen, NULL)); /* the number first: then nothing is missed in between */
        status = kv_db_get(db, KV_MAIN, KV_STR("news"), news, sizeof news, &len);
        if (status != KV_NOTFOUND)
            break;
        must(kv_wait_commit(db, seen, -1, NULL));
    }
    must(status);
    printf("%.*s\n", (int)len, news);
    waitpid(child, NULL, 0);
    must(kv_close(db));
    return 0;
}
