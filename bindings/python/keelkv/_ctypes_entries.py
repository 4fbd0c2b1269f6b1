"""Tables and cursors of the ctypes back end.

Bytes are copied by the library itself, into buffers of this module, so that it does not matter what other threads end
meanwhile.
"""

from __future__ import annotations

import ctypes as C
import threading
import weakref
from itertools import accumulate
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Generic,
    Iterable,
    Iterator,
    List,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
    overload,
)

from ._constants import BLIND, MAIN, NO_OVERWRITE, RANGE_REVERSE, SCAN_ITEMS, SCAN_KEYS, SEEK_GE, SEEK_LE
from ._constants import RawRange
from ._ctypes_bytes import BUFFER, Page, as_bytes, as_range, copied, pair_of, unsigned
from ._ctypes_database import DatabaseCore, TxnCore
from ._ctypes_writer import WriterCore
from ._errors import BadHandleError, NotFoundError, refuse_copy
from ._jobs import NOTFOUND, OK, TOO_SMALL, failure
from ._library import Batch, Handle, Slice, ValueStat, kv, sized
from .codec import RawCodec

if TYPE_CHECKING:
    from typing_extensions import Self

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

_NO_DEFAULT: Any = object()


def packed_values(txn: TxnCore, number: int, keys: List[bytes]) -> List[Optional[bytes]]:
    """The values of many keys, in as few calls as the buffer allows."""
    ends = (C.c_uint32 * len(keys))(*accumulate(map(len, keys)))
    data = b"".join(keys)
    pointer = C.c_char_p(data)
    batch = sized(Batch, bytes=C.cast(pointer, C.c_void_p), bytes_size=len(data), ends=C.addressof(ends),
                  ends_size=len(keys), count=len(keys))
    page = Page(1, 65536, len(keys))
    found: List[Optional[bytes]] = []
    kinds = (C.c_uint8 * len(keys))()
    page.batch.flags, page.batch.kinds = 0, C.addressof(kinds)
    while len(found) < len(keys):
        batch.skip = len(found)
        status = kv.kv_get_packed(txn.live(), number, C.byref(batch), C.byref(page.batch))
        if status == TOO_SMALL and page.grow():
            continue
        txn.answer(status)
        found += [value if kind else None for value, kind in zip(page.take(), kinds)]
    return found


class EntriesCore(Generic[K, V]):
    """One table as one transaction sees it."""

    __slots__ = ("_number", "_parts", "_txn")

    def __init__(self, txn: TxnCore, number: int, codec: RawCodec) -> None:
        if not isinstance(txn, TxnCore):
            raise TypeError(f"a table needs a transaction, and this is {type(txn).__name__}")
        if not 0 <= number < 2**64:
            raise OverflowError(f"a table has no number such as {number}")
        self._txn = txn
        self._number = number
        self._parts: Tuple[Any, ...] = codec or (None,) * 4

    @property
    def _codec(self) -> RawCodec:
        return None if all(part is None for part in self._parts) else self._parts

    def _key(self, key: Any) -> bytes:
        return as_bytes(self._parts[0], key, "key")

    def _pair(self, key: bytes, value: bytes) -> Tuple[K, V]:
        return self._decoded_key(key), self._decoded(value)

    def _decoded_key(self, key: bytes) -> K:
        decode = self._parts[1]
        return cast(K, key if decode is None else decode(key))

    def _decoded(self, value: bytes) -> V:
        decode = self._parts[3]
        return cast(V, value if decode is None else decode(value))

    def _writable(self) -> int:
        self._txn.changes += 1
        return self._txn.live()

    def _lookup(self, data: bytes) -> Optional[bytes]:
        handle, number = self._txn.live(), self._number
        status, value = copied(lambda *room: kv.kv_get_copy(handle, number, data, len(data), *room))
        if status == NOTFOUND:
            return None
        self._txn.answer(status)
        return value

    def __getitem__(self, key: K) -> V:
        value = self._lookup(self._key(key))
        if value is None:
            raise NotFoundError(key)
        return self._decoded(value)

    @overload
    def get(self, key: K, default: None = None) -> Optional[V]: ...

    @overload
    def get(self, key: K, default: Union[V, D]) -> Union[V, D]: ...

    def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or the default."""
        value = self._lookup(self._key(key))
        return default if value is None else self._decoded(value)

    def __contains__(self, key: object) -> bool:
        data = self._key(key)
        status = kv.kv_get(self._txn.live(), self._number, data, len(data), None)
        if status not in (OK, NOTFOUND):
            raise failure(status, self._txn._db._path)
        return bool(status == OK)

    def __len__(self) -> int:
        count = C.c_uint64()
        self._txn.answer(kv.kv_count(self._txn.live(), self._number, None, C.byref(count)))
        return count.value

    def _count(self, *bounds: Any) -> int:
        (found, _kept), count = as_range(cast(RawRange, bounds)), C.c_uint64()
        self._txn.answer(kv.kv_count(self._txn.live(), self._number, C.byref(found), C.byref(count)))
        return count.value

    def _rank(self, key: K) -> int:
        data, rank = self._key(key), C.c_uint64()
        self._txn.answer(kv.kv_rank(self._txn.live(), self._number, data, len(data), C.byref(rank)))
        return rank.value

    def _value_len(self, key: K) -> Optional[int]:
        data, stat = self._key(key), sized(ValueStat)
        status = kv.kv_stat_value(self._txn.live(), self._number, data, len(data), C.byref(stat))
        if status == NOTFOUND:
            return None
        self._txn.answer(status)
        return cast(int, stat.len)

    def _value_read(self, key: K, offset: int, size: int) -> Optional[bytes]:
        offset, size = unsigned(offset), unsigned(size)
        data, buffer, got = self._key(key), C.create_string_buffer(max(1, size)), C.c_size_t()
        status = kv.kv_value_read(
            self._txn.live(), self._number, data, len(data), offset, buffer, size, C.byref(got)
        )
        if status == NOTFOUND:
            return None
        self._txn.answer(status)
        return C.string_at(buffer, got.value)

    def get_many(self, keys: Iterable[K]) -> List[Optional[V]]:
        """The values of many keys, with None for those that do not exist."""
        found = packed_values(self._txn, self._number, [self._key(key) for key in keys])
        return [None if value is None else self._decoded(value) for value in found]

    def view(self, key: K) -> memoryview:
        """A value as a memoryview that stays valid after the transaction."""
        data, value, buffer = self._key(key), Slice(), Handle()
        try:
            status = kv.kv_get_buf(
                self._txn.live(), self._number, data, len(data), C.byref(value), C.byref(buffer)
            )
            if status == NOTFOUND:
                raise NotFoundError(key)
            self._txn.answer(status)
            if value.len == 0:
                kv.kv_buf_release(buffer)
                return memoryview(b"")
            array = (C.c_char * value.len).from_address(value.data)
            weakref.finalize(array, kv.kv_buf_release, buffer).atexit = False
        except BaseException:
            kv.kv_buf_release(buffer)  # harmless if nothing is there, or for a second time
            raise
        return memoryview(array).toreadonly().cast("B")

    def put(self, key: K, value: V, flags: int = 0) -> None:
        """Puts an entry; flags are NO_OVERWRITE, NO_INSERT or APPEND."""
        k, v = self._key(key), as_bytes(self._parts[2], value, "value")
        status = kv.kv_put(self._writable(), self._number, k, len(k), v, len(v), unsigned(flags, 32))
        if status == NOTFOUND:
            raise NotFoundError(key)
        self._txn.answer(status)

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def delete(self, key: K, flags: int = 0) -> bool:
        """Deletes an entry and tells whether there was one."""
        data = self._key(key)
        status = kv.kv_delete(self._writable(), self._number, data, len(data), unsigned(flags, 32))
        if status == NOTFOUND:
            return False
        self._txn.answer(status)
        return True

    def __delitem__(self, key: K) -> None:
        if not self.delete(key):
            raise NotFoundError(key)

    def _refuse_reader(self) -> None:
        """Raises what a write through a read transaction raises, whatever is in the table."""
        if not self._txn.writes:
            self._txn.answer(kv.kv_delete(self._txn.live(), self._number, b"", 0, BLIND))

    def _swap(self, key: K, value: V, insert: bool) -> Optional[V]:
        self._refuse_reader()
        former = self._lookup(self._key(key))
        if former is None or not insert:
            self.put(key, value, NO_OVERWRITE if insert else 0)
        return None if former is None else self._decoded(former)

    @overload
    def pop(self, key: K) -> V: ...

    @overload
    def pop(self, key: K, default: Union[V, D]) -> Union[V, D]: ...

    def pop(self, key: K, default: Any = _NO_DEFAULT) -> Any:
        """Deletes an entry and returns its value."""
        self._refuse_reader()
        data = self._key(key)
        value = self._lookup(data)
        if value is None:
            if default is _NO_DEFAULT:
                raise NotFoundError(key)
            return default
        self._txn.answer(kv.kv_delete(self._writable(), self._number, data, len(data), 0))
        return self._decoded(value)

    def _first(self, bounds: RawRange) -> Optional[List[bytes]]:
        page, cursor = Page(2, BUFFER, 1), Handle()
        found, _kept = as_range(bounds)
        try:
            self._txn.answer(kv.kv_cursor_open(self._txn.live(), self._number, C.byref(found), C.byref(cursor)))
            status = page.fill(cursor, 1)
            if status == NOTFOUND:
                return None
            self._txn.answer(status)
            return page.take()
        finally:
            kv.kv_cursor_close(cursor)

    def _take_first(self, *bounds: Any) -> Optional[Tuple[K, V]]:
        self._refuse_reader()
        pair = self._first(cast(RawRange, bounds))
        if pair is None:
            return None
        self._txn.answer(kv.kv_delete(self._writable(), self._number, pair[0], len(pair[0]), 0))
        return self._pair(*pair)

    def _delete_range(self, *bounds: Any) -> int:
        (found, _kept), deleted = as_range(cast(RawRange, bounds)), C.c_uint64()
        self._txn.answer(
            kv.kv_delete_range(self._writable(), self._number, C.byref(found), C.byref(deleted))
        )
        return deleted.value

    def _put_many(self, items: Iterable[Tuple[K, V]], flags: int) -> int:
        done = 0
        for item in items:
            self.put(*pair_of(item), flags)
            done += 1
        return done

    def _scan(self, what: int, *arguments: Any) -> Iterator[Any]:
        *bounds, limit = arguments
        cursor: CursorCore[K, V] = self._cursor(*bounds)
        shown = {SCAN_ITEMS: lambda pair: self._pair(*pair), SCAN_KEYS: self._decoded_key}.get(what, self._decoded)
        return Scan(cursor._entries(what, limit), shown)

    def _writer(self, key: K, size_hint: int, flags: int) -> WriterCore:
        return WriterCore(self._txn, self._number, self._key(key), key, unsigned(size_hint), unsigned(flags, 32))

    def _cursor(self, *bounds: Any) -> "CursorCore[K, V]":
        return CursorCore(self, cast(RawRange, bounds))


class Scan(Iterator[Any]):
    """An iterator that threads can share, which a generator is not, and that decoders may use or end."""

    __slots__ = ("_lock", "_shown", "_steps")
    __reduce_ex__ = refuse_copy

    def __init__(self, steps: Iterator[Any], shown: Callable[[Any], Any]) -> None:
        self._lock = threading.RLock()
        self._steps = steps
        self._shown = shown

    def __next__(self) -> Any:
        with self._lock:
            raw = next(self._steps)
        return self._shown(raw)


class TransactionCore(EntriesCore[K, V]):
    """The main table of a transaction that begins with it and ends with its block."""

    __slots__ = ()

    def __init__(
        self, db: Union[DatabaseCore[K, V], TxnCore], kind: int = 0, flags: int = 0, durability: int = 0,
        wait_ms: int = -1, write_memory: int = 0, snapshot: Optional[bytes] = None, commit: int = 0, time: int = 0,
    ) -> None:
        if isinstance(db, TxnCore):  # a nested one, which has begun
            super().__init__(db, MAIN, db._db._parts)
            return
        txn = TxnCore(db, kind, flags, durability, wait_ms, write_memory, snapshot, commit, time)
        super().__init__(txn, MAIN, db._parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Commits, or aborts after an exception."""
        txn = self._txn
        try:
            if kind is not None or not txn.writes:
                txn.abort()
            elif txn._handle is not None:  # otherwise the program has ended it within the block
                txn.commit()
        except BaseException:
            txn.abort()  # a signal handler may have raised it before the end; afterwards this does nothing
            raise


class CursorCore(Generic[K, V]):
    """A position in a table that is moved step by step."""

    __reduce_ex__ = refuse_copy

    def __init__(self, entries: EntriesCore[K, V], bounds: RawRange) -> None:
        self._handle: Optional[int] = None
        self._table = entries
        self._txn = entries._txn
        self._reverse = bool(bounds[0] & RANGE_REVERSE)
        self._page = Page(2, 256, 1)
        found, _kept = as_range(bounds)
        self._begun = Handle()  # see _ctypes_database.py
        self._txn.answer(
            kv.kv_cursor_open(self._txn.live(), entries._number, C.byref(found), C.byref(self._begun))
        )
        self._handle = self._begun.value

    def __del__(self) -> None:
        if getattr(self, "_begun", None):
            try:
                self.close()
            except TypeError:
                pass  # the interpreter has ended, and with it this module

    def close(self) -> None:
        """Closes the cursor, which its transaction does as well."""
        self._handle = None
        kv.kv_cursor_close(self._begun)  # ignored if the transaction has ended

    def _live(self) -> int:
        if self._handle is None:
            raise BadHandleError("the cursor is closed; open another one")
        self._txn.live()
        return self._handle

    def _forward(self) -> Optional[Tuple[K, V]]:
        """Moves to the next entry and copies it."""
        page = self._page
        status = page.fill(self._live(), 1)
        if status == NOTFOUND:
            return None
        self._txn.answer(status)
        return self._table._pair(*page.take())

    def _moved(self, status: int) -> Optional[Tuple[K, V]]:
        """The entry where a call moved the cursor: a step back and a step that copies."""
        if status == NOTFOUND:
            return None
        self._txn.answer(status)
        status = kv.kv_cursor_prev(self._live(), None, None)
        if status not in (OK, NOTFOUND):
            self._txn.answer(status)
        return self._forward()

    def first(self) -> Optional[Tuple[K, V]]:
        """Moves to the first entry and returns it; None if there is none."""
        return self._moved(kv.kv_cursor_first(self._live(), None, None))

    def last(self) -> Optional[Tuple[K, V]]:
        """Moves to the last entry and returns it; None if there is none."""
        return self._moved(kv.kv_cursor_last(self._live(), None, None))

    def next(self) -> Optional[Tuple[K, V]]:
        """Moves to the next entry and returns it, at first to the first; None at the end."""
        return self._forward()

    def prev(self) -> Optional[Tuple[K, V]]:
        """Moves to the previous entry and returns it; None at the beginning."""
        return self._moved(kv.kv_cursor_prev(self._live(), None, None))

    def get(self) -> Optional[Tuple[K, V]]:
        """The entry on which the cursor stands; None if it stands on none."""
        return self._moved(kv.kv_cursor_get(self._live(), None, None))

    def random(self) -> Optional[Tuple[K, V]]:
        """Moves to a random entry and returns it; None if there is none."""
        return self._moved(kv.kv_cursor_random(self._live(), None, None))

    def seek(self, key: K, how: int = SEEK_GE, /) -> Optional[Tuple[K, V]]:
        """Moves to a key, or to its neighbour with SEEK_GE, SEEK_GT, SEEK_LE or SEEK_LT, and returns the
        entry or None.
        """
        data = self._table._key(key)
        return self._moved(kv.kv_cursor_seek(self._live(), data, len(data), unsigned(how, 32), None, None))

    def nth(self, number: int) -> Optional[Tuple[K, V]]:
        """Moves to entry number `number` of the range, counted from 0, and returns it; None if there are fewer."""
        return self._moved(kv.kv_cursor_nth(self._live(), unsigned(number), None, None))

    def percentile(self, percent: float) -> Optional[Tuple[K, V]]:
        """Moves to the entry at a percentile from 0 to 100 and returns it; None if there is none."""
        return self._moved(kv.kv_cursor_percentile(self._live(), 0.0 + percent, None, None))

    def _number(self, function: Any) -> int:
        number = C.c_uint64()
        self._txn.answer(function(self._live(), C.byref(number)))
        return number.value

    def count(self) -> int:
        """How many entries the range has."""
        return self._number(kv.kv_cursor_count)

    def rank(self) -> int:
        """How many entries of the range are before the current one."""
        return self._number(kv.kv_cursor_rank)

    def _written(self, status: int) -> bool:
        if status not in (OK, NOTFOUND):
            self._txn.answer(status)
        return status == OK

    def put(self, value: V) -> bool:
        """Replaces the value of the current entry, and tells whether the cursor stood on one."""
        data = as_bytes(self._table._parts[2], value, "value")
        self._txn.changes += 1
        return self._written(kv.kv_cursor_put(self._live(), data, len(data)))

    def delete(self) -> bool:
        """Deletes the current entry, and tells whether the cursor stood on one."""
        self._txn.changes += 1
        return self._written(kv.kv_cursor_delete(self._live()))

    def _entries(self, what: int, left: int) -> Iterator[Union[bytes, Tuple[bytes, bytes]]]:
        """Iterates over the bytes of what is ahead, many entries at a time; see scan.c for writes meanwhile."""
        txn, strings = self._txn, 1 if what == SCAN_KEYS else 2
        page, changes, at_end, last = Page(strings, 4096, 32), txn.changes, False, None
        while left > 0:
            handle = self._live()
            stale = changes != txn.changes
            if at_end and not stale:
                return
            if stale and last is not None:
                status = kv.kv_cursor_seek(
                    handle, last, len(last), SEEK_GE if self._reverse else SEEK_LE, None, None
                )
                if status not in (OK, NOTFOUND):
                    txn.answer(status)
            elif last is not None and page.batch.bytes_size < 65536:
                page = Page(strings, 65536, 1024)
            changes = txn.changes
            status = page.fill(handle, min(left, 1024) if left < 1024 else 0)
            if status == NOTFOUND:
                return
            txn.answer(status)
            found, at_end = page.take(), bool(page.batch.at_end)
            for i in range(0, len(found), strings):
                if i > 0:
                    self._live()
                    if changes != txn.changes:
                        break
                last = found[i]
                left -= 1
                if what == SCAN_KEYS:
                    yield last
                elif what == SCAN_ITEMS:
                    yield last, found[i + 1]
                else:
                    yield found[i + 1]
        self.close()
