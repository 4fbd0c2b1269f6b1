# frozen_string_literal: true

module KV
  # A named table, as a database, a snapshot or a transaction sees it. It has nothing to close: it is a number.
  class Table
    include Collection

    # The database, snapshot or transaction that it belongs to.
    attr_reader :source

    def initialize(source, number)
      @source = source
      @number = number
    end

    # The name of the table.
    def name
      text { |txn, slice| Native.kv_table_name(txn, number, slice) }
    end

    # The note of the table: bytes that the program attached to it, empty at first.
    def note
      text { |txn, slice| Native.kv_table_note(txn, number, slice) }
    end

    # Attaches a note of at most 1024 bytes, such as a version of what is in the table.
    def note=(note)
      bytes = Bounds.bytes(note)
      source.writing { |txn| ok(Native.kv_table_set_note(txn, number, bytes, bytes.bytesize)) }
    end

    # Gives the table another name. Another table that has this name already is dropped.
    def rename(name)
      bytes = Bounds.bytes(name)
      source.writing { |txn| ok(Native.kv_table_rename(txn, number, bytes, bytes.bytesize)) }
      self
    end

    # Drops the table with all its entries. Its methods raise KV::NoTable from now on.
    def drop
      source.writing { |txn| ok(Native.kv_table_drop(txn, number)) }
      nil
    end

    alias stat stat_table

    def path
      source.path
    end

    def closed?
      source.closed?
    end

    def ended # :nodoc:
      source.ended
    end

    private

    def text
      slice = Native::Slice.new
      source.reading do |txn|
        ok(yield(txn, slice))
        out(slice.read)
      end
    end
  end

  # Finding and creating tables, in a database, a snapshot or a transaction.
  module Tables
    # The table of this name. Raises KV::NoTable if there is none.
    def table(name)
      bytes = Bounds.bytes(name)
      opened = reading do |txn|
        number_from { |memory| Native.kv_table_open(txn, bytes, bytes.bytesize, memory) }
      end
      Table.new(self, opened)
    end

    # Whether there is a table of this name.
    def table?(name)
      table(name)
      true
    rescue NoTable
      false
    end

    # Creates a table, or finds the one that has this name already; with <tt>new: true</tt>, that raises KV::Exists.
    def create_table(name, new: false)
      bytes = Bounds.bytes(name)
      options = Native::TableOptions.new_sized
      options[:flags] = Native::TABLE_NEW if new
      created = writing do |txn|
        number_from { |memory| Native.kv_table_create(txn, bytes, bytes.bytesize, options, memory) }
      end
      Table.new(self, created)
    end

    # The names of all named tables, sorted.
    def tables
      Table.new(self, Native::TABLES).keys
    end
  end
end
