# frozen_string_literal: true

module KV
  # A change between two states: +kind+ is +:added+, +:removed+ or +:changed+, and +before+ and +after+ are the values,
  # nil where there is none.
  Change = Struct.new(:kind, :key, :before, :after)

  # The methods of a Snapshot or a Transaction that compare it with another one, which sees an earlier state. If that
  # one sees a later state, what was added and removed changes sides.
  #
  # A table is the main one, a KV::Table, or that of a name here or, if there is none, in the other one. It is found by
  # its number, so a table that was dropped and made again is another one.
  module Differences
    KINDS = { 1 => :added, 2 => :removed, 3 => :changed }.freeze
    private_constant :KINDS

    # Yields each KV::Change of a table since what +before+ sees, in the order of keys, or returns an Enumerator, which
    # can be lazy. Only pages that differ are read. In a transaction that writes meanwhile, it goes on in what that has
    # written.
    def changes(before, table = nil, **bounds)
      return enum_for(:changes, before, table, **bounds) unless block_given?

      diff = open_difference(before, table, Bounds.of(**bounds))
      change = Native::Change.new_sized
      yield(change_of(change)) while found(Native.kv_diff_next(diff, change))
      self
    ensure
      Native.kv_diff_close(diff) if diff
    end

    # How many keys of a table were added, removed and changed since what +before+ sees, as a Hash with these names.
    def count_changes(before, table = nil, **bounds)
      counts = Native::DiffCounts.new_sized
      ok(Native.kv_diff_count(before, self, compared(before, table), Bounds.of(**bounds), counts))
      counts.to_hash
    end

    # Whether all tables, or one, are known to be what +before+ sees, by the roots of their trees. false means that
    # pages differ; most likely entries do, which #count_changes tells.
    def same?(before, table = nil)
      memory = FFI::MemoryPointer.new(:int32)
      number = table.nil? ? Native::NONE : compared(before, table)
      ok(Native.kv_same(before, self, number, memory))
      !memory.read_int32.zero?
    end

    private

    def open_difference(before, table, range)
      memory = FFI::MemoryPointer.new(:pointer)
      ok(Native.kv_diff_open(before, self, compared(before, table), range, memory))
      memory.read_pointer
    end

    # The number of a table that is given as such or by its name.
    def compared(before, table)
      return Native::MAIN if table.nil?
      return table.number if table.respond_to?(:number)

      (table?(table) ? self : before).table(table).number
    end

    # What a change says, in copies.
    def change_of(change)
      kind = KINDS.fetch(change[:kind])
      Change.new(kind, out(change[:key].read), kind == :added ? nil : out(change[:before].read),
                 kind == :removed ? nil : out(change[:after].read))
    end
  end
end
