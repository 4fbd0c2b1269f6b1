# frozen_string_literal: true

require_relative "helper"

# Databases, transactions, snapshots, tables, maintenance.
class OpenTest < DatabaseTest
  def test_opening
    assert_equal "result", KV.open("a.kv") { "result" }
    db = KV.open("a.kv")
    assert_equal File.realpath("a.kv"), db.path
    refute db.closed?
    assert_nil db.close
    assert db.closed?
    assert_nil db.close
    error = assert_raises(KV::NoFile) { KV.open("none.kv", existing: true) }
    assert_equal ["none.kv", Errno::ENOENT::Errno, "kv_open"], [error.path, error.errno, error.function]
    assert_raises(KV::NoFile) { KV.open("none.kv", create: false) }
    KV.open("a.kv", create: false, &:stat)
    assert_raises(KV::Exists) { KV.open("a.kv", new: true) }
    assert_raises(ArgumentError) { KV.open("a\0b") }
    assert_raises(ArgumentError) { KV.open("a.kv", durability: :some) }
    assert_raises(ArgumentError) { KV.open("a.kv", verify: :maybe) }
    assert_raises(ArgumentError) { KV.open("a.kv", unknown: 1) }
    File.write("text", "this is no database" * 1000)
    assert_raises(KV::NotADatabase) { KV.open("text") }
    KV.open(Pathname("b.kv"), page_size: 16_384) { |other| assert_equal 16_384, other.stat[:page_size] }
    KV.open("b.kv", read_only: true) { |other| assert_raises(KV::ReadOnly) { other["a"] = "1" } }
    KV.memory { |other| assert_nil other.path }
    assert_equal KV.library_version, KV::VERSION
  end

  def test_the_encoding_of_strings
    KV.open("a.kv", encoding: "UTF-8") do |db|
      db["ä"] = "ö"
      strings = [db["ä"], *db.first, *db.get_many(["ä"]), *db.keys, *db.cursor(&:next), db.replace("ä", "ö"),
                 *db.transaction(&:take_first)]
      assert_equal [Encoding::UTF_8], strings.map(&:encoding).uniq
      assert_equal %w[ä ö], strings.uniq.sort
    end
  end

  def test_a_transaction_commits_or_leaves_nothing
    KV.open("a.kv") do |db|
      assert_equal 7, (db.transaction { |txn| txn["a"] = "1" and 7 })
      assert_nil(db.transaction { |txn| txn["a"] = "2" and raise KV::Rollback })
      assert_raises(RuntimeError) { db.transaction { |txn| txn["a"] = "3" and raise "out" } }
      db.transaction { |txn| txn["a"] = "6" and txn.abort }
      assert_equal "1", db["a"]
      db.transaction do |txn|
        txn["a"] = "7"
        assert_equal %w[7 1], [txn["a"], db["a"]]
        commit = txn.commit(async: true)
        db.wait_durable(commit)
        assert db.durable?(commit)
        assert_raises(KV::BadHandle) { txn["a"] }
      end
      assert_equal "7", db["a"]
      txn = db.transaction
      txn["a"] = "8"
      assert_equal db.newest_commit[0] + 1, txn.commit
      assert_equal "8", db["a"]
      db.transaction(durability: :lazy) { |lazy| lazy["a"] = "9" }
      visible, durable = db.newest_commit
      assert_operator visible, :>, durable
      refute db.durable?(visible)
      db.sync
      assert db.durable?(visible)
    end
  end

  def leave_by_return(db)
    db.transaction { |txn| txn["a"] = "return" and return "returned" }
  end

  def test_a_transaction_that_is_left_without_an_exception_commits
    KV.open("a.kv") do |db|
      assert_equal "returned", leave_by_return(db)
      assert_equal "return", db["a"]
      assert_equal 4, (db.transaction { |txn| txn["a"] = "break" and break 4 })
      assert_equal "break", db["a"]
      assert_equal 5, catch(:out) { db.transaction { |txn| txn["a"] = "throw" and throw :out, 5 } }
      assert_equal "throw", db["a"]
      assert_equal 6, (db.transaction { |txn| txn["a"] = "next" and next 6 })
      assert_equal "next", db["a"]
      [1].each { db.write_value("long") { |writer| writer << "part" and break } }
      assert_equal "part", db["long"]
      db.transaction { |txn| txn.write_value("long") { |writer| writer << "whole" and break } }
      assert_equal "whole", db["long"]
      # The entries of one call are written together or not at all.
      [%w[b 1], "a"].zip(%i[update delete_many]) do |thing, call|
        catch(:out) do
          db.send(call, Enumerator.new { |things| [things.yield(*thing), throw(:out)] })
        end
      end
      assert_equal %w[a long], db.keys
      db.transaction(wait: 0) { |txn| txn.abort and break }
    end
  end

  def test_a_transaction_is_undone_with_its_thread_and_its_time
    KV.open("a.kv") do |db|
      thread = Thread.new { db.transaction { |txn| txn["a"] = "killed" and sleep } }
      Thread.pass until thread.stop?
      thread.kill.join
      assert_raises(Timeout::Error) { Timeout.timeout(0.1) { db.transaction { |txn| txn["a"] = "late" and sleep } } }
      assert_raises(SystemExit) { db.transaction { |txn| txn["a"] = "exit" and exit } }
      assert_raises(Interrupt) { db.transaction { |txn| txn["a"] = "interrupt" and raise Interrupt } }
      assert_empty db
      Timeout.timeout(5) { db.transaction { |txn| txn["a"] = "in time" } }
      assert_equal "in time", db["a"]
    end
  end

  def test_a_snapshot_sees_what_was_there
    KV.open("a.kv") do |db|
      db["a"] = "1"
      snapshot = db.snapshot
      db["a"] = "2"
      assert_equal "1", snapshot["a"]
      assert_equal 1, db.readers.size
      assert_equal [Process.pid, snapshot.commit_id], db.readers.first.values_at(:pid, :commit)
      assert_raises(KV::ReadOnly) { snapshot["a"] = "3" }
      assert_equal "2", snapshot.refresh["a"]
      assert_equal snapshot.commit_id, snapshot.stat[:commit]
      snapshot.close
      assert snapshot.closed?
      assert_raises(KV::BadHandle) { snapshot["a"] }
      assert_equal "2", (db.snapshot { |other| other["a"] })
      assert_empty db.readers
    end
  end

  def test_tables
    KV.open("a.kv") do |db|
      users = db.create_table("users")
      users["ada"] = "1"
      users.note = "people"
      assert_equal %w[users people], [users.name, users.note]
      assert_raises(KV::Exists) { db.create_table("users", new: true) }
      assert_equal users.number, db.create_table("users").number
      db.transaction do |txn|
        txn.table("users")["bob"] = "2"
        txn.create_table("old")["x"] = "y"
        txn.table("old").rename("new")
        txn.create_table("gone").drop
      end
      assert_equal %w[new users], db.tables
      assert_equal [true, false], [db.table?("new"), db.table?("old")]
      error = assert_raises(KV::NoTable) { db.table("old") }
      assert_kind_of KeyError, error
      assert_equal %w[ada bob], db.snapshot { |snapshot| snapshot.table("users").keys }
      assert_equal [2, 1], [users.stat[:entries], users.stat(1)[:leaf_pages]]
      refute db.key?("ada")
      users.drop
      assert_raises(KV::NoTable) { users["ada"] }
    end
  end

  def test_waiting_for_others
    KV.open("a.kv", wait: 0.05) do |db|
      db["a"] = "1"
      txn = db.transaction
      assert_raises(KV::Deadlock) { db["a"] = "2" }
      assert_kind_of ThreadError, assert_raises(KV::Deadlock) { db.transaction }
      Thread.new do
        assert_raises(KV::Busy) { db["a"] = "2" }
        assert_raises(KV::Busy) { db.transaction(wait: 0) { flunk } }
        started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        assert_raises(KV::Busy) { db.transaction(wait: 0.3) { flunk } }
        assert_includes 0.3..5, Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
        assert_raises(Timeout::Error) { Timeout.timeout(0.2) { db.transaction(wait: nil) { flunk } } }
      end.join
      txn.abort
      commit = db.newest_commit.first
      assert_nil db.wait_commit(commit, wait: 0.01)
      assert_equal commit, db.wait_commit(commit - 1)
      waiting = Thread.new { db.wait_commit(commit) }
      db["a"] = "3"
      assert_equal commit + 1, waiting.value
      interrupted = Thread.new { assert_raises(KV::Cancelled) { loop { db.wait_commit(commit + 1) } } }
      db.interrupt until interrupted.join(0.01)
    end
  end

  def test_maintenance
    KV.open("a.kv") do |db|
      db.update((0...20_000).to_h { |index| [number(index), index.to_s] })
      told = []
      report = db.check(space: true, progress: ->(done, total) { told << [done, total] })
      assert_equal [0, 20_000, 0], report.values_at(:faults, :entries, :unaccounted_pages)
      assert_equal told.last[0], told.last[1]
      db.backup("copy.kv") { |done, total| told << [done, total] }
      assert_raises(KV::Exists) { db.backup("copy.kv") }
      db.backup("copy.kv", overwrite: true, compact: true)
      File.open("streamed.kv", "wb") { |file| db.backup_to(file) }
      %w[copy.kv streamed.kv].each { |name| KV.open(name) { |copy| assert_equal db.to_h, copy.to_h } }
      refute_equal db.identity[:uuid], KV.open("copy.kv", &:identity)[:uuid]
      assert_equal 1, db.identity[:format_version]
      assert_operator db.stat[:pages], :>, 40
      assert_operator db.stat[:announced_pages_used], :<=, db.stat[:announced_pages]
    end
  end

  def test_pages_below_a_damaged_branch
    sound = KV.open("a.kv") do |db|
      db.update((0...4000).to_h { |index| [number(index), "v" * 60] })
      db.check(space: true)
    end
    bytes = File.binread("a.kv")
    # The first byte of a branch is 3, and the second its level.
    branch = (4 * 4096).step(bytes.bytesize - 1, 4096).find { |at| bytes.byteslice(at, 2) == "\x03\x02".b }
    bytes.setbyte(branch + 100, bytes.getbyte(branch + 100) ^ 1)
    File.binwrite("a.kv", bytes)
    report = KV.open("a.kv") { |db| db.check(space: true) }
    assert_equal 1, report[:faults]
    assert_equal sound[:tree_pages] - report[:tree_pages], report[:unaccounted_pages]
    assert_operator report[:unaccounted_pages], :>, 50
  end

  def test_what_leaves_a_callback
    KV.open("a.kv") do |db|
      db["a"] = "1"
      assert_raises(ZeroDivisionError) { db.backup("no.kv") { 1 / 0 } }
      assert_raises(KV::Cancelled) { db.backup("no.kv") { break } }
      assert_raises(KV::Cancelled) { catch(:out) { db.backup("no.kv") { throw :out } } }
      broken = Object.new
      def broken.write(_bytes)
        raise IOError, "the pipe is gone"
      end
      assert_equal "the pipe is gone", assert_raises(IOError) { db.backup_to(broken) }.message
      refute_path_exists "no.kv"
      # The library has finished each of these calls, so nothing is in use.
      assert_empty db.readers
      db["a"] = "2"
    end
  end

  def test_damage_is_told_and_never_taken_for_the_end
    KV.open("a.kv") { |db| db.update((0...20_000).to_h { |index| [number(index), index.to_s] }) }
    damage("a.kv", 30..33)
    KV.open("a.kv") do |db|
      seen = 0
      error = assert_raises(KV::Corrupt) { db.each { seen += 1 } }
      assert_includes 30..33, error.page
      assert_equal [0, File.realpath("a.kv"), "KV_CORRUPT"], [error.table, error.path, error.status_name]
      assert_includes 1...20_000, seen
      assert_raises(KV::Corrupt) { db.each_key.lazy.map(&:size).to_a }
      assert_raises(KV::Corrupt) { db.get_many((0...20_000).map { |index| number(index) }) }
      faults = []
      report = db.check { |fault| faults << fault }
      assert_equal [4, 4], [report[:faults], faults.size]
      assert_equal ["KV_CORRUPT", 0, :unreadable], faults.first.values_at(:status, :table, :kind)
      assert_raises(KV::Corrupt) { db.backup("no.kv") }
      assert_equal number(0), db.first[0]
    end
    lost = []
    report = KV.salvage("a.kv", "saved.kv") { |fault| lost << fault[:message] }
    refute_empty lost
    assert_equal 20_000, report[:entries] + report[:lost_entries]
    assert_equal 0, report[:lost_slots]
    assert_raises(KV::Exists) { KV.salvage("a.kv", "saved.kv") }
    KV.open("saved.kv") { |db| assert_equal report[:entries], db.size }
  end

  def test_stale_readers_are_told
    told = []
    KV.open("a.kv", stale_reader: ->(reader) { told << reader and raise "nobody hears" }, stale_after: 0.01) do |db|
      db["a"] = "1"
      db.snapshot do
        db["a"] = "2"
        sleep 0.05
        assert_output(nil, /nobody hears/) { 3.times { |index| db["a"] = index.to_s } }
      end
    end
    assert_equal [Process.pid], told.map { |reader| reader[:pid] }
  end
end
