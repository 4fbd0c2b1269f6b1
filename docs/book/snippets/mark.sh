kv --quiet put --create marks.kv $(for n in $(seq 1000 1999); do echo $n one; done)
kv snapshot marks.kv create copied --mark
kv --quiet put marks.kv 1500 two
kv diff marks.kv --snapshot copied --ranges --table "" | wc -l
kv snapshot marks.kv list -o json | grep -c '"mark":true'
