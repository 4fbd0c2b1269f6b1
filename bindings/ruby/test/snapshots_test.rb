# frozen_string_literal: true

require_relative "helper"

# Named snapshots: making, reading, listing and dropping them.
class SnapshotsTest < DatabaseTest
  def setup
    super
    @db = KV.open("a.kv")
    @db.transaction do |t|
      t["key"] = "before"
      t.create_snapshot("old", note: "a note")
    end
    @db["key"] = "after"
  end

  def teardown
    @db.close
    super
  end

  def test_a_snapshot_is_read_beside_the_newest_state
    @db.snapshot("old") do |old|
      assert_equal [%w[key before]], old.to_a
      assert_raises(KV::NoTable) { old.snapshots }
      assert_equal "after", old.refresh["key"]
    end
    error = assert_raises(KV::NotFound) { @db.snapshot("none") }
    assert_match(/no snapshot "none".*names that snapshots has/, error.message)
    assert_raises(KV::Invalid) { @db.snapshot("") }
    assert_raises(KV::Invalid) { @db.snapshot("old", commit: 1) }
  end

  def test_what_is_recorded
    stat = @db.snapshot { |newest| newest.stat_snapshot("old") }
    assert_equal [false, "a note", 16], [stat[:keep], stat[:note], stat[:guid].bytesize]
    assert_in_delta Time.now, stat[:time], 600
    assert_operator stat[:used_pages], :<=, stat[:file_pages]
    assert_equal "before", @db.snapshot(commit: stat[:commit]) { |old| old["key"] }
    assert_equal "before", @db.snapshot(time: stat[:time]) { |old| old["key"] }
    assert_equal "after", @db.snapshot(time: Time.now + 60) { |newest| newest["key"] }
    assert_raises(KV::NotFound) { @db.snapshot(time: Time.at(1)) }
  end

  def test_going_back
    @db.transaction do |t|
      t.create_table("users")["ada"] = "1"
      t.create_snapshot("with users")
    end
    number = @db.table("users").number
    @db.table("users").drop
    @db.create_table("new")["k"] = "v"
    @db.snapshot("with users") do |before|
      @db.transaction do |t|
        t["own"] = "write"
        assert_equal 3, t.revert(before)
        assert_equal [["users"], number, "after"], [t.tables, t.table("users").number, t["key"]]
      end
    end
    @db.snapshot("old") do |old|
      @db.transaction do |t|
        assert_equal 1, t.revert(old, t) # the main table
        assert_equal ["before", ["users"]], [t["key"], t.tables]
        assert_equal 1, t.revert(old, "users")
        assert_empty t.tables
        assert_raises(KV::NoTable) { t.revert(old, "users") }
        assert_match(/begin one with snapshot/, assert_raises(KV::Invalid) { t.revert(t) }.message)
      end
    end
    assert_equal ["before", ["old", "with users"]], [@db["key"], @db.snapshots]
    assert_equal 0, @db.check(space: true)[:faults]
  end

  def test_names_change_and_go
    before = @db.snapshot
    @db["key"] = "third"
    before.create_snapshot("reader", keep: true).close
    @db.transaction do |t|
      assert_match(/replace: true/, assert_raises(KV::Exists) { t.create_snapshot("old") }.message)
      assert_match(/keep_snapshot/, assert_raises(KV::Invalid) { t.drop_snapshot("reader") }.message)
      assert t.stat_snapshot("reader")[:keep]
      t.keep_snapshot("reader", false)
      t.rename_snapshot("old", "reader")
      t.create_snapshot("new", replace: true)
      assert_raises(KV::NotFound) { t.drop_snapshot("old") }
    end
    assert_equal %w[new reader], @db.snapshots
    assert_equal 2, @db.check(space: true)[:snapshots]
    assert_equal [0, @db.snapshot_cost("reader")], [@db.snapshot_cost("new"), @db.snapshot_cost("new", "reader")]
    assert_raises(KV::NotFound) { @db.snapshot_cost("new", "none") }
  end

  def test_commits_record_snapshots_by_themselves
    @db.transaction do |t|
      assert_nil t.history
      t.set_history(every: 3600, last: 2, daily: 7)
      policy = { every: 3600, last: 2, hourly: 0, daily: 7, weekly: 0, monthly: 0, yield_after: 0, yield_pages: 0 }
      assert_equal policy, t.history
    end
    automatic = @db.snapshots.grep(%r{\Aauto/})
    assert_equal 1, automatic.size
    @db.transaction do |t|
      assert t.stat_snapshot(automatic.first)[:automatic]
      t.end_history
      %w[row/1 row/2 row/3].each { |name| t.create_snapshot(name) }
      assert_raises(KV::Invalid) { t.thin_snapshots("row/") }
      assert_raises(ArgumentError) { t.thin_snapshots("row/", yearly: 1) }
      assert_equal 2, t.thin_snapshots("row/", last: 1)
    end
  end

  def test_marks_tell_what_has_changed_and_keep_nothing
    @db.transaction do |t|
      1000.times { |i| t[format("a%04d", i)] = "v" * 100 }
      t.create_snapshot("mark", mark: true)
      t.create_snapshot("yields", yields: true)
      assert_raises(KV::Invalid) { t.create_snapshot("both", mark: true, keep: true) }
    end
    @db["a0500"] = "other"
    @db.transaction do |t|
      t.release_snapshot("old")
      t.set_history(yield_after: 86_400, yield_pages: 2**33)
      assert_equal [0, 86_400, 2**33], t.history.values_at(:every, :yield_after, :yield_pages)
    end
    assert_match(/changed_ranges/, assert_raises(KV::Invalid) { @db.snapshot("mark") }.message)
    @db.snapshot do |now|
      assert_equal [true, true, false], %w[old mark yields].map { |name| now.stat_snapshot(name)[:mark] }
      assert now.stat_snapshot("yields")[:yields]
      low, high = now.changed_ranges("mark").first
      assert_operator low, :<, "a0500"
      assert_operator "a0500", :<, high
      assert_equal [["a0500", "a0500\0"]], now.changed_ranges("mark", from: "a0500", through: "a0500")
      assert_equal [["", nil]], now.changed_ranges("old")
      assert_raises(KV::NotFound) { now.changed_ranges("none") }
    end
  end

  def test_tables_that_came_and_went_since_a_mark_are_told_by_their_names
    @db.transaction do |t|
      t.create_table("first")
      t.create_snapshot("mark", mark: true)
    end
    @db["key"] = "third"
    @db.snapshot { |now| assert_empty now.changed_table_names("mark") }
    @db.transaction { |t| t.create_table("second") }
    @db.snapshot do |now|
      assert_equal [["", nil]], now.changed_table_names("mark")
      assert_raises(KV::NotFound) { now.changed_table_names("none") }
    end
  end

  def test_what_is_dropped_is_given_back
    @db.snapshot("old") do |old|
      @db.transaction { |t| t.drop_snapshot("old") }
      assert_equal "before", old["key"]
    end
    assert_kind_of Integer, @db.reclaim
    assert_equal [0, []], [@db.stat[:parked_pages], @db.snapshots]
  end

  def test_the_file_becomes_smaller
    @db.transaction { |t| 20_000.times { |i| t[format("a%06d", i)] = "v" * 200 } }
    @db.transaction { |t| 1000.times { |i| t[format("b%06d", i)] = "v" * 200 } }
    @db.transaction { |t| t.delete_range(prefix: "a") }
    @db.transaction { |t| t.drop_snapshot("old") }
    @db.sync
    first = File.size(@db.path)
    stayed = @db.compact(stay: true, punch: true)
    assert_equal 0, stayed[:moved_pages]
    assert_operator stayed[:punched_bytes], :>, 1 << 20
    @db.snapshot { |reader| assert_equal reader.commit_id, @db.compact[:held_commit] }
    before = File.size(@db.path)
    told = []
    report = @db.compact { |done, total| told << [done, total] }
    assert_equal [nil, before - File.size(@db.path)], report.values_at(:held_commit, :cut_bytes)
    assert_operator File.size(@db.path), :<, first / 3
    assert_equal told.last[0], told.last[1]
    assert_raises(KV::Cancelled) { @db.compact { break } }
    assert_raises(ZeroDivisionError) { @db.compact { 1 / 0 } }
    assert_equal 0, @db.check(space: true)[:faults]
  end
end
