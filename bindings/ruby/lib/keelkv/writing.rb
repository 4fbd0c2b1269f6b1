# frozen_string_literal: true

module KV
  # The methods of a Collection that write.
  module Writing
    # How many bytes of entries Writing#update packs at once.
    PACKED = 1024 * 1024
    private_constant :PACKED

    # Puts an entry: inserts it, or replaces the value if the key exists.
    def []=(key, value)
      put(key, value)
    end

    # Puts an entry. +only+ demands something, or nothing is written:
    #
    # [:new]      the key does not exist, or KV::Exists is raised
    # [:existing] the key exists, or KV::NotFound is raised
    # [:append]   the key is greater than every key of the table, or KV::Order is raised
    def put(key, value, only: nil)
      key = Bounds.bytes(key)
      bytes = Bounds.bytes(value)
      flags = flags_of(only)
      source.writing do |txn|
        ok(Native.kv_put(txn, number, key, key.bytesize, bytes, bytes.bytesize, flags))
      end
      value
    end
    alias store put

    # Puts an entry if its key does not exist and returns nil; otherwise returns the value that is there.
    def insert(key, value)
      key = Bounds.bytes(key)
      value = Bounds.bytes(value)
      existing = Native::Slice.new
      source.writing do |txn|
        status = Native.kv_insert(txn, number, key, key.bytesize, value, value.bytesize, existing)
        status == Native::EXISTS ? out(existing.read) : ok(status)
      end
    end

    # Puts an entry and returns the value that it replaces; nil if there was none. +only+ is that of #put.
    def replace(key, value, only: nil)
      key = Bounds.bytes(key)
      value = Bounds.bytes(value)
      flags = flags_of(only)
      old = Native::Slice.new
      source.writing do |txn|
        ok(Native.kv_replace(txn, number, key, key.bytesize, value, value.bytesize, flags, old))
        out(old.read)
      end
    end

    # Puts all entries of a Hash, or of anything that yields pairs, in one transaction; returns self. +only+ is that of
    # #put. It is the fastest way to write much.
    #
    # With a block, a key that exists gets what the block returns for the key, the value that is there and the new one.
    def update(entries = nil, only: nil, **pairs, &block)
      # Ruby makes keywords of a Hash without braces.
      raise ArgumentError, "update takes a Hash or pairs, and not both" if entries && !pairs.empty?

      flags = flags_of(only)
      entries ||= pairs
      source.writing { |txn| block ? merge(txn, entries, flags, &block) : pack(txn, entries, flags) }
      self
    end
    alias merge! update

    # Deletes an entry and returns its value. If there is none: what the block returns for the key, or nil.
    def delete(key)
      bytes = Bounds.bytes(key)
      value = Native::Slice.new
      found = source.writing do |txn|
        found(Native.kv_take(txn, number, bytes, bytes.bytesize, value)) ? out(value.read) : nil
      end
      return found if found

      yield key if block_given?
    end

    # Deletes the entries of many keys in one transaction, and returns how many there were.
    def delete_many(keys)
      source.writing do |txn|
        keys.count do |key|
          bytes = Bounds.bytes(key)
          found(Native.kv_delete(txn, number, bytes, bytes.bytesize, 0))
        end
      end
    end

    # Deletes every entry within the bounds, of which there must be one, and returns how many there were. #clear deletes
    # all.
    def delete_range(**bounds)
      range = Bounds.of(**bounds)
      source.writing { |txn| number_from { |out| Native.kv_delete_range(txn, number, range, out) } }
    end

    # Deletes the first entry of the bounds and returns it, the step of a queue; nil if there is none.
    def take_first(**bounds)
      range = Bounds.of(**bounds)
      source.writing do |txn|
        entry_from { |key, value| Native.kv_take_first(txn, number, range, key, value) }
      end
    end
    alias shift take_first

    # Deletes every entry.
    def clear
      source.writing { |txn| ok(Native.kv_table_clear(txn, number)) }
      self
    end

    # Yields a KV::Writer for a value that is written in parts, because it is larger than memory or its length is not
    # known. The entry is put when the block ends, or when return, break or throw leave it; if it raises, the value is
    # given up. A good +size_hint+ lets the value lie in one piece.
    def write_value(key, size_hint: 0, only: nil, &block)
      bytes = Bounds.bytes(key)
      flags = flags_of(only)
      source.writing(leaves: true) do |txn|
        writer = Writer.new(txn, number, bytes, size_hint, flags)
        Leaving.watch(-> { writer.finish }, -> { writer.close }) { block.call(writer) }
      end
      self
    end

    private

    def flags_of(only)
      Native::PUTS.fetch(only) { raise ArgumentError, "only: #{only.inspect} is none of :new, :existing, :append" }
    end

    # Many entries go to the library at once.
    def pack(txn, entries, flags)
      strings = []
      bytes = 0
      entries.each do |key, value|
        entry = [Bounds.bytes(key), Bounds.bytes(value)]
        strings.concat(entry)
        bytes += entry.sum(&:bytesize)
        next if bytes < PACKED

        put_packed(txn, strings, flags)
        strings = []
        bytes = 0
      end
      put_packed(txn, strings, flags)
    end

    def merge(txn, entries, flags)
      entries.each do |key, value|
        bytes = Bounds.bytes(key)
        existing = out(txn.value_of(number, bytes))
        value = Bounds.bytes(existing ? yield(key, existing, value) : value)
        ok(Native.kv_put(txn, number, bytes, bytes.bytesize, value, value.bytesize, flags))
      end
    end

    def put_packed(txn, strings, flags)
      ok(Native.kv_put_packed(txn, number, Batch.of(strings, 2), flags, nil))
    end
  end
end
