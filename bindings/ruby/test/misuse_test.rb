# frozen_string_literal: true

require_relative "helper"
require "objspace"

# What is closed, shared, forked, collected or interrupted raises or waits, and never crashes.
class MisuseTest < DatabaseTest
  USES = [
    ->(kv) { kv["a"] }, ->(kv) { kv["a"] = "1" }, ->(kv) { kv.fetch("a", 1) }, ->(kv) { kv.key?("a") },
    ->(kv) { kv.delete("a") }, ->(kv) { kv.each { nil } }, ->(kv) { kv.keys }, ->(kv) { kv.size },
    ->(kv) { kv.get_many(["a"]) }, ->(kv) { kv.rank("a") }, ->(kv) { kv.nth(0) }, ->(kv) { kv.percentile(1) },
    ->(kv) { kv.sample }, ->(kv) { kv.last }, ->(kv) { kv.update("a" => "1") }, ->(kv) { kv.clear },
    ->(kv) { kv.delete_many(["a"]) },
    ->(kv) { kv.take_first }, ->(kv) { kv.delete_range(prefix: "a") }, ->(kv) { kv.insert("a", "1") },
    ->(kv) { kv.replace("a", "1") }, ->(kv) { kv.write_value("a") { nil } }, ->(kv) { kv.read_value("a", 0, 1) },
    ->(kv) { kv.stat_value("a") }, ->(kv) { kv.stat_table }, ->(kv) { kv.stat }, ->(kv) { kv.cursor(&:next) }
  ].freeze
  DATABASE_USES = [
    :transaction, :snapshot, :sync, :newest_commit, :check, :identity, :readers, :tables,
    ->(db) { db.backup("x.kv") }, ->(db) { db.backup_to(StringIO.new) }, ->(db) { db.table("t") },
    ->(db) { db.create_table("t") }, ->(db) { db.wait_durable(1) }, ->(db) { db.wait_commit(0, wait: 0) }
  ].freeze

  def test_what_is_closed_raises
    db = KV.open("a.kv")
    table = db.create_table("t")
    snapshot = db.snapshot
    txn = db.transaction
    cursor = snapshot.cursor
    of_txn = txn.table("t")
    txn.commit
    enumerator = db.each
    [txn, of_txn].each { |kv| USES.each { |use| assert_raises(KV::BadHandle) { use.call(kv) } } }
    assert_raises(KV::BadHandle) { txn.commit }
    txn.abort
    db.close
    [db, table, snapshot].each { |kv| USES.each { |use| assert_raises(KV::BadHandle) { use.call(kv) } } }
    DATABASE_USES.each { |use| assert_raises(KV::BadHandle) { use.to_proc.call(db) } }
    assert_raises(KV::BadHandle) { cursor.next }
    assert_raises(KV::BadHandle) { enumerator.next }
    assert_raises(IOError) { db["a"] }
    assert_match(/closed/, assert_raises(KV::BadHandle) { snapshot.refresh }.message)
    db.interrupt
    snapshot.close
    assert_match(/closed/, [db, table, txn].map(&:inspect).join)
  end

  def test_what_is_closed_says_what_it_is
    path = File.join(Dir.pwd, "a.kv")
    db = KV.open("a.kv")
    db.update((0...100).to_h { |index| [number(index), "v"] })
    table = db.create_table("t")
    txn = db.transaction
    writer_of = nil
    txn.write_value("w") { |writer| writer_of = writer }
    cursor = txn.cursor
    cursor.close
    said = { cursor.method(:next) => "the cursor is closed; open another one",
             -> { writer_of << "a" } => "the writer is finished or closed; begin another one with write_value" }
    said.each { |call, text| assert_equal "#{path}: #{text}", assert_raises(KV::BadHandle) { call.call }.message }
    txn.commit
    ended = "#{path}: this transaction has ended; begin another one with db.transaction"
    [-> { txn["a"] }, -> { txn.commit }, cursor.method(:next), -> { writer_of << "a" }, -> { txn.table("t") }]
      .each { |call| assert_equal ended, assert_raises(KV::BadHandle) { call.call }.message }
    snapshot = db.snapshot
    of_snapshot = snapshot.table("t")
    snapshot.close
    ended = "#{path}: this snapshot is closed; begin another one with db.snapshot"
    [snapshot, of_snapshot].each { |kv| assert_equal ended, assert_raises(KV::BadHandle) { kv["a"] }.message }
    begun = db.each.tap(&:next)
    fresh = db.each
    db.close
    closed = "#{path}: the database is closed; open it again with KV.open"
    calls = [-> { db["a"] }, -> { table["a"] = "b" }, -> { snapshot["a"] }, -> { loop { begun.next } },
             -> { fresh.next }, -> { db.backup("b.kv") }]
    calls.each { |call| assert_equal closed, assert_raises(KV::BadHandle) { call.call }.message }
    error = assert_raises(KV::BadHandle) { KV.memory.tap(&:close)["a"] }
    assert_equal "a database in memory: the database is closed; open it again with KV.open", error.message
    assert_equal ["KV_BAD_HANDLE", nil], [error.status_name, error.path]
  end

  def test_what_is_open_is_not_copied
    db = KV.open("a.kv")
    db["a"] = "1"
    db.snapshot do |snapshot|
      txn = db.transaction
      txn.write_value("b") do |writer|
        things = [db, snapshot, txn, txn.cursor, writer]
        things.product(%i[dup clone]).each do |thing, way|
          assert_match(/\Aa #{thing.class} cannot be copied; /, assert_raises(TypeError) { thing.send(way) }.message)
        end
        things.each { |thing| assert_raises(TypeError) { Marshal.dump(thing) } }
        writer << "2"
      end
      5.times { GC.start }
      assert_equal %w[1 1 2], [db["a"], snapshot["a"], txn["b"]]
      txn.commit
    end
    db.close
  end

  def test_times_to_wait
    wrong = [-1, -0.1, "1", Float::NAN, Complex(1, 1), [], true]
    KV.open("a.kv", wait: Float::INFINITY) do |db|
      wrong.each do |wait|
        calls = [-> { db.transaction(wait: wait) }, -> { db.wait_commit(0, wait: wait) },
                 -> { KV.open("a.kv", wait: wait) }]
        texts = calls.map { |call| assert_raises(ArgumentError) { call.call }.message }
        assert_equal ["wait is seconds, 0 or more, or nil, and this is #{wait.inspect}"], texts.uniq
      end
      [0, 0.5, 1r, nil, Float::INFINITY].each { |wait| db.transaction(wait: wait) { |txn| txn["a"] = "1" } }
    end
  end

  def test_threads_share_a_database
    KV.open("a.kv") do |db|
      threads = Array.new(8) do |thread|
        Thread.new do
          50.times do |index|
            db["#{thread}/#{index}"] = index.to_s
            db.transaction { |txn| txn["sum"] = (txn.fetch("sum", "0").to_i + 1).to_s }
            assert_equal index + 1, db.count(prefix: "#{thread}/")
          end
        end
      end
      threads.each(&:join)
      assert_equal [401, "400"], [db.size, db["sum"]]
    end
  end

  # What another thread may do between two steps of a call is done here by a string whose length changes when it is
  # asked for.
  class Changing < String
    def bytesize
      self << ("x" * 5000)
      super
    end
  end

  def test_a_string_that_changes_during_a_call
    KV.open("a.kv") do |db|
      db["aaa"] = "0123456789"
      calls = [
        ->(key) { db.read_value(key, 0, 5) }, ->(key) { db[key] }, ->(key) { db.key?(key) },
        ->(key) { db.get_many([key]) }, ->(key) { db.rank(key) }, ->(key) { db.keys(from: key) },
        ->(key) { db.stat_value(key) }, ->(key) { db.cursor { |cursor| cursor.seek(key) } },
        ->(key) { db.put(key, key) }, ->(key) { db.replace(key, key) }, ->(key) { db.update([[key, key]]) },
        ->(key) { db.write_value(key) { |writer| writer << key } }, ->(key) { db.create_table(key).name }
      ]
      calls.each { |call| assert_equal call.call("aaa".dup), call.call(Changing.new("aaa")) }
      assert_equal({ "aaa" => "aaa" }, db.to_h)
      assert_equal ["aaa"], db.tables
    end
  end

  def test_parts_of_values
    KV.open("a.kv") do |db|
      db["a"] = "0123456789"
      assert_equal ["345", "9", "", ""], ([[3, 3], [9, 5], [10, 1], [0, 0]].map { |part| db.read_value("a", *part) })
      assert_nil db.read_value("b", 0, 1)
      { [-1, 5] => "offset is 0 or more, and this is -1", [0, -5] => "length is 0 or more, and this is -5" }
        .each { |part, text| assert_equal text, assert_raises(ArgumentError) { db.read_value("a", *part) }.message }
      assert_raises(TypeError, NoMethodError) { db.read_value("a", "0", 1) }
    end
  end

  def test_threads_share_a_snapshot
    KV.open("a.kv") do |db|
      db.update((0...2000).to_h { |index| [number(index), index.to_s] })
      db.snapshot do |snapshot|
        expected = snapshot.to_h
        Array.new(4) { Thread.new { 5.times { assert_equal expected, snapshot.to_h } } }.each(&:join)
      end
    end
  end

  def test_others_run_while_a_thread_waits
    KV.open("a.kv") do |db|
      txn = db.transaction
      waiting = Thread.new { db["b"] = "waited" }
      Thread.pass until waiting.status == "sleep" || waiting.stop? || waiting.join(0.05).nil?
      txn["a"] = "1"
      txn.commit
      waiting.join
      assert_equal({ "a" => "1", "b" => "waited" }, db.to_h)
    end
  end

  def test_a_thread_that_is_killed_leaves_no_transaction
    KV.open("a.kv") do |db|
      100.times do |round|
        thread = Thread.new do
          Thread.current.report_on_exception = false
          loop { db.transaction(durability: :lazy) { |txn| txn["a"] = round.to_s } }
        end
        sleep 0.001 * (round % 5)
        round.even? ? thread.kill : thread.raise("out")
        GC.disable
        begin
          thread.join
        rescue RuntimeError => e
          assert_equal "out", e.message
        end
        db.transaction(wait: 5) { |txn| txn["b"] = "1" }
      ensure
        GC.enable
      end
      assert_empty db.readers
    end
  end

  def test_a_child_opens_for_itself
    db = KV.open("a.kv")
    db["a"] = "1"
    snapshot = db.snapshot
    txn = db.transaction
    txn["b"] = "2"
    reader, writer = IO.pipe
    child = fork do
      [db, snapshot, txn].each do |kv|
        # A snapshot refuses to write before it looks whose it is.
        USES.each { |use| assert_raises(KV::Forked, KV::ReadOnly) { use.call(kv) } }
        assert_raises(KV::Forked) { kv["a"] }
      end
      DATABASE_USES.each { |use| assert_raises(KV::Forked) { use.to_proc.call(db) } }
      snapshot.close
      txn.abort
      db.close
      KV.open("a.kv") { |own| writer.write(own["a"]) }
      GC.start
      exit!(0)
    rescue Exception => e # rubocop:disable Lint/RescueException -- the parent is to see it
      writer.write(e.full_message)
      exit!(1)
    end
    writer.close
    assert_equal "1", reader.read
    assert_predicate Process.wait2(child)[1], :success?
    # What the child did to its copies is nothing to the parent.
    txn.commit
    assert_equal %w[1 2], [snapshot["a"], db["b"]]
    snapshot.close
    db.close
  end

  def test_a_child_that_ends_normally_disturbs_nobody
    output, status = ruby(<<~RUBY)
      KV.open("a.kv") do |db|
        db["a"] = "1"
        txn = db.transaction
        txn["b"] = "2"
        cursor = txn.cursor
        if fork
          Process.wait
          abort "child" unless $?.success?
          txn.commit
          print db.to_h
        else
          exit
        end
      end
    RUBY
    assert_predicate status, :success?, output
    assert_equal '{"a"=>"1", "b"=>"2"}', output
  end

  def test_a_program_may_end_with_everything_open
    output, status = ruby(<<~RUBY)
      $kept = []
      def use(name)
        db = KV.open(name, durability: :lazy)
        db["a"] = "1"
        snapshot = db.snapshot
        $kept << [snapshot.each.tap(&:next), snapshot.cursor.tap(&:next), db.transaction.tap { |txn| txn["b"] = "2" }]
      end
      use("a.kv")
      3.times { |index| Thread.new { use("t\#{index}.kv") }.join }
      Thread.new { KV.open("s.kv").transaction { sleep } }
      Thread.new { KV.open("s.kv").transaction { sleep } }
      sleep 0.1
      at_exit { print "ok" }
    RUBY
    assert_predicate status, :success?, output
    assert_equal "ok", output
    KV.open("a.kv") { |db| assert_equal({ "a" => "1" }, db.to_h) }
  end

  def test_what_is_forgotten_is_released
    KV.open("a.kv") do |db|
      50.times { forget(db) }
      deadline = Time.now + 20
      until db.readers.size < 25 || Time.now > deadline
        GC.start
        sleep 0.01
      end
      assert_operator db.readers.size, :<, 25
    end
    1000.times { |index| KV.open("b.kv", memory: true)["a"] = index.to_s }
  end

  # In a frame of its own, so that no reference stays on the stack.
  def forget(database)
    database.snapshot.cursor.next
    nil
  end
end
