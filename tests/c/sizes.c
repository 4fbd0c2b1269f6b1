/*
 * Sizes of structs and values of constants are ABI: programs compiled years ago have them built in. Sizes that may grow
 * are listed, too: a change must be meant.
 */
#include "check.h"

#include <stddef.h>

#define SIZE(type, bytes) CHECK(sizeof(type) == (bytes))

static void structs(void)
{
    if (sizeof(void *) == 8) {
        /* Frozen for ever. */
        SIZE(kv_slice, 16);
        SIZE(kv_entry, 32);
        SIZE(kv_range, 56);
        SIZE(kv_batch, 88);
        SIZE(kv_op, 48);
        SIZE(kv_extent, 24);
        CHECK(offsetof(kv_range, from) == 8 && offsetof(kv_range, to) == 24 && offsetof(kv_range, prefix) == 40);
        CHECK(offsetof(kv_batch, limit) == 48 && offsetof(kv_batch, at_end) == 80);
        CHECK(offsetof(kv_op, key) == 16);
        /* May grow at their end. */
        SIZE(kv_error, 56);
        SIZE(kv_fault, 40);
        SIZE(kv_options, 64);
        SIZE(kv_job_options, 24);
        SIZE(kv_txn_options, 64);
        SIZE(kv_snapshot_options, 24);
        SIZE(kv_snapshot_stat, 80);
        SIZE(kv_retention, 40);
        SIZE(kv_change, 56);
        SIZE(kv_compact_options, 32);
    }
    SIZE(kv_status, 4);
    SIZE(kv_table, 8);
    SIZE(kv_table_options, 8);
    SIZE(kv_value_stat, 16);
    SIZE(kv_check_report, 96);
    SIZE(kv_salvage_report, 72);
    SIZE(kv_db_stat, 128);
    SIZE(kv_table_stat, 56);
    SIZE(kv_txn_stat, 40);
    SIZE(kv_reader_info, 32);
    SIZE(kv_diff_counts, 32);
    SIZE(kv_compact_report, 72);
}

static void numbers(void)
{
    static const struct {
        kv_status status;
        int number;
        const char *name;
    } all[] = {
        {KV_OK, 0, "KV_OK"}, {KV_NOTFOUND, -1, "KV_NOTFOUND"}, {KV_EXISTS, -2, "KV_EXISTS"},
        {KV_NO_TABLE, -3, "KV_NO_TABLE"}, {KV_CONFLICT, -4, "KV_CONFLICT"}, {KV_BUSY, -5, "KV_BUSY"},
        {KV_MISMATCH, -6, "KV_MISMATCH"}, {KV_TOO_SMALL, -7, "KV_TOO_SMALL"}, {KV_ORDER, -8, "KV_ORDER"},
        {KV_CANCELLED, -9, "KV_CANCELLED"}, {KV_INVALID, -20, "KV_INVALID"}, {KV_BAD_HANDLE, -21, "KV_BAD_HANDLE"},
        {KV_READ_ONLY, -22, "KV_READ_ONLY"}, {KV_CHILD_OPEN, -23, "KV_CHILD_OPEN"},
        {KV_TXN_FAILED, -24, "KV_TXN_FAILED"}, {KV_TOO_BIG, -25, "KV_TOO_BIG"}, {KV_WRONG_TYPE, -26, "KV_WRONG_TYPE"},
        {KV_DEADLOCK, -27, "KV_DEADLOCK"}, {KV_FORKED, -28, "KV_FORKED"}, {KV_UNSUPPORTED, -29, "KV_UNSUPPORTED"},
        {KV_IO, -40, "KV_IO"}, {KV_NO_SPACE, -41, "KV_NO_SPACE"}, {KV_NO_MEMORY, -42, "KV_NO_MEMORY"},
        {KV_ACCESS, -43, "KV_ACCESS"}, {KV_NO_FILE, -44, "KV_NO_FILE"}, {KV_NO_LOCKS, -45, "KV_NO_LOCKS"},
        {KV_LIMIT, -46, "KV_LIMIT"}, {KV_POISONED, -47, "KV_POISONED"}, {KV_IN_DOUBT, -48, "KV_IN_DOUBT"},
        {KV_CORRUPT, -60, "KV_CORRUPT"}, {KV_NOT_A_DATABASE, -61, "KV_NOT_A_DATABASE"}, {KV_TOO_NEW, -62, "KV_TOO_NEW"},
        {KV_TOO_OLD, -63, "KV_TOO_OLD"}, {KV_WRONG_BASE, -64, "KV_WRONG_BASE"}, {KV_PANIC, -90, "KV_PANIC"},
    };
    size_t i;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK(all[i].status == all[i].number);
        CHECK(strcmp(kv_status_name(all[i].status), all[i].name) == 0);
        CHECK(strcmp(kv_strerror(all[i].status), "unknown status") != 0);
    }
    CHECK(strcmp(kv_status_name(12345), "KV_?") == 0);
    CHECK(strcmp(kv_strerror(-12345), "unknown status") == 0);

    CHECK(KV_MAIN == 0 && KV_TABLES == 1 && KV_SNAPSHOTS == 2);
    CHECK(KV_READ == 16 && KV_WRITE == 17 && KV_TXN_NOWAIT == 0x10000 && KV_TABLE_NEW == 0x20000);
    CHECK(KV_OPEN_EXISTING == 0x1000 && KV_OPEN_NEW == 0x2000 && KV_OPEN_READ_ONLY == 0x4000);
    CHECK(KV_OPEN_MEMORY == 0x8000);
    CHECK(KV_DURABILITY_DEFAULT == 0 && KV_DURABILITY_FULL == 64 && KV_DURABILITY_LAZY == 65);
    CHECK(KV_VERIFY_DEFAULT == 0 && KV_VERIFY_ONCE == 72 && KV_VERIFY_ALWAYS == 73 && KV_VERIFY_NEVER == 74);
    CHECK(KV_NO_OVERWRITE == 0x100 && KV_NO_INSERT == 0x200 && KV_APPEND == 0x400 && KV_BLIND == 0x800);
    CHECK(KV_RANGE_FROM == 0x100000 && KV_RANGE_AFTER == 0x200000 && KV_RANGE_BEFORE == 0x400000);
    CHECK(KV_RANGE_THROUGH == 0x800000 && KV_RANGE_PREFIX == 0x1000000 && KV_RANGE_REVERSE == 0x2000000);
    CHECK(KV_SEEK_EQ == 32 && KV_SEEK_GE == 33 && KV_SEEK_GT == 34 && KV_SEEK_LE == 35 && KV_SEEK_LT == 36);
    CHECK(KV_OP_PUT == 48 && KV_OP_DELETE == 49);
    CHECK(KV_BATCH_KEYS == 0x40000 && KV_BATCH_VALUES == 0x80000);
    CHECK(KV_KIND_PRESENT == 1 && KV_KIND_ABSENT == 0);
    CHECK(KV_JOB_CHECK_SPACE == 0x4000000 && KV_JOB_COMPACT == 0x8000000 && KV_JOB_OVERWRITE == 0x10000000);
    CHECK(KV_SNAPSHOT_REPLACE == 0x20000000 && KV_SNAPSHOT_KEEP == 0x40000000);
    CHECK(KV_SNAPSHOT_MARK == 0x80000000 && KV_SNAPSHOT_YIELD == 0x80);
    CHECK(KV_FAULT_UNREADABLE == 80 && KV_FAULT_CONTRADICTION == 81);
    CHECK(KV_NONE == UINT64_MAX);
}

static void initial_values(void)
{
    kv_options options = KV_OPTIONS_INIT;
    kv_range range = KV_RANGE_INIT;
    kv_batch batch = KV_BATCH_INIT;
    kv_error error = KV_ERROR_INIT;
    CHECK(options.struct_size == sizeof options && options.flags == 0 && options.write_memory == 0);
    CHECK(range.flags == 0 && range.prefix.data == NULL && range.prefix.len == 0);
    CHECK(batch.struct_size == sizeof batch && batch.bytes == NULL && batch.skip == 0);
    CHECK(error.struct_size == sizeof error);
}

static void version(void)
{
    CHECK(strcmp(kv_version(), KV_VERSION) == 0);
    CHECK(kv_version_number() == KV_VERSION_NUMBER);
    CHECK(kv_error_message() != NULL && strcmp(kv_error_message(), "done") == 0);
}

int main(void)
{
    structs();
    numbers();
    initial_values();
    version();
    DONE;
}
