/* Maintenance: a backup while the database is in use, a check, and what to do with a damaged file. */
#include <kv.h>

#include <stdio.h>

static int32_t fault(void *unused, const kv_fault *fault)
{
    (void)unused;
    fprintf(stderr, "  page %llu: %s\n", (unsigned long long)fault->page, fault->message);
    return 0; /* go on */
}

int main(void)
{
    kv_db *db = NULL;
    kv_txn *txn = NULL;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_salvage_report saved = KV_SALVAGE_REPORT_INIT;
    int failed = 1;

    if (kv_open("maintenance.kv", NULL, &db) != KV_OK)
        goto out;
    if (kv_db_put(db, KV_MAIN, KV_STR("apple"), KV_STR("red"), 0) != KV_OK)
        goto out;

    /* A snapshot is checked and copied while others read and write. */
    if (kv_txn_begin(db, KV_READ, NULL, &txn) != KV_OK)
        goto out;
    if (kv_check(txn, NULL, fault, NULL, &report) != KV_OK)
        goto out;
    printf("%llu entries, %llu faults\n", (unsigned long long)report.entries, (unsigned long long)report.faults);
    job.flags = KV_JOB_OVERWRITE; /* the backup of yesterday, if there is one */
    if (kv_backup(txn, "maintenance-backup.kv", &job) != KV_OK)
        goto out;
    kv_txn_abort(txn);
    txn = NULL;

    /* Without a backup: what can still be read of a file that does not open, or answers KV_CORRUPT. */
    if (kv_salvage("maintenance.kv", "maintenance-saved.kv", &job, fault, NULL, &saved) != KV_OK)
        goto out;
    printf("%llu entries saved, %llu uncertain, %llu lost\n", (unsigned long long)saved.entries,
        (unsigned long long)saved.uncertain, (unsigned long long)saved.lost_entries);
    failed = 0;

out:
    if (failed)
        fprintf(stderr, "%s\n", kv_error_message());
    kv_txn_abort(txn);
    if (kv_close(db) != KV_OK)
        failed = 1;
    return failed;
}
