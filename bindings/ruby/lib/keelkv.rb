# frozen_string_literal: true

# libkv: an embedded, transactional, ordered key-value store in one file. README.md is a tour.
#
#     KV.open("app.kv") do |db|
#       db["a"] = "1"
#       db.transaction { |t| t["b"] = "2" }
#       db.each(prefix: "u/") { |key, value| puts key, value }
#     end
module KV
end

require_relative "keelkv/version"
require_relative "keelkv/native"
require_relative "keelkv/structs"
require_relative "keelkv/names"
require_relative "keelkv/error"
require_relative "keelkv/handle"
require_relative "keelkv/bounds"
require_relative "keelkv/batch"
require_relative "keelkv/job"
require_relative "keelkv/leaving"
require_relative "keelkv/calls"
require_relative "keelkv/collection"
require_relative "keelkv/cursor"
require_relative "keelkv/writer"
require_relative "keelkv/table"
require_relative "keelkv/named"
require_relative "keelkv/differences"
require_relative "keelkv/snapshot"
require_relative "keelkv/savepoint"
require_relative "keelkv/transaction"
require_relative "keelkv/database"

module KV
  class << self
    # Opens a database, and creates it if it does not exist; Database#initialize tells the options. With a block, yields
    # the database, closes it when the block ends in whatever way, and returns what the block returned.
    def open(path, **options)
      database = Database.new(path, **options)
      return database unless block_given?

      begin
        yield database
      ensure
        database.close
      end
    end

    # Opens a database that is in memory only, as KV.open does.
    def memory(**options, &block)
      self.open(nil, memory: true, **options, &block)
    end

    # Saves what can be read of a damaged database into a new file, and returns a Hash of what was saved and lost.
    #
    # The block is called with each fault, a Hash as for Database#check. +progress+ is called with the pages that are
    # done and their number. +overwrite+ replaces a file that exists.
    def salvage(damaged, target, overwrite: false, progress: nil, &on_fault)
      report = Native::SalvageReport.new_sized
      Job.run(overwrite: overwrite, progress: progress, on_fault: on_fault) do |options, fault|
        status = Native.kv_salvage(Native.path(damaged), Native.path(target), options, fault, nil, report)
        Error.check(status, Native.path(damaged))
      end
      report.to_hash
    end

    # The version of the library that is loaded, "major.minor.patch".
    def library_version
      Native.kv_version
    end
  end
end
