# needs: kv
value='@home, \n and "quotes"'
printf %s "$value" | kv --quiet put --create notes.kv note -
kv get notes.kv note -o raw
