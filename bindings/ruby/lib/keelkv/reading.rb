# frozen_string_literal: true

module KV
  # The methods of a Collection that read.
  module Reading
    # How many entries an iteration reads ahead at first, and at most. It begins with few, for those that end soon.
    AHEAD = 16
    AHEAD_MAX = 1024
    private_constant :AHEAD, :AHEAD_MAX

    # The value of a key; nil if there is none.
    def [](key)
      out(source.value_of(number, Bounds.bytes(key)))
    end

    # The value of a key. If there is none: what the block returns for the key, or the default, or a KV::NotFound, which
    # is a KeyError.
    def fetch(key, *default)
      raise ArgumentError, "fetch takes a key and at most one default" if default.size > 1

      value = self[key]
      return value if value
      return yield(key) if block_given?
      return default.first unless default.empty?

      raise Error.missing(self, key)
    end

    # Whether the key exists; no long value is read.
    def key?(key)
      bytes = Bounds.bytes(key)
      source.reading { |txn| found(Native.kv_get(txn, number, bytes, bytes.bytesize, nil)) }
    end
    alias has_key? key?
    alias include? key?
    alias member? key?

    # The values of many keys, in their order, nil for those that do not exist. It is much faster than one after the
    # other.
    def get_many(keys)
      keys = keys.map { |key| Bounds.bytes(key) }
      wanted = Batch.of(keys, 1)
      values = Batch.for_results(kinds: true)
      found = []
      source.reading do |txn|
        while found.size < keys.size
          wanted.struct[:skip] = found.size
          ok(values.with_room { Native.kv_get_packed(txn, number, wanted, values) })
          found.concat(values.present_strings)
        end
      end
      found.map { |value| out(value) }
    end

    # The same with keys as arguments, as Hash has it.
    def values_at(*keys)
      get_many(keys)
    end

    # A Hash of those of the keys that exist.
    def slice(*keys)
      keys.zip(get_many(keys)).to_h.compact
    end

    # Yields each entry as a pair of key and value, in the order of keys, or returns an Enumerator, which can be lazy.
    # +limit+ is the greatest number of entries.
    #
    # Entries are read ahead, up to 1024. So what a block writes in the same transaction is seen by a later iteration
    # for sure, and by this one perhaps.
    def each(limit: nil, **bounds, &block)
      return counted(:each, limit, bounds) unless block

      walk(0, limit, bounds) { |strings| strings.each_slice(2, &block) }
      self
    end
    alias each_pair each

    # Yields each key; values are not read.
    def each_key(limit: nil, **bounds, &block)
      return counted(:each_key, limit, bounds) unless block

      walk(Native::BATCH_KEYS, limit, bounds) { |strings| strings.each(&block) }
      self
    end

    # Yields each value.
    def each_value(limit: nil, **bounds, &block)
      return counted(:each_value, limit, bounds) unless block

      walk(Native::BATCH_VALUES, limit, bounds) { |strings| strings.each(&block) }
      self
    end

    # The keys in an Array.
    def keys(**bounds)
      each_key(**bounds).to_a
    end

    # The values in an Array, in the order of their keys.
    def values(**bounds)
      each_value(**bounds).to_a
    end

    # The entries as a Hash, in the order of keys.
    def to_h(**bounds, &block)
      each(**bounds).to_h(&block)
    end

    # The last entry, or an Array of the last +count+ entries, the last one at the end.
    def last(count = nil)
      return each(reverse: true).first if count.nil?

      each(reverse: true, limit: count).to_a.reverse
    end

    # Counts the entries, in time that does not grow with their number. With an argument or a block, as
    # Enumerable#count.
    def count(*arguments, **bounds, &block)
      return each(**bounds).count(*arguments, &block) if block || !arguments.empty?

      range = Bounds.of(**bounds)
      source.reading { |txn| number_from { |out| Native.kv_count(txn, number, range, out) } }
    end

    def size
      count
    end
    alias length size

    def empty?
      size.zero?
    end

    # Counts the entries whose keys are less than +key+, which need not exist.
    def rank(key)
      bytes = Bounds.bytes(key)
      source.reading { |txn| number_from { |out| Native.kv_rank(txn, number, bytes, bytes.bytesize, out) } }
    end

    # The entry number +index+ of the bounds, counted from 0, or from the end if it is negative; nil if there are fewer.
    def nth(index, **bounds)
      return nth(-1 - index, **bounds, reverse: !bounds[:reverse]) if index.negative?

      cursor(**bounds) { |cursor| cursor.nth(index) }
    end

    # The entry at a percentile of the bounds: 50 is the median, 0 the first entry, 100 the last; nil if there is none.
    def percentile(percent, **bounds)
      cursor(**bounds) { |cursor| cursor.percentile(percent) }
    end

    # A random entry of the bounds, each of which is equally likely; nil if there is none.
    def sample(**bounds)
      cursor(**bounds, &:random)
    end

    # Yields a KV::Cursor before the first entry and closes it afterwards. In a snapshot or a transaction, the block may
    # be missing: the Cursor is returned then, and ends with what it belongs to.
    def cursor(**bounds, &block)
      range = Bounds.of(**bounds)
      if block.nil? && source.is_a?(Database)
        raise ArgumentError, "a cursor of a database needs a block; open it in a snapshot or a transaction to keep it"
      end

      source.reading { |txn| Cursor.open(txn, number, range, &block) }
    end

    # A part of a value: at most +length+ bytes from +offset+ on. Only that part is read. nil if the key does not exist.
    def read_value(key, offset, length)
      { offset: offset, length: length }.each do |name, number|
        raise ArgumentError, "#{name} is 0 or more, and this is #{number}" if number.negative?
      end
      key = Bounds.bytes(key)
      bytes = Bounds.copy(key)
      memory = FFI::MemoryPointer.new(:uint8, [length, 1].max, false)
      got = FFI::MemoryPointer.new(:size_t)
      there = source.reading do |txn|
        found(Native.kv_value_read(txn, number, bytes, key.bytesize, offset, memory, length, got))
      end
      out(memory.get_bytes(0, got.read(:size_t))) if there
    end

    # Length and number of pieces of a value, which is not read; nil if the key does not exist.
    def stat_value(key)
      bytes = Bounds.bytes(key)
      stat = Native::ValueStat.new_sized
      there = source.reading { |txn| found(Native.kv_stat_value(txn, number, bytes, bytes.bytesize, stat)) }
      stat.to_hash if there
    end

    # Figures of the table (level 0) or of a level of its tree, as a Hash.
    def stat_table(level = 0)
      stat = Native::TableStat.new_sized
      source.reading { |txn| ok(Native.kv_stat_table(txn, number, level, stat)) }
      stat.to_hash
    end

    private

    # An Enumerator that knows how many entries it will yield.
    def counted(method, limit, bounds)
      arguments = { limit: limit, **bounds }.compact
      enum_for(method, **arguments) { [count(**bounds), *limit].min } # rubocop:disable Lint/ToEnumArguments
    end

    # Yields the strings of the entries, a batch at a time.
    def walk(flags, limit, bounds, &block)
      raise ArgumentError, "limit: #{limit} is negative" if limit&.negative?

      range = Bounds.of(**bounds)
      source.reading do |txn|
        Cursor.open(txn, number, range) { |cursor| walk_cursor(cursor, flags, limit, &block) }
      end
    end

    def walk_cursor(cursor, flags, limit)
      ahead = AHEAD
      until limit&.zero?
        strings, count, at_end = cursor.next_strings(flags, [ahead, *limit].min)
        yield(strings.each { |string| out(string) })
        break if at_end

        limit &&= limit - count
        ahead = [4 * ahead, AHEAD_MAX].min
      end
    end
  end
end
