# needs: kv sqlite3
sqlite3 old.db "create table fruit (name text primary key, colour text);
                insert into fruit values ('apple', 'red'), ('plum', 'dark \"blue\", almost black');"

sqlite3 -header -csv old.db "select name as key, colour as value from fruit" |
    kv --quiet load --create --table fruit --format csv new.kv
kv scan new.kv --table fruit
