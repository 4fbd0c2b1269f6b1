"""Checks, backups, compaction and salvage of the ctypes back end, and what turns statuses into exceptions."""

from __future__ import annotations

import ctypes as C
import errno
from typing import Any, Callable, List, Optional, Tuple

from . import figures
from ._constants import NONE
from ._errors import from_status
from ._library import (
    FAULT,
    PROGRESS,
    WRITE,
    CheckReport,
    CompactOptions,
    CompactReport,
    ErrorDetail,
    JobOptions,
    SalvageReport,
    counts,
    kv,
    sized,
)

OK, NOTFOUND, BUSY, TOO_SMALL, BAD_HANDLE, CHILD_OPEN, FORKED, CORRUPT = 0, -1, -5, -7, -21, -23, -28, -60

Callback = Optional[Callable[..., object]]


def failure(status: int, path: Optional[str]) -> Exception:
    """The exception of a status that a call on this thread has just returned."""
    detail = sized(ErrorDetail)
    if kv.kv_error_detail(C.byref(detail)) != OK or detail.status != status or not detail.message:
        message, detail.sys_errno, detail.needed = kv.kv_strerror(status), 0, 0
        detail.page = detail.table = NONE
    else:
        message = detail.message
    text = message.decode("utf-8", "replace")
    return from_status(status, text, detail.sys_errno, detail.page, detail.table, detail.needed, path)


class Job:
    """The callbacks of a long job. An exception that one raises ends the job and is raised again at its end."""

    def __init__(self, flags: int, progress: Callback, on_fault: Callback = None) -> None:
        self._raised: List[BaseException] = []
        self.on_fault = FAULT(
            lambda _, fault: 0 if on_fault is None else self._call(
                on_fault, fault[0].status, fault[0].page, fault[0].table, fault[0].message.decode("utf-8", "replace"),
                fault[0].kind,
            )
        )
        # Always called back, as Python looks for signals then.
        self._progress = PROGRESS(
            lambda _, done, total: 0 if progress is None else self._call(progress, done, total)
        )
        self.progress = C.cast(self._progress, C.c_void_p).value
        self.options = sized(JobOptions, flags=flags, progress=self.progress)

    def _call(self, function: Callable[..., object], *arguments: Any) -> int:
        try:
            return 1 if function(*arguments) else 0
        except BaseException as error:  # noqa: B036
            self._raised.append(error)
            return 1

    def writes(self, write: Callable[[bytes], object]) -> Any:
        """The callback that hands bytes to a function, which lives as long as this."""
        def call(_: Any, data: int, length: int) -> int:
            # The exception says more than this number.
            return errno.EIO if self._call(lambda: write(C.string_at(data, length)) and None) else 0

        self._write = WRITE(call)
        return self._write

    def run(self, function: Any, *arguments: Any) -> int:
        status: int = function(*arguments)
        if self._raised:
            raise self._raised[0]
        return status


def check(function: Any, handle: Any, path: Optional[str], flags: int, progress: Callback, on_fault: Callback
          ) -> Tuple[Any, ...]:
    job, report = Job(flags, progress, on_fault), sized(CheckReport)
    status = job.run(function, handle, C.byref(job.options), job.on_fault, None, C.byref(report))
    # A fault that was found is what a check is for; one that it did not count is a failure.
    if status != OK and not (status == CORRUPT and report.faults > 0):
        raise failure(status, path)
    return counts(report, figures.CheckReport._fields)


def compact(handle: Any, stay: int, punch: int, progress: Callback, path: Optional[str]) -> Tuple[Any, ...]:
    job, report = Job(0, progress), sized(CompactReport)
    options = sized(CompactOptions, stay=stay, punch=punch, progress=job.progress)
    status = job.run(kv.kv_compact, handle, C.byref(options), C.byref(report))
    if status != OK:
        raise failure(status, path)
    return counts(report, figures.CompactReport._fields)


def backup(function: Any, handle: Any, target: bytes, flags: int, progress: Callback, name: str) -> None:
    job = Job(flags, progress)
    status = job.run(function, handle, target, C.byref(job.options))
    if status != OK:
        raise failure(status, name)


def backup_stream(handle: Any, write: Callable[[bytes], object], flags: int, progress: Callback, path: Optional[str]
                  ) -> None:
    job = Job(flags, progress)
    status = job.run(kv.kv_backup_stream, handle, job.writes(write), None, C.byref(job.options))
    if status != OK:
        raise failure(status, path)


def salvage(
    damaged: bytes, target: bytes, flags: int, progress: Callback, on_fault: Callback, name: str
) -> Tuple[Any, ...]:
    job, report = Job(flags, progress, on_fault), sized(SalvageReport)
    status = job.run(
        kv.kv_salvage, damaged, target, C.byref(job.options), job.on_fault, None, C.byref(report)
    )
    if status != OK:
        raise failure(status, name)
    return counts(report, figures.SalvageReport._fields)
