"""What type checkers must accept and refuse: ``mypy --strict`` reads this file, and nothing runs it."""

import gzip
import json
import pathlib
import sys
from typing import Any, List, Optional, Tuple

import keelkv
import keelkv.lmdb

plain: keelkv.Database[bytes, bytes] = keelkv.open("a.kv")
coded: keelkv.Database[str, Any] = keelkv.open("a.kv", key=str, value=json, durability="lazy", timeout=1.5)
numbers: keelkv.Database[int, bytes] = keelkv.open(None, key=int)
texts: keelkv.Database[bytes, str] = keelkv.open(None, value=str)
own: keelkv.Database[bytes, float] = keelkv.open(
    None, value=keelkv.Codec(lambda number: repr(number).encode(), lambda data: float(data))
)

value: bytes = plain[b"a"]
maybe: Optional[bytes] = plain.get(b"a")
with numbers.read() as s:
    first: Optional[Tuple[int, bytes]] = s.nth(0)
    keys: List[int] = list(s.keys(start=3, reverse=True))
    view: memoryview = s.view(5)
    found: List[Optional[bytes]] = s.get_many([1, 2])
    for number, data in s.items(stop=7, limit=10):
        number.bit_length(), data.decode()
with plain.write(timeout=1) as t:
    t[b"a"] = b"1"
    with t.writer(b"long") as w:
        written: int = w.write(b"part")
    t["a"] = b"1"  # type: ignore[index]
    t[b"a"] = 5  # type: ignore[assignment]
    s.put("a", b"")  # type: ignore[arg-type]
    figures: keelkv.TableStat = t.stat_table(1)
    figures.height.bit_length()
plain.backup(pathlib.Path("b.kv"), overwrite=True)
plain.backup(b"b.kv")
plain.backup(sys.stdout.buffer, compact=True)
with gzip.open("b.kv.gz", "wb") as packed, plain.read() as r:
    r.backup(packed)
lost: int = plain.check(space=True).unaccounted_pages
plain.backup(5)  # type: ignore[arg-type]
plain.backup(sys.stdout)  # type: ignore[arg-type]
coded[5]  # type: ignore[index]
own[b"a"] = "text"  # type: ignore[assignment]
keelkv.open("a.kv", durability="none")  # type: ignore[call-overload]
