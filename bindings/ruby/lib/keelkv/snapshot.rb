# frozen_string_literal: true

module KV
  # A read transaction: it sees the database as it was when it began, whatever is committed meanwhile. Any number of
  # threads may use it. Database#snapshot makes one; its entries are those of the main table.
  class Snapshot
    include Collection
    include Tables
    include Named
    include Differences

    # The database that it belongs to.
    attr_reader :database

    def initialize(database, pointer)
      @database = database
      @number = Native::MAIN
      @handle = Handle.new(self, pointer, :kv_txn_abort)
    end

    # The number of the commit that it sees, or that a write transaction builds upon.
    def commit_id
      number_from { |memory| Native.kv_txn_id(self, memory) }
    end

    # Moves to the newest commit.
    def refresh
      ok(Native.kv_txn_refresh(self))
      self
    end

    # Verifies all that the snapshot reaches, and returns a Hash of what was counted; +faults+ is 0 if all is well. The
    # block is called with each fault, a Hash with +:status+, +:page+, +:table+, +:message+ and +:kind+, which is
    # +:unreadable+ or +:contradiction+. +progress+ is called with the pages that are done and their number.
    # <tt>space: true</tt> also proves that every page of the file is exactly one of used, free and so on.
    def check(space: false, progress: nil, &on_fault)
      report = Native::CheckReport.new_sized
      Job.run(space: space, progress: progress, on_fault: on_fault) do |options, fault|
        status = Native.kv_check(self, options, fault, nil, report)
        # Faults that are counted are in the report. Without any, the damage kept the check itself from going on.
        ok(status) unless status == Native::CORRUPT && report[:faults].positive?
      end
      report.to_hash
    end

    # Copies the snapshot into a new file, while others write. The block is called with the progress: pages that are
    # done and their number; a break in it gives the copy up and raises KV::Cancelled. +compact+ makes the copy dense;
    # +overwrite+ replaces a file that exists.
    def backup(path, compact: false, overwrite: false, &progress)
      Job.run(compact: compact, overwrite: overwrite, progress: progress) do |options|
        status = Native.kv_backup(self, Native.path(path), options)
        ok(status, Native.path(path))
      end
      nil
    end

    # Hands the copy to the +write+ method of +io+, from its first byte to its last: for pipes, sockets, compressors.
    def backup_to(io, compact: false, &progress)
      Job.run(compact: compact, progress: progress, write: ->(bytes) { io.write(bytes) }) do |options, _, write|
        ok(Native.kv_backup_stream(self, write, nil, options))
      end
      nil
    end

    # Figures of the transaction, as a Hash.
    def stat
      stat = Native::TxnStat.new_sized
      ok(Native.kv_stat_txn(self, stat))
      stat.to_hash.except(:kind)
    end

    # Ends it. Its methods, its tables and its cursors raise KV::BadHandle from now on.
    def close
      @handle.release
      nil
    end

    def closed?
      !@handle.open?
    end

    # What a call says after the end, of the database or of this; nil before.
    def ended # :nodoc:
      database.ended || (after_end if closed?)
    end

    def path
      database.path
    end

    def encoding
      database.encoding
    end

    def source # :nodoc:
      self
    end

    def to_ptr # :nodoc:
      @handle.to_ptr
    end

    def reading # :nodoc:
      yield self
    end

    # The library refuses it, in a snapshot.
    def writing(**) # :nodoc:
      yield self
    end

    def value_of(number, key) # :nodoc:
      value = Native::Slice.new
      value.read if found(Native.kv_get(self, number, key, key.bytesize, value))
    end

    private

    def after_end
      "this snapshot is closed; begin another one with db.snapshot"
    end

    def initialize_copy(_other)
      Handle.refuse_copy(self, "use this one, or begin another")
    end
  end
end
