// The header in C++11: included twice, every macro used, a program that works.
#include <kv.h>
#include <kv.h>

#include <cstdio>
#include <cstring>
#include <string>

int main()
{
    kv_options options = KV_OPTIONS_INIT;
    kv_txn_options txn_options = KV_TXN_OPTIONS_INIT;
    kv_table_options table_options = KV_TABLE_OPTIONS_INIT;
    kv_job_options job = KV_JOB_OPTIONS_INIT;
    kv_range range = KV_RANGE_INIT;
    kv_batch batch = KV_BATCH_INIT;
    kv_error error = KV_ERROR_INIT;
    kv_check_report report = KV_CHECK_REPORT_INIT;
    kv_value_stat info = KV_VALUE_STAT_INIT;
    kv_db_stat db_stat = KV_DB_STAT_INIT;
    kv_table_stat table_stat = KV_TABLE_STAT_INIT;
    kv_txn_stat txn_stat = KV_TXN_STAT_INIT;
    kv_reader_info reader = KV_READER_INFO_INIT;
    (void)table_options, (void)job, (void)range, (void)batch, (void)error, (void)report, (void)info, (void)db_stat;
    (void)table_stat, (void)txn_stat, (void)reader;

    kv_db *db = nullptr;
    kv_txn *txn = nullptr;
    kv_slice value = {nullptr, 0};
    std::string key = "key";
    options.flags = KV_OPEN_MEMORY;
    if (kv_open(nullptr, &options, &db) != KV_OK || kv_txn_begin(db, KV_WRITE, &txn_options, &txn) != KV_OK ||
        kv_put(txn, KV_MAIN, key.data(), key.size(), "value", 5, 0) != KV_OK ||
        kv_get(txn, KV_MAIN, key.data(), key.size(), &value) != KV_OK) {
        std::fprintf(stderr, "%s\n", kv_error_message());
        return 1;
    }
    if (std::string(static_cast<const char *>(value.data), value.len) != "value")
        return 1;
    if (kv_txn_commit(txn, nullptr) != KV_OK || kv_close(db) != KV_OK)
        return 1;
    std::puts("ok");
    return 0;
}
