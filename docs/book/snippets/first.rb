require "keelkv"

KV.open("fruit.kv", encoding: "UTF-8") do |db|
  db.transaction do |txn|
    txn["apple"] = "red"
    txn["pear"] = "green"
    txn["plum"] = "blue"
  end
  # All three are durable now.

  db.snapshot do |snapshot|
    puts "apple is #{snapshot["apple"]}"
    puts "#{snapshot.count(prefix: "p")} fruits begin with p"
    snapshot.each(prefix: "p") { |key, value| puts "#{key}: #{value}" }
  end
end
