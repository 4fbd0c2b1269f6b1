"""Transactions, and the tables that they see."""

from __future__ import annotations

import os
from operator import index
from types import ModuleType, TracebackType
from typing import (
    Any,
    Callable,
    Iterable,
    Iterator,
    List,
    Mapping,
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
from ._backend import CursorCore, EntriesCore, TransactionCore, TxnCore, WriterCore
from ._constants import (
    EVERYTHING,
    FAULT,
    JOB_CHECK_SPACE,
    NO_OVERWRITE,
    NONE,
    RANGE_FROM,
    RANGE_REVERSE,
    SCAN_KEYS,
    SNAPSHOT_KEEP,
    SNAPSHOT_MARK,
    SNAPSHOT_REPLACE,
    SNAPSHOT_YIELD,
    SNAPSHOTS,
    TABLE_NEW,
    TABLES,
    UNLIMITED,
    WRITE,
    RawRange,
)
from ._errors import ExistsError, InvalidError, NoTableError, refuse_copy
from ._names import in_python
from .changes import Change, ChangeCounts, changes
from .codec import Codec, CodecLike, raw
from .figures import CheckReport, Fault, Retention, SnapshotStat, TableStat, TransactionStat
from .iteration import Items, Keys, Values, encode_range
from .stream import Path, Stream, backup_flags, file_name, is_stream, write_all

K = TypeVar("K")
V = TypeVar("V")
J = TypeVar("J")
W = TypeVar("W")

#: Called with (pages done, pages in all). Something true ends the job with `CancelledError`.
Progress = Callable[[int, int], object]


def on_fault(function: Optional[Callable[[Fault], object]]) -> Optional[Callable[[int, int, int, str, int], object]]:
    """What the back ends call for a fault."""
    if function is None:
        return None
    none = UNLIMITED
    kinds = {number: kind for kind, number in FAULT.items()}
    return lambda status, page, table, message, kind: function(
        Fault(status, None if page == none else page, None if table == none else table, in_python(message),
              kinds.get(kind))
    )


def whole(name: str, number: int, most: int = 2**63 - 1) -> int:
    """A number as an option, of which the back ends would cut off what does not fit."""
    if not 0 <= index(number) <= most:
        raise ValueError(f"{name} is a whole number from 0 to {most}, and this is {number}")
    return index(number)


def _numbers(retention: Retention) -> Tuple[int, ...]:
    """The numbers of a retention. Those that are too large for the library are refused."""
    return tuple(
        whole(name, number, 2**64 - 1 if name == "yield_pages" else 2**32 - 1)
        for name, number in zip(Retention._fields, retention)
    )


class Table(EntriesCore[K, V], MutableMapping[K, V]):
    """One table as one transaction sees it: an ordered mapping.

    Made by `Transaction.table`. It can be used until the transaction ends; then it raises `BadHandleError`.
    """

    __slots__ = ("__weakref__",)

    __reduce_ex__ = refuse_copy

    @property
    def _encode_key(self) -> Optional[Callable[[Any], bytes]]:
        codec = self._codec
        return None if codec is None else codec[0]

    def __repr__(self) -> str:
        return f"<keelkv.{type(self).__name__} {self._number}>"

    # ---- reading

    def __iter__(self) -> Iterator[K]:
        return self._scan(SCAN_KEYS, *EVERYTHING, UNLIMITED)

    def __reversed__(self) -> Iterator[K]:
        return self._scan(SCAN_KEYS, RANGE_REVERSE, None, None, None, UNLIMITED)

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
        """The entries whose keys begin with `prefix`, are `start` or greater, and are less than `stop`.

        They come in the order of their keys, with `reverse` from the greatest down, and at most `limit` of them. What
        a transaction writes while it iterates is seen if it lies ahead.
        """
        return Items(self, encode_range(self._encode_key, prefix, start, stop, reverse), limit)

    def count(self, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None) -> int:
        """How many entries a range has, without reading them."""
        return self._count(*encode_range(self._encode_key, prefix, start, stop))

    def rank(self, key: K) -> int:
        """How many keys are less than `key`, which need not exist."""
        return self._rank(key)

    def nth(
        self, n: int, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None,
    ) -> Optional[Tuple[K, V]]:
        """Entry number `n` of a range, counted from 0, or with -1 from its end; None if there are fewer."""
        cursor = self._cursor(*encode_range(self._encode_key, prefix, start, stop, n < 0))
        return cursor.nth(n if n >= 0 else -n - 1)

    def percentile(
        self, percent: float, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None,
    ) -> Optional[Tuple[K, V]]:
        """The entry at a percentile of a range: 50 is the median, 0 the first, 100 the last; None if it is empty."""
        return self._cursor(*encode_range(self._encode_key, prefix, start, stop)).percentile(percent)

    def first(
        self, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None,
    ) -> Optional[Tuple[K, V]]:
        """The entry with the least key of a range; None if it is empty."""
        return self._cursor(*encode_range(self._encode_key, prefix, start, stop)).first()

    def last(
        self, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None,
    ) -> Optional[Tuple[K, V]]:
        """The entry with the greatest key of a range; None if it is empty."""
        return self._cursor(*encode_range(self._encode_key, prefix, start, stop)).last()

    def random(
        self, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None,
    ) -> Optional[Tuple[K, V]]:
        """A random entry of a range, each of which is equally likely; None if it is empty."""
        return self._cursor(*encode_range(self._encode_key, prefix, start, stop)).random()

    def cursor(
        self, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None,
        reverse: bool = False,
    ) -> CursorCore[K, V]:
        """A cursor before the first entry of a range, for programs that move back and forth."""
        return self._cursor(*encode_range(self._encode_key, prefix, start, stop, reverse))

    def size(self, key: K) -> Optional[int]:
        """The length of a value in bytes, without reading it; None if the key does not exist."""
        return self._value_len(key)

    def read(self, key: K, offset: int, size: int) -> Optional[bytes]:
        """A part of the bytes of a value, of which only that part is read; None if the key does not exist."""
        if offset < 0 or size < 0:
            raise ValueError(f"offset and size are 0 or more, and these are {offset} and {size}")
        length = self._value_len(key)
        if length is None:
            return None
        return self._value_read(key, offset, max(0, min(size, length - offset)))

    # ---- writing

    def writer(self, key: K, size_hint: int = 0, flags: int = 0) -> WriterCore:
        """Begins a value that is written in parts, because it is long: ``with t.writer(key) as w: w.write(part)``.

        The parts are bytes, whatever the codec. The entry appears at the end of the block; an exception gives it up.
        A good `size_hint`, in bytes, lets the value lie in one piece of the file. `flags` are those of `put`.
        """
        return self._writer(key, size_hint, flags)

    def insert(self, key: K, value: V) -> bool:
        """Puts an entry if the key does not exist, and tells whether it did."""
        try:
            self.put(key, value, NO_OVERWRITE)
        except ExistsError:
            return False
        return True

    def replace(self, key: K, value: V) -> Optional[V]:
        """Puts an entry and returns the value that it replaces, or None."""
        return self._swap(key, value, False)

    def setdefault(self, key: K, default: Optional[V] = None) -> V:
        """The value of a key, which is `default` from now on if the key did not exist."""
        former = self._swap(key, cast(V, default), True)
        if former is not None:
            return former
        # A codec may turn None into a value, and a value into None.
        return cast(V, default) if self._codec is None else self[key]

    def put_many(self, items: Union[Mapping[K, V], Iterable[Tuple[K, V]]], flags: int = 0) -> int:
        """Puts the entries of a mapping or of an iterable of pairs, in their order, and returns their number.

        It stops at the first that fails.
        """
        return self._put_many(items.items() if isinstance(items, Mapping) else items, flags)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Puts the entries of a mapping or of an iterable of pairs."""
        if isinstance(other, Mapping):
            other = other.items()
        elif hasattr(other, "keys"):
            other = [(key, other[key]) for key in other.keys()]
        self._put_many(other, 0)
        if more:
            self._put_many(cast(Any, more.items()), 0)

    def pop_first(
        self, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None,
        reverse: bool = False,
    ) -> Optional[Tuple[K, V]]:
        """Deletes the first entry of a range and returns it; None if it is empty. The step of a queue."""
        return self._take_first(*encode_range(self._encode_key, prefix, start, stop, reverse))

    def popitem(self) -> Tuple[K, V]:
        """Deletes the entry with the least key and returns it; raises `KeyError` if there is none."""
        item = self._take_first(*EVERYTHING)
        if item is None:
            raise KeyError("popitem(): the table is empty")
        return item

    def delete_range(self, *, prefix: Optional[K] = None, start: Optional[K] = None, stop: Optional[K] = None) -> int:
        """Deletes every entry of a range and returns their number. For a whole table there is `clear`."""
        return self._delete_range(*encode_range(self._encode_key, prefix, start, stop))

    def clear(self) -> None:
        """Deletes every entry, in time that grows with the number of pages only."""
        self._txn.table_clear(self._number)

    # ---- the table itself

    @property
    def number(self) -> int:
        """The number of the table, which never changes."""
        return self._number

    @property
    def name(self) -> bytes:
        """The name of the table; empty for the main table."""
        return self._txn.table_name(self._number)

    @property
    def note(self) -> bytes:
        """Bytes that the program attached to the table; empty at first, at most 1024."""
        return self._txn.table_note(self._number)

    @note.setter
    def note(self, note: bytes) -> None:
        self._txn.table_set_note(self._number, _given_bytes(note, "note", "bytes"))

    def rename(self, name: Union[str, bytes]) -> None:
        """Gives the table another name. A table that has this name already is dropped."""
        self._txn.table_rename(self._number, text_name(name))

    def drop(self) -> None:
        """Drops the table with all its entries."""
        self._txn.table_drop(self._number)

    def stat_table(self, level: int = 0) -> TableStat:
        """Figures of the table's tree, or of one level of it: 1 = its leaves. Every page of it is read."""
        return TableStat(*self._txn.stat_table(self._number, whole("level", level, 2**32 - 1)))


def _found(
    table: Union[Table[Any, Any], str, bytes], first: Transaction[Any, Any], second: Transaction[Any, Any],
) -> Table[Any, Any]:
    """A table that is given as such, or by the name that it has in the first of two transactions that has one."""
    if not isinstance(table, (str, bytes)):
        return table
    try:
        return first.table(table)
    except NoTableError:
        return second.table(table)


def text_name(name: Union[str, bytes]) -> bytes:
    """The name of a table or a snapshot as bytes."""
    return name.encode() if isinstance(name, str) else _given_bytes(name, "name", "str or bytes")


def _given_bytes(thing: Any, what: str, kinds: str) -> bytes:
    """A name or a note as bytes. Another buffer is taken as it is at the call, as a key is."""
    if isinstance(thing, bytes):
        return thing
    try:
        return bytes(memoryview(thing))
    except TypeError:
        advice = "; encode it" if isinstance(thing, str) else ""
        raise TypeError(f"a {what} is {kinds}, and this one is {type(thing).__name__}{advice}") from None


class Savepoint:
    """A point to which a write transaction can go back.

    Made by `Transaction.savepoint`. As a context manager, it goes back if the block raises an exception, and is
    forgotten at the end of the block.
    """

    __slots__ = ("_txn", "_number")

    def __init__(self, txn: TxnCore) -> None:
        self._txn = txn
        self._number = txn.savepoint_create()

    def rollback(self) -> None:
        """Undoes what was written since. The savepoint stays, and later ones are gone.

        A transaction that has failed since, on a full disk for instance, goes on. Iterators go on behind their keys.
        """
        self._txn.savepoint_rollback(self._number)

    def release(self) -> None:
        """Forgets the savepoint and later ones. What was written since stays."""
        self._txn.savepoint_release(self._number)

    def __enter__(self) -> Savepoint:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Goes back after an exception, and forgets the savepoint."""
        if self._txn.ended:
            return
        try:
            if kind is not None:
                self.rollback()
            self.release()
        except InvalidError:
            pass  # the program has released it, or gone back to an earlier one


class Transaction(TransactionCore[K, V], Table[K, V]):
    """A transaction, and the main table as it sees it.

    Made by `Database.read`, `Database.write` and `nested`. As a context manager, one that writes commits at the end of
    the block, or aborts if the block raises an exception.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        txn = self._txn
        return f"<keelkv.Transaction {'writes' if txn.writes else 'reads'}{', ended' if txn.ended else ''}>"

    # ---- the transaction itself

    @property
    def ended(self) -> bool:
        """Whether the transaction has ended."""
        return self._txn.ended

    @property
    def writes(self) -> bool:
        """Whether this is a write transaction."""
        return self._txn.writes

    @property
    def commit_id(self) -> int:
        """The number of the commit that the transaction reads or builds upon."""
        return self._txn.id()

    def commit(self) -> int:
        """Commits and ends the transaction, and returns the number of the commit."""
        return self._txn.commit()

    def commit_async(self) -> int:
        """Commits without waiting until the commit is durable; `Database.wait_durable` takes the number."""
        return self._txn.commit_async()

    def abort(self) -> None:
        """Ends the transaction and undoes what it wrote. One that has ended already is left alone."""
        self._txn.abort()

    def nested(self) -> Transaction[K, V]:
        """Begins a transaction within this one, which writes: ``with t.nested() as n: n[key] = value``.

        Its commit, at the end of the block, makes what it wrote part of this one. An exception undoes that, and this
        one goes on. While it is open, `ChildOpenError` is raised for every use of this one, its tables and its cursors,
        except that `abort` ends both.
        """
        return Transaction(self._txn.nest())

    def savepoint(self) -> Savepoint:
        """Makes a savepoint, to go back to: ``with t.savepoint(): t[key] = value`` undoes the block if it raises.

        Unlike within `nested`, this transaction is used on.
        """
        return Savepoint(self._txn)

    def refresh(self) -> None:
        """Moves a read transaction to the newest commit. Its iterators go on behind the keys where they are."""
        self._txn.refresh()

    def stat(self) -> TransactionStat:
        """Figures of the transaction."""
        kind, *figures = self._txn.stat()
        return TransactionStat(kind == WRITE, *figures)

    # ---- tables

    @overload
    def table(self, name: Union[str, bytes], *, create: bool = False, new: bool = False) -> Table[K, V]: ...

    @overload
    def table(
        self, name: Union[str, bytes], *, create: bool = False, new: bool = False, key: Union[Codec[J], Type[J]],
    ) -> Table[J, V]: ...

    @overload
    def table(
        self, name: Union[str, bytes], *, create: bool = False, new: bool = False, value: Union[Codec[W], Type[W]],
    ) -> Table[K, W]: ...

    @overload
    def table(
        self, name: Union[str, bytes], *, create: bool = False, new: bool = False, value: ModuleType,
    ) -> Table[K, Any]: ...

    @overload
    def table(
        self, name: Union[str, bytes], *, create: bool = False, new: bool = False, key: Union[Codec[J], Type[J]],
        value: Union[Codec[W], Type[W]],
    ) -> Table[J, W]: ...

    @overload
    def table(
        self, name: Union[str, bytes], *, create: bool = False, new: bool = False, key: Union[Codec[J], Type[J]],
        value: ModuleType,
    ) -> Table[J, Any]: ...

    def table(
        self, name: Union[str, bytes], *, create: bool = False, new: bool = False,
        key: Optional[CodecLike[Any]] = None, value: Optional[CodecLike[Any]] = None,
    ) -> Table[Any, Any]:
        """The table of a name; `NoTableError` if there is none, unless `create` makes it.

        With `new` there must be none yet. The codecs are those of the database, unless `key` or `value` is given.
        """
        data = text_name(name)
        if create or new:
            number = self._txn.table_create(data, TABLE_NEW if new else 0)
        else:
            number = self._txn.table_open(data)
        codec = self._codec
        if key is not None or value is not None:
            own = raw(key, value) or (None,) * 4
            theirs = codec or (None,) * 4
            codec = (own if key is not None else theirs)[:2] + (own if value is not None else theirs)[2:]
        return Table(self._txn, number, codec)

    def tables(self) -> List[bytes]:
        """The names of all tables, in order."""
        return list(Table(self._txn, TABLES, None))

    # ---- snapshots

    def create_snapshot(
        self, name: Union[str, bytes], *, replace: bool = False, keep: bool = False, mark: bool = False,
        yields: bool = False, note: bytes = b"",
    ) -> None:
        """Gives a state a name: what this transaction is about to commit, or what it sees if it reads.

        In a transaction that writes, it also has what is written after this call. So the state before a change gets its
        name by a transaction that reads, or in one of its own. A transaction that reads makes a commit for it, at once.
        `ExistsError` if the name is taken, unless `replace` drops that snapshot. One that is to be kept is not dropped
        before `keep_snapshot` takes that back. A mark keeps nothing, and `changed_ranges` tells what has changed since;
        a snapshot that yields becomes a mark when the policy of the file says so.
        """
        flags = (SNAPSHOT_REPLACE if replace else 0) | (SNAPSHOT_KEEP if keep else 0)
        flags |= (SNAPSHOT_MARK if mark else 0) | (SNAPSHOT_YIELD if yields else 0)
        self._txn.snapshot_create(text_name(name), flags, _given_bytes(note, "note", "bytes"))

    def rename_snapshot(self, name: Union[str, bytes], to: Union[str, bytes]) -> None:
        """Gives a snapshot another name. One that has the name already is dropped."""
        self._txn.snapshot_rename(text_name(name), text_name(to))

    def drop_snapshot(self, name: Union[str, bytes]) -> None:
        """Drops a snapshot. Who reads it is not disturbed."""
        self._txn.snapshot_drop(text_name(name))

    def keep_snapshot(self, name: Union[str, bytes], keep: bool = True) -> None:
        """Says whether a snapshot is to be kept, so that dropping or replacing it raises `InvalidError`."""
        self._txn.snapshot_keep(text_name(name), 1 if keep else 0)

    def release_snapshot(self, name: Union[str, bytes]) -> None:
        """Makes a mark of a snapshot: its name stays, and what it alone had is given back."""
        self._txn.snapshot_release(text_name(name))

    def changed_ranges(
        self, snapshot: Union[str, bytes], table: Union[Table[Any, Any], str, bytes, None] = None, *,
        prefix: Any = None, start: Any = None, stop: Any = None,
    ) -> List[Tuple[bytes, Optional[bytes]]]:
        """The ranges of keys in which something may have changed since a snapshot or mark, in order.

        Each is the least key and the least one behind the range, or None if the range has no end. Outside of them
        nothing has changed. The bounds are bytes, and may be no whole keys, so no codec is asked for them. They tell
        of one table that is there now; `changed_table_names` tells of tables that came and went.
        """
        number, _, bounds = self._compared(self, table, (prefix, start, stop, False))
        return self._txn.snapshot_ranges(text_name(snapshot), number, *bounds)

    def changed_table_names(self, snapshot: Union[str, bytes]) -> List[Tuple[bytes, Optional[bytes]]]:
        """The ranges of names in which tables may have been created, dropped or renamed since a snapshot or mark.

        The bounds are as those of `changed_ranges`. A copy that follows takes the tables with such names as a whole.
        """
        return self._txn.snapshot_ranges(text_name(snapshot), TABLES, 0, None, None, None)

    def stat_snapshot(self, name: Union[str, bytes]) -> SnapshotStat:
        """What is recorded of a snapshot; `NotFoundError` if there is none of this name."""
        flags, *figures = self._txn.stat_snapshot(text_name(name))
        return SnapshotStat._make(
            (bool(flags & SNAPSHOT_KEEP), *figures, bool(flags & SNAPSHOT_MARK), bool(flags & SNAPSHOT_YIELD)))

    def set_history(self, policy: Optional[Retention]) -> None:
        """Has commits record snapshots by themselves from now on, and drop those that do not stay; None ends that.

        The policy belongs to the file. With one, whoever commits when the newest automatic snapshot is older than the
        interval records one, named `auto/2026-11-30T12:00:00Z` by its time. Those that were created, renamed or are to
        be kept are not dropped. Snapshots that yield become marks by `yield_after` and `yield_pages`; a policy that has
        only these has the interval 0.
        """
        self._txn.set_history(None if policy is None else _numbers(policy))

    def history(self) -> Optional[Retention]:
        """The policy by which commits record snapshots by themselves, if they do."""
        policy = self._txn.history()
        return None if policy is None else Retention(*policy)

    def thin_snapshots(self, prefix: Union[str, bytes], retention: Retention) -> int:
        """Drops the snapshots whose names begin with a prefix, but for those that stay. Returns how many."""
        return self._txn.snapshot_thin(text_name(prefix), _numbers(retention))

    def revert(self, before: Transaction[Any, Any], table: Union[Table[Any, Any], str, bytes, None] = None) -> int:
        """Makes everything, or one table, what a transaction that reads sees: ``t.revert(db.read(snapshot="old"))``.

        The keys that differ are put and deleted in this transaction, which takes as long as the changes that it takes
        back. Returns their number. A table is given as `Table`, or by its name in `before` or, if there is none, here;
        it gets its former name and note, comes back if it was dropped since, and is dropped if `before` has none.
        Snapshots stay.
        """
        number = NONE if table is None else _found(table, before, self).number
        return self._txn.revert(before._txn, number)

    # ---- differences

    def diff(
        self, before: Transaction[Any, Any], table: Union[Table[Any, Any], str, bytes, None] = None, *,
        prefix: Any = None, start: Any = None, stop: Any = None, reverse: bool = False,
    ) -> Iterator[Change]:
        """What was added, removed and changed in a table since what another transaction sees, in the order of the keys.

        Only pages that differ are read. The table is the main one, a `Table`, or that of this name here or, if there is
        none, in `before`; it is found by its number, so one that was dropped and made again is another one. The range
        is that of `items`. One of the two transactions may write; the iterator then goes on in what it has written.
        """
        number, codec, bounds = self._compared(before, table, (prefix, start, stop, reverse))
        return changes(lambda *bounds: self._txn.diff(before._txn, number, *bounds), bounds, codec)

    def count_changes(
        self, before: Transaction[Any, Any], table: Union[Table[Any, Any], str, bytes, None] = None, *,
        prefix: Any = None, start: Any = None, stop: Any = None,
    ) -> ChangeCounts:
        """How many keys of a table differ from another transaction; what only one of them has is counted unread."""
        number, _, bounds = self._compared(before, table, (prefix, start, stop))
        return ChangeCounts(*self._txn.diff_count(before._txn, number, *bounds))

    def is_same(
        self, before: Transaction[Any, Any], table: Union[Table[Any, Any], str, bytes, None] = None,
    ) -> bool:
        """Whether all tables, or one, are known to be as in another transaction; no entry is read for that.

        False means that pages differ; most likely entries do, which `count_changes` tells.
        """
        number = NONE if table is None else _found(table, self, before).number
        return self._txn.same(before._txn, number)

    def _compared(
        self, before: Transaction[Any, Any], table: Union[Table[Any, Any], str, bytes, None], bounds: Any,
    ) -> Tuple[int, Any, RawRange]:
        """The number of a table, how it is decoded, and a range of its keys."""
        found = self if table is None else _found(table, self, before)
        return found.number, found._codec, encode_range(found._encode_key, *bounds)

    def snapshots(self) -> List[bytes]:
        """The names of all snapshots, in order."""
        names: Table[bytes, bytes] = Table(self._txn, SNAPSHOTS, None)
        return list(names._scan(SCAN_KEYS, RANGE_FROM, b"\1", None, None, UNLIMITED))

    # ---- maintenance

    def check(
        self, *, space: bool = False, progress: Optional[Progress] = None,
        fault: Optional[Callable[[Fault], object]] = None,
    ) -> CheckReport:
        """Verifies everything that this snapshot reaches; see `Database.check`."""
        flags = JOB_CHECK_SPACE if space else 0
        with _ending.job():
            return CheckReport(*self._txn.check(flags, _ending.progress(progress), on_fault(fault)))

    def backup(
        self, target: Union[Path, Stream], *, compact: bool = False, overwrite: bool = False,
        progress: Optional[Progress] = None,
    ) -> None:
        """Copies this snapshot into a new file or a stream; see `Database.backup`."""
        flags = backup_flags(target, compact, overwrite)
        with _ending.job():
            if is_stream(target):
                self._txn.backup_stream(write_all(target), flags, _ending.progress(progress))
            else:
                self._txn.backup(file_name(target), flags, _ending.progress(progress), os.fsdecode(target))
