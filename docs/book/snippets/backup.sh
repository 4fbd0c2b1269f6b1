# needs: kv
kv --quiet put --create shop.kv apple 3 plum 5

kv --quiet backup shop.kv copy.kv                      # a snapshot, while others write
kv --quiet backup --compact shop.kv small.kv           # dense, and without free pages
kv backup shop.kv - --quiet | gzip >copy.kv.gz         # down a pipe
kv --quiet put shop.kv plum 4

gunzip <copy.kv.gz | kv --quiet restore - old.kv
kv check --all old.kv >report.txt && echo "the copy is whole"
kv scan old.kv
