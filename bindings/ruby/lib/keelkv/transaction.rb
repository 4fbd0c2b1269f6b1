# frozen_string_literal: true

module KV
  # A write transaction: it sees what it writes, and others see all of it when it is committed, or nothing. One thread
  # uses it at a time. Database#transaction makes one; its entries are those of the main table.
  class Transaction < Snapshot
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
