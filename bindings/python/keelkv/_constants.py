"""Numbers of `kv.h` that more than one module uses."""

from __future__ import annotations

from typing import Optional, Tuple

READ = 16
WRITE = 17
MAIN = 0
TABLES = 1
SNAPSHOTS = 2
#: No table: all of them.
NONE = 2**64 - 1

#: `put` flag: only if the key does not exist, or `ExistsError` is raised.
NO_OVERWRITE = 0x100
#: `put` flag: only if the key exists, or `NotFoundError` is raised.
NO_INSERT = 0x200
#: `put` flag: only if the key is greater than every key of the table, or `OrderError` is raised.
APPEND = 0x400
#: `delete` flag: do not look whether the entry exists.
BLIND = 0x800

OPEN_EXISTING = 0x1000
OPEN_NEW = 0x2000
OPEN_READ_ONLY = 0x4000
OPEN_MEMORY = 0x8000
TXN_NOWAIT = 0x10000
TABLE_NEW = 0x20000
BATCH_KEYS = 0x40000

RANGE_FROM = 0x100000
RANGE_AFTER = 0x200000
RANGE_BEFORE = 0x400000
RANGE_THROUGH = 0x800000
RANGE_PREFIX = 0x1000000
RANGE_REVERSE = 0x2000000

JOB_CHECK_SPACE = 0x4000000
JOB_COMPACT = 0x8000000
JOB_OVERWRITE = 0x10000000

SNAPSHOT_REPLACE = 0x20000000
SNAPSHOT_KEEP = 0x40000000
SNAPSHOT_MARK = 0x80000000
SNAPSHOT_YIELD = 0x80

SEEK_EQ = 32
SEEK_GE = 33
SEEK_GT = 34
SEEK_LE = 35
SEEK_LT = 36

DURABILITY = {"full": 64, "lazy": 65}
VERIFY = {"once": 72, "always": 73, "never": 74}
CHANGE_ADDED, CHANGE_REMOVED, CHANGE_CHANGED = 1, 2, 3
#: What a change is called.
CHANGES = {CHANGE_ADDED: "added", CHANGE_REMOVED: "removed", CHANGE_CHANGED: "changed"}

FAULT = {"unreadable": 80, "contradiction": 81}

#: What a scan hands out.
SCAN_ITEMS, SCAN_KEYS, SCAN_VALUES = 0, 1, 2

#: "No limit" for a scan.
UNLIMITED = 2**64 - 1

#: A range as the back ends take it: flags, lower bound, upper bound, prefix.
RawRange = Tuple[int, Optional[bytes], Optional[bytes], Optional[bytes]]

#: The whole table.
EVERYTHING: RawRange = (0, None, None, None)
