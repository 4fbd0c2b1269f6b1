# frozen_string_literal: true

module KV
  # A write transaction: it sees what it writes, and others see all of it when it is committed, or nothing. One thread
  # uses it at a time. Database#transaction makes one; its entries are those of the main table.
  class Transaction < Snapshot
    # A nested one keeps the outer one, which would be aborted if it were collected.
    def initialize(database, pointer, outer = nil)
      super(database, pointer)
      @outer = outer
    end

    # Commits and ends it, and returns the number of the commit. With <tt>async: true</tt> it does not wait until the
    # commit is durable; Database#wait_durable does.
    def commit(async: false)
      memory = FFI::MemoryPointer.new(:uint64)
      status = async ? Native.kv_txn_commit_async(self, memory) : Native.kv_txn_commit(self, memory)
      # It has ended whatever the status is, but for this one, which only a callback can get.
      @handle.ended unless status == Native::BUSY
      ok(status)
      memory.read_uint64
    end

    # Ends it and undoes what it wrote. Nothing happens if it has ended.
    alias abort close

    # Yields a transaction within this one. What it wrote becomes part of this one when the block ends, or when return,
    # break or throw leave it; an exception undoes it, and KV::Rollback goes no further than here. Returns what the
    # block returned. Without a block, the nested transaction is returned, which is to be committed or aborted. While it
    # is open, every use of this one, of its tables and of its cursors raises KV::ChildOpen, but for +abort+, which ends
    # both.
    def nested
      memory = FFI::MemoryPointer.new(:pointer)
      ok(Native.kv_txn_nest(self, memory))
      txn = Transaction.new(database, memory.read_pointer, self)
      return txn unless block_given?

      Leaving.watch(-> { txn.commit unless txn.closed? }, -> { txn.abort }) { yield txn }
    rescue Rollback
      nil
    end

    # Yields a KV::Savepoint. If an exception leaves the block, what it wrote is undone; KV::Rollback goes no further
    # than here. The savepoint is forgotten at the end of the block, and what that returned is returned. Without a
    # block, the savepoint is returned, which is there until the end of the transaction. Unlike within +nested+, this
    # transaction is used on.
    def savepoint
      point = Savepoint.new(self)
      return point unless block_given?

      Leaving.watch(-> { point.leave(undo: false) }, -> { point.leave(undo: true) }) { yield point }
    rescue Rollback
      nil
    end

    # Whether it has ended, by itself or with the one in which it is nested.
    def closed?
      super || (!@outer.nil? && @outer.closed?)
    end

    def create_savepoint # :nodoc:
      number_from { |memory| Native.kv_savepoint_create(self, memory) }
    end

    def rollback_savepoint(number) # :nodoc:
      ok(Native.kv_savepoint_rollback(self, number))
    end

    def release_savepoint(number) # :nodoc:
      ok(Native.kv_savepoint_release(self, number))
    end

    # Makes everything what a KV::Snapshot sees: <tt>db.snapshot("old") { |old| t.revert(old) }</tt>. With a table, a
    # KV::Table or its name in +before+ or, if there is none, here, it makes that alone what it was, with its name and
    # note: it comes back if it was dropped since, and is dropped if +before+ has none. The keys that differ are put and
    # deleted in this transaction, which takes as long as the changes that it takes back; their number is returned.
    # Snapshots stay.
    def revert(before, table = nil)
      number = table.nil? ? Native::NONE : number_then_or_now(before, table)
      number_from { |memory| Native.kv_revert(self, before, number, memory) }
    end

    private

    def number_then_or_now(before, table)
      return table.number if table.respond_to?(:number)

      (before.table?(table) ? before : self).table(table).number
    end

    def after_end
      "this transaction has ended; begin another one with db.transaction"
    end
  end
end
