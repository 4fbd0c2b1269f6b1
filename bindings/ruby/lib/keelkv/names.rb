# frozen_string_literal: true

module KV
  # The names of C in the library's messages, and what this gem calls these things.
  module Names # :nodoc:
    RUBY = {
      # flags and kinds
      "KV_APPEND" => "only: :append",
      "KV_JOB_OVERWRITE" => "overwrite: true",
      "KV_MAIN" => "the main table",
      "KV_NO_INSERT" => "only: :existing",
      "KV_NO_OVERWRITE" => "only: :new",
      "KV_OPEN_EXISTING" => "existing: true",
      "KV_OPEN_NEW" => "new: true",
      "KV_OPEN_READ_ONLY" => "read_only: true",
      "KV_READ" => "snapshot",
      "KV_SNAPSHOTS" => "snapshots",
      "KV_SNAPSHOT_MARK" => "mark: true",
      "KV_SNAPSHOT_REPLACE" => "replace: true",
      "KV_SNAPSHOT_YIELD" => "yields: true",
      "KV_TABLE_NEW" => "new: true",
      "KV_WRITE" => "transaction",
      # functions
      "kv_check" => "check",
      "kv_close" => "close",
      "kv_cursor_open" => "cursor",
      "kv_diff_open" => "changes",
      "kv_interrupt" => "interrupt",
      "kv_open" => "KV.open",
      "kv_put" => "put",
      "kv_salvage" => "KV.salvage",
      "kv_same" => "same?",
      "kv_snapshot_create" => "create_snapshot",
      "kv_history" => "set_history",
      "kv_snapshot_keep" => "keep_snapshot",
      "kv_snapshot_ranges" => "changed_ranges",
      "kv_table_clear" => "clear",
      "kv_table_create" => "create_table",
      "kv_txn_begin" => "snapshot or transaction",
      "kv_txn_nest" => "nested",
      "kv_txn_refresh" => "refresh",
      "kv_writer_open" => "write_value",
      # handles
      "kv_cursor" => "cursor",
      "kv_db" => "database",
      "kv_diff" => "difference",
      "kv_txn" => "transaction",
      "kv_writer" => "writer"
    }.freeze

    # What is quoted is the program's, such as the name of a table. A part of a path is no name either.
    NAME = %r{"(?:[^"\\]|\\.)*"|(?<![\w/.-])(?<name>kv_[a-z_]+|KV_[A-Z_]+)(?:\(\))?(?![\w/-])}
    private_constant :NAME

    # A message of the library with the names of this gem.
    def self.in_ruby(message)
      path = message[%r{\A[^:]*/.*?: }m].to_s
      path + message.delete_prefix(path).gsub(NAME) { |found| RUBY.fetch(Regexp.last_match[:name], found) }
    end
  end
end
