# frozen_string_literal: true

module KV
  # Many strings in one buffer: kv_batch and its memory.
  class Batch
    # Memory of a batch that is filled, unless an entry needs more.
    BYTES = 64 * 1024
    STRINGS = 2048

    # A batch to be filled.
    def self.for_results(flags: 0, kinds: false)
      batch = new(BYTES, STRINGS)
      batch.struct[:flags] = flags
      batch.with_kinds if kinds
      batch
    end

    # A batch of strings for a call; +strings_each+ of them are an entry.
    def self.of(strings, strings_each)
      bytes = strings.sum(&:bytesize)
      raise ArgumentError, "a batch has at most 4 GiB; give fewer strings at once" if bytes > Native::BATCH_BYTES_MAX

      batch = new(bytes, strings.size)
      batch.fill(strings)
      batch.struct[:count] = strings.size / strings_each
      batch
    end

    attr_reader :struct

    def initialize(bytes, strings)
      @struct = Native::Batch.new_sized
      self.bytes_size = bytes
      @ends = FFI::MemoryPointer.new(:uint32, [strings, 1].max)
      @struct[:ends] = @ends
      @struct[:ends_size] = strings
    end

    def to_ptr
      @struct.to_ptr
    end

    def bytes_size=(size)
      @bytes = FFI::MemoryPointer.new(:uint8, [size, 1].max, false)
      @struct[:bytes] = @bytes
      @struct[:bytes_size] = size
    end

    def with_kinds
      @kinds = FFI::MemoryPointer.new(:uint8, @struct[:ends_size])
      @struct[:kinds] = @kinds
    end

    def fill(strings)
      place = 0
      ends = strings.map do |string|
        @bytes.put_bytes(place, string)
        place += string.bytesize
      end
      @ends.put_array_of_uint32(0, ends)
    end

    # Calls the block, which fills the batch and returns a status, again with more memory if there was too little for a
    # single entry. Returns the status.
    def with_room
      status = yield
      return status unless status == Native::TOO_SMALL && @struct[:needed] <= Native::BATCH_BYTES_MAX

      self.bytes_size = @struct[:needed]
      yield
    end

    # The strings of the batch, of which there are +strings_each+ for an entry.
    def strings(strings_each)
      data = @bytes.get_bytes(0, @struct[:used])
      start = 0
      @ends.get_array_of_uint32(0, @struct[:count] * strings_each).map do |stop|
        string = data.byteslice(start, stop - start)
        start = stop
        string
      end
    end

    # The strings of a batch with kinds: nil for a key that does not exist.
    def present_strings
      kinds = @kinds.get_array_of_uint8(0, @struct[:count])
      strings(1).zip(kinds).map { |string, kind| string unless kind.zero? }
    end
  end
end
