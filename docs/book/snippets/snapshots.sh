kv --quiet put --create shop.kv price 3
kv snapshot shop.kv create monday --note "before the new prices"
kv --quiet put shop.kv price 4

kv get shop.kv price --snapshot monday
kv get shop.kv price
kv snapshot shop.kv drop monday
