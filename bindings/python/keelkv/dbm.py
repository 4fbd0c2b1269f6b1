"""A front like the standard module `dbm`: ``keelkv.dbm.open(file, flag, mode)``.

Keys and values are bytes, and str is taken as UTF-8, as `dbm` does. Beyond `dbm`: keys are in order, any number of
threads and processes use a file at once, and a crash loses nothing that `sync` or `close` made durable. A single write
is visible at once and survives a killed process.
"""

from __future__ import annotations

import dbm as _dbm
import io
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Iterator, List, MutableMapping, Optional, Type, Union

from . import database as _database
from ._errors import Error, NoFileError, NotADatabaseError, ReadOnlyError
from .stream import Path

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Dbm", "error", "open", "whichdb"]

#: What every exception of this module is, but for `KeyError`, which `dbm` raises as well.
error = Error

Text = Union[str, bytes]

#: What messages call the options of `keelkv.open`, and the flag that says the same here.
_FLAGS = {
    "without create=False or read_only=True, whichever was given": "with the flag 'c'",
    "or open it without create=False and read_only=True": "or open it with the flag 'c'",
    "read_only=True": "the flag 'r'",
    "new=True": "the flag 'n'",
}
#: The first bytes of each of the four places at the head of a database that describe a commit, and their distance.
_MAGIC, _PLACES = b"\x89kvfile\n", range(0, 4 * 4096, 4096)


def _bytes(text: Any) -> bytes:
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    try:
        return bytes(memoryview(text))
    except TypeError:
        raise TypeError(f"keys and values are bytes or str, and this is {type(text).__name__}") from None


class _Messages:
    """Puts the flags of `open` into messages, in place of the options of `keelkv.open`."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if isinstance(error, (NoFileError, NotADatabaseError, ReadOnlyError)):
            message = error.message
            for option, flag in _FLAGS.items():
                message = message.replace(option, flag)
            error.args = (message, *error.args[1:])
            error.message = message
            if isinstance(error, NoFileError):
                error.strerror = message


class Dbm(MutableMapping[Text, bytes]):
    """An open file, made by `open`."""

    def __init__(self, database: _database.Database[bytes, bytes]) -> None:
        self._database = database

    @property
    def database(self) -> _database.Database[bytes, bytes]:
        """The database below, for what `dbm` has no words for: transactions, ranges, backups."""
        return self._database

    def __getitem__(self, key: Text) -> bytes:
        return self._database[_bytes(key)]

    def __setitem__(self, key: Text, value: Text) -> None:
        with _Messages():
            self._database[_bytes(key)] = _bytes(value)

    def __delitem__(self, key: Text) -> None:
        with _Messages():
            del self._database[_bytes(key)]

    def __contains__(self, key: object) -> bool:
        return _bytes(key) in self._database

    def __iter__(self) -> Iterator[Text]:
        # As dbm does, so that a loop may change what it iterates over.
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._database)

    def keys(self) -> List[Text]:  # type: ignore[override]
        """A list of all keys, in order."""
        return list(self._database)

    def get(self, key: Text, default: Any = None) -> Any:
        """The value of a key, or the default."""
        return self._database.get(_bytes(key), default)

    def setdefault(self, key: Text, default: Text = b"") -> bytes:
        """The value of a key, which is `default` from now on if the key did not exist."""
        with _Messages():
            return self._database.setdefault(_bytes(key), _bytes(default))

    def clear(self) -> None:
        """Deletes every entry."""
        with _Messages():
            self._database.clear()

    def firstkey(self) -> Optional[bytes]:
        """The first key, or None, as `dbm.gnu` has it."""
        return next(iter(self._database.keys(limit=1)), None)

    def nextkey(self, key: Text) -> Optional[bytes]:
        """The key that follows, or None, as `dbm.gnu` has it."""
        # The least key that is greater than another one is that with a zero byte behind it.
        return next(iter(self._database.keys(start=_bytes(key) + b"\0", limit=1)), None)

    def sync(self) -> None:
        """Makes everything durable that was written before the call."""
        self._database.sync()

    def close(self) -> None:
        """Closes the file; everything is durable then."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def whichdb(filename: Path) -> Optional[str]:
    """Tells which module opens a file, as `dbm.whichdb` does, which is asked about every file that is no database of
    this one: "keelkv.dbm", the name of another module, "" for what none opens, None for what cannot be read."""
    try:
        with io.open(filename, "rb") as file:
            head = file.read(_PLACES.stop)
    except OSError:
        head = b""
    if any(head.startswith(_MAGIC, place) for place in _PLACES):
        return __name__
    return _dbm.whichdb(os.fsdecode(filename))


def _make(file: Path, mode: int) -> None:
    """Makes an empty file with the permissions that are asked for, which opening turns into a database."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    except FileExistsError:
        pass


def open(file: Path, flag: str = "r", mode: int = 0o666) -> Dbm:
    """Opens a file as `dbm.open` does.

    `flag` is ``r`` (read an existing file), ``w`` (read and write an existing file), ``c`` (create it if it does not
    exist) or ``n`` (begin with an empty one). `mode` is the permissions of a new file, before the umask.
    """
    if not isinstance(flag, str) or len(flag) != 1 or flag not in "rwcn":
        raise ValueError(f"a flag is one of 'r', 'w', 'c' and 'n', and this is {flag!r}")
    if flag in "cn":
        _make(file, mode)
    with _Messages():
        database = _database.open(file, create=flag in "cn", read_only=flag == "r", durability="lazy")
    if flag == "n":
        with database.write() as transaction:
            transaction.clear()
    return Dbm(database)
