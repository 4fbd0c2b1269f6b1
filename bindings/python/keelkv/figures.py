"""Figures and reports, as tuples with names.

A back end returns the values of one as a tuple in the order of these fields, which have the names of those in `kv.h`.
`TransactionStat` alone has other names: the back ends return the fields of `kv_txn_stat` in their order.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

__all__ = [
    "CheckReport", "DatabaseStat", "Fault", "Identity", "Reader", "SalvageReport", "TableStat", "TransactionStat",
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
    #: Whether `free_pages` and `pending_pages` are of the newest visible commit; 0 = they are not.
    dead_pages_known: int
    writer_ms: int


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

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return self.faults == 0


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
