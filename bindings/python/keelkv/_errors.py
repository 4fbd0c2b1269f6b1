"""Exceptions: one class for each status of libkv, below `Error`.

A class is also a built-in exception where one means the same: a key that does not exist is a `KeyError`, what the
operating system refuses is an `OSError` with `errno` and `filename`, and a mistake of the caller is a `ValueError`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, NoReturn, Optional, Tuple, Type

from ._names import in_python

_NONE = 2**64 - 1


class Error(Exception):
    """What every exception of this package is."""

    #: The number of the status of libkv.
    status: ClassVar[int] = 0
    #: The name of the status, such as ``KV_CORRUPT``.
    name: ClassVar[str] = ""
    #: The message of libkv: what happened, to which file, and what to do next.
    message: str = ""
    #: The number of the damaged page, if one is known.
    page: Optional[int] = None
    #: The number of the table that the damaged page belongs to, if one is known.
    table: Optional[int] = None
    #: Bytes that are needed, after `TooSmallError`.
    needed: int = 0

    def __init__(self, message: object = "") -> None:
        super().__init__(message)
        self.message = str(message)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> Tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class ExpectedError(Error):
    """An outcome that a correct program can meet at any time."""


class UsageError(Error, ValueError):
    """A mistake of the caller."""


class OperatingSystemError(Error, OSError):
    """Something that the operating system refused, with its `errno` (or None) and the `filename`."""

    def __init__(self, message: object = "", errno: Optional[int] = None, filename: Optional[str] = None) -> None:
        # With one argument, OSError leaves the attributes alone, and str() is ours.
        super().__init__(message)
        self.errno = errno
        self.strerror = str(message)
        self.filename = filename

    def __reduce__(self) -> Tuple[Any, ...]:
        state = dict(self.__dict__, errno=self.errno, strerror=self.strerror, filename=self.filename)
        return _rebuild, (type(self), self.args, state)


class ContentsError(Error):
    """Something in the file that this version of the library does not read."""


def _rebuild(kind: Type[Error], args: Tuple[Any, ...], state: Dict[str, Any]) -> Error:
    error = kind(*args)
    for name, value in state.items():
        setattr(error, name, value)
    return error


class NotFoundError(ExpectedError, KeyError):
    """There is no such entry. `args[0]` is the key that was asked for."""

    status = -1
    name = "KV_NOTFOUND"

    def __str__(self) -> str:
        return KeyError.__str__(self)


class ExistsError(ExpectedError):
    """The key, name or file exists already."""

    status = -2
    name = "KV_EXISTS"


class NoTableError(ExpectedError, LookupError):
    """There is no table of this name."""

    status = -3
    name = "KV_NO_TABLE"


class ConflictError(ExpectedError):
    """Another commit changed what was read. No function of this version raises it."""

    status = -4
    name = "KV_CONFLICT"


class BusyError(ExpectedError):
    """The time to wait is over, or another call is using the object."""

    status = -5
    name = "KV_BUSY"


class MismatchError(ExpectedError):
    """The value is not the expected one. No function of this version raises it."""

    status = -6
    name = "KV_MISMATCH"


class TooSmallError(ExpectedError):
    """A buffer is too small. The package provides its buffers itself, so that programs do not see it."""

    status = -7
    name = "KV_TOO_SMALL"


class OrderError(ExpectedError):
    """With `APPEND`: the key is not greater than every key of the table."""

    status = -8
    name = "KV_ORDER"


class CancelledError(ExpectedError):
    """A callback, `Database.interrupt` or `Database.close` ended the call."""

    status = -9
    name = "KV_CANCELLED"


class InvalidError(UsageError):
    """An argument is wrong, whatever the database contains."""

    status = -20
    name = "KV_INVALID"


class BadHandleError(UsageError):
    """The database is closed, or the transaction has ended."""

    status = -21
    name = "KV_BAD_HANDLE"


class ReadOnlyError(UsageError):
    """A write through a read transaction, or to a database that was opened for reading."""

    status = -22
    name = "KV_READ_ONLY"


class ChildOpenError(UsageError):
    """A transaction was used while one nested in it is open, which changes nothing.

    Or a transaction was committed while a nested one, or a value that is written in parts, was unfinished; it was
    aborted then.
    """

    status = -23
    name = "KV_CHILD_OPEN"


class TransactionFailedError(UsageError):
    """An earlier failure spoiled this transaction, which can only be aborted or go back to a savepoint."""

    status = -24
    name = "KV_TXN_FAILED"


class TooBigError(UsageError):
    """A key, value, name or note is beyond its limit."""

    status = -25
    name = "KV_TOO_BIG"


class WrongTypeError(UsageError):
    """The value is of another type. No function of this version raises it."""

    status = -26
    name = "KV_WRONG_TYPE"


class DeadlockError(UsageError):
    """This thread would wait for a write transaction of its own."""

    status = -27
    name = "KV_DEADLOCK"


class ForkedError(UsageError):
    """The database was opened before `os.fork()`; open it again in the child."""

    status = -28
    name = "KV_FORKED"


class UnsupportedError(UsageError):
    """Not possible in this build, or not for this table, which a newer version made."""

    status = -29
    name = "KV_UNSUPPORTED"


class InputOutputError(OperatingSystemError):
    """The operating system returned an error, which `errno` has."""

    status = -40
    name = "KV_IO"


class NoSpaceError(OperatingSystemError):
    """The disk or a quota is full, or a file size limit is reached; the database is as before."""

    status = -41
    name = "KV_NO_SPACE"


class NoMemoryError(OperatingSystemError):
    """Memory could not be allocated."""

    status = -42
    name = "KV_NO_MEMORY"


class AccessError(OperatingSystemError, PermissionError):
    """Permission is denied."""

    status = -43
    name = "KV_ACCESS"


class NoFileError(OperatingSystemError, FileNotFoundError):
    """The file does not exist."""

    status = -44
    name = "KV_NO_FILE"


class NoLocksError(OperatingSystemError):
    """The file system does not provide the locks that are needed."""

    status = -45
    name = "KV_NO_LOCKS"


class LimitError(OperatingSystemError):
    """A limit of the build or the process is reached: handles, readers, or addresses."""

    status = -46
    name = "KV_LIMIT"


class PoisonedError(OperatingSystemError):
    """An earlier sync failed; close the database everywhere and open it again."""

    status = -47
    name = "KV_POISONED"


class InDoubtError(OperatingSystemError):
    """The commit may or may not survive; open the database again to learn which."""

    status = -48
    name = "KV_IN_DOUBT"


class CorruptError(ContentsError):
    """Bytes in the file are not what was written."""

    status = -60
    name = "KV_CORRUPT"


class NotADatabaseError(ContentsError):
    """The file is something else."""

    status = -61
    name = "KV_NOT_A_DATABASE"


class TooNewError(ContentsError):
    """A newer version of the library made the file."""

    status = -62
    name = "KV_TOO_NEW"


class TooOldError(ContentsError):
    """A version of the library made the file that is too old to be read."""

    status = -63
    name = "KV_TOO_OLD"


class WrongBaseError(ContentsError):
    """Made against another base. No function of this version raises it."""

    status = -64
    name = "KV_WRONG_BASE"


class PanicError(Error):
    """A bug in the library, which was caught; please report the message."""

    status = -90
    name = "KV_PANIC"


def _leaves(kind: Type[Error]) -> Dict[int, Type[Error]]:
    found: Dict[int, Type[Error]] = {kind.status: kind} if "status" in kind.__dict__ and kind.status != 0 else {}
    for child in kind.__subclasses__():
        found.update(_leaves(child))
    return found


#: The class of each status.
BY_STATUS: Dict[int, Type[Error]] = _leaves(Error)

# Programs know these as keelkv.Error and so on, and tracebacks show this name.
for _class in (Error, ExpectedError, UsageError, OperatingSystemError, ContentsError, *BY_STATUS.values()):
    _class.__module__ = "keelkv"


def from_status(
    status: int, message: str, errno: int, page: int, table: int, needed: int, path: Optional[str]
) -> Error:
    """The exception of a status that a call returned, with what is known of it."""
    kind = BY_STATUS.get(status, Error)
    message = in_python(message)
    if kind is ChildOpenError:
        message = message.replace(
            "; end each of them first", "; use `with t.writer(key) as w:` and `with t.nested() as n:`")
    error: Error
    if issubclass(kind, OperatingSystemError):
        error = kind(message, errno or None, path)
    else:
        error = kind(message)
    error.page = None if page == _NONE else page
    error.table = None if table == _NONE else table
    error.needed = needed
    return error


def refuse_copy(self: object, protocol: object) -> NoReturn:
    """What `copy` and `pickle` call. A copy would share the handle, and end it when it is collected."""
    raise TypeError(
        f"a {type(self).__name__} cannot be copied or pickled; open the file again, in another process too"
    )
