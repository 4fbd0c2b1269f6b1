kv --quiet put --create stock.kv apple 10 pear 4
kv --quiet put --create --table herbs stock.kv basil 7
kv snapshot stock.kv create copied
kv snapshot stock.kv create marked --mark
kv --quiet del --table herbs --drop stock.kv
kv --quiet put --create --table nuts stock.kv almond 2

kv diff stock.kv --snapshot copied --ranges
kv diff stock.kv --snapshot marked --ranges
