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

/* Called every tenth of a second, and at the end. */
static int32_t progress(void *ctx, uint64_t done, uint64_t total)
{
    int *finished = ctx;
    *finished = done == total;
    return 0; /* anything else ends the backup, and leaves no file */
}

int main(void)
{
    kv_job_options options = KV_JOB_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_db *db, *copy;
    int finished = 0;

    must(kv_open("shop.kv", NULL, &db));
    must(kv_db_put(db, KV_MAIN, KV_STR("apple"), KV_STR("3"), 0));

    options.flags = KV_JOB_OVERWRITE; /* the copy of yesterday stays until that of today is whole and durable */
    options.progress = progress;
    options.ctx = &finished;
    must(kv_db_backup(db, "copy.kv", &options));
    must(kv_close(db));

    must(kv_open("copy.kv", NULL, &copy));
    must(kv_db_check(copy, NULL, NULL, NULL, &report));
    printf("backup %s; the copy has %d entries and %d faults\n", finished ? "done" : "unfinished",
        (int)report.entries, (int)report.faults);
    must(kv_close(copy));
    return 0;
}
