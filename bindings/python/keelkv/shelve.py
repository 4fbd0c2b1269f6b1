"""A front like the standard module `shelve`: ``keelkv.shelve.open(filename, flag, protocol, writeback)``.

Keys are str and values are whatever `pickle` can write. What `shelve` says holds here as well: an object that is
changed after it was read must be stored again, unless `writeback` is set; and whoever can write the file can run code
in those who read it.
"""

from __future__ import annotations

import shelve as _shelve
from typing import TYPE_CHECKING, Any, Optional

from . import dbm as _dbm
from .stream import Path

if TYPE_CHECKING:
    _Shelf = _shelve.Shelf[Any]
else:
    _Shelf = _shelve.Shelf

__all__ = ["Shelf", "open"]


class Shelf(_Shelf):
    """A shelf in a database, made by `open`."""

    def __init__(
        self, filename: Path, flag: str = "c", protocol: Optional[int] = None, writeback: bool = False
    ) -> None:
        super().__init__(_dbm.open(filename, flag), protocol, writeback)  # type: ignore[arg-type]


def open(filename: Path, flag: str = "c", protocol: Optional[int] = None, writeback: bool = False) -> Shelf:
    """Opens a shelf as `shelve.open` does; the flags are those of `keelkv.dbm.open`."""
    return Shelf(filename, flag, protocol, writeback)
