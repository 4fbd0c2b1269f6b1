# needs: kv sqlite3
sqlite3 old.db "create table pictures (number integer primary key, data blob);
                insert into pictures values (7, x'00ff'), (300, x'89504e47');"

# Numbers become keys of 8 bytes that sort as numbers do, and blobs stay what they are.
sqlite3 -header -csv old.db "select printf('%016x', number) as key, hex(data) as value from pictures" |
    kv --quiet load --create --table pictures --format csv --hex new.kv
kv scan new.kv --table pictures --hex
