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

    private

    def after_end
      "this transaction has ended; begin another one with db.transaction"
    end
  end
end
