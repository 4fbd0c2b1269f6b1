/* Steps of the workload (steps.h) that make, read and drop named snapshots, and give space back. */
#include "steps.h"

static int32_t take_range(void *ctx, const kv_range *range)
{
    ++*(int *)ctx;
    return range == NULL;
}

static int step_snapshots(void)
{
    kv_txn *txn = NULL, *reader = NULL;
    kv_snapshot_options how = KV_SNAPSHOT_OPTIONS_INIT;
    kv_snapshot_stat stat = KV_SNAPSHOT_STAT_INIT;
    kv_txn_options at = KV_TXN_OPTIONS_INIT;
    kv_compact_options give_back = KV_COMPACT_OPTIONS_INIT;
    kv_compact_report report = KV_COMPACT_REPORT_INIT;
    kv_retention policy = KV_RETENTION_INIT;
    uint64_t id, freed, steps, pages;
    int ranges = 0;
    policy.interval = 1;
    policy.last = 1;
    how.flags = KV_SNAPSHOT_REPLACE; /* what an earlier try has made */
    how.note = slice("a note");
    give_back.punch = 1;
    at.snapshot = slice("renamed");
    BEGIN_WRITE(1);
    TRY(kv_snapshot_create(txn, S("snapshot"), &how));
    TRY(kv_snapshot_keep(txn, S("snapshot"), 1));
    TRY(kv_snapshot_keep(txn, S("snapshot"), 0));
    TRY(kv_snapshot_rename(txn, S("snapshot"), S("renamed")));
    TRY(kv_snapshot_create(txn, S("released"), &how));
    TRY(kv_snapshot_release(txn, S("released")));
    TRY(kv_stat_snapshot(txn, S("renamed"), &stat));
    CHECK(stat.note.len == 6);
    COMMIT(kv_txn_commit);
    TRY(kv_txn_begin(db, KV_READ, &at, &reader));
    TRY(kv_snapshot_create(reader, S("again"), &how));
    BEGIN_WRITE(0);
    TRY(kv_table_clear(txn, KV_MAIN));
    TRY(kv_put(txn, KV_MAIN, S("gone back behind"), S("v"), 0));
    TRY(kv_revert(txn, reader, KV_NONE, NULL));
    steps = acknowledged + 1; /* this was taken back as well */
    TRY(kv_put(txn, KV_MAIN, S("steps"), &steps, sizeof steps, 0));
    COMMIT(kv_txn_commit);
    kv_txn_abort(reader);
    reader = NULL;
    TRY(kv_snapshot_cost(db, S("renamed"), S("again"), &pages));
    BEGIN_WRITE(0);
    TRY(kv_snapshot_ranges(txn, S("released"), KV_MAIN, NULL, take_range, &ranges));
    CHECK(ranges > 0);
    TRY(kv_snapshot_drop(txn, S("released")));
    TRY(kv_history(txn, &policy));
    TRY(kv_stat_history(txn, &policy));
    TRY(kv_snapshot_thin(txn, S("row/"), &policy, NULL));
    TRY(kv_history(txn, NULL));
    TRY(kv_snapshot_drop(txn, S("renamed")));
    TRY(kv_snapshot_drop(txn, S("again")));
    COMMIT(kv_txn_commit);
    TRY(kv_reclaim(db, &freed));
    TRY(kv_compact(db, &give_back, &report));
    return 1;
out:
    kv_txn_abort(reader);
    kv_txn_abort(txn);
    return 0;
}
