# frozen_string_literal: true

require_relative "helper"

# Differences: what was added, removed and changed between two transactions.
class DifferencesTest < DatabaseTest
  def setup
    super
    @db = KV.open("a.kv")
    @first = (0...2000).to_h { |n| [format("%05d", n), "x" * (n % 50)] }
    @db.transaction do |t|
      @first.each { |key, value| t[key] = value }
      t.create_table("gone")["k"] = "1"
    end
    @then = @db.snapshot
    @second = @first.reject { |key, _| key.end_with?("7") }
    @second.update((100...3000).step(9).to_h { |n| [format("%05d", n), "new"] }, "long" => "y" * 200_000, "empty" => "")
    @db.transaction do |t|
      t.clear
      @second.each { |key, value| t[key] = value }
      t.table("gone").drop
      assert_equal expected(@first, @second), t.changes(@then).map(&:to_a)
    end
  end

  def teardown
    @db.close
    super
  end

  def expected(first, second)
    keys = (first.keys | second.keys).sort.reject { |key| first[key] == second[key] }
    keys.map do |key|
      kind = first.key?(key) ? :changed : :added
      kind = :removed unless second.key?(key)
      [kind, key, first[key], second[key]]
    end
  end

  def test_changes_are_those_of_hashes
    @db.snapshot do |after|
      assert_equal expected(@first, @second), after.changes(@then).map(&:to_a)
      assert_equal expected(@second, @first).reverse, @then.changes(after, reverse: true).map(&:to_a)
      some = expected(@first, @second).select { |_, key| key >= "001" && key < "02" }
      assert_equal some, after.changes(@then, from: "001", before: "02").map(&:to_a)
      kinds = expected(@first, @second).map(&:first).tally
      assert_equal kinds, after.count_changes(@then)
      assert_equal some.size, after.count_changes(@then, from: "001", before: "02").values.sum
      assert_equal :added, after.changes(@then, prefix: "long").first.kind
    end
  end

  def test_tables_and_whether_anything_differs
    @db.snapshot do |after|
      assert_equal [[:removed, "k", "1", nil]], after.changes(@then, "gone").map(&:to_a)
      assert_equal [[:removed, "k", "1", nil]], after.changes(@then, @then.table("gone")).map(&:to_a)
      assert_raises(KV::NoTable) { after.changes(@then, "none").to_a }
      assert after.same?(after)
      refute after.same?(@then)
      refute after.same?(@then, after)
    end
  end

  def test_a_writer_goes_on_in_what_it_writes
    @db.transaction do |t|
      seen = []
      t.changes(@then) do |change|
        t["zz"] = "behind" if seen.empty?
        seen << change.key
      end
      assert_equal "zz", seen.last
      assert_match(/one write transaction/, assert_raises(KV::Invalid) { t.same?(t) }.message)
    end
    KV.open("other.kv") do |other|
      other.snapshot do |foreign|
        assert_raises(KV::Invalid) { foreign.changes(@then).first }
        assert_raises(KV::Invalid) { foreign.count_changes(@then) }
        assert_raises(KV::Invalid) { foreign.same?(@then) }
      end
    end
    @then.close
    @db.snapshot { |after| assert_raises(KV::BadHandle) { after.changes(@then).first } }
  end
end
