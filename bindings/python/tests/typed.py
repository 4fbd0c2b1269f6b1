"""What type checkers must accept and refuse: ``mypy --strict`` reads this file, and nothing runs it."""

import gzip
import json
import pathlib
import sys
from typing import Any, List, Optional, Tuple

import keelkv
import keelkv.aio
import keelkv.lmdb

if sys.version_info >= (3, 11):
    from typing import assert_type
else:
    from typing_extensions import assert_type

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
    with t.nested() as n:
        assert_type(n, keelkv.Transaction[bytes, bytes])
    with t.savepoint() as point:
        assert_type(point, keelkv.Savepoint)
        point.rollback()
    t[b"a"] = 5  # type: ignore[assignment]
    s.put("a", b"")  # type: ignore[arg-type]
    figures: keelkv.TableStat = t.stat_table(1)
    figures.height.bit_length()
    assert_type(t.pop(b"a"), bytes)
    assert_type(t.pop(b"a", None), Optional[bytes])
    assert_type(t.put_many({b"a": b"1"}), int)
    assert_type(t.table("x", create=True), "keelkv.Table[bytes, bytes]")
    assert_type(t.table("x", key=str), "keelkv.Table[str, bytes]")
    assert_type(t.table("x", key=int, value=json), "keelkv.Table[int, Any]")
    for name, text in t.table("x", key=str, value=str).items(prefix="a"):
        assert_type((name, text), Tuple[str, str])
with plain.read() as s2:
    for k, v in s2.items():
        assert_type((k, v), Tuple[bytes, bytes])
    assert_type(list(reversed(s2.keys())), List[bytes])
    assert_type(list(s2.values()), List[bytes])
    assert_type(s2.changed_ranges("mark"), List[Tuple[bytes, Optional[bytes]]])
    assert_type(s2.changed_table_names(b"mark"), List[Tuple[bytes, Optional[bytes]]])
    cursor: keelkv.Cursor[bytes, bytes] = s2.cursor()
    assert_type(cursor.seek(b"k"), Optional[Tuple[bytes, bytes]])
    assert_type(cursor.seek(b"k", keelkv.SEEK_LE), Optional[Tuple[bytes, bytes]])
writer: keelkv.Writer = plain.write().writer(b"long")
assert_type(plain.get(b"a"), Optional[bytes])
assert_type(plain.get(b"a", b""), bytes)
assert_type(plain.pop(b"a"), bytes)
assert_type(dict(coded.items()), "dict[str, Any]")


async def asynchronous() -> None:
    async with keelkv.aio.open("a.kv") as db:
        assert_type(db, "keelkv.aio.AsyncDatabase[bytes, bytes]")
        assert_type(await db.get(b"a"), Optional[bytes])
        async with db.write(nowait=True, write_memory=1 << 20) as t:
            assert_type(await t.get(b"a", b""), bytes)
            assert_type(await t.put_many([(b"a", b"1")]), int)
            assert_type(await t.stat_snapshot("old"), keelkv.SnapshotStat)
            await t.create_snapshot("new", note="text")  # type: ignore[arg-type]
        assert_type(await db.snapshots(), List[bytes])
        assert_type(await db.reclaim(), int)
        assert_type(await db.compact(punch=True), keelkv.CompactReport)
        assert_type(await db.snapshot_cost("a", "b"), int)
    async with keelkv.aio.open("a.kv", key=str, value=json) as db2:
        assert_type(db2, "keelkv.aio.AsyncDatabase[str, Any]")


plain.nothing  # type: ignore[attr-defined]
plain.table("x")  # type: ignore[attr-defined]
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
