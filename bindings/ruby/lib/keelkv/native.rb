# frozen_string_literal: true

require "ffi"

module KV
  # The functions and constants of kv.h. What is done with them is in the other files.
  module Native
    extend FFI::Library

    # The library is that of the environment variable, or the one that was packed with the gem, or the system's.
    def self.library_names
      named = ENV.fetch("KEELKV_LIBRARY", "")
      return [named] unless named.empty?

      beside = File.join(__dir__, "libkv.so.0")
      File.exist?(beside) ? [beside] : ["libkv.so.0"]
    end

    # The name of a file for a call: a copy that nobody changes while the call runs.
    def self.path(file)
      -File.path(file)
    end

    begin
      ffi_lib(*library_names)
    rescue LoadError => e
      raise LoadError, "keelkv cannot load libkv: #{e.message.strip}; install libkv, or set KEELKV_LIBRARY to its file"
    end

    NOTFOUND = -1
    EXISTS = -2
    BUSY = -5
    TOO_SMALL = -7
    BAD_HANDLE = -21
    CORRUPT = -60

    READ = 16
    WRITE = 17
    NONE = (1 << 64) - 1
    MAIN = 0
    TABLES = 1
    SNAPSHOTS = 2

    DURABILITIES = { nil => 0, full: 64, lazy: 65 }.freeze
    FAULTS = { unreadable: 80, contradiction: 81 }.freeze
    VERIFICATIONS = { nil => 0, once: 72, always: 73, never: 74 }.freeze
    OPEN_EXISTING = 0x1000
    OPEN_NEW = 0x2000
    OPEN_READ_ONLY = 0x4000
    OPEN_MEMORY = 0x8000
    TABLE_NEW = 0x20000
    PUTS = { nil => 0, new: 0x100, existing: 0x200, append: 0x400 }.freeze
    SEEKS = { eq: 32, ge: 33, gt: 34, le: 35, lt: 36 }.freeze

    RANGE_FROM = 0x100000
    RANGE_AFTER = 0x200000
    RANGE_BEFORE = 0x400000
    RANGE_THROUGH = 0x800000
    RANGE_PREFIX = 0x1000000
    RANGE_REVERSE = 0x2000000

    BATCH_KEYS = 0x40000
    BATCH_VALUES = 0x80000
    BATCH_BYTES_MAX = (1 << 32) - 1

    JOB_CHECK_SPACE = 0x4000000
    JOB_COMPACT = 0x8000000
    JOB_OVERWRITE = 0x10000000

    SNAPSHOT_REPLACE = 0x20000000
    SNAPSHOT_KEEP = 0x40000000
    SNAPSHOT_MARK = 0x80000000
    SNAPSHOT_YIELD = 0x80

    callback :reader_fn, %i[pointer pointer], :void
    callback :progress_fn, %i[pointer uint64 uint64], :int32
    callback :fault_fn, %i[pointer pointer], :int32
    callback :write_fn, %i[pointer pointer size_t], :int32
    callback :range_fn, %i[pointer pointer], :int32

    # Short calls, which keep other Ruby threads waiting: they take microseconds unless pages come from the disk.
    SHORT = {
      kv_error_detail: %i[pointer],
      kv_newest_commit: %i[pointer pointer pointer],
      kv_db_get: %i[pointer uint64 pointer size_t pointer size_t pointer],
      kv_txn_id: %i[pointer pointer],
      kv_savepoint_release: %i[pointer uint64],
      kv_table_open: %i[pointer pointer size_t pointer],
      kv_table_create: %i[pointer pointer size_t pointer pointer],
      kv_table_rename: %i[pointer uint64 pointer size_t],
      kv_table_name: %i[pointer uint64 pointer],
      kv_table_note: %i[pointer uint64 pointer],
      kv_table_set_note: %i[pointer uint64 pointer size_t],
      kv_diff_open: %i[pointer pointer uint64 pointer pointer],
      kv_diff_next: %i[pointer pointer],
      kv_same: %i[pointer pointer uint64 pointer],
      kv_snapshot_rename: %i[pointer pointer size_t pointer size_t],
      kv_snapshot_drop: %i[pointer pointer size_t],
      kv_snapshot_keep: %i[pointer pointer size_t uint32],
      kv_snapshot_release: %i[pointer pointer size_t],
      kv_snapshot_ranges: %i[pointer pointer size_t uint64 pointer range_fn pointer],
      kv_history: %i[pointer pointer],
      kv_stat_history: %i[pointer pointer],
      kv_snapshot_thin: %i[pointer pointer size_t pointer pointer],
      kv_stat_snapshot: %i[pointer pointer size_t pointer],
      kv_get: %i[pointer uint64 pointer size_t pointer],
      kv_put: %i[pointer uint64 pointer size_t pointer size_t uint32],
      kv_insert: %i[pointer uint64 pointer size_t pointer size_t pointer],
      kv_replace: %i[pointer uint64 pointer size_t pointer size_t uint32 pointer],
      kv_delete: %i[pointer uint64 pointer size_t uint32],
      kv_take: %i[pointer uint64 pointer size_t pointer],
      kv_take_first: %i[pointer uint64 pointer pointer pointer],
      kv_cursor_count: %i[pointer pointer],
      kv_cursor_rank: %i[pointer pointer],
      kv_count: %i[pointer uint64 pointer pointer],
      kv_rank: %i[pointer uint64 pointer size_t pointer],
      kv_cursor_open: %i[pointer uint64 pointer pointer],
      kv_cursor_first: %i[pointer pointer pointer],
      kv_cursor_last: %i[pointer pointer pointer],
      kv_cursor_next: %i[pointer pointer pointer],
      kv_cursor_prev: %i[pointer pointer pointer],
      kv_cursor_get: %i[pointer pointer pointer],
      kv_cursor_seek: %i[pointer pointer size_t uint32 pointer pointer],
      kv_cursor_put: %i[pointer pointer size_t],
      kv_cursor_delete: %i[pointer],
      kv_cursor_nth: %i[pointer uint64 pointer pointer],
      kv_cursor_percentile: %i[pointer double pointer pointer],
      kv_cursor_random: %i[pointer pointer pointer],
      kv_stat_value: %i[pointer uint64 pointer size_t pointer],
      kv_writer_open: %i[pointer uint64 pointer size_t uint64 uint32 pointer],
      kv_writer_write: %i[pointer pointer size_t],
      kv_stat_db: %i[pointer pointer],
      kv_db_identity: %i[pointer pointer],
      kv_reader_at: %i[pointer uint32 pointer],
      kv_stat_txn: %i[pointer pointer]
    }.freeze
    SHORT.each { |name, arguments| attach_function name, arguments, :int32 }

    # Calls that wait or read and write much; other Ruby threads run meanwhile. They get only memory that no Ruby
    # program can change while they run.
    LONG = {
      kv_open: %i[string pointer pointer],
      kv_close: %i[pointer],
      kv_sync: %i[pointer],
      kv_reclaim: %i[pointer pointer],
      kv_diff_count: %i[pointer pointer uint64 pointer pointer],
      kv_revert: %i[pointer pointer uint64 pointer],
      kv_snapshot_cost: %i[pointer pointer size_t pointer size_t pointer],
      kv_snapshot_create: %i[pointer pointer size_t pointer],
      kv_txn_begin: %i[pointer uint32 pointer pointer],
      kv_txn_nest: %i[pointer pointer],
      kv_savepoint_create: %i[pointer pointer],
      kv_savepoint_rollback: %i[pointer uint64],
      kv_txn_commit: %i[pointer pointer],
      kv_txn_commit_async: %i[pointer pointer],
      kv_txn_refresh: %i[pointer],
      kv_wait_durable: %i[pointer uint64 int64],
      kv_wait_commit: %i[pointer uint64 int64 pointer],
      kv_table_clear: %i[pointer uint64],
      kv_table_drop: %i[pointer uint64],
      kv_delete_range: %i[pointer uint64 pointer pointer],
      kv_cursor_fill: %i[pointer pointer],
      kv_get_packed: %i[pointer uint64 pointer pointer],
      kv_put_packed: %i[pointer uint64 pointer uint32 pointer],
      kv_value_read: %i[pointer uint64 pointer size_t uint64 pointer size_t pointer],
      kv_writer_finish: %i[pointer],
      kv_check: %i[pointer pointer fault_fn pointer pointer],
      kv_compact: %i[pointer pointer pointer],
      kv_backup: %i[pointer string pointer],
      kv_backup_stream: %i[pointer write_fn pointer pointer],
      kv_salvage: %i[string string pointer fault_fn pointer pointer],
      kv_stat_table: %i[pointer uint64 uint32 pointer]
    }.freeze
    LONG.each { |name, arguments| attach_function name, arguments, :int32, blocking: true }

    attach_function :kv_interrupt, %i[pointer], :void
    attach_function :kv_txn_abort, %i[pointer], :void, blocking: true
    attach_function :kv_cursor_close, %i[pointer], :void
    attach_function :kv_diff_close, %i[pointer], :void
    attach_function :kv_writer_close, %i[pointer], :void
    attach_function :kv_status_name, %i[int32], :string
    attach_function :kv_strerror, %i[int32], :string
    attach_function :kv_version, [], :string
  end
end
