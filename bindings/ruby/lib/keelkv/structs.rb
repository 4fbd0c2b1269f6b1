# frozen_string_literal: true

module KV
  module Native
    # A struct that may grow, which begins with its size.
    class SizedStruct < FFI::Struct
      # A struct as its KV_..._INIT makes it.
      def self.new_sized
        struct = new
        struct[:struct_size] = size
        struct
      end

      # The fields by their names, but for those that only C needs. "No number" is nil.
      def to_hash
        names = members - %i[struct_size reserved]
        names.to_h do |name|
          value = self[name]
          value = nil if value == NONE
          [name, value]
        end
      end
    end

    # Bytes in the memory of the library.
    class Slice < FFI::Struct
      layout :data, :pointer, :len, :size_t

      # A copy of the bytes; nil if there are none.
      def read
        data = self[:data]
        data.null? ? nil : data.get_bytes(0, self[:len])
      end

      # Makes it the bytes of a string, in memory that is returned, and that the caller keeps.
      def write(bytes)
        memory = FFI::MemoryPointer.new(:uint8, bytes.bytesize + 1)
        memory.put_bytes(0, bytes)
        self[:data] = memory
        self[:len] = bytes.bytesize
        memory
      end
    end

    class Range < FFI::Struct
      layout :flags, :uint32, :reserved, :uint32, :from, Slice, :to, Slice, :prefix, Slice
    end

    class ErrorDetail < SizedStruct
      layout :struct_size, :uint32, :status, :int32, :sys_errno, :int32, :reserved, :uint32, :page, :uint64,
             :table, :uint64, :needed, :uint64, :function, :string, :message, :string
    end

    class Options < SizedStruct
      layout :struct_size, :uint32, :flags, :uint32, :page_size, :uint32, :durability, :uint32, :verify, :uint32,
             :reserved, :uint32, :wait_ms, :int64, :write_memory, :uint64, :stale_reader, :reader_fn,
             :stale_reader_ctx, :pointer, :stale_reader_ms, :uint64
    end

    class ReaderInfo < SizedStruct
      layout :struct_size, :uint32, :pid, :uint32, :commit, :uint64, :age_ms, :uint64, :kept_pages, :uint64
    end

    class TxnOptions < SizedStruct
      layout :struct_size, :uint32, :flags, :uint32, :durability, :uint32, :reserved, :uint32, :wait_ms, :int64,
             :write_memory, :uint64, :snapshot, Slice, :commit, :uint64, :time, :uint64
    end

    class SnapshotOptions < SizedStruct
      layout :struct_size, :uint32, :flags, :uint32, :note, Slice
    end

    class SnapshotStat < SizedStruct
      layout :struct_size, :uint32, :flags, :uint32, :commit, :uint64, :time, :uint64, :guid, [:uint8, 16],
             :file_pages, :uint64, :used_pages, :uint64, :note, Slice, :automatic, :uint32, :reserved, :uint32
    end

    class Retention < SizedStruct
      layout :struct_size, :uint32, :interval, :uint32, :last, :uint32, :hourly, :uint32, :daily, :uint32,
             :weekly, :uint32, :monthly, :uint32, :yield_after, :uint32, :yield_pages, :uint64
    end

    class Change < SizedStruct
      layout :struct_size, :uint32, :kind, :uint32, :key, Slice, :before, Slice, :after, Slice
    end

    class DiffCounts < SizedStruct
      layout :struct_size, :uint32, :reserved, :uint32, :added, :uint64, :removed, :uint64, :changed, :uint64
    end

    class TableOptions < SizedStruct
      layout :struct_size, :uint32, :flags, :uint32
    end

    class Batch < SizedStruct
      layout :struct_size, :uint32, :flags, :uint32, :bytes, :pointer, :bytes_size, :size_t, :ends, :pointer,
             :ends_size, :size_t, :kinds, :pointer, :limit, :size_t, :count, :size_t, :used, :size_t,
             :needed, :size_t, :at_end, :uint32, :skip, :uint32
    end

    class ValueStat < SizedStruct
      layout :struct_size, :uint32, :extents, :uint32, :len, :uint64
    end

    class JobOptions < SizedStruct
      layout :struct_size, :uint32, :flags, :uint32, :progress, :progress_fn, :ctx, :pointer
    end

    class Fault < SizedStruct
      layout :struct_size, :uint32, :status, :int32, :page, :uint64, :table, :uint64, :message, :string,
             :kind, :uint32, :reserved, :uint32
    end

    class CheckReport < SizedStruct
      layout :struct_size, :uint32, :lost_slots, :uint32, :commit, :uint64, :tables, :uint64, :entries, :uint64,
             :pages, :uint64, :tree_pages, :uint64, :overflow_pages, :uint64, :dead_pages, :uint64, :faults, :uint64,
             :unaccounted_pages, :uint64, :parked_pages, :uint64, :snapshots, :uint64
    end

    class CompactOptions < SizedStruct
      layout :struct_size, :uint32, :stay, :uint32, :punch, :uint32, :reserved, :uint32, :progress, :progress_fn,
             :ctx, :pointer
    end

    class CompactReport < SizedStruct
      layout :struct_size, :uint32, :reserved, :uint32, :pages_before, :uint64, :pages_after, :uint64,
             :moved_pages, :uint64, :cut_bytes, :uint64, :punched_bytes, :uint64, :pending_pages, :uint64,
             :parked_pages, :uint64, :held_commit, :uint64
    end

    class SalvageReport < SizedStruct
      layout :struct_size, :uint32, :lost_slots, :uint32, :commit, :uint64, :tables, :uint64, :entries, :uint64,
             :uncertain, :uint64, :lost_entries, :uint64, :damaged_pages, :uint64, :lost_subtrees, :uint64,
             :ambiguous_pages, :uint64
    end

    class DbStat < SizedStruct
      layout :struct_size, :uint32, :page_size, :uint32, :pages, :uint64, :free_pages, :uint64,
             :pending_pages, :uint64, :visible, :uint64, :durable, :uint64, :oldest, :uint64, :readers, :uint32,
             :discarded, :uint32, :opened_commit, :uint64, :opening_ns, :uint64, :closed_properly, :uint32,
             :lost_slots, :uint32, :writer, :uint32, :dead_pages_known, :uint32, :writer_ms, :uint64,
             :parked_pages, :uint64, :announced_pages, :uint64, :announced_pages_used, :uint64
    end

    class Identity < SizedStruct
      layout :struct_size, :uint32, :format_version, :uint32, :uuid, [:uint8, 16], :path, :string
    end

    class TableStat < SizedStruct
      layout :struct_size, :uint32, :height, :uint32, :entries, :uint64, :branch_pages, :uint64,
             :leaf_pages, :uint64, :overflow_pages, :uint64, :items, :uint64, :used_bytes, :uint64
    end

    class TxnStat < SizedStruct
      layout :struct_size, :uint32, :kind, :uint32, :commit, :uint64, :edits, :uint64, :edit_bytes, :uint64,
             :private_pages, :uint64
    end
  end
end
