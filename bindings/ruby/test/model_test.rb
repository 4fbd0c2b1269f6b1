# frozen_string_literal: true

require_relative "helper"

# Random operations on a database and on a Hash, which must give the same answers.
class ModelTest < DatabaseTest
  OPERATIONS = Integer(ENV.fetch("KV_RUBY_OPERATIONS", "20000"))
  SEED = Integer(ENV.fetch("KV_SEED", "1"))

  def test_random_operations
    @random = Random.new(SEED)
    model = {}
    db = KV.open("model.kv", page_size: 4096)
    left = OPERATIONS
    while left.positive?
      steps = @random.rand(1..200)
      left -= steps
      changed = transaction_of(db, model, steps)
      model = changed if changed
      compare(db, model)
      next unless @random.rand(20).zero?

      db.close
      db = KV.open("model.kv")
      assert_equal 0, db.check(space: true)[:faults]
    end
    db.close
  rescue Minitest::Assertion => e
    raise e.class, "seed #{SEED}: #{e.message}"
  end

  private

  # Runs steps in a transaction; returns the model after them, or nil if they were undone.
  def transaction_of(database, model, steps)
    model = model.dup
    database.transaction do |txn|
      steps.times { step(txn, model) }
      compare(txn, model)
      raise KV::Rollback if @random.rand(5).zero?

      model
    end
  end

  def step(txn, model)
    key = key_of
    case @random.rand(100)
    when 0...40 then (txn[key] = value_of).tap { |value| model[key] = value }
    when 40...55 then same(model.delete(key), txn.delete(key))
    when 55...60 then insert(txn, model, key)
    when 60...65 then replace(txn, model, key)
    when 65...67 then delete_range(txn, model)
    when 67...70 then take_first(txn, model)
    when 70...75 then same(model.values_at(key, "none"), txn.values_at(key, "none"))
    when 75...80 then update(txn, model)
    when 80...81 then @random.rand(20).zero? && (txn.clear && model.clear)
    else look(txn, model, key)
    end
  end

  def insert(txn, model, key)
    value = value_of
    same(model[key], txn.insert(key, value))
    model[key] ||= value
  end

  def replace(txn, model, key)
    value = value_of
    same(model[key], txn.replace(key, value))
    model[key] = value
  end

  def delete_range(txn, model)
    from, before = [key_of, key_of].sort
    gone = model.keys.select { |key| key >= from && key < before }
    same(gone.size, txn.delete_range(from: from, before: before))
    gone.each { |key| model.delete(key) }
  end

  def take_first(txn, model)
    reverse = @random.rand(2).zero?
    key = reverse ? model.keys.max : model.keys.min
    same(key && [key, model.delete(key)], txn.take_first(reverse: reverse))
  end

  def update(txn, model)
    entries = Array.new(@random.rand(50)) { [key_of, value_of] }.to_h
    txn.update(entries)
    model.update(entries)
  end

  def look(txn, model, key)
    same(model[key], txn[key])
    same(model.key?(key), txn.key?(key))
    same(model.keys.count { |other| other < key }, txn.rank(key))
    prefix = key[0, 2]
    expected = model.select { |other, _| other.start_with?(prefix) }.sort
    same(expected.size, txn.count(prefix: prefix))
    same(expected.first(20), txn.each(prefix: prefix, limit: 20).to_a)
    same(expected.reverse, txn.each(prefix: prefix, reverse: true).to_a)
  end

  def compare(collection, model)
    sorted = model.sort
    same(sorted, collection.to_a)
    same(sorted.map(&:first), collection.keys)
    same(sorted.map(&:last), collection.values)
    same(sorted.reverse.first(30), collection.first_reverse(30))
    index = @random.rand(-3..(model.size + 3))
    same(index < -model.size ? nil : sorted[index], collection.nth(index))
    same(model.values_at(*sorted.map(&:first).reverse), collection.get_many(sorted.map(&:first).reverse))
  end

  def same(expected, found)
    expected.nil? ? assert_nil(found) : assert_equal(expected, found)
  end

  # Few keys, so that they meet again.
  def key_of
    key = "#{('a'..'e').to_a.sample(random: @random)}/#{@random.rand(300)}".b
    @random.rand(50).zero? ? key * 100 : key
  end

  def value_of
    @random.rand(100).zero? ? @random.bytes(@random.rand(50_000)) : @random.bytes(@random.rand(40))
  end
end

KV::Collection.class_eval do
  # For the test alone.
  def first_reverse(count)
    each(reverse: true, limit: count).to_a
  end
end
