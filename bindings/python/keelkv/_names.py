"""The names of C in the library's messages, and what this package calls these things."""

from __future__ import annotations

import re
from typing import Dict, Match

NAMES: Dict[str, str] = {
    # flags and kinds
    "KV_APPEND": "keelkv.APPEND",
    "KV_BLIND": "keelkv.BLIND",
    "KV_JOB_OVERWRITE": "overwrite=True",
    "KV_MAIN": "the main table",
    "KV_NO_INSERT": "keelkv.NO_INSERT",
    "KV_NO_OVERWRITE": "keelkv.NO_OVERWRITE",
    "KV_OPEN_EXISTING": "create=False",
    "KV_OPEN_NEW": "new=True",
    "KV_OPEN_READ_ONLY": "read_only=True",
    "KV_READ": "read()",
    "KV_SEEK_EQ": "keelkv.SEEK_EQ",
    "KV_SEEK_GE": "keelkv.SEEK_GE",
    "KV_SEEK_GT": "keelkv.SEEK_GT",
    "KV_SEEK_LE": "keelkv.SEEK_LE",
    "KV_SEEK_LT": "keelkv.SEEK_LT",
    "KV_SNAPSHOTS": "snapshots()",
    "KV_SNAPSHOT_MARK": "mark=True",
    "KV_SNAPSHOT_REPLACE": "replace=True",
    "KV_SNAPSHOT_YIELD": "yields=True",
    "KV_TABLE_NEW": "new=True",
    "KV_WRITE": "write()",
    # functions
    "kv_check": "check()",
    "kv_close": "close()",
    "kv_cursor_open": "cursor()",
    "kv_diff_open": "diff()",
    "kv_get_buf": "view()",
    "kv_interrupt": "interrupt()",
    "kv_open": "keelkv.open()",
    "kv_put": "put()",
    "kv_salvage": "keelkv.salvage()",
    "kv_same": "is_same()",
    "kv_snapshot_create": "create_snapshot()",
    "kv_history": "set_history()",
    "kv_snapshot_keep": "keep_snapshot()",
    "kv_snapshot_ranges": "changed_ranges()",
    "kv_table_clear": "clear()",
    "kv_table_create": "create=True",
    "kv_txn_begin": "read() or write()",
    "kv_txn_nest": "nested()",
    "kv_txn_refresh": "refresh()",
    "kv_writer_open": "writer()",
    # handles
    "kv_buf": "view",
    "kv_cursor": "cursor",
    "kv_db": "database",
    "kv_diff": "difference",
    "kv_txn": "transaction",
    "kv_writer": "writer",
}

#: What is quoted is the program's, such as the name of a table. A part of a path is no name either.
_NAME = re.compile(r'"(?:[^"\\]|\\.)*"|(?<![\w/.-])(kv_[a-z_]+|KV_[A-Z_]+)(?:\(\))?(?![\w/-])')

#: The library names the flags that have the bits, and those of `open` and the like only mislead in a call of `put`.
_OWN = r"KV_(?:NO_OVERWRITE|NO_INSERT|APPEND|BLIND)"
_WRONG_FLAGS = re.compile(rf"flags: (?!{_OWN}(?: \| {_OWN})* cannot).*? (cannot be given to this call)")


def _renamed(found: Match[str]) -> str:
    return NAMES.get(found[1] or "", found[0])


def in_python(message: str) -> str:
    """A message of the library with the names of this package."""
    path, colon, text = message.partition(": ")
    if not colon or "/" not in path:
        path, colon, text = "", "", message
    return path + colon + _NAME.sub(_renamed, _WRONG_FLAGS.sub(r"flags: it has bits that \1", text))
