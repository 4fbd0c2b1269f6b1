"""The exceptions of the front for py-lmdb, named as there, and which of them a status of libkv is."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Dict, Optional, Type

from . import _errors


class Error(Exception):
    """What every exception of this front is. `__cause__` has the exception of keelkv."""

    def __init__(self, what: str, code: int = 0) -> None:
        super().__init__(what)
        self.what = what
        self.code = code
        self.reason = os.strerror(code) if code > 0 else what


class KeyExistsError(Error):
    """The key exists already."""


class NotFoundError(Error):
    """There is no such database."""


class CorruptedError(Error):
    """Bytes in the file are not what was written."""


class PanicError(Error):
    """A sync failed, or a bug was caught."""


class VersionMismatchError(Error):
    """Another version of the library made the file."""


class InvalidError(Error):
    """The file is something else."""


class MapFullError(Error):
    """The disk is full, or the file cannot grow further."""


class DbsFullError(Error):
    """Never raised: there is no limit of named databases."""


class ReadersFullError(Error):
    """There are too many readers."""


class IncompatibleError(Error):
    """The call needs something that libkv does not have, such as several values of a key."""


class BadTxnError(Error):
    """The transaction was spoiled by an earlier failure."""


class BadValsizeError(Error):
    """A key, value or name is beyond its limit."""


class ReadonlyError(Error):
    """A write through a read transaction."""


class InvalidParameterError(Error):
    """An argument is wrong."""


class LockError(Error):
    """The locks of the file cannot be had."""


class MemoryError(Error):  # noqa: A001
    """Memory could not be allocated."""


class DiskError(Error):
    """The disk is full."""


_CLASSES: Dict[Type[_errors.Error], Type[Error]] = {
    _errors.ExistsError: KeyExistsError,
    _errors.NotFoundError: NotFoundError,
    _errors.NoTableError: NotFoundError,
    _errors.BusyError: LockError,
    _errors.DeadlockError: LockError,
    _errors.NoLocksError: LockError,
    _errors.ReadOnlyError: ReadonlyError,
    _errors.TransactionFailedError: BadTxnError,
    _errors.TooBigError: BadValsizeError,
    _errors.InvalidError: InvalidParameterError,
    _errors.NoSpaceError: DiskError,
    _errors.NoMemoryError: MemoryError,
    _errors.LimitError: ReadersFullError,
    _errors.PoisonedError: PanicError,
    _errors.PanicError: PanicError,
    _errors.CorruptError: CorruptedError,
    _errors.NotADatabaseError: InvalidError,
    _errors.TooNewError: VersionMismatchError,
    _errors.TooOldError: VersionMismatchError,
}


def translated(error: _errors.Error) -> Error:
    """The exception of this front for one of keelkv."""
    kind = _CLASSES.get(type(error), Error)
    return kind(str(error), getattr(error, "errno", 0) or 0)


class _Translating:
    """A block whose exceptions of keelkv leave it as those of this front. It has no state, so one serves all.

    Entering and leaving it takes half as long as a get, so what programs call for each entry catches by itself.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if isinstance(error, _errors.Error):
            raise translated(error) from error


TRANSLATING = _Translating()

# Programs know these as keelkv.lmdb.Error and so on, and tracebacks show this name.
for _class in (Error, *Error.__subclasses__()):
    _class.__module__ = "keelkv.lmdb"
