# frozen_string_literal: true

require_relative "helper"

# What a database, a transaction, a snapshot and a table have in common.
class CollectionTest < DatabaseTest
  # Runs a test in each kind of collection that can be written.
  def each_kind(&block)
    KV.memory(&block)
    KV.memory { |db| yield db.create_table("t") }
    KV.memory { |db| db.transaction(&block) }
    KV.memory { |db| db.transaction { |txn| yield txn.create_table("t") } }
  end

  def test_it_is_used_like_a_hash
    each_kind do |kv|
      assert_empty kv
      kv["b"] = "2"
      assert_equal "1", kv.store("a", "1")
      assert_equal "2", kv["b"]
      assert_nil kv["c"]
      assert_equal 2, kv.size
      assert_equal %w[a b], kv.keys
      assert_equal %w[1 2], kv.values
      assert_equal({ "a" => "1", "b" => "2" }, kv.to_h)
      assert_equal({ "1" => "a", "2" => "b" }, kv.to_h { |key, value| [value, key] })
      assert kv.key?("a") && kv.include?("a") && kv.has_key?("a") && kv.member?("a")
      refute kv.key?("c")
      assert_equal "1", kv.delete("a")
      assert_nil kv.delete("a")
      assert_equal "no a", kv.delete("a") { |key| "no #{key}" }
      assert_equal kv, kv.update("x" => "y", "z" => "")
      assert_equal [%w[b 2], %w[x y], ["z", ""]], kv.to_a
      assert_equal kv, kv.clear
      assert_equal 0, kv.count
    end
  end

  def test_update_asks_a_block_about_keys_that_exist
    each_kind do |kv|
      kv.update("a" => "1", "b" => "2")
      asked = []
      result = kv.update([%w[a 3], %w[c 4], %w[c 5]]) { |*all| asked << all and all.last + all[1] }
      assert_equal kv, result
      assert_equal [%w[a 1 3], %w[c 4 5]], asked
      assert_equal({ "a" => "31", "b" => "2", "c" => "54" }, kv.to_h)
      assert_equal kv, (kv.merge!("a" => "x") { |_, old, _| old })
      assert_equal "31", kv["a"]
      assert_raises(TypeError) { kv.update("a" => "x") { nil } }
      assert_raises(KV::Exists) { kv.update({ "a" => "x" }, only: :new) { |_, old, _| old } }
    end
  end

  def test_enumerators_show_what_they_were_given
    KV.memory do |db|
      assert_match(/:each\(prefix: "?a"?\)>\z/, db.each(prefix: "a").inspect)
      assert_match(/:each_key>\z/, db.each_key.inspect)
    end
  end

  def test_fetch
    each_kind do |kv|
      kv["a"] = "1"
      assert_equal "1", kv.fetch("a")
      assert_equal "1", kv.fetch("a") { flunk }
      assert_equal "d", kv.fetch("z", "d")
      assert_equal "z!", kv.fetch("z") { |key| "#{key}!" }
      error = assert_raises(KeyError) { kv.fetch("z") }
      assert_kind_of KV::Error, error
      assert_equal ["z", kv, "KV_NOTFOUND", -1], [error.key, error.receiver, error.status_name, error.status]
      assert_match(/no key "z" in (the main table|table number \d+); ask/, error.message)
      assert_match(/the main table/, error.message) if kv.number.zero?
      assert_raises(ArgumentError) { kv.fetch("z", "1", "2") }
    end
  end

  def test_puts_that_demand_something
    each_kind do |kv|
      kv.put("b", "1", only: :new)
      assert_raises(KV::Exists) { kv.put("b", "2", only: :new) }
      kv.put("b", "3", only: :existing)
      assert_raises(KV::NotFound) { kv.put("a", "1", only: :existing) }
      kv.put("c", "1", only: :append)
      assert_raises(KV::Order) { kv.put("a", "1", only: :append) }
      assert_raises(ArgumentError) { kv.put("a", "1", only: :sometimes) }
      assert_equal({ "b" => "3", "c" => "1" }, kv.to_h)
      assert_nil kv.insert("a", "1")
      assert_equal "1", kv.insert("a", "2")
      assert_equal "1", kv.replace("a", "3")
      assert_nil kv.replace("d", "4")
      assert_raises(KV::NotFound) { kv.replace("e", "5", only: :existing) }
      assert_raises(KV::Exists) { kv.update({ "e" => "1", "a" => "1" }, only: :new) }
      assert_equal "3", kv["a"]
    end
  end

  def test_bounds
    each_kind do |kv|
      kv.update((0...100).to_h { |index| [number(index), index.to_s] })
      keys = (0...100).map { |index| number(index) }
      assert_equal keys[10..], kv.keys(from: keys[10])
      assert_equal keys[11..], kv.keys(after: keys[10])
      assert_equal keys[..10], kv.keys(through: keys[10])
      assert_equal keys[...10], kv.keys(before: keys[10])
      assert_equal keys[20...30], kv.keys(prefix: "00002")
      assert_equal keys[25...30].reverse, kv.keys(prefix: "00002", from: keys[25], reverse: true)
      assert_equal keys.reverse, kv.keys(reverse: true)
      assert_equal keys[5, 3], kv.each_key(from: keys[5], limit: 3).to_a
      assert_equal [], kv.each(limit: 0).to_a
      assert_equal 10, kv.count(prefix: "00002")
      assert_equal 25, kv.rank(keys[25])
      assert_equal [keys[27], "27"], kv.nth(7, prefix: "00002")
      assert_equal [keys[29], "29"], kv.nth(-1, prefix: "00002")
      assert_equal [keys[20], "20"], kv.nth(-1, prefix: "00002", reverse: true)
      assert_nil kv.nth(10, prefix: "00002")
      assert_equal [keys[49], "49"], kv.percentile(50)
      assert_includes keys[20...30], kv.sample(prefix: "00002").first
      assert_nil kv.sample(prefix: "none")
      assert_equal [keys[99], "99"], kv.last
      assert_equal keys[97..], kv.last(3).map(&:first)
      assert_equal [keys[0], "0"], kv.take_first
      assert_equal [keys[99], "99"], kv.shift(reverse: true)
      assert_equal 10, kv.delete_range(prefix: "00002")
      assert_equal 88, kv.size
      assert_raises(KV::Invalid) { kv.delete_range }
      assert_raises(ArgumentError) { kv.keys(from: "a", after: "b") }
      assert_raises(ArgumentError) { kv.keys(until: "a") }
      assert_raises(ArgumentError) { kv.each(limit: -1) { flunk } }
    end
  end

  def test_it_is_enumerable
    each_kind do |kv|
      kv.update((0...5000).to_h { |index| [number(index), "x" * (index % 50)] })
      assert_equal [[number(0), ""], [number(1), "x"]], kv.first(2)
      assert_equal [number(0), ""], kv.first
      long = kv.each.lazy.select { |_, value| value.size == 49 }.map { |key, _| key }
      assert_equal [number(49), number(99)], long.first(2)
      assert_equal 100, kv.count { |_, value| value.empty? }
      assert_equal 5000, kv.each.size
      assert_equal 7, kv.each(limit: 7).size
      assert_equal 5000, kv.each_value.size
      external = kv.each_key
      assert_equal [number(0), number(1)], [external.next, external.next]
      pairs = kv.each_with_index.map { |(key, _), index| [key, index] }
      assert_equal [number(4999), 4999], pairs.last
      assert_equal "left", (kv.each { break "left" })
      assert_equal kv, kv.each { |key, value| assert key && value }
      assert_equal (0...5000).sum { |index| index % 50 }, kv.each_value.sum(&:size)
    end
  end

  def test_many_keys_at_once
    each_kind do |kv|
      kv.update((0...5000).to_h { |index| [number(index), "v" * (index % 200)] })
      wanted = (0...6000).map { |index| number(index) }.shuffle(random: Random.new(1))
      expected = wanted.map { |key| key < number(5000) ? "v" * (key.to_i % 200) : nil }
      assert_equal expected, kv.get_many(wanted)
      assert_equal ["v", nil], kv.values_at(number(1), "none")
      assert_equal({ number(1) => "v" }, kv.slice(number(1), "none"))
      assert_equal [], kv.get_many([])
      assert_equal 2, kv.delete_many([number(1), "none", number(2), number(1)])
      assert_equal [nil, nil], kv.values_at(number(1), number(2))
    end
  end

  def test_every_byte_string_is_a_key_and_a_value
    each_kind do |kv|
      all = (0..255).map(&:chr).join.b
      ["", "\0", all, all * 100, "ä", "x" * 3000].each do |bytes|
        kv[bytes] = bytes
        assert_equal bytes.b, kv[bytes]
        assert_equal Encoding::BINARY, kv[bytes].encoding
        assert_equal bytes.b, kv.replace(bytes, bytes)
        assert_equal [bytes.b, bytes.b], kv.each(from: bytes).first
        refute kv[bytes].frozen?
      end
      assert_equal 6, kv.size
    end
  end

  def test_values_larger_than_any_buffer
    each_kind do |kv|
      large = Random.new(1).bytes(300_000)
      kv["large"] = large
      kv["small"] = "s"
      assert_equal large, kv["large"]
      assert_equal [["large", large], %w[small s]], kv.to_a
      assert_equal [large, nil, "s"], kv.get_many(%w[large none small])
      assert_equal 300_000, kv.stat_value("large")[:len]
      assert_nil kv.stat_value("none")
      assert_equal large[1000, 10], kv.read_value("large", 1000, 10)
      assert_equal large[-5..], kv.read_value("large", 299_995, 10)
      assert_equal "", kv.read_value("large", 300_000, 10)
      assert_nil kv.read_value("none", 0, 10)
    end
  end

  def test_values_in_parts
    each_kind do |kv|
      kv.write_value("parts", size_hint: 6) { |writer| assert_equal 6, (writer << "abc").write("de", "f") + 3 }
      assert_equal "abcdef", kv["parts"]
      kv.write_value("copied") { |writer| IO.copy_stream(StringIO.new("x" * 100_000), writer) }
      assert_equal 100_000, kv["copied"].size
      assert_raises(KV::Exists) { kv.write_value("parts", only: :new) { flunk } }
    end
    KV.memory do |db|
      assert_raises(RuntimeError) { db.write_value("lost") { |writer| (writer << "x") && raise("out") } }
      refute db.key?("lost")
      kept = nil
      db.write_value("done") { |writer| kept = writer }
      assert_raises(KV::BadHandle) { kept << "x" }
      assert_equal "", db["done"]
    end
  end

  def test_what_is_not_a_string_is_refused
    each_kind do |kv|
      kv["a"] = "1"
      [1, :a, nil, ["a"]].each do |wrong|
        assert_raises(TypeError) { kv[wrong] }
        assert_raises(TypeError) { kv[wrong] = "1" }
        assert_raises(TypeError) { kv["a"] = wrong }
        assert_raises(TypeError) { kv.delete(wrong) }
        assert_raises(TypeError) { kv.get_many([wrong]) }
        assert_raises(TypeError) { kv.update("a" => wrong) }
        assert_raises(TypeError) { kv.read_value(wrong, 0, 1) }
      end
      assert_equal({ "a" => "1" }, kv.to_h)
    end
  end

  def test_what_becomes_a_string_is_taken_everywhere
    name = Struct.new(:to_str)
    each_kind do |kv|
      key = name.new("key")
      value = name.new("value")
      kv[key] = value
      assert_equal "value", kv[key]
      assert_equal "value", kv.fetch(key)
      assert_equal "alu", kv.read_value(key, 1, 3)
      assert_equal 5, kv.stat_value(key)[:len]
      assert kv.key?(key)
      assert_equal kv, kv.update({ name.new("other") => value, "third" => value })
      assert_equal %w[value value], kv.get_many([name.new("other"), name.new("third")])
      assert_equal "value", kv.insert(key, value)
      assert_equal "value", kv.replace(key, name.new("new"))
      kv.put(key, value, only: :existing)
      assert_equal %w[key], kv.keys(prefix: name.new("k"), from: key, through: key)
      assert_equal 1, kv.rank(name.new("l"))
      assert_equal %w[key value], kv.cursor { |cursor| cursor.seek(key, :eq) }
      kv.write_value(key) { |writer| writer.write(value, value) && (writer << value) }
      assert_equal "valuevaluevalue", kv.delete(key)
      assert_equal 1, kv.delete_many([name.new("third"), key])
      assert_equal 1, kv.delete_range(prefix: name.new("o"))
    end
    KV.memory do |db|
      table = db.create_table(name.new("t"))
      table.note = name.new("note")
      assert_equal %w[note n], [table.note, table.rename(name.new("n")).name]
      assert db.table?(name.new("n"))
    end
  end

  def test_cursors
    KV.memory do |db|
      db.update((0...100).to_h { |index| [number(index), index.to_s] })
      assert_raises(ArgumentError) { db.cursor }
      assert_equal [number(9), "9"], db.cursor(prefix: "00000", &:last)
      db.transaction do |txn|
        cursor = txn.cursor
        assert_nil cursor.entry
        assert_equal [number(0), "0"], cursor.next
        assert_equal [number(99), "99"], cursor.last
        assert_nil cursor.next
        assert_equal [number(99), "99"], cursor.prev
        assert_equal [number(0), "0"], cursor.first
        assert_nil cursor.prev
        assert_equal [number(50), "50"], cursor.seek("00005")
        assert_equal [50, 100], [cursor.rank, cursor.count]
        assert_nil cursor.seek("00005", :eq)
        assert_equal [number(49), "49"], cursor.seek(number(50), :lt)
        assert_raises(ArgumentError) { cursor.seek("a", :near) }
        assert_equal [number(42), "42"], cursor.nth(42)
        assert_nil cursor.nth(100)
        assert_raises(KV::Invalid) { cursor.percentile(101) }
        assert cursor.random
        cursor.nth(3)
        cursor.put("three")
        assert_equal "three", txn[number(3)]
        cursor.delete
        assert_nil cursor.entry
        assert_raises(KV::NotFound) { cursor.delete }
        assert_equal [number(4), "4"], cursor.next
        cursor.close
        assert_raises(KV::BadHandle) { cursor.next }
        cursor.close
      end
    end
  end

  def test_iterations_may_write
    KV.memory do |db|
      db.update((0...5000).to_h { |index| [number(index), "v"] })
      db.transaction { |txn| txn.each { |key, _| key.to_i.even? ? txn.delete(key) : txn[key] = "w" } }
      assert_equal [2500, %w[w]], [db.size, db.values.uniq]
      db.each_key { |key| db.delete(key) }
      assert_empty db
    end
  end
end
