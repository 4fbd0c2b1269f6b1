# frozen_string_literal: true

module KV
  # How calls of the library answer: statuses become exceptions, and what a call writes to memory becomes what it
  # returned. Whoever includes it has a +path+ for errors and an +encoding+ for strings.
  module Calls # :nodoc:
    private

    # Raises the error of a status other than KV_OK. What is closed or has ended says what it is and what to do.
    def ok(status, file = path)
      return if status.zero?

      raise (status == Native::BAD_HANDLE && ended && Error.ended(file, ended)) || Error.last(status, file)
    end

    # false if the status is KV_NOTFOUND, true if it is KV_OK.
    def found(status)
      return false if status == Native::NOTFOUND

      ok(status)
      true
    end

    # A number that a call writes to the memory that the block gets.
    def number_from
      memory = FFI::MemoryPointer.new(:uint64)
      ok(yield(memory))
      memory.read_uint64
    end

    # A handle that a call writes to the memory that the block gets.
    def handle_from(release)
      memory = FFI::MemoryPointer.new(:pointer)
      ok(yield(memory))
      Handle.new(self, memory.read_pointer, release)
    end

    # An entry that a call writes to the two slices that the block gets; nil if there is none.
    def entry_from
      key = Native::Slice.new
      value = Native::Slice.new
      [out(key.read), out(value.read)] if found(yield(key, value))
    end

    # Bytes for the caller, in the encoding that he asked for.
    def out(bytes)
      encoding && bytes ? bytes.force_encoding(encoding) : bytes
    end
  end
end
