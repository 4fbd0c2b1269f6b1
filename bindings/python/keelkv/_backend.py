"""The back end: the C extension if it is there, otherwise ctypes. ``KEELKV_BACKEND`` chooses: ``c`` or ``ctypes``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

__all__ = [
    "BACKEND", "CursorCore", "DatabaseCore", "EntriesCore", "TransactionCore", "TxnCore", "WriterCore", "salvage",
    "version",
]

_wanted = os.environ.get("KEELKV_BACKEND", "")
if _wanted not in ("", "c", "ctypes"):
    raise ImportError(f"KEELKV_BACKEND is {_wanted!r}; set it to c or ctypes, or not at all")

if TYPE_CHECKING:
    from ._ctypes import CursorCore, DatabaseCore, EntriesCore, TransactionCore, TxnCore, WriterCore, salvage, version

    BACKEND = "ctypes"
elif _wanted == "ctypes":
    from ._ctypes import CursorCore, DatabaseCore, EntriesCore, TransactionCore, TxnCore, WriterCore, salvage, version

    BACKEND = "ctypes"
else:
    try:
        from ._keelkv import CursorCore, DatabaseCore, EntriesCore, TransactionCore, TxnCore, WriterCore
        from ._keelkv import salvage, version

        BACKEND = "c"
    except ImportError:
        if _wanted == "c":
            raise
        from ._ctypes import CursorCore, DatabaseCore, EntriesCore, TransactionCore, TxnCore, WriterCore
        from ._ctypes import salvage, version

        BACKEND = "ctypes"
