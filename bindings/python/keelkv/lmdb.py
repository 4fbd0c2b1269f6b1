"""A front with the commonest calls of py-lmdb: ``import keelkv.lmdb as lmdb``.

Files are those of libkv, not of LMDB. What differs: there is no size to choose, so `map_size` is ignored; there is no
limit of named databases, and their names are no keys of the main one; several values of a key (`dupsort`) are refused
with `IncompatibleError`; a transaction is not committed while one nested in it (`parent`) is open; a memoryview
(``buffers=True``) stays valid after its transaction. A cursor whose search failed, or whose entry was deleted by
another call, may step from and delete at another place than that of LMDB, which depends on its pages; search again
before you go on.
"""

from __future__ import annotations

import io
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional, Tuple, Type, Union

from . import _errors, database
from ._constants import (
    APPEND,
    EVERYTHING,
    MAIN,
    NO_OVERWRITE,
    RANGE_AFTER,
    RANGE_BEFORE,
    RANGE_REVERSE,
    SCAN_ITEMS,
    SEEK_EQ,
    SEEK_GE,
    UNLIMITED,
)
from ._lmdb_errors import (
    TRANSLATING,
    BadTxnError,
    BadValsizeError,
    CorruptedError,
    DbsFullError,
    DiskError,
    Error,
    IncompatibleError,
    InvalidError,
    InvalidParameterError,
    KeyExistsError,
    LockError,
    MapFullError,
    MemoryError,
    NotFoundError,
    PanicError,
    ReadersFullError,
    ReadonlyError,
    VersionMismatchError,
    translated,
)
from .database import Database
from .stream import Path
from .transaction import Table
from .transaction import Transaction as _Transaction

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "BadTxnError", "BadValsizeError", "CorruptedError", "Cursor", "DbsFullError", "DiskError", "Environment", "Error",
    "IncompatibleError", "InvalidError", "InvalidParameterError", "KeyExistsError", "LockError", "MapFullError",
    "MemoryError", "NotFoundError", "PanicError", "ReadersFullError", "ReadonlyError", "Transaction",
    "VersionMismatchError", "open", "version",
]

#: The file in the directory of an environment with `subdir`.
FILE_NAME = "data.kv"

Buffer = Union[bytes, bytearray, memoryview]


def version(subpatch: bool = False) -> Tuple[int, ...]:
    """The version of LMDB whose calls this front has."""
    return (0, 9, 70, 0) if subpatch else (0, 9, 70)


class _Database:
    """A named database, or the main one: the number of its table."""

    def __init__(self, number: int) -> None:
        self.number = number

    def flags(self, *_: Any) -> Dict[str, bool]:
        """The flags of LMDB, none of which is set."""
        return dict.fromkeys(("reverse_key", "dupsort", "integerkey", "integerdup", "dupfixed"), False)


_MAIN = _Database(MAIN)


class Environment:
    """A database file, or with `subdir` a directory with one. Arguments that libkv has no need for are ignored."""

    def __init__(
        self, path: Path, map_size: int = 10485760, subdir: bool = True, readonly: bool = False, metasync: bool = True,
        sync: bool = True, map_async: bool = False, mode: int = 0o755, create: bool = True, readahead: bool = True,
        writemap: bool = False, meminit: bool = True, max_readers: int = 126, max_dbs: int = 0, max_spare_txns: int = 1,
        lock: bool = True, lib_version: int = -1,
    ) -> None:
        self.readonly = readonly
        self._path = os.fsdecode(path)
        self._flags = {
            "subdir": subdir, "readonly": readonly, "metasync": metasync, "sync": sync, "map_async": map_async,
            "readahead": readahead, "writemap": writemap, "meminit": meminit, "lock": lock,
        }
        file = os.path.join(self._path, FILE_NAME) if subdir else self._path
        create = create and not readonly
        theirs = os.path.join(self._path, "data.mdb")
        if subdir and os.path.exists(theirs) and not os.path.exists(file):
            raise Error(
                f"{self._path} has an environment of LMDB, data.mdb; import it with `kv import-lmdb {theirs} {file}`, "
                "or give another directory"
            )
        if subdir and create:
            try:
                os.makedirs(self._path, mode, exist_ok=True)
            except OSError as error:
                raise Error(str(error), error.errno or 0) from error
        with TRANSLATING:
            self._database: Database[bytes, bytes] = database.open(
                file, create=create, read_only=readonly, durability="full" if sync else "lazy"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the environment and ends its transactions."""
        with TRANSLATING:
            self._database.close()

    def path(self) -> str:
        """The path that was given."""
        return self._path

    def flags(self) -> Dict[str, bool]:
        """What the environment was opened with."""
        return dict(self._flags)

    def max_key_size(self) -> int:
        """The most bytes of a key."""
        return 2 * 1024 * 1024

    def max_readers(self) -> int:
        """The most readers, in all processes."""
        return 8192

    def set_mapsize(self, map_size: int) -> None:
        """Does nothing: a file grows as it needs."""

    def sync(self, force: bool = False) -> None:
        """Makes everything durable that was committed."""
        with TRANSLATING:
            self._database.sync()

    def copy(self, path: Path, compact: bool = False, txn: Optional["Transaction"] = None) -> None:
        """Copies the environment: into a directory that exists if it has `subdir`, otherwise to a file."""
        name = os.fsdecode(path)
        target = os.path.join(name, FILE_NAME) if self._flags["subdir"] else name
        with TRANSLATING:
            (self._database if txn is None else txn._txn).backup(target, compact=compact)

    def copyfd(self, fd: int, compact: bool = False, txn: Optional["Transaction"] = None) -> None:
        """Writes a copy of the environment's file to a file descriptor, which stays open."""
        try:
            with TRANSLATING, io.open(fd, "wb", buffering=0, closefd=False) as stream:
                (self._database if txn is None else txn._txn).backup(stream, compact=compact)
        except OSError as error:
            raise Error(str(error), error.errno or 0) from error

    def stat(self) -> Dict[str, int]:
        """Figures of the main database."""
        with self.begin() as txn:
            return txn.stat(_MAIN)

    def info(self) -> Dict[str, int]:
        """Figures of the environment."""
        with TRANSLATING:
            stat = self._database.stat()
        return {
            "map_addr": 0, "map_size": stat.pages * stat.page_size, "last_pgno": stat.pages - 1,
            "last_txnid": stat.visible, "max_readers": self.max_readers(), "num_readers": stat.readers,
        }

    def readers(self) -> str:
        """A table of the readers."""
        with TRANSLATING:
            readers = self._database.readers()
        if not readers:
            return "(no active readers)\n"
        return "    pid     commit     age ms\n" + "".join(
            f"{r.pid:>7} {r.commit:>10} {r.age_ms:>10}\n" for r in readers
        )

    def reader_check(self) -> int:
        """0: a process that died has no readers."""
        return 0

    def open_db(
        self, key: Optional[bytes] = None, txn: Optional["Transaction"] = None, reverse_key: bool = False,
        dupsort: bool = False, create: bool = True, integerkey: bool = False, integerdup: bool = False,
        dupfixed: bool = False,
    ) -> _Database:
        """Opens a named database, or the main one (None), and creates it if `create` is set."""
        if reverse_key or dupsort or integerkey or integerdup or dupfixed:
            raise IncompatibleError("libkv has neither several values of a key nor other orders than that of bytes")
        if key is None:
            return _MAIN
        with TRANSLATING:
            if txn is not None:
                make = create and txn._txn.writes
                return _Database(txn._txn.table(key, create=make).number)
            with self._database.read() as snapshot:
                try:
                    return _Database(snapshot.table(key).number)
                except _errors.NoTableError:
                    if not create or self.readonly:
                        raise
            with self._database.write() as transaction:
                return _Database(transaction.table(key, create=True).number)

    def dbs(self, txn: Optional["Transaction"] = None) -> List[bytes]:
        """The names of the named databases."""
        with TRANSLATING:
            return (self._database if txn is None else txn._txn).tables()

    def begin(
        self, db: Optional[_Database] = None, parent: Optional["Transaction"] = None, write: bool = False,
        buffers: bool = False,
    ) -> "Transaction":
        """Begins a transaction."""
        return Transaction(self, db, parent, write, buffers)


open = Environment


class Transaction:
    """A transaction. As a context manager it commits, or aborts if the block raises an exception."""

    def __init__(
        self, env: Environment, db: Optional[_Database] = None, parent: Optional["Transaction"] = None,
        write: bool = False, buffers: bool = False,
    ) -> None:
        if parent is not None:
            if not write:
                raise BadTxnError("a nested transaction writes; begin it with write=True")
            parent._changes += 1
        self.env = env
        self._buffers = buffers
        self._changes: int = 0  # counts writes, so that cursors notice them
        self._txn: _Transaction[Any, Any]
        with TRANSLATING:
            if parent is not None:
                self._txn = parent._txn.nested()
            else:
                self._txn = env._database.write() if write else env._database.read()
        self._tables: Dict[int, Table[Any, Any]] = {}
        self._table = self._of(db)

    def _of(self, db: Optional[_Database]) -> Table[Any, Any]:
        """The table of a database; that of the transaction if none is given."""
        if db is None:
            return getattr(self, "_table", self._txn)
        table = self._tables.get(db.number)
        if table is None:
            table = self._tables[db.number] = Table(self._txn._txn, db.number, None)
        return table

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        with TRANSLATING:
            self._txn.__exit__(kind, error, trace)

    def id(self) -> int:
        """The number of the commit that is read or, of a write transaction, that will be made."""
        with TRANSLATING:
            return self._txn.commit_id + self._txn.writes

    def commit(self) -> None:
        """Commits and ends the transaction."""
        with TRANSLATING:
            self._txn.commit()

    def abort(self) -> None:
        """Ends the transaction and undoes what it wrote."""
        self._txn.abort()

    def stat(self, db: Optional[_Database] = None) -> Dict[str, int]:
        """Figures of a database."""
        with TRANSLATING:
            stat, page_size = self._of(db).stat_table(), self.env._database.stat().page_size
        return {
            "psize": page_size, "depth": stat.height, "branch_pages": stat.branch_pages, "leaf_pages": stat.leaf_pages,
            "overflow_pages": stat.overflow_pages, "entries": stat.entries,
        }

    def drop(self, db: _Database, delete: bool = True) -> None:
        """Deletes every entry of a database, and with `delete` a named one itself."""
        self._changes += 1
        with TRANSLATING:
            if delete and db.number != MAIN:
                self._of(db).drop()
            else:
                self._of(db).clear()

    def get(self, key: Buffer, default: Any = None, db: Optional[_Database] = None) -> Any:
        """The value of a key, or the default."""
        table = self._table if db is None else self._of(db)
        try:
            return table.view(key) if self._buffers else table.get(key, default)
        except _errors.NotFoundError:
            return default
        except _errors.Error as error:
            raise translated(error) from error

    def put(
        self, key: Buffer, value: Buffer, dupdata: bool = True, overwrite: bool = True, append: bool = False,
        db: Optional[_Database] = None,
    ) -> bool:
        """Puts an entry, and tells whether it did: not if the key exists and `overwrite` is not set."""
        table = self._table if db is None else self._of(db)
        self._changes += 1
        try:
            table.put(key, value, APPEND if append else 0 if overwrite else NO_OVERWRITE)
        except (_errors.ExistsError, _errors.OrderError):
            return False
        except _errors.Error as error:
            raise translated(error) from error
        return True

    def replace(self, key: Buffer, value: Buffer, db: Optional[_Database] = None) -> Optional[bytes]:
        """Puts an entry and returns the value that it replaces, or None."""
        self._changes += 1
        with TRANSLATING:
            return self._of(db).replace(key, value)

    def pop(self, key: Buffer, db: Optional[_Database] = None) -> Optional[bytes]:
        """Deletes an entry and returns its value, or None."""
        self._changes += 1
        with TRANSLATING:
            popped: Optional[bytes] = self._of(db).pop(key, None)
            return popped

    def delete(self, key: Buffer, value: Buffer = b"", db: Optional[_Database] = None) -> bool:
        """Deletes an entry and tells whether there was one. The value is ignored, as LMDB does without `dupsort`."""
        table = self._table if db is None else self._of(db)
        self._changes += 1
        with TRANSLATING:
            return table.delete(key)

    def cursor(self, db: Optional[_Database] = None) -> "Cursor":
        """A cursor, which stands nowhere."""
        return Cursor(db, self)


class Cursor:
    """A position in a database. One that stands nowhere has the key ``b""``."""

    def __init__(self, db: Optional[_Database], txn: Transaction) -> None:
        self.txn = txn
        self.db = db if db is not None else _Database(txn._of(None).number)
        self._table = txn._of(db)
        with TRANSLATING:
            self._cursor = self._table._cursor(*EVERYTHING)
        self._item: Optional[Tuple[Any, Any]] = None
        self._seen = txn._changes  # when `_item` was read
        self._behind = False  # whether the cursor below is not where `_item` is, because an iterator went on
        self._put_last = False  # whether the last move was that of a put
        self._edge = 0  # 1: a step beyond the last entry was tried; -1: one before the first

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Tuple[Any, Any]]:
        return self.iternext()

    def close(self) -> None:
        """Closes the cursor."""
        self._cursor.close()
        self._item = None

    def _shown(self, data: Any) -> Any:
        return memoryview(data) if self.txn._buffers else data

    def _current(self) -> Tuple[Any, Any]:
        """The current entry as the transaction sees it now, or the next one if it was deleted."""
        if self._seen != self.txn._changes:
            try:
                gone = self._item is not None
                self._follow()
                self._item = self._cursor.get() or (self._cursor.next() if gone else None)
                self._seen = self.txn._changes
            except _errors.Error as error:
                raise translated(error) from error
        return (b"", b"") if self._item is None else self._item

    def key(self) -> Any:
        """The current key."""
        return self._shown(self._current()[0])

    def value(self) -> Any:
        """The current value."""
        return self._shown(self._current()[1])

    def item(self) -> Tuple[Any, Any]:
        """The current key and value."""
        return self.key(), self.value()

    def _move(self, how: Any, *arguments: Any) -> bool:
        try:
            self._follow()
            self._edge, self._put_last = 0, False
            self._item = how(*arguments)
            self._seen = self.txn._changes
        except _errors.Error as error:
            raise translated(error) from error
        return self._item is not None

    def _follow(self) -> None:
        """Moves the cursor below to where an iterator went; if that entry is gone, to where it was."""
        if self._behind:
            self._behind = False
            if self._item is not None:
                self._cursor.seek(self._item[0], SEEK_EQ)

    def _put(self, key: Buffer) -> None:
        """Moves the cursor below to a key that was put. As with LMDB, one that stood nowhere still does, until it is
        asked for its entry."""
        self._behind, self._edge, self._put_last = False, 0, True
        with TRANSLATING:
            self._cursor.seek(key, SEEK_EQ)

    def first(self) -> bool:
        """Moves to the first entry; False if there is none."""
        return self._move(self._cursor.first)

    def last(self) -> bool:
        """Moves to the last entry; False if there is none."""
        return self._move(self._cursor.last)

    def next(self) -> bool:
        """Moves to the next entry, or to the first; False at the end."""
        if self._edge < 0:  # as LMDB, whose cursor stayed on the first entry
            self.first()
        moved = self._move(self._cursor.next)
        self._edge = 0 if moved else 1
        return moved

    def prev(self) -> bool:
        """Moves to the previous entry, or to the last; False at the beginning."""
        if self._edge > 0:  # as LMDB, whose cursor stayed on the last entry
            self.last()
        elif self._item is None and self._edge == 0 and not self._put_last:
            return self.last()
        moved = self._move(self._cursor.prev)
        self._edge = 0 if moved else -1
        return moved

    next_nodup = next
    prev_nodup = prev

    def set_key(self, key: Buffer) -> bool:
        """Moves to exactly this key; False if it does not exist."""
        return self._move(self._cursor.seek, key, SEEK_EQ)

    def set_range(self, key: Buffer) -> bool:
        """Moves to this key or the next greater one; False if there is none."""
        return self._move(self._cursor.seek, key, SEEK_GE)

    def get(self, key: Buffer, default: Any = None) -> Any:
        """Moves to a key and returns its value, or the default."""
        return self.value() if self.set_key(key) else default

    def getmulti(self, keys: Iterable[Buffer], dupdata: bool = False, *, values: bool = True) -> List[Any]:
        """The entries of those keys that exist; without `values`, these keys alone."""
        if dupdata and not values:
            raise TypeError("dupdata asks for every value of a key, and values=False for none; leave one out")
        wanted = list(keys)
        with TRANSLATING:
            found = zip(wanted, self._table.get_many(wanted))
        if wanted:
            self.set_key(wanted[-1])
        there = [(self._shown(key), self._shown(value)) for key, value in found if value is not None]
        return there if values else [key for key, _ in there]

    def count(self) -> int:
        """Is refused, as LMDB does without `dupsort`."""
        raise IncompatibleError("a key has one value, so there is nothing to count")

    def put(
        self, key: Buffer, value: Buffer, dupdata: bool = True, overwrite: bool = True, append: bool = False
    ) -> bool:
        """Puts an entry as `Transaction.put` does, and moves to it."""
        done = self.txn.put(key, value, dupdata, overwrite, append, self.db)
        self._put(key)
        return done

    def putmulti(
        self, items: Iterable[Tuple[Buffer, Buffer]], dupdata: bool = True, overwrite: bool = True,
        append: bool = False,
    ) -> Tuple[int, int]:
        """Puts many entries; returns how many there were and how many were put."""
        consumed = added = 0
        for key, value in items:
            consumed += 1
            added += self.txn.put(key, value, dupdata, overwrite, append, self.db)
        if consumed:
            self._put(key)
        return consumed, added

    def replace(self, key: Buffer, value: Buffer) -> Optional[bytes]:
        """Puts an entry and returns the value that it replaces, or None."""
        former = self.txn.replace(key, value, self.db)
        self._put(key)
        return former

    def pop(self, key: Buffer) -> Optional[bytes]:
        """Deletes an entry and returns its value, or None; the cursor then stands on the next one."""
        found = self.set_key(key)
        value = self._item[1] if found and self._item is not None else None
        if found:
            self.delete()
        return value

    def delete(self, dupdata: bool = False) -> bool:
        """Deletes the current entry and moves to the next one; False if the cursor stands nowhere."""
        if self._item is None:
            return False
        with TRANSLATING:
            self._follow()
            deleted = self._cursor.delete()
            self.txn._changes += 1
        self.next()
        return deleted

    def _part(self, keys: bool, values: bool) -> Any:
        """What an iterator shows of the current entry."""
        return self.item() if keys and values else self.key() if keys else self.value()

    def _ahead(self, reverse: bool) -> Iterator[Tuple[Any, Any]]:
        """The entries ahead of the current one."""
        assert self._item is not None
        key = self._item[0]
        if reverse:
            return self._table._scan(SCAN_ITEMS, RANGE_REVERSE | RANGE_BEFORE, None, key, None, UNLIMITED)
        return self._table._scan(SCAN_ITEMS, RANGE_AFTER, key, None, None, UNLIMITED)

    def _iterate(self, reverse: bool, keys: bool, values: bool) -> Iterator[Any]:
        """Reads many entries at a time, and looks after each whether the program has moved the cursor."""
        start, step = (self.last, self.prev) if reverse else (self.first, self.next)
        if self._item is None and not start():
            return
        plain = keys and values and not self.txn._buffers
        while True:
            item = self._item
            yield self._part(keys, values)
            if self._item is item:
                with TRANSLATING:
                    for item in self._ahead(reverse):
                        self._item, self._behind, self._seen = item, True, self.txn._changes
                        yield item if plain else self._part(keys, values)
                        if self._item is not item:
                            break
                    else:
                        self._item, self._behind, self._edge = None, False, -1 if reverse else 1
                        return
            if self._item is None or not step():
                return

    def iternext(self, keys: bool = True, values: bool = True) -> Iterator[Any]:
        """Iterates from the current entry, or from the first, to the last."""
        return self._iterate(False, keys, values)

    def iterprev(self, keys: bool = True, values: bool = True) -> Iterator[Any]:
        """Iterates from the current entry, or from the last, down to the first."""
        return self._iterate(True, keys, values)

    def iternext_nodup(self, keys: bool = True, values: bool = False) -> Iterator[Any]:
        """Iterates as `iternext` does, by default over keys alone."""
        return self._iterate(False, keys, values)

    def iterprev_nodup(self, keys: bool = True, values: bool = False) -> Iterator[Any]:
        """Iterates as `iterprev` does, by default over keys alone."""
        return self._iterate(True, keys, values)
