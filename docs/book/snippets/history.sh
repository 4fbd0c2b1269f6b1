kv --quiet put --create fruit.kv apple red
kv history fruit.kv --every 10m --last 6 --hourly 24 --daily 7 --weekly 4 --monthly 12
kv --quiet put fruit.kv apple green

kv history fruit.kv -o json
kv snapshot fruit.kv list -o raw | cut -c 1-5
