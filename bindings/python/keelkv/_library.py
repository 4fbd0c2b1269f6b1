"""libkv by way of ctypes: where it is, its structs and its functions.

Short functions keep the GIL, so that no other thread ends a transaction during a call; those that may wait, or that
call back, release it.
"""

from __future__ import annotations

import ctypes as C
import os
from typing import Any, Dict, List, Sequence, Tuple, Type

Handle = C.c_void_p


def _candidates() -> List[str]:
    """Where the library may be: what $KEELKV_LIBRARY says, beside this file, in the extension, in the system."""
    chosen = os.environ.get("KEELKV_LIBRARY")
    if chosen:
        return [chosen]
    here = os.path.dirname(os.path.abspath(__file__))
    beside = [os.path.join(here, name) for name in ("libkv.so.0", "_keelkv.abi3.so")]
    return [path for path in beside if os.path.exists(path)] + ["libkv.so.0"]


def _find() -> str:
    failures = []
    for path in _candidates():
        try:
            C.CDLL(path).kv_version  # noqa: B018
        except (OSError, AttributeError) as error:
            failures.append(f"{path}: {error}")
        else:
            return path
    raise ImportError(
        "libkv was not found; install it, or set KEELKV_LIBRARY to its file. Tried: " + "; ".join(failures)
    )


LIBRARY = _find()
_keeps_gil = C.PyDLL(LIBRARY)
_releases_gil = C.CDLL(LIBRARY)

_FIELDS: Dict[str, Any] = {"u4": C.c_uint32, "i4": C.c_int32, "u8": C.c_uint64, "i8": C.c_int64, "p": C.c_void_p,
                           "n": C.c_size_t, "s": C.c_char_p}


def _struct(text: str) -> List[Tuple[str, Any]]:
    """The fields of a struct: `name:type`, with types as above."""
    return [(name, _FIELDS[kind]) for name, kind in (word.split(":") for word in text.split())]


class Slice(C.Structure):
    _fields_ = _struct("data:p len:n")


class Range(C.Structure):
    _fields_ = [*_struct("flags:u4 reserved:u4"), ("from_", Slice), ("to", Slice), ("prefix", Slice)]


class Batch(C.Structure):
    _fields_ = _struct(
        "struct_size:u4 flags:u4 bytes:p bytes_size:n ends:p ends_size:n kinds:p limit:n count:n used:n needed:n "
        "at_end:u4 skip:u4"
    )


class ErrorDetail(C.Structure):
    _fields_ = _struct(
        "struct_size:u4 status:i4 sys_errno:i4 reserved:u4 page:u8 table:u8 needed:u8 function:s message:s"
    )


class Options(C.Structure):
    _fields_ = _struct(
        "struct_size:u4 flags:u4 page_size:u4 durability:u4 verify:u4 reserved:u4 wait_ms:i8 write_memory:u8 "
        "stale_reader:p stale_reader_ctx:p stale_reader_ms:u8"
    )


class TxnOptions(C.Structure):
    _fields_ = [
        *_struct("struct_size:u4 flags:u4 durability:u4 reserved:u4 wait_ms:i8 write_memory:u8"),
        ("snapshot", Slice), *_struct("commit:u8 time:u8"),
    ]


class TableOptions(C.Structure):
    _fields_ = _struct("struct_size:u4 flags:u4")


class SnapshotOptions(C.Structure):
    _fields_ = [*_struct("struct_size:u4 flags:u4"), ("note", Slice)]


class SnapshotStat(C.Structure):
    _fields_ = [
        *_struct("struct_size:u4 flags:u4 commit:u8 time:u8"), ("guid", C.c_uint8 * 16),
        *_struct("file_pages:u8 used_pages:u8"), ("note", Slice), *_struct("automatic:u4 reserved:u4"),
    ]


class Retention(C.Structure):
    _fields_ = _struct("struct_size:u4 interval:u4 last:u4 hourly:u4 daily:u4 weekly:u4 monthly:u4 "
                      "yield_after:u4 yield_pages:u8")


class JobOptions(C.Structure):
    _fields_ = _struct("struct_size:u4 flags:u4 progress:p ctx:p")


class Fault(C.Structure):
    _fields_ = _struct("struct_size:u4 status:i4 page:u8 table:u8 message:s kind:u4 reserved:u4")


class CheckReport(C.Structure):
    _fields_ = _struct(
        "struct_size:u4 lost_slots:u4 commit:u8 tables:u8 entries:u8 pages:u8 tree_pages:u8 overflow_pages:u8 "
        "dead_pages:u8 faults:u8 "
        "unaccounted_pages:u8 parked_pages:u8 snapshots:u8"
    )


class CompactOptions(C.Structure):
    _fields_ = _struct("struct_size:u4 stay:u4 punch:u4 reserved:u4 progress:p ctx:p")


class CompactReport(C.Structure):
    _fields_ = _struct(
        "struct_size:u4 reserved:u4 pages_before:u8 pages_after:u8 moved_pages:u8 cut_bytes:u8 punched_bytes:u8 "
        "pending_pages:u8 parked_pages:u8 held_commit:u8"
    )


class SalvageReport(C.Structure):
    _fields_ = _struct(
        "struct_size:u4 lost_slots:u4 commit:u8 tables:u8 entries:u8 uncertain:u8 lost_entries:u8 damaged_pages:u8 "
        "lost_subtrees:u8 ambiguous_pages:u8"
    )


class DatabaseStat(C.Structure):
    _fields_ = _struct(
        "struct_size:u4 page_size:u4 pages:u8 free_pages:u8 pending_pages:u8 visible:u8 durable:u8 oldest:u8 "
        "readers:u4 discarded:u4 opened_commit:u8 opening_ns:u8 closed_properly:u4 lost_slots:u4 writer:u4 "
        "dead_pages_known:u4 writer_ms:u8 parked_pages:u8 announced_pages:u8 announced_pages_used:u8"
    )


class Identity(C.Structure):
    _fields_ = [*_struct("struct_size:u4 format_version:u4"), ("uuid", C.c_uint8 * 16), ("path", C.c_char_p)]


class ReaderInfo(C.Structure):
    _fields_ = _struct("struct_size:u4 pid:u4 commit:u8 age_ms:u8 kept_pages:u8")


class TableStat(C.Structure):
    _fields_ = _struct(
        "struct_size:u4 height:u4 entries:u8 branch_pages:u8 leaf_pages:u8 overflow_pages:u8 items:u8 used_bytes:u8"
    )


class TxnStat(C.Structure):
    _fields_ = _struct("struct_size:u4 kind:u4 commit:u8 edits:u8 edit_bytes:u8 private_pages:u8")


class Change(C.Structure):
    _fields_ = [*_struct("struct_size:u4 kind:u4"), ("key", Slice), ("before", Slice), ("after", Slice)]


class DiffCounts(C.Structure):
    _fields_ = _struct("struct_size:u4 reserved:u4 added:u8 removed:u8 changed:u8")


class ValueStat(C.Structure):
    _fields_ = _struct("struct_size:u4 extents:u4 len:u8")


def sized(kind: Type[C.Structure], **fields: Any) -> Any:
    """A struct that begins with its size."""
    return kind(struct_size=C.sizeof(kind), **fields)


def counts(report: C.Structure, names: Sequence[str]) -> Tuple[Any, ...]:
    return tuple(getattr(report, name) for name in names)


PROGRESS = C.CFUNCTYPE(C.c_int32, C.c_void_p, C.c_uint64, C.c_uint64)
FAULT = C.CFUNCTYPE(C.c_int32, C.c_void_p, C.POINTER(Fault))
WRITE = C.CFUNCTYPE(C.c_int32, C.c_void_p, C.c_void_p, C.c_size_t)
RANGE = C.CFUNCTYPE(C.c_int32, C.c_void_p, C.POINTER(Range))

_BYTES = [C.c_char_p, C.c_size_t]
_TABLE = [Handle, C.c_uint64]
_KEY = [*_TABLE, *_BYTES]

_SHORT: Dict[str, List[Any]] = {
    "kv_error_detail": [C.POINTER(ErrorDetail)],
    "kv_newest_commit": [Handle, C.POINTER(C.c_uint64), C.POINTER(C.c_uint64)],
    "kv_stat_db": [Handle, C.POINTER(DatabaseStat)],
    "kv_db_identity": [Handle, C.POINTER(Identity)],
    "kv_reader_at": [Handle, C.c_uint32, C.POINTER(ReaderInfo)],
    "kv_db_get": [*_KEY, C.c_void_p, C.c_size_t, C.POINTER(C.c_size_t)],
    "kv_txn_refresh": [Handle],
    "kv_txn_id": [Handle, C.POINTER(C.c_uint64)],
    "kv_stat_txn": [Handle, C.POINTER(TxnStat)],
    "kv_savepoint_create": [Handle, C.POINTER(C.c_uint64)],
    "kv_savepoint_rollback": [Handle, C.c_uint64],
    "kv_savepoint_release": [Handle, C.c_uint64],
    "kv_txn_nest": [Handle, C.POINTER(Handle)],
    "kv_table_open": [Handle, *_BYTES, C.POINTER(C.c_uint64)],
    "kv_table_create": [Handle, *_BYTES, C.POINTER(TableOptions), C.POINTER(C.c_uint64)],
    "kv_table_rename": _KEY,
    "kv_table_clear": _TABLE,
    "kv_table_drop": _TABLE,
    "kv_table_name": [*_TABLE, C.POINTER(Slice)],
    "kv_table_note": [*_TABLE, C.POINTER(Slice)],
    "kv_table_set_note": _KEY,
    "kv_stat_table": [*_TABLE, C.c_uint32, C.POINTER(TableStat)],
    "kv_diff_open": [Handle, *_TABLE, C.POINTER(Range), C.POINTER(Handle)],
    "kv_diff_next": [Handle, C.POINTER(Change)],
    "kv_same": [Handle, *_TABLE, C.POINTER(C.c_int32)],
    "kv_snapshot_rename": [Handle, *_BYTES, *_BYTES],
    "kv_snapshot_drop": [Handle, *_BYTES],
    "kv_snapshot_keep": [Handle, *_BYTES, C.c_uint32],
    "kv_snapshot_release": [Handle, *_BYTES],
    "kv_snapshot_ranges": [Handle, *_BYTES, C.c_uint64, C.POINTER(Range), RANGE, C.c_void_p],
    "kv_history": [Handle, C.POINTER(Retention)],
    "kv_stat_history": [Handle, C.POINTER(Retention)],
    "kv_snapshot_thin": [Handle, *_BYTES, C.POINTER(Retention), C.POINTER(C.c_uint64)],
    "kv_stat_snapshot": [Handle, *_BYTES, C.POINTER(SnapshotStat)],
    "kv_get": [*_KEY, C.POINTER(Slice)],
    "kv_get_copy": [*_KEY, C.c_void_p, C.c_size_t, C.POINTER(C.c_size_t)],
    "kv_get_buf": [*_KEY, C.POINTER(Slice), C.POINTER(Handle)],
    "kv_put": [*_KEY, *_BYTES, C.c_uint32],
    "kv_delete": [*_KEY, C.c_uint32],
    "kv_delete_range": [*_TABLE, C.POINTER(Range), C.POINTER(C.c_uint64)],
    "kv_count": [*_TABLE, C.POINTER(Range), C.POINTER(C.c_uint64)],
    "kv_rank": [*_KEY, C.POINTER(C.c_uint64)],
    "kv_scan": [*_TABLE, C.POINTER(Range), C.POINTER(Batch)],
    "kv_get_packed": [*_TABLE, C.POINTER(Batch), C.POINTER(Batch)],
    "kv_stat_value": [*_KEY, C.POINTER(ValueStat)],
    "kv_value_read": [*_KEY, C.c_uint64, C.c_void_p, C.c_size_t, C.POINTER(C.c_size_t)],
    "kv_cursor_open": [*_TABLE, C.POINTER(Range), C.POINTER(Handle)],
    "kv_cursor_first": [Handle, C.c_void_p, C.c_void_p],
    "kv_cursor_last": [Handle, C.c_void_p, C.c_void_p],
    "kv_cursor_prev": [Handle, C.c_void_p, C.c_void_p],
    "kv_cursor_get": [Handle, C.c_void_p, C.c_void_p],
    "kv_cursor_random": [Handle, C.c_void_p, C.c_void_p],
    "kv_cursor_nth": [Handle, C.c_uint64, C.c_void_p, C.c_void_p],
    "kv_cursor_percentile": [Handle, C.c_double, C.c_void_p, C.c_void_p],
    "kv_cursor_seek": [Handle, *_BYTES, C.c_uint32, C.c_void_p, C.c_void_p],
    "kv_cursor_fill": [Handle, C.POINTER(Batch)],
    "kv_cursor_count": [Handle, C.POINTER(C.c_uint64)],
    "kv_cursor_rank": [Handle, C.POINTER(C.c_uint64)],
    "kv_cursor_put": [Handle, *_BYTES],
    "kv_cursor_delete": [Handle],
    "kv_writer_open": [*_KEY, C.c_uint64, C.c_uint32, C.POINTER(Handle)],
    "kv_writer_finish": [Handle],
}

_LONG: Dict[str, List[Any]] = {
    "kv_open": [C.c_char_p, C.POINTER(Options), C.POINTER(Handle)],
    "kv_close": [Handle],
    "kv_sync": [Handle],
    "kv_diff_count": [Handle, *_TABLE, C.POINTER(Range), C.POINTER(DiffCounts)],
    "kv_revert": [Handle, Handle, C.c_uint64, C.POINTER(C.c_uint64)],
    "kv_reclaim": [Handle, C.POINTER(C.c_uint64)],
    "kv_compact": [Handle, C.POINTER(CompactOptions), C.POINTER(CompactReport)],
    "kv_snapshot_cost": [Handle, *_BYTES, *_BYTES, C.POINTER(C.c_uint64)],
    "kv_snapshot_create": [Handle, *_BYTES, C.POINTER(SnapshotOptions)],
    "kv_wait_durable": [Handle, C.c_uint64, C.c_int64],
    "kv_wait_commit": [Handle, C.c_uint64, C.c_int64, C.POINTER(C.c_uint64)],
    "kv_txn_begin": [Handle, C.c_uint32, C.POINTER(TxnOptions), C.POINTER(Handle)],
    "kv_txn_commit": [Handle, C.POINTER(C.c_uint64)],
    "kv_txn_commit_async": [Handle, C.POINTER(C.c_uint64)],
    "kv_writer_write": [Handle, *_BYTES],
    "kv_check": [Handle, C.POINTER(JobOptions), FAULT, C.c_void_p, C.POINTER(CheckReport)],
    "kv_db_check": [Handle, C.POINTER(JobOptions), FAULT, C.c_void_p, C.POINTER(CheckReport)],
    "kv_backup": [Handle, C.c_char_p, C.POINTER(JobOptions)],
    "kv_db_backup": [Handle, C.c_char_p, C.POINTER(JobOptions)],
    "kv_backup_stream": [Handle, WRITE, C.c_void_p, C.POINTER(JobOptions)],
    "kv_salvage": [C.c_char_p, C.c_char_p, C.POINTER(JobOptions), FAULT, C.c_void_p, C.POINTER(SalvageReport)],
}

#: Functions that return nothing. An abort waits for calls of other threads, so it is one of the long ones.
_NOTHING: Dict[str, Any] = {
    "kv_txn_abort": _releases_gil, "kv_interrupt": _releases_gil, "kv_cursor_close": _keeps_gil,
    "kv_buf_release": _keeps_gil, "kv_diff_close": _keeps_gil, "kv_writer_close": _releases_gil,
}


class _Functions:
    """The functions of the library, declared once."""

    def __init__(self) -> None:
        for names, library in ((_SHORT, _keeps_gil), (_LONG, _releases_gil)):
            for name, arguments in names.items():
                function = getattr(library, name)
                function.argtypes, function.restype = arguments, C.c_int32
                setattr(self, name, function)
        for name, library in _NOTHING.items():
            function = getattr(library, name)
            function.argtypes, function.restype = [Handle], None
            setattr(self, name, function)
        for name in ("kv_version", "kv_strerror"):
            function = getattr(_keeps_gil, name)
            function.restype = C.c_char_p
            setattr(self, name, function)
        self.kv_strerror.argtypes = [C.c_int32]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


kv = _Functions()
