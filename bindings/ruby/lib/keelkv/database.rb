# frozen_string_literal: true

module KV
  # An open database, whose entries are those of its main table. Any number of threads may use it. After a fork, the
  # child opens the database for itself: the object of the parent raises KV::Forked there.
  class Database
    include Collection
    include Tables

    # How long a call waits in the library at a time, in milliseconds, before Ruby can interrupt the thread.
    SLICE = 100
    # Bytes of memory for the value of Database#[], unless it is longer.
    VALUE = 1024
    private_constant :SLICE, :VALUE

    # The encoding that strings get; nil is ASCII-8BIT.
    attr_reader :encoding
    # The absolute path of the file; nil for a database in memory.
    attr_reader :path

    # Opens a database. KV.open does as well and takes a block.
    #
    # [existing:]     true: the file must exist, or KV::NoFile is raised
    # [create:]       false: the same as existing: true, and as create=False in Python
    # [new:]          true: the file must not exist, or KV::Exists is raised
    # [read_only:]    true: the database is never written
    # [memory:]       true: the database is in memory only
    # [encoding:]     the encoding of strings that come back
    # [page_size:]    bytes of a page of a new file
    # [durability:]   :full or :lazy: of commits that do not choose their own
    # [verify:]       :once, :always or :never: when pages are compared with their checksums
    # [wait:]         seconds that a write transaction waits for others to end; nil = for ever
    # [write_memory:] bytes of edits that a write transaction collects before it applies them
    # [stale_reader:] called with a Hash about each reader that holds back space for long
    # [stale_after:]  seconds after which a reader is reported to +stale_reader+
    def initialize(path, encoding: nil, wait: nil, **options)
      @number = Native::MAIN
      @closing = false
      @encoding = encoding && Encoding.find(encoding)
      @wait = seconds(wait)
      name = path && Native.path(path)
      memory = FFI::MemoryPointer.new(:pointer)
      Error.check(Native.kv_open(name, native_options(**options), memory), name)
      @handle = Handle.new(self, memory.read_pointer, :kv_close)
      @path = identity[:path]
    end

    # Yields a Transaction, commits it when the block ends, and returns what the block returned. It is also committed if
    # return, break or throw leave the block. If an exception leaves it, or the thread is killed, nothing is written;
    # KV::Rollback goes no further than here. Without a block, the Transaction is returned, which is to be committed or
    # aborted.
    #
    # +wait+ is how many seconds to wait for another write transaction, after which KV::Busy is raised: 0 = not at all,
    # nil = as the database was opened. +durability+ is :full or :lazy.
    def transaction(wait: @wait, durability: nil)
      txn = nil
      kept = false
      begin_native(Native::WRITE, txn_options(durability), seconds(wait)) do |pointer|
        txn = Transaction.new(self, pointer)
      end
      kept = !block_given?
      return txn if kept

      Leaving.watch(-> { txn.commit unless txn.closed? }, -> { txn.abort }) { yield txn }
    rescue Rollback
      nil
    ensure
      txn&.abort unless kept
    end

    # Yields a Snapshot of the newest commit, closes it when the block ends, and returns what the block returned.
    # Without a block, the Snapshot is returned, which is to be closed.
    #
    # With a +name+, it is that of the state that Named#create_snapshot gave this name. +commit+ and +time+ (a Time, or
    # nanoseconds since 1970) find the newest state up to them, of those that are kept: the newest one, and those that
    # have names. KV::NotFound is raised if there is none.
    def snapshot(name = nil, commit: 0, time: 0)
      snapshot = nil
      kept = false
      options, memory = snapshot_options(name, commit, time)
      begin_native(Native::READ, options) { |pointer| snapshot = Snapshot.new(self, pointer) }
      memory&.free
      result = block_given? ? yield(snapshot) : snapshot
      kept = !block_given?
      result
    ensure
      snapshot&.close unless kept
    end

    # The names of all snapshots that have one, in order.
    def snapshots
      snapshot(&:snapshots)
    end

    # How many pages come free if a snapshot is dropped. With two names, these two and all of commits between theirs
    # are meant.
    def snapshot_cost(first, last = first)
      memory = FFI::MemoryPointer.new(:uint64)
      first, last = [first, last].map { |name| Bounds.bytes(name).dup } # nobody changes them while the call waits
      ok(Native.kv_snapshot_cost(self, first, first.bytesize, last, last.bytesize, memory))
      memory.read_uint64
    end

    # Gives back at once what dropped snapshots alone had, and returns how many pages that are. Without it, later
    # commits do so, a part each.
    def reclaim
      memory = FFI::MemoryPointer.new(:uint64)
      ok(Native.kv_reclaim(self, memory))
      memory.read_uint64
    end

    # Makes every commit durable that was made before the call.
    def sync
      ok(Native.kv_sync(self))
      nil
    end

    # The numbers of the newest visible and of the newest durable commit.
    def newest_commit
      visible = FFI::MemoryPointer.new(:uint64)
      durable = FFI::MemoryPointer.new(:uint64)
      ok(Native.kv_newest_commit(self, visible, durable))
      [visible.read_uint64, durable.read_uint64]
    end

    # Waits until a commit is durable.
    def wait_durable(commit)
      ok(Native.kv_wait_durable(self, commit, -1))
      nil
    end

    # Whether a commit is durable.
    def durable?(commit)
      status = Native.kv_wait_durable(self, commit, 0)
      ok(status) unless status == Native::BUSY
      status.zero?
    end

    # Waits until a commit after the one with this number is visible, and returns the number of the newest; nil if there
    # was none within +wait+ seconds (nil = for ever).
    def wait_commit(commit, wait: nil)
      memory = FFI::MemoryPointer.new(:uint64)
      status = in_slices(seconds(wait)) { |milliseconds| Native.kv_wait_commit(self, commit, milliseconds, memory) }
      return nil if status == Native::BUSY

      ok(status)
      memory.read_uint64
    end

    # Ends the waits of other threads on this database, which raise KV::Cancelled.
    def interrupt
      Native.kv_interrupt(self)
      nil
    end

    # As Snapshot#check, with the newest commit.
    def check(**options, &on_fault)
      snapshot { |snapshot| snapshot.check(**options, &on_fault) }
    end

    # Makes the file smaller while others use it: moves what lives at its end, cuts it, and returns a Hash of what was
    # done and what was in the way. With +stay+ no page moves, and only what is free at the end is cut off; with +punch+
    # the room of free runs inside the file is given back as well. The block is called with the pages that are done and
    # their number. For a small copy in another file, see #backup.
    def compact(stay: false, punch: false, &progress)
      report = Native::CompactReport.new_sized
      how = Native::CompactOptions.new_sized
      how[:stay] = stay ? 1 : 0
      how[:punch] = punch ? 1 : 0
      Job.run(progress: progress) do |options|
        how[:progress] = options[:progress]
        ok(Native.kv_compact(self, how, report))
      end
      hash = report.to_hash
      hash.merge(held_commit: hash[:held_commit].zero? ? nil : hash[:held_commit])
    end

    # As Snapshot#backup, with the newest commit.
    def backup(path, **options, &progress)
      snapshot { |snapshot| snapshot.backup(path, **options, &progress) }
    end

    # As Snapshot#backup_to, with the newest commit.
    def backup_to(io, **options, &progress)
      snapshot { |snapshot| snapshot.backup_to(io, **options, &progress) }
    end

    # Figures of the database and its readers, as a Hash.
    def stat
      stat = Native::DbStat.new_sized
      ok(Native.kv_stat_db(self, stat))
      stat.to_hash
    end

    # Path, UUID and version of the format, as a Hash.
    def identity
      identity = Native::Identity.new_sized
      ok(Native.kv_db_identity(self, identity))
      uuid = identity[:uuid].to_a.pack("C*").unpack("H8H4H4H4H12").join("-")
      path = identity[:path].dup.force_encoding(Encoding.default_external)
      { path: path.empty? ? nil : path, uuid: uuid, format_version: identity[:format_version] }
    end

    # The readers of all processes, each a Hash, the one with the oldest commit first.
    def readers
      (0..).lazy.map { |index| reader_at(index) }.take_while(&:itself).to_a
    end

    # Closes the database; lazy commits become durable. Its methods raise KV::BadHandle from now on. A second call does
    # nothing, and neither does one in a child of the process that opened it.
    def close
      return if closed?

      unless @handle.foreign?
        @closing = true # for what other threads are told meanwhile
        status = Native.kv_close(self)
        @closing = status != Native::BUSY
        ok(status) unless @closing
      end
      @handle.ended
      ok(status) if status
      nil
    end

    def closed?
      !@handle.open?
    end

    def ended # :nodoc:
      "the database is closed; open it again with KV.open" if closed? || @closing
    end

    def source # :nodoc:
      self
    end

    def to_ptr # :nodoc:
      @handle.to_ptr
    end

    def reading(&block) # :nodoc:
      snapshot(&block)
    end

    # Unlike #transaction, it commits only what is whole: a throw of what yields entries leaves nothing behind. +leaves+
    # says that the block may be left.
    def writing(leaves: false, &block) # :nodoc:
      return transaction(&block) if leaves

      txn = transaction
      result = yield txn
      txn.commit
      result
    ensure
      txn&.abort
    end

    def value_of(number, key) # :nodoc:
      size = VALUE
      length = FFI::MemoryPointer.new(:size_t)
      loop do
        memory = FFI::MemoryPointer.new(:uint8, size, false)
        status = Native.kv_db_get(self, number, key, key.bytesize, memory, size, length)
        return nil if status == Native::NOTFOUND

        size = length.read(:size_t)
        next if status == Native::TOO_SMALL

        ok(status)
        return memory.get_bytes(0, size)
      end
    end

    private

    def initialize_copy(_other)
      Handle.refuse_copy(self, "use this one, or open the file again with KV.open")
    end

    def native_options(existing: false, create: true, new: false, read_only: false, memory: false, **options)
      native = Native::Options.new_sized
      existing ||= !create
      flags = { Native::OPEN_EXISTING => existing, Native::OPEN_NEW => new, Native::OPEN_READ_ONLY => read_only,
                Native::OPEN_MEMORY => memory }
      native[:flags] = flags.sum { |flag, given| given ? flag : 0 }
      fill_options(native, **options)
    end

    def fill_options(native, page_size: 0, durability: nil, verify: nil, write_memory: 0, stale_reader: nil,
                     stale_after: 0)
      native[:page_size] = page_size
      native[:durability] = choice(Native::DURABILITIES, :durability, durability)
      native[:verify] = choice(Native::VERIFICATIONS, :verify, verify)
      native[:write_memory] = write_memory
      native[:wait_ms] = @wait ? [(@wait * 1000).ceil, 1].max : 0
      native[:stale_reader_ms] = (stale_after * 1000).ceil
      native[:stale_reader] = @stale_reader = stale_function(stale_reader) if stale_reader
      native
    end

    # Nothing may leap out of it over the library, so what it raises is only reported.
    def stale_function(stale_reader)
      FFI::Function.new(:void, %i[pointer pointer]) do |_ctx, reader|
        Job.alone { stale_reader.call(Native::ReaderInfo.new(reader).to_hash) }
      end
    end

    def choice(choices, name, given)
      choices.fetch(given) do
        raise ArgumentError, "#{name}: #{given.inspect} is none of #{choices.keys.compact.map(&:inspect).join(', ')}"
      end
    end

    # Options for an earlier state, and memory to be kept until the call is over; nil for the newest.
    def snapshot_options(name, commit, time)
      time = (time.to_i * 1_000_000_000) + time.nsec if time.is_a?(Time)
      return if name.nil? && commit.zero? && time.zero?

      options = Native::TxnOptions.new_sized
      options[:commit] = commit
      options[:time] = time
      [options, name && options[:snapshot].write(Bounds.bytes(name))]
    end

    def txn_options(durability)
      options = Native::TxnOptions.new_sized
      options[:durability] = choice(Native::DURABILITIES, :durability, durability)
      options
    end

    # Begins a transaction and yields its handle to a block that makes an object of it, which keeps that object where it
    # is released. If another thread's exception strikes before, nobody else could end the transaction.
    def begin_native(kind, options, wait = nil)
      memory = FFI::MemoryPointer.new(:pointer)
      status = in_slices(wait) do |milliseconds|
        options[:wait_ms] = [milliseconds, 1].max if options
        Native.kv_txn_begin(self, kind, options, memory)
      end
      ok(status)
      begun = yield memory.read_pointer
    ensure
      Native.kv_txn_abort(memory.read_pointer) unless begun || memory.nil?
    end

    # Calls the block with short times to wait for until it returns something else than KV_BUSY or the time is over.
    def in_slices(wait)
      deadline = wait && (now + (wait * 1000))
      loop do
        left = deadline ? [deadline - now, 0].max : SLICE
        status = yield [left, SLICE].min.ceil
        return status if status != Native::BUSY || (deadline && now >= deadline)
      end
    end

    # A time to wait; nil for ever, which infinity means as well.
    def seconds(wait)
      return if wait.nil?
      unless wait.is_a?(Numeric) && wait.real? && wait >= 0
        raise ArgumentError, "wait is seconds, 0 or more, or nil, and this is #{wait.inspect[0, 80]}"
      end

      wait unless wait.to_f.infinite?
    end

    # Milliseconds of a clock that does not jump.
    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_millisecond)
    end

    def reader_at(index)
      reader = Native::ReaderInfo.new_sized
      reader.to_hash if found(Native.kv_reader_at(self, index, reader))
    end
  end
end
