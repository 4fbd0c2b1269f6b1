# frozen_string_literal: true

module KV
  # A kv_range and the memory that it points to.
  class Bounds
    FIELDS = {
      from: [:from, Native::RANGE_FROM],
      after: [:from, Native::RANGE_AFTER],
      before: [:to, Native::RANGE_BEFORE],
      through: [:to, Native::RANGE_THROUGH],
      prefix: [:prefix, Native::RANGE_PREFIX]
    }.freeze
    private_constant :FIELDS

    # The range for a call; nil, which is the whole table, if nothing is given.
    def self.of(reverse: false, **given)
      given = given.compact
      given.empty? && !reverse ? nil : new(given, reverse)
    end

    def initialize(given, reverse)
      @range = Native::Range.new
      @range[:flags] |= Native::RANGE_REVERSE if reverse
      @kept = given.map { |name, bytes| bound(name, Bounds.bytes(bytes)) }
    end

    def to_ptr
      @range.to_ptr
    end

    # The bytes of a key or a value, which must be a string. Calls get a string of their own, as another thread may
    # change the caller's between two steps, one of which asks for its length.
    def self.bytes(object)
      string = String.try_convert(object)
      raise TypeError, "keys and values are strings, and #{object.inspect[0, 50]} is not; convert it" unless string

      string.instance_of?(String) && string.frozen? ? string : String.new(string).freeze
    end

    # Bytes in memory that Ruby does not move or change.
    def self.copy(bytes)
      memory = FFI::MemoryPointer.new(:uint8, [bytes.bytesize, 1].max, false)
      memory.put_bytes(0, bytes)
      memory
    end

    private

    def bound(name, bytes)
      field, flag = FIELDS.fetch(name) { raise ArgumentError, "unknown keyword: #{name.inspect}" }
      others = FIELDS.values.select { |other, _| other == field }.sum { |_, other| other } - flag
      raise ArgumentError, "#{name}: another bound of this side is given as well" if @range[:flags].anybits?(others)

      memory = Bounds.copy(bytes)
      @range[:flags] |= flag
      @range[field][:data] = memory
      @range[field][:len] = bytes.bytesize
      memory
    end
  end
end
