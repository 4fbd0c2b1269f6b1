/* Steps of the workload (steps.h) that check, copy and repair whole databases. */
#include "steps.h"

static int32_t progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done > total;
}

static int32_t fault(void *ctx, const kv_fault *found)
{
    (void)ctx;
    fprintf(stderr, "fault: %s\n", found->message);
    return 0;
}

static int step_maintenance(void)
{
    kv_txn *txn = NULL;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    int fd = -1;
    job.progress = progress;
    TRY(kv_txn_begin(db, KV_READ, NULL, &txn));
    job.flags = KV_JOB_CHECK_SPACE;
    TRY(kv_check(txn, &job, fault, NULL, &report));
    TRY(kv_db_check(db, &job, fault, NULL, &report));
    job.flags = KV_JOB_OVERWRITE;
    TRY(kv_db_backup(db, copy, &job));
    TRY(kv_backup(txn, copy, &job));
    job.flags = KV_JOB_OVERWRITE | KV_JOB_COMPACT;
    TRY(kv_backup(txn, copy, &job));
    fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    job.flags = 0;
    TRY(kv_backup_stream(txn, kv_fd_write, &fd, &job));
    close(fd);
    kv_txn_abort(txn);
    return 1;
out:
    close(fd);
    kv_txn_abort(txn);
    return 0;
}

static int step_salvage(void)
{
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_salvage_report report = KV_SALVAGE_REPORT_INIT;
    job.flags = KV_JOB_OVERWRITE;
    TRY(kv_salvage(copy, saved, &job, fault, NULL, &report));
    return 1;
out:
    return 0;
}
