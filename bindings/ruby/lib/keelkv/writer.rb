# frozen_string_literal: true

module KV
  # A value that is written in parts, for IO.copy_stream for example. Writing#write_value yields one.
  class Writer
    include Calls

    def initialize(txn, number, key, size_hint, flags)
      @txn = txn
      @handle = handle_from(:kv_writer_close) do |memory|
        Native.kv_writer_open(txn, number, key, key.bytesize, size_hint, flags, memory)
      end
    end

    # Appends strings to the value and returns how many bytes they are.
    def write(*strings)
      strings.sum do |string|
        bytes = Bounds.bytes(string)
        ok(Native.kv_writer_write(@handle, bytes, bytes.bytesize))
        bytes.bytesize
      end
    end

    # Appends a string to the value; returns self.
    def <<(string)
      write(string)
      self
    end

    # Puts the entry with the value that was written.
    def finish
      @handle.ended
      ok(Native.kv_writer_finish(@handle))
    end

    # Gives the value up, unless it is finished.
    def close
      @handle.release
    end

    private

    def initialize_copy(_other)
      Handle.refuse_copy(self, "begin another one with write_value")
    end

    def ended
      return @txn.ended if @txn.ended || @handle.nil? || @handle.open?

      "the writer is finished or closed; begin another one with write_value"
    end

    def path
      @txn.path
    end
  end
end
