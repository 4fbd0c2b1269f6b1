# frozen_string_literal: true

require_relative "helper"

# Going back within a write transaction: savepoints, and transactions that are nested in it.
class SavepointsTest < DatabaseTest
  def setup
    super
    @db = KV.open("a.kv")
  end

  def teardown
    @db.close
    super
  end

  def test_back_to_savepoints
    @db.transaction do |t|
      t["a"] = "1"
      first = t.savepoint
      t["a"] = "2"
      second = t.savepoint
      t.create_table("new")["k"] = "v"
      t.delete("a")
      cursor = t.cursor
      second.rollback
      assert_equal %w[a 2], cursor.first
      assert_empty t.tables
      assert_same first, first.rollback.rollback
      assert_equal %w[a 1], cursor.entry
      assert_match(/no such savepoint/, assert_raises(KV::Invalid) { second.rollback }.message)
      t["b"] = "3"
      assert_nil first.release
      assert_raises(KV::Invalid) { first.rollback }
    end
    assert_equal({ "a" => "1", "b" => "3" }, @db.to_h)
  end

  def test_savepoints_with_blocks
    @db.transaction do |t|
      assert_equal("1", t.savepoint { t["a"] = "1" })
      assert_raises(ZeroDivisionError) { t.savepoint { t["a"] = (1 / 0).to_s if t.delete("a") } }
      assert_nil(t.savepoint { raise KV::Rollback if t.delete("a") })
      assert_equal "1", t["a"]
      t.savepoint do |point|
        t["b"] = "undone"
        point.rollback
        t["c"] = "kept"
      end
      t.savepoint do
        t["d"] = "kept"
        break
      end
      t.savepoint(&:release)
      assert_raises(ZeroDivisionError) { t.savepoint { |outer| t.savepoint { outer.rollback && (1 / 0) } } }
      assert_equal %w[a c d], t.keys
      t.savepoint { t.abort }
    end
    assert_empty @db
  end

  def test_nested_transactions
    @db.transaction do |t|
      t["a"] = "1"
      result = t.nested do |n|
        n["b"] = n["a"]
        n.nested { |inner| inner["c"] = "3" }
        n.size
      end
      assert_equal 3, result
      assert_raises(ZeroDivisionError) { t.nested { |n| n["a"] = (1 / 0).to_s if n.delete("b") } }
      assert_nil(t.nested { |n| raise KV::Rollback if n.delete("b") })
      t.nested do |n|
        n.delete("b")
        n.abort
      end
      t.nested do |n|
        n["d"] = "4"
        break
      end
      assert_equal %w[a b c d], t.keys
    end
    assert_equal "4", @db["d"]
  end

  def test_the_outer_one_waits
    @db.transaction do |t|
      t["a"] = "1"
      table = t.create_table("t")
      cursor = t.cursor
      point = t.savepoint
      t.nested do |n|
        [-> { t["a"] }, -> { t["a"] = "2" }, -> { table["k"] }, -> { cursor.next }, -> { point.rollback },
         -> { t.nested }, -> { t.savepoint }, -> { t.commit_id }].each do |call|
          assert_match(/nested transaction is open.*\(nested\)/, assert_raises(KV::ChildOpen, &call).message)
        end
        n["a"] = "3"
      end
      assert_equal [%w[a 3], "3"], [cursor.next, t["a"]]
    end
  end

  def test_the_outer_one_ends_first
    t = @db.transaction
    n = t.nested
    n["a"] = "1"
    assert_raises(KV::ChildOpen) { t.commit }
    assert_predicate n, :closed?
    assert_raises(KV::BadHandle) { n["a"] }
    assert_raises(KV::BadHandle) { n.commit }
    n.abort
    @db.transaction do |outer|
      outer.nested { |inside| outer.abort && (inside["a"] = "2") }
    rescue KV::BadHandle
      nil
    end
    assert_empty @db
  end

  def test_a_nested_transaction_keeps_the_outer_one
    n = @db.transaction.nested
    GC.start
    n["a"] = "1"
    assert_equal "1", n["a"]
    n.abort
  end

  def test_snapshots_have_none
    @db.snapshot do |s|
      refute_respond_to s, :nested
      refute_respond_to s, :savepoint
    end
    @db.transaction { |t| @t = t }
    assert_raises(KV::BadHandle) { @t.nested }
    assert_raises(KV::BadHandle) { @t.savepoint }
  end
end
