# frozen_string_literal: true

require_relative "reading"
require_relative "writing"

module KV
  # What a database, a snapshot, a transaction and a table have in common: sorted entries, used like a Hash.
  #
  # Keys and values are Strings. They come back as copies in ASCII-8BIT, or in the encoding that the database was opened
  # with. In a database (and in a table of one), each call is a snapshot or a transaction of its own; in a snapshot or
  # a transaction it belongs to that.
  #
  # These keywords choose entries by their keys, wherever +bounds+ are taken:
  #
  # [from:]    keys greater than or equal to this one
  # [after:]   keys greater than this one
  # [before:]  keys less than this one
  # [through:] keys less than or equal to this one
  # [prefix:]  keys that begin with this
  # [reverse:] true: from the greatest key down
  #
  # Every method raises a KV::Error if it fails: a KV::Corrupt for damage, also in the middle of an iteration, and a
  # KV::BadHandle if what it belongs to is closed or has ended.
  module Collection
    include Enumerable
    include Reading
    include Writing

    # The number of the table.
    attr_reader :number

    def inspect
      state = closed? ? "closed" : "table #{number}"
      "#<#{self.class} #{path.inspect} #{state}>"
    end

    private

    def ok(status)
      Error.check(status, path)
    end

    # false if the status is KV_NOTFOUND, true if it is KV_OK.
    def found(status)
      return false if status == Native::NOTFOUND

      ok(status)
      true
    end

    # A number that a function writes to the memory that the block gets.
    def number_from
      memory = FFI::MemoryPointer.new(:uint64)
      ok(yield(memory))
      memory.read_uint64
    end

    # Bytes for the caller, in the encoding that he asked for.
    def out(bytes)
      encoding = source.encoding
      encoding && bytes ? bytes.force_encoding(encoding) : bytes
    end

    # An entry that a function writes to the two slices that the block gets; nil if there is none.
    def entry_from
      key = Native::Slice.new
      value = Native::Slice.new
      [out(key.read), out(value.read)] if found(yield(key, value))
    end
  end
end
