# needs: kv mdb_load mdb_dump
kv --quiet put --create new.kv apple red plum blue

mkdir back
kv --quiet dump new.kv | mdb_load back
mdb_dump -p back | grep '^ '
