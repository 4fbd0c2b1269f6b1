"""Long jobs at the end of the interpreter: they are ended before it, so that none calls back when it is gone.

A daemon thread that wants the lock of an interpreter that has ended is ended itself, in the middle of a callback, and a
callback of the library must return. So each job counts itself, every callback asks whether the end has come, and the
end waits until no job is left.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import Callable, Iterator, Optional

#: Seconds that the end waits for callbacks of the program, which may do anything.
_PATIENCE = 10.0

_lock = threading.Lock()
_running = 0
_ending = False


@contextmanager
def job() -> Iterator[None]:
    """The time of a job."""
    global _running
    with _lock:
        _running += 1
    try:
        yield
    finally:
        with _lock:
            _running -= 1


def progress(function: Optional[Callable[[int, int], object]]) -> Callable[[int, int], object]:
    """What the library calls with the progress of a job."""
    if function is None:
        return lambda done, total: _ending
    if not callable(function):
        raise TypeError(f"progress is called with two numbers, and this cannot be called: {function!r}")
    called = function
    return lambda done, total: _ending or called(done, total)


def end() -> None:
    """Ends the jobs of other threads, and waits for them."""
    global _ending
    _ending = True
    limit = time.monotonic() + _PATIENCE
    while _running > 0 and time.monotonic() < limit:
        time.sleep(0.005)


def _in_child() -> None:
    """The threads of the parent, and with them their jobs, are not in the child."""
    global _lock, _running
    _lock = threading.Lock()
    _running = 0


os.register_at_fork(after_in_child=_in_child)
