"""keelkv: libkv for Python, an embedded, transactional, ordered key-value store in one file.

    import keelkv

    with keelkv.open("app.kv") as db:
        db[b"apple"] = b"red"
        with db.write() as t:
            t[b"pear"] = b"green"
        with db.read() as s:
            for key, value in s.items(prefix=b"a"):
                print(key, value)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

from . import codec
from ._backend import BACKEND as backend
from ._backend import CursorCore as Cursor
from ._backend import WriterCore as Writer
from ._backend import version as library_version
from ._constants import APPEND, BLIND, NO_INSERT, NO_OVERWRITE, SEEK_EQ, SEEK_GE, SEEK_GT, SEEK_LE, SEEK_LT
from ._errors import (
    AccessError,
    BadHandleError,
    BusyError,
    CancelledError,
    ChildOpenError,
    ConflictError,
    ContentsError,
    CorruptError,
    DeadlockError,
    Error,
    ExistsError,
    ExpectedError,
    ForkedError,
    InDoubtError,
    InputOutputError,
    InvalidError,
    LimitError,
    MismatchError,
    NoFileError,
    NoLocksError,
    NoMemoryError,
    NoSpaceError,
    NotADatabaseError,
    NoTableError,
    NotFoundError,
    OperatingSystemError,
    OrderError,
    PanicError,
    PoisonedError,
    ReadOnlyError,
    TooBigError,
    TooNewError,
    TooOldError,
    TooSmallError,
    TransactionFailedError,
    UnsupportedError,
    UsageError,
    WrongBaseError,
    WrongTypeError,
)
from .changes import Change, ChangeCounts
from .codec import Codec
from .database import Database, open, salvage
from .figures import (
    CheckReport,
    CompactReport,
    DatabaseStat,
    Fault,
    Identity,
    Reader,
    Retention,
    SalvageReport,
    SnapshotStat,
    TableStat,
    TransactionStat,
)
from .iteration import Items, Keys, Values
from .transaction import Savepoint, Table, Transaction

if TYPE_CHECKING:
    from . import aio, dbm, lmdb, shelve

__version__ = "0.1.0"

__all__ = [
    "APPEND", "BLIND", "NO_INSERT", "NO_OVERWRITE", "SEEK_EQ", "SEEK_GE", "SEEK_GT", "SEEK_LE", "SEEK_LT",
    "AccessError", "BadHandleError", "BusyError", "CancelledError", "Change", "ChangeCounts", "CheckReport",
    "ChildOpenError", "Codec", "CompactReport", "ConflictError", "ContentsError", "CorruptError", "Cursor", "Database",
    "DatabaseStat", "DeadlockError", "Error", "ExistsError", "ExpectedError", "Fault", "ForkedError", "Identity",
    "InDoubtError", "InputOutputError",
    "InvalidError", "Items", "Keys", "LimitError", "MismatchError", "NoFileError", "NoLocksError", "NoMemoryError",
    "NoSpaceError", "NoTableError", "NotADatabaseError", "NotFoundError", "OperatingSystemError", "OrderError",
    "PanicError", "PoisonedError", "ReadOnlyError", "Reader", "Retention", "SalvageReport", "Savepoint", "SnapshotStat",
    "Table", "TableStat",
    "TooBigError", "TooNewError", "TooOldError", "TooSmallError", "Transaction", "TransactionFailedError",
    "TransactionStat", "UnsupportedError", "UsageError", "Values", "Writer", "WrongBaseError", "WrongTypeError",
    "aio", "backend", "codec", "dbm", "library_version", "lmdb", "open", "salvage", "shelve",
]


def __getattr__(name: str) -> Any:
    # The fronts are imported when they are first used, as most programs use none.
    if name in ("aio", "dbm", "lmdb", "shelve"):
        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
