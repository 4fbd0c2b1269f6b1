"""Databases and transactions of the ctypes back end.

Whoever ends a transaction or closes a database takes the handle out of its object first, below the lock of the
database, so that no other thread begins to read bytes that are about to go.

A signal handler may raise an exception between any two steps. So the library writes a handle where the object has it
(`_begun`), and it stays there until its end is certain: what an exception left open is ended with the object. A handle
is a number that is never given twice, so that a second end does no harm.
"""

from __future__ import annotations

import ctypes as C
import threading
from typing import Any, Callable, Generic, List, Optional, Tuple, TypeVar, Union, cast, overload

from . import _jobs, figures
from ._constants import CHANGE_ADDED, CHANGE_REMOVED, MAIN, TXN_NOWAIT, WRITE, RawRange
from ._ctypes_bytes import as_bytes, as_range, copied, unsigned
from ._errors import BadHandleError, NotFoundError, refuse_copy
from ._jobs import BAD_HANDLE, BUSY, CHILD_OPEN, FORKED, NOTFOUND, OK, TOO_SMALL, Callback, failure
from ._library import (
    RANGE,
    Change,
    DatabaseStat,
    DiffCounts,
    Handle,
    Identity,
    Options,
    ReaderInfo,
    Retention,
    Slice,
    SnapshotOptions,
    SnapshotStat,
    TableOptions,
    TableStat,
    TxnOptions,
    TxnStat,
    counts,
    kv,
    sized,
)
from .codec import RawCodec

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

#: Milliseconds after which the main thread looks whether a signal has come.
_SIGNALS_MS = 100


class DatabaseCore(Generic[K, V]):
    """An open database, with reads and writes of single entries in transactions of their own."""

    __reduce_ex__ = refuse_copy

    def __init__(self) -> None:
        self._handle: Optional[int] = None
        self._begun = Handle()
        self._path: Optional[str] = None
        self._parts: Tuple[Any, ...] = (None,) * 4
        self._begin_ms = -1
        self._lock = threading.RLock()

    def __del__(self) -> None:
        if getattr(self, "_begun", None):
            try:
                self._handle = self._begun.value
                DatabaseCore._close(self)
            except TypeError:
                pass  # the interpreter has ended, and with it this module

    def _live(self) -> int:
        if self._handle is None:
            raise BadHandleError("the database is closed; open it again with keelkv.open()")
        return self._handle

    def _answer(self, status: int) -> None:
        if status != OK:
            raise failure(status, self._path)

    def _open(
        self, path: bytes, flags: int, page_size: int, durability: int, verify: int, wait_ms: int, write_memory: int,
        name: Optional[str], codec: RawCodec,
    ) -> None:
        self._path, self._parts = name, codec or (None,) * 4
        self._begin_ms = wait_ms if wait_ms > 0 else -1
        options = sized(Options, flags=flags, page_size=page_size, durability=durability, verify=verify,
                        wait_ms=wait_ms, write_memory=write_memory)
        self._answer(kv.kv_open(path, C.byref(options), C.byref(self._begun)))
        self._handle = self._begun.value

    def _close(self) -> None:
        with self._lock:
            handle, self._handle = self._handle, None
        if handle is None:
            return
        try:
            status = kv.kv_close(handle)
        except BaseException:
            self._handle = handle  # a signal handler raised it, before the call or after it
            raise
        if status == BUSY:
            self._handle = handle
        else:
            self._begun.value = None
        # What a parent opened is not open here, and what was closed before an exception is closed.
        if status not in (FORKED, BAD_HANDLE):
            self._answer(status)

    @property
    def closed(self) -> bool:
        """Whether the database is closed."""
        return self._handle is None

    def _interrupt(self) -> None:
        kv.kv_interrupt(self._handle)

    def _sync(self) -> None:
        self._answer(kv.kv_sync(self._live()))

    def _reclaim(self) -> int:
        freed = C.c_uint64()
        self._answer(kv.kv_reclaim(self._live(), C.byref(freed)))
        return freed.value

    def _snapshot_cost(self, first: bytes, last: bytes) -> int:
        pages = C.c_uint64()
        self._answer(kv.kv_snapshot_cost(self._live(), first, len(first), last, len(last), C.byref(pages)))
        return pages.value

    def _newest(self) -> Tuple[int, int]:
        visible, durable = C.c_uint64(), C.c_uint64()
        self._answer(kv.kv_newest_commit(self._live(), C.byref(visible), C.byref(durable)))
        return visible.value, durable.value

    def _wait_durable(self, commit: int, ms: int) -> None:
        self._answer(kv.kv_wait_durable(self._live(), unsigned(commit), ms))

    def _wait_commit(self, after: int, ms: int) -> int:
        newest = C.c_uint64()
        self._answer(kv.kv_wait_commit(self._live(), unsigned(after), ms, C.byref(newest)))
        return newest.value

    def _lookup(self, key: K) -> Optional[bytes]:
        data = as_bytes(self._parts[0], key, "key")
        handle = self._live()
        status, value = copied(lambda *room: kv.kv_db_get(handle, MAIN, data, len(data), *room))
        if status == NOTFOUND:
            return None
        self._answer(status)
        return value

    def _decoded(self, value: bytes) -> V:
        decode = self._parts[3]
        return cast(V, value if decode is None else decode(value))

    def __getitem__(self, key: K) -> V:
        value = self._lookup(key)
        if value is None:
            raise NotFoundError(key)
        return self._decoded(value)

    @overload
    def get(self, key: K, default: None = None) -> Optional[V]: ...

    @overload
    def get(self, key: K, default: Union[V, D]) -> Union[V, D]: ...

    def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or the default."""
        value = self._lookup(key)
        return default if value is None else self._decoded(value)

    def __contains__(self, key: object) -> bool:
        data = as_bytes(self._parts[0], key, "key")
        status = kv.kv_db_get(self._live(), MAIN, data, len(data), None, 0, None)
        if status not in (OK, NOTFOUND, TOO_SMALL):
            raise failure(status, self._path)
        return bool(status != NOTFOUND)

    def _write(self, key: K, function: Any, *arguments: Any) -> None:
        """Does one write in a transaction of its own."""
        txn = TxnCore(self, WRITE, 0, 0, self._begin_ms, 0)
        try:
            status = function(txn.live(), MAIN, *arguments)
            if status == NOTFOUND:
                raise NotFoundError(key)
            txn.answer(status)
        except BaseException:
            txn.abort()
            raise
        txn.commit()

    def _put(self, key: K, value: V, flags: int) -> None:
        k, v = as_bytes(self._parts[0], key, "key"), as_bytes(self._parts[2], value, "value")
        self._write(key, kv.kv_put, k, len(k), v, len(v), unsigned(flags, 32))

    def __setitem__(self, key: K, value: V) -> None:
        self._put(key, value, 0)

    def __delitem__(self, key: K) -> None:
        data = as_bytes(self._parts[0], key, "key")
        self._write(key, kv.kv_delete, data, len(data), 0)

    def _stat(self) -> Tuple[int, ...]:
        stat = sized(DatabaseStat)
        self._answer(kv.kv_stat_db(self._live(), C.byref(stat)))
        return counts(stat, figures.DatabaseStat._fields)

    def _identity(self) -> Tuple[int, bytes, bytes]:
        identity = sized(Identity)
        with self._lock:
            self._answer(kv.kv_db_identity(self._live(), C.byref(identity)))
            return identity.format_version, bytes(identity.uuid), identity.path

    def _reader_at(self, index: int) -> Optional[Tuple[int, ...]]:
        info = sized(ReaderInfo)
        status = kv.kv_reader_at(self._live(), index, C.byref(info))
        if status == NOTFOUND:
            return None
        self._answer(status)
        return counts(info, figures.Reader._fields)

    def _check(self, flags: int, progress: Callback, on_fault: Callback) -> Tuple[Any, ...]:
        return _jobs.check(kv.kv_db_check, self._live(), self._path, flags, progress, on_fault)

    def _compact(self, stay: int, punch: int, progress: Callback) -> Tuple[Any, ...]:
        return _jobs.compact(self._live(), stay, punch, progress, self._path)

    def _backup(self, target: bytes, flags: int, progress: Callback, name: str) -> None:
        _jobs.backup(kv.kv_db_backup, self._live(), target, flags, progress, name)


# ---- transactions


def _retention(numbers: Tuple[int, ...]) -> Retention:
    """A retention from its numbers, in their order."""
    retention: Retention = sized(Retention, **dict(zip(figures.Retention._fields, numbers)))
    return retention


def _slice(data: Optional[bytes]) -> Tuple[Slice, Any]:
    """Bytes as the library takes them in a struct, and what the caller keeps until the call is over; None is NULL."""
    if data is None:
        return Slice(), None
    room = C.create_string_buffer(data, len(data) + 1)
    return Slice(C.addressof(room), len(data)), room


class TxnCore:
    """A transaction: its beginning and end, and the tables that it sees."""

    __reduce_ex__ = refuse_copy

    def __init__(
        self, db: DatabaseCore[Any, Any], kind: int, flags: int = 0, durability: int = 0, wait_ms: int = -1,
        write_memory: int = 0, snapshot: Optional[bytes] = None, commit: int = 0, time: int = 0,
    ) -> None:
        self._handle: Optional[int] = None
        self._begun = Handle()
        if not isinstance(db, DatabaseCore):
            raise TypeError(f"a transaction needs a database, and this is {type(db).__name__}")
        self._db = db
        self._outer: Optional[TxnCore] = None
        self.writes = kind == WRITE
        self.changes = 0
        name, room = _slice(snapshot)
        options = sized(TxnOptions, flags=flags, durability=durability, write_memory=write_memory, snapshot=name,
                        commit=commit, time=time)
        self._begin(kind, options, wait_ms)
        del room

    def _begin(self, kind: int, options: Any, wait_ms: int) -> None:
        # Python runs signal handlers on the main thread, between two calls.
        main = threading.current_thread() is threading.main_thread()
        listens = self.writes and main and not options.flags & TXN_NOWAIT
        try:
            while True:
                options.wait_ms = wait_ms
                if listens and (wait_ms < 0 or wait_ms > _SIGNALS_MS):
                    options.wait_ms = _SIGNALS_MS
                status = kv.kv_txn_begin(self._db._live(), kind, C.byref(options), C.byref(self._begun))
                if wait_ms >= 0:
                    wait_ms -= options.wait_ms
                if status != BUSY or not listens or wait_ms == 0:
                    break
            self._db._answer(status)
            self._handle = self._begun.value
        except BaseException:
            self.abort()  # at once, as the traceback keeps this object
            raise

    def nest(self) -> TxnCore:
        """Begins a nested transaction. It keeps this one, which would be aborted if it were collected."""
        nested = TxnCore.__new__(TxnCore)
        nested._handle, nested._begun = None, Handle()
        nested._db, nested._outer = self._db, self
        nested.writes, nested.changes = True, 0
        self.changes += 1
        try:
            self.answer(kv.kv_txn_nest(self.live(), C.byref(nested._begun)))
            nested._handle = nested._begun.value
        except BaseException:
            nested.abort()  # at once, as the traceback keeps the object
            raise
        return nested

    def __del__(self) -> None:
        if getattr(self, "_begun", None):
            try:
                self.abort()
            except TypeError:
                pass  # the interpreter has ended, and with it this module

    def live(self) -> int:
        """The handle of the transaction; an exception if it has ended."""
        if self._handle is None:
            raise BadHandleError("the transaction has ended; begin another one")
        if self._outer_ended():
            raise BadHandleError(
                "the transaction has ended with the one in which it was nested; begin another one"
            )
        if self._db._handle is None:
            raise BadHandleError(
                "the database of this transaction is closed; open it again with keelkv.open()"
            )
        return self._handle

    def answer(self, status: int) -> None:
        """Raises what a status means."""
        if status != OK:
            raise failure(status, self._db._path)

    def _outer_ended(self) -> bool:
        """Whether the transaction in which this one is nested has ended, and this one with it."""
        outer = self._outer
        while outer is not None and outer._handle is not None:
            outer = outer._outer
        return outer is not None

    @property
    def ended(self) -> bool:
        return self._handle is None or self._db._handle is None or self._outer_ended()

    def _count_end(self) -> None:
        """Has iterators notice the end, those of the outer transaction as well."""
        self.changes += 1
        if self._outer is not None:
            self._outer.changes += 1

    def _take(self) -> int:
        """The handle, which nobody gets any more."""
        with self._db._lock:
            handle = self.live()
            self._handle = None
            self._count_end()
        return handle

    def _finish(self, function: Any) -> int:
        commit = C.c_uint64()
        try:
            handle = self._take()
            status = function(handle, C.byref(commit))
        except BadHandleError:
            raise
        except BaseException:
            self.abort()  # a signal handler raised it; afterwards this does nothing
            raise
        if status == BUSY:
            self._handle = handle  # nothing was done
        else:
            self._begun.value = None
        self.answer(status)
        return commit.value

    def commit(self) -> int:
        return self._finish(kv.kv_txn_commit)

    def commit_async(self) -> int:
        return self._finish(kv.kv_txn_commit_async)

    def abort(self) -> None:
        with self._db._lock:
            self._handle = None
            self._count_end()
        handle = self._begun.value
        if handle is None:
            return
        kv.kv_txn_abort(handle)
        # In a callback of a call that uses the transaction or one nested in it, kv_txn_abort() does nothing.
        if self._db._handle is not None and kv.kv_txn_id(handle, C.byref(C.c_uint64())) in (OK, CHILD_OPEN):
            self._handle = handle
        else:
            self._begun.value = None

    def refresh(self) -> None:
        self.answer(kv.kv_txn_refresh(self.live()))
        self.changes += 1

    def id(self) -> int:
        commit = C.c_uint64()
        self.answer(kv.kv_txn_id(self.live(), C.byref(commit)))
        return commit.value

    def stat(self) -> Tuple[int, ...]:
        stat = sized(TxnStat)
        self.answer(kv.kv_stat_txn(self.live(), C.byref(stat)))
        return counts(stat, [name for name, _ in TxnStat._fields_ if name != "struct_size"])

    def table_open(self, name: bytes) -> int:
        table = C.c_uint64()
        self.answer(kv.kv_table_open(self.live(), name, len(name), C.byref(table)))
        return table.value

    def table_create(self, name: bytes, flags: int) -> int:
        table, options = C.c_uint64(), sized(TableOptions, flags=flags)
        self.changes += 1
        self.answer(kv.kv_table_create(self.live(), name, len(name), C.byref(options), C.byref(table)))
        return table.value

    def table_rename(self, table: int, name: bytes) -> None:
        self.changes += 1
        self.answer(kv.kv_table_rename(self.live(), table, name, len(name)))

    def table_clear(self, table: int) -> None:
        self.changes += 1
        self.answer(kv.kv_table_clear(self.live(), table))

    def table_drop(self, table: int) -> None:
        self.changes += 1
        self.answer(kv.kv_table_drop(self.live(), table))

    def _text(self, function: Any, table: int) -> bytes:
        text = Slice()
        with self._db._lock:  # as these are not copied by the library
            self.answer(function(self.live(), table, C.byref(text)))
            return C.string_at(text.data, text.len)

    def table_name(self, table: int) -> bytes:
        return self._text(kv.kv_table_name, table)

    def table_note(self, table: int) -> bytes:
        return self._text(kv.kv_table_note, table)

    def table_set_note(self, table: int, note: bytes) -> None:
        self.answer(kv.kv_table_set_note(self.live(), table, note, len(note)))

    def snapshot_create(self, name: bytes, flags: int, note: bytes) -> None:
        text, room = _slice(note)
        options = sized(SnapshotOptions, flags=flags, note=text)
        self.changes += 1
        status = kv.kv_snapshot_create(self.live(), name, len(name), C.byref(options))
        del room
        self.answer(status)

    def snapshot_rename(self, name: bytes, to: bytes) -> None:
        self.changes += 1
        self.answer(kv.kv_snapshot_rename(self.live(), name, len(name), to, len(to)))

    def snapshot_drop(self, name: bytes) -> None:
        self.changes += 1
        self.answer(kv.kv_snapshot_drop(self.live(), name, len(name)))

    def snapshot_keep(self, name: bytes, keep: int) -> None:
        self.changes += 1
        self.answer(kv.kv_snapshot_keep(self.live(), name, len(name), keep))

    def snapshot_release(self, name: bytes) -> None:
        self.changes += 1
        self.answer(kv.kv_snapshot_release(self.live(), name, len(name)))

    def snapshot_ranges(self, name: bytes, table: int, *bounds: Any) -> List[Tuple[bytes, Optional[bytes]]]:
        """The bounds of the ranges of keys that may have changed since a snapshot or mark."""
        (found, _kept), ranges = as_range(cast(RawRange, bounds)), []

        def tell(_: Any, given: Any) -> int:
            low, high = given[0].from_, given[0].to
            ranges.append((C.string_at(low.data, low.len) if low.data else b"",
                           C.string_at(high.data, high.len) if high.data else None))
            return 0

        self.answer(kv.kv_snapshot_ranges(
            self.live(), name, len(name), table, C.byref(found), RANGE(tell), None))
        return ranges

    def revert(self, source: TxnCore, table: int) -> int:
        changed = C.c_uint64()
        self.changes += 1
        self.answer(kv.kv_revert(self.live(), source.live(), table, C.byref(changed)))
        return changed.value

    def savepoint_create(self) -> int:
        number = C.c_uint64()
        self.changes += 1
        self.answer(kv.kv_savepoint_create(self.live(), C.byref(number)))
        return number.value

    def savepoint_rollback(self, number: int) -> None:
        self.changes += 1
        self.answer(kv.kv_savepoint_rollback(self.live(), number))

    def savepoint_release(self, number: int) -> None:
        self.changes += 1
        self.answer(kv.kv_savepoint_release(self.live(), number))

    def diff(self, before: TxnCore, table: int, *bounds: Any) -> Tuple[List[Tuple[Any, ...]], bool]:
        """The first changes of a range since another transaction, and whether there are no more."""
        (found, _kept), diff, change = as_range(cast(RawRange, bounds)), Handle(), sized(Change)
        changes: List[Tuple[Any, ...]] = []
        size, status = 0, OK
        with self._db._lock:  # as keys and values are not copied by the library
            self.answer(kv.kv_diff_open(before.live(), self.live(), table, C.byref(found), C.byref(diff)))
            try:
                while len(changes) < 256 and size < 1 << 16:
                    status = kv.kv_diff_next(diff, C.byref(change))
                    if status != OK:
                        break
                    key, was, now = (C.string_at(text.data, text.len) for text in (
                        change.key, change.before, change.after))
                    changes.append((change.kind, key, None if change.kind == CHANGE_ADDED else was,
                                    None if change.kind == CHANGE_REMOVED else now))
                    size += len(key) + len(was) + len(now)
                if status not in (OK, NOTFOUND) and not changes:
                    self.answer(status)
            finally:
                kv.kv_diff_close(diff)
        return changes, status == NOTFOUND

    def diff_count(self, before: TxnCore, table: int, *bounds: Any) -> Tuple[int, ...]:
        (found, _kept), counted = as_range(cast(RawRange, bounds)), sized(DiffCounts)
        self.answer(kv.kv_diff_count(before.live(), self.live(), table, C.byref(found), C.byref(counted)))
        return counts(counted, ("added", "removed", "changed"))

    def same(self, before: TxnCore, table: int) -> bool:
        same = C.c_int32()
        self.answer(kv.kv_same(before.live(), self.live(), table, C.byref(same)))
        return same.value != 0

    def stat_snapshot(self, name: bytes) -> Tuple[Any, ...]:
        """The fields of `kv_snapshot_stat`, in their order."""
        stat = sized(SnapshotStat)
        with self._db._lock:  # as the note is not copied by the library
            self.answer(kv.kv_stat_snapshot(self.live(), name, len(name), C.byref(stat)))
            note = C.string_at(stat.note.data, stat.note.len)
        return (stat.flags, stat.commit, stat.time, bytes(stat.guid), stat.file_pages, stat.used_pages, note,
                bool(stat.automatic))

    def set_history(self, numbers: Optional[Tuple[int, ...]]) -> None:
        policy = None if numbers is None else C.byref(_retention(numbers))
        self.changes += 1
        self.answer(kv.kv_history(self.live(), policy))

    def history(self) -> Optional[Tuple[int, ...]]:
        policy = sized(Retention)
        status = kv.kv_stat_history(self.live(), C.byref(policy))
        if status == NOTFOUND:
            return None
        self.answer(status)
        return counts(policy, figures.Retention._fields)

    def snapshot_thin(self, prefix: bytes, numbers: Tuple[int, ...]) -> int:
        dropped = C.c_uint64()
        self.changes += 1
        self.answer(kv.kv_snapshot_thin(
            self.live(), prefix, len(prefix), C.byref(_retention(numbers)), C.byref(dropped)))
        return dropped.value

    def stat_table(self, table: int, level: int) -> Tuple[int, ...]:
        stat = sized(TableStat)
        self.answer(kv.kv_stat_table(self.live(), table, level, C.byref(stat)))
        return counts(stat, figures.TableStat._fields)

    def check(self, flags: int, progress: Callback, on_fault: Callback) -> Tuple[Any, ...]:
        return _jobs.check(kv.kv_check, self.live(), self._db._path, flags, progress, on_fault)

    def backup(self, target: bytes, flags: int, progress: Callback, name: str) -> None:
        _jobs.backup(kv.kv_backup, self.live(), target, flags, progress, name)

    def backup_stream(self, write: Callable[[bytes], object], flags: int, progress: Callback) -> None:
        _jobs.backup_stream(self.live(), write, flags, progress, self._db._path)
