"""Databases: opening, transactions, the mapping of the main table, and maintenance."""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
import weakref
from types import ModuleType, TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    MutableMapping,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
    overload,
)

from . import _ending
from ._backend import DatabaseCore
from ._backend import salvage as _salvage
from ._constants import (
    DURABILITY,
    EVERYTHING,
    JOB_CHECK_SPACE,
    JOB_OVERWRITE,
    OPEN_EXISTING,
    OPEN_MEMORY,
    OPEN_NEW,
    OPEN_READ_ONLY,
    RANGE_REVERSE,
    READ,
    SCAN_KEYS,
    TXN_NOWAIT,
    UNLIMITED,
    VERIFY,
    WRITE,
)
from ._errors import BusyError, refuse_copy
from .codec import Codec, raw
from .figures import CheckReport, CompactReport, DatabaseStat, Fault, Identity, Reader, SalvageReport
from .iteration import Items, Keys, Values, encode_range
from .stream import Path, Stream, backup_flags, file_name, is_stream
from .transaction import Progress, Transaction, on_fault, text_name, whole

if TYPE_CHECKING:
    from typing_extensions import Literal, Self, TypedDict, Unpack

    class Options(TypedDict, total=False):
        """The options of `open` but for the codecs."""

        create: bool
        new: bool
        read_only: bool
        durability: Literal["full", "lazy"]
        verify: Literal["once", "always", "never"]
        timeout: Optional[float]
        page_size: int
        write_memory: int


K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

#: Seconds after which the main thread looks whether a signal has come.
_SIGNALS = 0.1


def seconds(timeout: Optional[float]) -> Optional[float]:
    """A time to wait; None for ever, which infinity means as well."""
    if timeout is None:
        return None
    try:
        number = math.nan if isinstance(timeout, (str, bytes, bytearray)) else float(timeout)
    except OverflowError:
        number = math.inf if timeout > 0 else -1.0
    except (TypeError, ValueError):
        number = math.nan
    if not number >= 0:
        raise ValueError(f"timeout is seconds, 0 or more, or None, and this is {timeout!r:.80}")
    return None if number == math.inf else number


def milliseconds(timeout: Optional[float]) -> int:
    """A time to wait as the library takes it: -1 = for ever. At least 1, as 0 means something else."""
    number = seconds(timeout)
    return -1 if number is None else max(1, round(min(number * 1000, 2.0**53)))


def _choice(name: str, value: str, choices: Dict[str, int]) -> int:
    try:
        return choices[value]
    except KeyError:
        raise ValueError(f"{name} is one of {', '.join(map(repr, choices))}, and this is {value!r}") from None


class Database(DatabaseCore[K, V], MutableMapping[K, V]):
    """An open database, made by `open`: a mapping of its main table, and the transactions.

    Any number of threads may use it. Each operation of the mapping is a transaction of its own: one that writes is
    committed when it returns, which takes as long as the disk needs. Many writes belong in one `write` transaction.
    """

    _encode_key: Optional[Callable[[Any], bytes]]
    _wait_ms: int

    __reduce_ex__ = refuse_copy

    def __init__(self, *arguments: object, **options: object) -> None:
        if arguments or options:
            raise TypeError("a Database is made by keelkv.open(path)")
        super().__init__()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("_") and hasattr(Transaction, name):
                raise AttributeError(
                    f"a Database has no {name}, which is of a transaction: `with db.read() as s: s.{name}`, or "
                    f"`with db.write() as t: t.{name}`"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        name = getattr(self, "_name", None)
        return f"<keelkv.Database {name!r}{', closed' if self.closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the database. Open transactions end, and lazy commits become durable. Twice is harmless."""
        self._close()
        _opened.pop(id(self), None)

    # ---- transactions

    def read(
        self, *, snapshot: Union[str, bytes, None] = None, commit: int = 0, time: int = 0,
    ) -> Transaction[K, V]:
        """Begins a read transaction: one state of the whole database. It never waits and nobody waits for it.

        It is the newest state; that of the snapshot with this name; or of those that are kept (the newest, and those of
        snapshots) the newest up to a commit, or up to a time in nanoseconds since 1970, as `time.time_ns()` has it.
        `NotFoundError` if there is none.
        """
        if snapshot is None and commit == 0 and time == 0:
            return Transaction(self, READ)
        name = None if snapshot is None else text_name(snapshot)
        commit, time = whole("a commit", commit, UNLIMITED), whole("a time", time, UNLIMITED)
        return Transaction(self, READ, 0, 0, -1, 0, name, commit, time)

    def write(
        self, *, timeout: Optional[float] = None, nowait: bool = False, durability: Optional[str] = None,
        write_memory: int = 0,
    ) -> Transaction[K, V]:
        """Begins a write transaction, when no other is open in any process.

        `timeout` is in seconds; None = as the database was opened. After it, or at once with `nowait`, `BusyError` is
        raised. `durability` is that of the commit, "full" or "lazy".
        """
        wait_ms = self._wait_ms if timeout is None else milliseconds(timeout)
        if timeout is not None and timeout == 0:
            nowait = True
        how = 0 if durability is None else _choice("durability", durability, DURABILITY)
        flags = TXN_NOWAIT if nowait else 0
        return Transaction(self, WRITE, flags, how, wait_ms, whole("write_memory", write_memory))

    def interrupt(self) -> None:
        """Ends every wait of other threads through this object; those calls raise `CancelledError`."""
        self._interrupt()

    def sync(self) -> None:
        """Makes every commit durable that was made before the call."""
        self._sync()

    @property
    def visible(self) -> int:
        """The number of the newest commit that a new reader sees."""
        return self._newest()[0]

    @property
    def durable(self) -> int:
        """The number of the newest commit that survives a power cut."""
        return self._newest()[1]

    def wait_durable(self, commit: int) -> None:
        """Waits until a commit is durable, after `Transaction.commit_async` or a lazy commit."""
        self._wait_durable(whole("a commit", commit, UNLIMITED), -1)

    def wait_commit(self, after: int, timeout: Optional[float] = None) -> int:
        """Waits for a commit that is newer than number `after`, and returns the newest; `BusyError` after `timeout`."""
        timeout, after = seconds(timeout), whole("a commit", after, UNLIMITED)
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return self._wait_commit(after, 0)
            step = left
            if threading.current_thread() is threading.main_thread():
                # Python runs signal handlers on the main thread, between two calls.
                step = _SIGNALS if left is None else min(left, _SIGNALS)
            try:
                return self._wait_commit(after, milliseconds(step))
            except BusyError:
                pass

    # ---- the mapping, in transactions of its own

    def _scan(self, what: int, *arguments: Any) -> Iterator[Any]:
        # The iterator keeps the snapshot, which ends with it. No generator, as threads cannot share one.
        return self.read()._scan(what, *arguments)

    def _count(self, *arguments: Any) -> int:
        with self.read() as snapshot:
            return snapshot._count(*arguments)

    def __iter__(self) -> Iterator[K]:
        return self._scan(SCAN_KEYS, *EVERYTHING, UNLIMITED)

    def __reversed__(self) -> Iterator[K]:
        return self._scan(SCAN_KEYS, RANGE_REVERSE, None, None, None, UNLIMITED)

    def __len__(self) -> int:
        return self._count(*EVERYTHING)

    def keys(
        self, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None,
        reverse: bool = False, limit: Optional[int] = None,
    ) -> Keys[K]:
        """The keys of a range; see `items`."""
        return Keys(self, encode_range(self._encode_key, prefix, start, stop, reverse), limit)

    def values(
        self, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None,
        reverse: bool = False, limit: Optional[int] = None,
    ) -> Values[V]:
        """The values of a range; see `items`."""
        return Values(self, encode_range(self._encode_key, prefix, start, stop, reverse), limit)

    def items(
        self, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None,
        reverse: bool = False, limit: Optional[int] = None,
    ) -> Items[K, V]:
        """As `Table.items`. Each iteration sees one snapshot, which it keeps until it ends."""
        return Items(self, encode_range(self._encode_key, prefix, start, stop, reverse), limit)

    def put(self, key: K, value: V, flags: int = 0) -> None:
        """Puts an entry in a transaction of its own; `flags` as for `Table.put`."""
        self._put(key, value, flags)

    @overload
    def pop(self, key: K) -> V: ...

    @overload
    def pop(self, key: K, default: Union[V, D]) -> Union[V, D]: ...

    def pop(self, key: K, *default: Any, **named: Any) -> Any:
        """Deletes an entry and returns its value, or the default."""
        with self.write() as t:
            return t.pop(key, *default, **named)

    def popitem(self) -> Tuple[K, V]:
        """Deletes the entry with the least key and returns it."""
        with self.write() as t:
            return t.popitem()

    def setdefault(self, key: K, default: Optional[V] = None) -> V:
        """The value of a key, which is `default` from now on if the key did not exist."""
        with self.write() as t:
            return t.setdefault(key, default)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Puts many entries in one transaction: all of them or none."""
        with self.write() as t:
            t.update(other, **more)

    def clear(self) -> None:
        """Deletes every entry of the main table."""
        with self.write() as t:
            t.clear()

    # ---- figures and maintenance

    def tables(self) -> List[bytes]:
        """The names of all tables, in order."""
        with self.read() as snapshot:
            return snapshot.tables()

    def snapshots(self) -> List[bytes]:
        """The names of all snapshots, in order."""
        with self.read() as newest:
            return newest.snapshots()

    def reclaim(self) -> int:
        """Gives back at once what dropped snapshots alone had, and returns how many pages that are.

        Without it, later commits do so, a part each.
        """
        return self._reclaim()

    def snapshot_cost(self, first: Union[str, bytes], last: Union[str, bytes, None] = None) -> int:
        """How many pages come free if a snapshot is dropped.

        With `last`, these two and all of commits between theirs are meant.
        """
        return self._snapshot_cost(text_name(first), text_name(first if last is None else last))

    def stat(self) -> DatabaseStat:
        """Figures of the database and its readers."""
        return DatabaseStat(*self._stat())

    def identity(self) -> Identity:
        """Which database this is."""
        version, uuid, path = self._identity()
        return Identity(version, uuid, os.fsdecode(path))

    def readers(self) -> List[Reader]:
        """The readers of all processes, the one with the oldest commit first. They come and go meanwhile."""
        found: List[Reader] = []
        while len(found) < 2**16:
            reader = self._reader_at(len(found))
            if reader is None:
                break
            found.append(Reader(*reader))
        return found

    def check(
        self, *, space: bool = False, progress: Optional[Progress] = None,
        fault: Optional[Callable[[Fault], object]] = None,
    ) -> CheckReport:
        """Reads everything and verifies it, while others read and write.

        `fault` is called with each `Fault`, and `progress` with (pages done, pages in all); something true as the
        answer of either ends the check with `CancelledError`. With `space`, the bookkeeping of free pages is proved as
        well, for which an open write transaction is waited for.
        """
        flags = JOB_CHECK_SPACE if space else 0
        with _ending.job():
            return CheckReport(*self._check(flags, _ending.progress(progress), on_fault(fault)))

    def compact(
        self, *, stay: bool = False, punch: bool = False, progress: Optional[Progress] = None,
    ) -> CompactReport:
        """Makes the file smaller while others read and write: moves what lives at its end, and cuts the file.

        With `stay`, no page moves, and only what is free at the end is cut off. With `punch`, the room of free runs
        inside the file is given back to the file system as well. What readers and snapshots see stays where it is, as
        the report tells. Other writers are waited for. `progress` is as for `check`. For a small copy in another file,
        see `backup`.
        """
        with _ending.job():
            return CompactReport(*self._compact(int(bool(stay)), int(bool(punch)), _ending.progress(progress)))

    def backup(
        self, target: Union[Path, Stream], *, compact: bool = False, overwrite: bool = False,
        progress: Optional[Progress] = None,
    ) -> None:
        """Copies the newest commit into a new file or a stream, while others read and write.

        A file, given by its path, appears when it is whole and durable. One that exists raises `ExistsError`, unless
        `overwrite` is set. A stream is an object whose `write` takes bytes, such as a pipe, a socket's file or a
        `gzip.GzipFile`; the bytes come in their order and are a database file. The program flushes and closes it, and
        sees to it that the bytes become durable. `compact` writes the entries in order, without free pages.
        `progress` is as for `check`.
        """
        if is_stream(target):
            with self.read() as snapshot:
                return snapshot.backup(target, compact=compact, overwrite=overwrite, progress=progress)
        flags = backup_flags(target, compact, overwrite)
        with _ending.job():
            self._backup(file_name(target), flags, _ending.progress(progress), os.fsdecode(target))


_opened: Dict[int, "weakref.ref[Database[Any, Any]]"] = {}


def _forget(number: int) -> None:
    _opened.pop(number, None)


def _close_all() -> None:
    """Closes what is still open when the interpreter ends, so that lazy commits become durable."""
    _ending.end()
    for reference in list(_opened.values()):
        database = reference()
        if database is not None:
            database.close()


atexit.register(_close_all)


@overload
def open(path: Optional[Path], **options: Unpack[Options]) -> Database[bytes, bytes]: ...


@overload
def open(path: Optional[Path], *, key: Union[Codec[K], Type[K]], **options: Unpack[Options]) -> Database[K, bytes]: ...


@overload
def open(
    path: Optional[Path], *, value: Union[Codec[V], Type[V]], **options: Unpack[Options]
) -> Database[bytes, V]: ...


@overload
def open(path: Optional[Path], *, value: ModuleType, **options: Unpack[Options]) -> Database[bytes, Any]: ...


@overload
def open(
    path: Optional[Path], *, key: Union[Codec[K], Type[K]], value: Union[Codec[V], Type[V]],
    **options: Unpack[Options],
) -> Database[K, V]: ...


@overload
def open(
    path: Optional[Path], *, key: Union[Codec[K], Type[K]], value: ModuleType, **options: Unpack[Options]
) -> Database[K, Any]: ...


def open(
    path: Optional[Path], *, key: Any = None, value: Any = None, create: bool = True, new: bool = False,
    read_only: bool = False, durability: str = "full", verify: str = "once", timeout: Optional[float] = None,
    page_size: int = 0, write_memory: int = 0,
) -> Database[Any, Any]:
    """Opens a database, and creates it if it does not exist.

    - `path`: the file; None = a database in memory.
    - `key`, `value`: codecs, such as `str`, `int`, `json` or `pickle`; without one, keys and values are bytes.
    - `create`: False = the file must exist, or `NoFileError` is raised.
    - `new`: the file must not exist, or `ExistsError` is raised.
    - `read_only`: the database is never written, so the file may be read-only.
    - `durability`: "full" = a commit survives a power cut when it returns; "lazy" = it survives a killed process at
      once, and a power cut after `sync`, `close`, or somewhat later.
    - `verify`: when pages are compared with their checksums: "once", "always" or "never".
    - `timeout`: seconds to wait for the write transactions of others; None = for ever.
    - `page_size`, `write_memory`: bytes; 0 = as the library chooses.
    """
    flags = (0 if create else OPEN_EXISTING) | (OPEN_NEW if new else 0) | (OPEN_READ_ONLY if read_only else 0)
    if path is None:
        flags |= OPEN_MEMORY
    codec = raw(key, value)
    database: Database[Any, Any] = Database()
    database._encode_key = None if codec is None else codec[0]
    database._wait_ms = milliseconds(timeout)
    name = None if path is None else os.fsdecode(path)
    cast(Any, database)._name = name
    database._open(
        b"" if path is None else file_name(path), flags, whole("page_size", page_size, 2**32 - 1),
        _choice("durability", durability, DURABILITY), _choice("verify", verify, VERIFY), database._wait_ms,
        whole("write_memory", write_memory), name, codec,
    )
    number = id(database)
    _opened[number] = weakref.ref(database, lambda _: _forget(number))
    return database


def salvage(
    damaged: Path, target: Path, *, overwrite: bool = False, progress: Optional[Progress] = None,
    fault: Optional[Callable[[Fault], object]] = None,
) -> SalvageReport:
    """Saves what can be read of a damaged database into a new one, and tells what is lost.

    `fault` is called for what is lost or doubtful; `progress` and `overwrite` are as for `Database.backup`.
    """
    flags = JOB_OVERWRITE if overwrite else 0
    with _ending.job():
        report = _salvage(
            file_name(damaged), file_name(target), flags, _ending.progress(progress), on_fault(fault),
            os.fsdecode(target),
        )
    return SalvageReport(*report)
