# needs: kv
kv put --create fruit.kv apple red pear green plum blue      # all three are durable now

echo "apple is $(kv get fruit.kv apple -o raw)"
echo "$(kv count fruit.kv --prefix p) fruits begin with p"
kv scan fruit.kv --prefix p | sed "s/$(printf '\t')/: /"
