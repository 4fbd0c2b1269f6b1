"""The ctypes back end: what the C extension does, for interpreters and systems that lack it."""

from __future__ import annotations

from typing import cast

from ._ctypes_database import DatabaseCore, TxnCore
from ._ctypes_entries import CursorCore, EntriesCore, TransactionCore
from ._ctypes_writer import WriterCore
from ._jobs import salvage
from ._library import kv

__all__ = ["CursorCore", "DatabaseCore", "EntriesCore", "TransactionCore", "TxnCore", "WriterCore", "salvage",
           "version"]

# Programs know these as keelkv.Cursor and keelkv.Writer.
for _class, _name in ((CursorCore, "Cursor"), (WriterCore, "Writer")):
    _class.__module__, _class.__qualname__, _class.__name__ = "keelkv", _name, _name


def version() -> str:
    """The version of libkv."""
    return cast(bytes, kv.kv_version()).decode()
