"""Figures and reports, as tuples with names.

A back end returns the values of one as a tuple in the order of these fields, which have the names of those in `kv.h`.
`TransactionStat` alone has other names: the back ends return the fields of `kv_txn_stat` in their order.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

__all__ = [
    "CheckReport", "CompactReport", "DatabaseStat", "Fault", "Identity", "Reader", "Retention", "SalvageReport",
    "SnapshotStat", "TableStat", "TransactionStat",
]


class DatabaseStat(NamedTuple):
    """Figures of a database."""

    page_size: int
    pages: int
    free_pages: int
    pending_pages: int
    visible: int
    durable: int
    oldest: int
    readers: int
    discarded: int
    opened_commit: int
    opening_ns: int
    closed_properly: int
    lost_slots: int
    #: The id of the process that has the write transaction open; 0 = none.
    writer: int
    #: Whether `free_pages`, `pending_pages` and `parked_pages` are of the newest visible commit; 0 = they are not.
    dead_pages_known: int
    writer_ms: int
    #: Pages that snapshots keep: those that are put aside for them in the file, and others that this process has met.
    parked_pages: int
    #: Pages that scans announced since this process opened the file, so that the system read them ahead.
    announced_pages: int
    #: Those of them that were read afterwards.
    announced_pages_used: int


class Identity(NamedTuple):
    """Which database an object stands for."""

    format_version: int
    uuid: bytes
    path: str


class Reader(NamedTuple):
    """A reader of a database, in any process."""

    pid: int
    commit: int
    age_ms: int
    kept_pages: int


class TableStat(NamedTuple):
    """Figures of a table, or of one level of its tree."""

    height: int
    entries: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    items: int
    used_bytes: int


class TransactionStat(NamedTuple):
    """Figures of a transaction."""

    writes: bool
    commit: int
    edits: int
    edit_bytes: int
    private_pages: int


class SnapshotStat(NamedTuple):
    """What is recorded of a snapshot."""

    #: Whether it is to be kept, so that dropping it is refused.
    keep: bool
    #: The commit whose state it is.
    commit: int
    #: When that commit was made, in nanoseconds since 1970 (UTC), as `time.time_ns()` has it.
    time: int
    #: What tells this state from every other, also in copies of the file.
    guid: bytes
    #: Pages of the file at that commit; 0 before the commit that makes the snapshot.
    file_pages: int
    #: Pages in use at that commit; 0 = not known.
    used_pages: int
    note: bytes
    #: Whether a commit has recorded it by itself; see `Transaction.set_history`.
    automatic: bool
    #: Whether it is a mark, of whose state nothing is kept; see `Transaction.changed_ranges`.
    mark: bool = False
    #: Whether it becomes a mark when the policy of the file says so.
    yields: bool = False


class Retention(NamedTuple):
    """Which snapshots of a row stay, for `Transaction.set_history` and `Transaction.thin_snapshots`.

    The newest of each of the last hours, days, weeks and months stays that have one, by UTC.
    """

    #: Seconds from one snapshot to the next, for `Transaction.set_history`.
    interval: int = 0
    #: How many of the newest stay.
    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    #: Seconds after which a snapshot that yields becomes a mark, for `Transaction.set_history`; 0 = never.
    yield_after: int = 0
    #: Pages that all snapshots may keep before those that yield become marks, the oldest first; 0 = any number.
    yield_pages: int = 0


class Fault(NamedTuple):
    """A fault that a check or a salvage found."""

    status: int
    #: The number of the page, or None.
    page: Optional[int]
    #: The number of the table, or None.
    table: Optional[int]
    #: What is wrong, in words.
    message: str
    #: "unreadable": bytes are not those that were written, or cannot be read. "contradiction": they can be read, and
    #: contradict the format or other parts of the file. None: a kind that this version does not know.
    kind: Optional[str]


class CheckReport(NamedTuple):
    """What a check counted."""

    #: Faults that were found; 0 = the database is sound.
    faults: int
    commit: int
    tables: int
    entries: int
    pages: int
    tree_pages: int
    overflow_pages: int
    dead_pages: int
    #: A bit for each meta slot that is missing or cannot be read. They are no fault, because another slot leads to the
    #: commit. But if the database was not closed properly, a newer commit may be lost with them.
    lost_slots: int
    #: Pages to which only damaged pages would lead, if the space was checked; otherwise 0.
    unaccounted_pages: int
    #: Pages that are put aside for snapshots, if the space was checked; otherwise 0.
    parked_pages: int
    #: Snapshots, all of which were checked, if the space was; otherwise 0.
    snapshots: int

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return self.faults == 0


class CompactReport(NamedTuple):
    """What `Database.compact` did, and what was in its way."""

    pages_before: int
    pages_after: int
    moved_pages: int
    #: Bytes by which the file became shorter.
    cut_bytes: int
    #: Bytes inside the file whose room was given back to the file system.
    punched_bytes: int
    #: Dead pages that readers still see, as far as is known. They stay where they are.
    pending_pages: int
    #: Dead pages that snapshots keep. They stay where they are.
    parked_pages: int
    #: The commit of a reader that must end before the file can become as small as it might; 0 = none is in the way.
    held_commit: int


class SalvageReport(NamedTuple):
    """What a salvage counted."""

    commit: int
    tables: int
    entries: int
    uncertain: int
    lost_entries: int
    damaged_pages: int
    lost_subtrees: int
    ambiguous_pages: int
    #: A bit for each meta slot that is missing or cannot be read. If there is one, a commit that is newer than the one
    #: that was saved may be lost with it.
    lost_slots: int
