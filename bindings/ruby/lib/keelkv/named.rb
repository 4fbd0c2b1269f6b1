# frozen_string_literal: true

module KV
  # The methods of a Snapshot or a Transaction that are about named snapshots: states that are kept until somebody drops
  # them, whoever reads them.
  module Named
    # Gives a state a name: what a transaction is about to commit, also what it writes after this call, or what a
    # snapshot sees, for which a commit is made at once. +replace+ drops a snapshot that has the name; otherwise
    # KV::Exists is raised. With +keep+, it cannot be dropped before #keep_snapshot takes that back. With +mark+,
    # nothing is kept, and #changed_ranges tells what has changed since; with +yields+, it becomes such a mark when the
    # policy of the file says so (#set_history). +note+ is at most 1024 bytes.
    def create_snapshot(name, note: "", **flags)
      options = Native::SnapshotOptions.new_sized
      options[:flags] = snapshot_flags(**flags)
      name = Bounds.bytes(name).dup # nobody changes it while the call waits
      memory = options[:note].write(Bounds.bytes(note))
      ok(Native.kv_snapshot_create(self, name, name.bytesize, options))
      self
    ensure
      memory&.free
    end

    # Gives a snapshot another name. One that has this name already is dropped.
    def rename_snapshot(name, new_name)
      name = Bounds.bytes(name)
      new_name = Bounds.bytes(new_name)
      ok(Native.kv_snapshot_rename(self, name, name.bytesize, new_name, new_name.bytesize))
      self
    end

    # Drops a snapshot. Who reads it is not disturbed.
    def drop_snapshot(name)
      name = Bounds.bytes(name)
      ok(Native.kv_snapshot_drop(self, name, name.bytesize))
      self
    end

    # Makes a mark of a snapshot: its name stays, and what it alone had is given back. #changed_ranges tells then what
    # has changed since.
    def release_snapshot(name)
      name = Bounds.bytes(name)
      ok(Native.kv_snapshot_release(self, name, name.bytesize))
      self
    end

    # The ranges of keys of a table in which something may have changed since a snapshot or mark, in order: pairs of the
    # least key and the least one behind the range, which is nil if the range has no end. Outside of them nothing has
    # changed. The bounds are bytes, and may be no whole keys. They tell of one table that is there now;
    # #changed_table_names tells of tables that came and went.
    def changed_ranges(name, table = nil, **bounds)
      name = Bounds.bytes(name)
      ranges = []
      tell = FFI::Function.new(:int32, %i[pointer pointer]) do |_ctx, given|
        range = Native::Range.new(given)
        ranges << [range[:from].read || "".b, range[:to].read]
        0
      end
      number = compared(self, table)
      ok(Native.kv_snapshot_ranges(self, name, name.bytesize, number, Bounds.of(**bounds), tell, nil))
      ranges
    end

    # The ranges of names in which tables may have been created, dropped or renamed since a snapshot or mark; the bounds
    # are as those of #changed_ranges. A copy that follows takes the tables with such names as a whole.
    def changed_table_names(name)
      changed_ranges(name, Table.new(self, Native::TABLES))
    end

    # Says whether a snapshot is to be kept, so that dropping or replacing it raises KV::Invalid.
    def keep_snapshot(name, keep = true) # rubocop:disable Style/OptionalBooleanParameter
      name = Bounds.bytes(name)
      ok(Native.kv_snapshot_keep(self, name, name.bytesize, keep ? 1 : 0))
      self
    end

    # Has commits record snapshots by themselves from now on: when the newest is older than +every+ seconds, named
    # auto/2026-11-30T12:00:00Z by their time. Those that do not stay are dropped: +last+ of the newest stay, and the
    # newest of each of the last hours, days, weeks and months that have one. KV::Invalid if nothing would stay. The
    # policy belongs to the file. Snapshots that yield become marks when they are +yield_after+ seconds old, or the
    # oldest when all snapshots keep more than +yield_pages+; with only these, +every+ is left out.
    def set_history(every: 0, **stay)
      ok(Native.kv_history(self, retention(interval: every, **stay)))
      self
    end

    # Has commits record no more snapshots by themselves. Those that are there stay.
    def end_history
      ok(Native.kv_history(self, nil))
      self
    end

    # The policy by which commits record snapshots by themselves, as #set_history takes it; nil if they record none.
    def history
      policy = Native::Retention.new_sized
      ok(Native.kv_stat_history(self, policy))
      { every: policy[:interval] }.merge(STAY.to_h { |count| [count, policy[count]] })
    rescue NotFound
      nil
    end

    # Drops the snapshots whose names begin with a prefix, but for those that stay, as #set_history says it, and those
    # that are to be kept. Returns how many it has dropped.
    def thin_snapshots(prefix, **stay)
      memory = FFI::MemoryPointer.new(:uint64)
      prefix = Bounds.bytes(prefix)
      ok(Native.kv_snapshot_thin(self, prefix, prefix.bytesize, retention(**stay), memory))
      memory.read_uint64
    end

    # What is recorded of a snapshot, as a Hash: +:keep+, +:mark+, +:yields+, +:automatic+ (a commit has recorded it by
    # itself), +:commit+, +:time+ (a Time), +:guid+, +:file_pages+, +:used_pages+ (nil if they are not known) and
    # +:note+.
    def stat_snapshot(name)
      name = Bounds.bytes(name)
      stat = Native::SnapshotStat.new_sized
      ok(Native.kv_stat_snapshot(self, name, name.bytesize, stat))
      used = stat[:used_pages]
      flags = { keep: Native::SNAPSHOT_KEEP, mark: Native::SNAPSHOT_MARK, yields: Native::SNAPSHOT_YIELD }
      figures = { automatic: !stat[:automatic].zero?, commit: stat[:commit], time: Time.at(0, stat[:time], :nsec),
                  guid: stat[:guid].to_a.pack("C*"), file_pages: stat[:file_pages],
                  used_pages: used.zero? ? nil : used, note: stat[:note].read }
      flags.transform_values { |flag| stat[:flags].anybits?(flag) }.merge(figures)
    end

    # The names of all snapshots, in order.
    def snapshots
      Table.new(self, Native::SNAPSHOTS).keys(from: "\x01")
    end

    # What says how many snapshots stay.
    STAY = %i[last hourly daily weekly monthly yield_after yield_pages].freeze
    private_constant :STAY

    private

    def snapshot_flags(replace: false, keep: false, mark: false, yields: false)
      { Native::SNAPSHOT_REPLACE => replace, Native::SNAPSHOT_KEEP => keep, Native::SNAPSHOT_MARK => mark,
        Native::SNAPSHOT_YIELD => yields }.select { |_, wanted| wanted }.keys.sum
    end

    def retention(interval: 0, **stay)
      unknown = stay.keys - STAY
      raise ArgumentError, "unknown keyword: #{unknown.first.inspect}" unless unknown.empty?

      retention = Native::Retention.new_sized
      { interval: interval, **stay }.each { |count, number| retention[count] = number }
      retention
    end
  end
end
