"""Values that are written in parts, by way of ctypes."""

from __future__ import annotations

import ctypes as C
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Type

from ._ctypes_bytes import as_bytes
from ._ctypes_database import TxnCore
from ._errors import BadHandleError, NotFoundError, refuse_copy
from ._jobs import NOTFOUND
from ._library import Handle, kv

if TYPE_CHECKING:
    from typing_extensions import Self


class WriterCore:
    """A value that is written in parts."""

    __reduce_ex__ = refuse_copy

    def __init__(self, txn: TxnCore, number: int, key: bytes, thing: Any, size_hint: int, flags: int) -> None:
        self._handle: Optional[int] = None
        self._begun = Handle()  # see _ctypes_database.py
        self._txn = txn
        txn.changes += 1
        status = kv.kv_writer_open(txn.live(), number, key, len(key), size_hint, flags, C.byref(self._begun))
        if status == NOTFOUND:
            raise NotFoundError(thing)
        txn.answer(status)
        self._handle = self._begun.value

    def __del__(self) -> None:
        if getattr(self, "_begun", None):
            try:
                self.close()
            except TypeError:
                pass  # the interpreter has ended, and with it this module

    def _live(self) -> int:
        if self._handle is None:
            raise BadHandleError("the writer is finished or closed; open another one")
        self._txn.live()
        return self._handle

    def write(self, data: bytes) -> int:
        """Appends bytes to the value and returns their number."""
        part = as_bytes(None, data, "value")
        self._txn.answer(kv.kv_writer_write(self._live(), part, len(part)))
        return len(part)

    def finish(self) -> None:
        """Puts the entry with the value that was written."""
        handle = self._live()
        self._handle = None
        self._txn.changes += 1
        self._txn.answer(kv.kv_writer_finish(handle))

    def close(self) -> None:
        """Gives up a value that was not finished."""
        self._handle = None
        kv.kv_writer_close(self._begun)  # ignored if it was finished, or if the transaction has ended

    @property
    def closed(self) -> bool:
        """Whether the writer is finished or closed."""
        return self._handle is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Finishes the value, or gives it up after an exception."""
        if kind is not None or self.closed:
            self.close()
        else:
            self.finish()
