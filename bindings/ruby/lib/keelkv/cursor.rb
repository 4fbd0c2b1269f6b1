# frozen_string_literal: true

module KV
  # A position in the entries of a table within bounds. A new cursor stands before the first entry.
  #
  # A method that moves returns the entry that it came to, as a pair of key and value, or nil if there is none. A cursor
  # ends with its transaction, and is used by one thread at a time.
  class Cursor
    include Calls

    # Opens a cursor; with a block, yields it, closes it afterwards and returns what the block returned.
    def self.open(txn, number, range)
      cursor = new(txn, number, range)
      return cursor unless block_given?

      begin
        yield cursor
      ensure
        cursor.close
      end
    end

    def initialize(txn, number, range)
      # It keeps the transaction and so the database from the collector.
      @txn = txn
      @handle = handle_from(:kv_cursor_close) { |memory| Native.kv_cursor_open(txn, number, range, memory) }
    end

    # Moves to the first entry.
    def first
      entry_from { |key, value| Native.kv_cursor_first(@handle, key, value) }
    end

    # Moves to the last entry.
    def last
      entry_from { |key, value| Native.kv_cursor_last(@handle, key, value) }
    end

    # Moves to the next entry; a new cursor moves to the first.
    def next
      entry_from { |key, value| Native.kv_cursor_next(@handle, key, value) }
    end

    # Moves to the previous entry.
    def prev
      entry_from { |key, value| Native.kv_cursor_prev(@handle, key, value) }
    end

    # The entry on which the cursor stands; nil if it stands on none.
    def entry
      entry_from { |key, value| Native.kv_cursor_get(@handle, key, value) }
    end

    # Moves to an entry by its key. +how+ is :eq, :ge, :gt, :le or :lt, in the order of keys.
    def seek(key, how = :ge)
      bytes = Bounds.bytes(key)
      number = Native::SEEKS.fetch(how) { raise ArgumentError, "#{how.inspect} is none of :eq, :ge, :gt, :le, :lt" }
      entry_from { |found, value| Native.kv_cursor_seek(@handle, bytes, bytes.bytesize, number, found, value) }
    end

    # Moves to the entry number +index+, counted from 0.
    def nth(index)
      entry_from { |key, value| Native.kv_cursor_nth(@handle, index, key, value) }
    end

    # Moves to the entry at a percentile, from 0 to 100.
    def percentile(percent)
      entry_from { |key, value| Native.kv_cursor_percentile(@handle, percent, key, value) }
    end

    # Moves to a random entry.
    def random
      entry_from { |key, value| Native.kv_cursor_random(@handle, key, value) }
    end

    # Counts the entries within the bounds.
    def count
      number_from { |memory| Native.kv_cursor_count(@handle, memory) }
    end

    # Counts the entries before the current one.
    def rank
      number_from { |memory| Native.kv_cursor_rank(@handle, memory) }
    end

    # Replaces the value of the current entry. Raises KV::NotFound if the cursor stands on none.
    def put(value)
      bytes = Bounds.bytes(value)
      ok(Native.kv_cursor_put(@handle, bytes, bytes.bytesize))
    end

    # Deletes the current entry. Raises KV::NotFound if the cursor stands on none.
    def delete
      ok(Native.kv_cursor_delete(@handle))
    end

    # Closes the cursor. Its methods raise KV::BadHandle from now on.
    def close
      @handle.release
    end

    # Moves over the next entries, at most +limit+. Returns their strings, the number of entries, and whether these were
    # the last. The flags are those of a batch.
    def next_strings(flags, limit) # :nodoc:
      batch = (@batches ||= {})[flags] ||= Batch.for_results(flags: flags)
      batch.struct[:limit] = limit
      status = batch.with_room { Native.kv_cursor_fill(@handle, batch) }
      return [[], 0, true] unless found(status)

      [batch.strings(flags.zero? ? 2 : 1), batch.struct[:count], batch.struct[:at_end] == 1]
    end

    private

    def initialize_copy(_other)
      Handle.refuse_copy(self, "open another one")
    end

    def ended
      @txn.ended || ("the cursor is closed; open another one" if @handle && !@handle.open?)
    end

    def path
      @txn.path
    end

    def encoding
      @txn.encoding
    end
  end
end
