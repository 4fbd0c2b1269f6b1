"""Helpers for asyncio: what waits, waits on another thread.

    async with keelkv.aio.open("app.kv") as db:
        async with db.write() as t:
            await t.put(b"key", b"value")
        with db.read() as s:
            value = s[b"key"]

A write transaction has a thread of its own, on which all its calls run, as libkv tells by the thread who would wait for
itself. Read transactions never wait for others, so they are used directly.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Generic, List, Optional, Tuple, Type, TypeVar, Union

from . import database as _database
from ._errors import BusyError, CancelledError
from .figures import CheckReport
from .stream import Path, Stream
from .transaction import Transaction

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AsyncDatabase", "AsyncTransaction", "open"]

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")

#: Seconds between two looks whether a task that waits for its turn was cancelled.
_LOOK = 0.05


async def _on(executor: Optional[ThreadPoolExecutor], function: Callable[..., R], *arguments: Any) -> R:
    return await asyncio.get_running_loop().run_in_executor(executor, functools.partial(function, *arguments))


class AsyncTransaction(Generic[K, V]):
    """A write transaction on a thread of its own. ``async with`` begins it, and commits or aborts at the end."""

    def __init__(self, db: _database.Database[K, V], timeout: Optional[float], durability: Optional[str]) -> None:
        self._database = db
        self._timeout = timeout
        self._durability = durability
        self._executor: Optional[ThreadPoolExecutor] = None
        self._transaction: Optional[Transaction[K, V]] = None
        self._cancelled = threading.Event()

    def _begin(self) -> Transaction[K, V]:
        """Waits for its turn, in steps after which it looks whether its task was cancelled."""
        left = self._timeout if self._timeout is not None else self._database._wait_ms / 1000
        forever = self._timeout is None and left < 0
        while not self._cancelled.is_set():
            step = _LOOK if forever else min(_LOOK, left)
            try:
                return self._database.write(timeout=step, durability=self._durability)
            except BusyError:
                left -= step
                if not forever and left <= 0:
                    raise
        raise CancelledError("the task that waited for a write transaction was cancelled")

    async def __aenter__(self) -> Self:
        if self._executor is not None:
            raise RuntimeError("this transaction was begun already; begin another one with db.write()")
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="keelkv-write")
        begun = asyncio.get_running_loop().run_in_executor(self._executor, self._begin)
        try:
            # Shielded: a transaction that is just being begun must not be lost.
            self._transaction = await asyncio.shield(begun)
        except BaseException:
            self._cancelled.set()
            begun.add_done_callback(self._give_up)
            self._executor.shutdown(wait=False)
            raise
        return self

    @staticmethod
    def _give_up(begun: "asyncio.Future[Transaction[K, V]]") -> None:
        if not begun.cancelled() and begun.exception() is None:
            begun.result().abort()

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        assert self._executor is not None and self._transaction is not None
        ended = asyncio.get_running_loop().run_in_executor(
            self._executor, self._transaction.__exit__, kind, error, trace
        )
        try:
            await asyncio.shield(ended)
        finally:
            self._executor.shutdown(wait=False)

    async def run(self, function: Callable[[Transaction[K, V]], R]) -> R:
        """Calls a function with the transaction, on its thread. The transaction must not be used elsewhere."""
        if self._executor is None or self._transaction is None:
            raise RuntimeError("the transaction was not begun; use `async with db.write() as t`")
        return await _on(self._executor, function, self._transaction)

    async def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or the default."""
        return await self.run(lambda t: t.get(key, default))

    async def put(self, key: K, value: V, flags: int = 0) -> None:
        """Puts an entry."""
        await self.run(lambda t: t.put(key, value, flags))

    async def put_many(self, items: List[Tuple[K, V]]) -> int:
        """Puts many entries and returns their number."""
        return await self.run(lambda t: t.put_many(items))

    async def delete(self, key: K) -> bool:
        """Deletes an entry and tells whether there was one."""
        return await self.run(lambda t: t.delete(key))

    async def items(self, **bounds: Any) -> List[Tuple[K, V]]:
        """The entries of a range, as a list; the arguments are those of `Table.items`."""
        return await self.run(lambda t: list(t.items(**bounds)))


class AsyncDatabase(Generic[K, V]):
    """A database for asyncio, made by `open`."""

    def __init__(self, path: Optional[Path], options: Any) -> None:
        self._path = path
        self._options = options
        self._database: Optional[_database.Database[K, V]] = None

    async def __aenter__(self) -> Self:
        self._database = await _on(None, lambda: _database.open(self._path, **self._options))
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()

    @property
    def database(self) -> _database.Database[K, V]:
        """The database below. Its calls that wait, wait on the thread that makes them."""
        if self._database is None:
            raise RuntimeError("the database is not open; use `async with keelkv.aio.open(path) as db`")
        return self._database

    async def close(self) -> None:
        """Closes the database. Tasks that wait for it get `CancelledError` of keelkv."""
        if self._database is not None:
            await _on(None, self._database.close)

    def read(self) -> Transaction[K, V]:
        """Begins a read transaction, which is used directly: ``with db.read() as s``."""
        return self.database.read()

    def write(self, *, timeout: Optional[float] = None, durability: Optional[str] = None) -> AsyncTransaction[K, V]:
        """A write transaction: ``async with db.write() as t``. The arguments are those of `Database.write`."""
        return AsyncTransaction(self.database, timeout, durability)

    async def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or the default."""
        return self.database.get(key, default)

    async def put(self, key: K, value: V, flags: int = 0) -> None:
        """Puts an entry in a transaction of its own, on another thread."""
        await _on(None, self.database.put, key, value, flags)

    async def sync(self) -> None:
        """Makes everything durable that was committed."""
        await _on(None, self.database.sync)

    async def check(self, **options: Any) -> CheckReport:
        """Verifies everything; the arguments are those of `Database.check`, whose callbacks run on another thread."""
        return await _on(None, lambda: self.database.check(**options))

    async def backup(self, target: Union[Path, Stream], **options: Any) -> None:
        """Copies the database; the arguments are those of `Database.backup`. A stream is written on another thread."""
        await _on(None, lambda: self.database.backup(target, **options))

    async def wait_commit(self, after: int, timeout: Optional[float] = None) -> int:
        """Waits for a commit that is newer than number `after`, and returns the newest; `BusyError` after `timeout`."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while True:
            step = 0.2 if end is None else min(0.2, max(0.0, end - loop.time()))
            try:
                # In short steps, so that a task that is cancelled leaves no thread behind that waits for ever.
                return await _on(None, self.database.wait_commit, after, step)
            except BusyError:
                if end is not None and loop.time() >= end:
                    raise


def open(path: Optional[Path], **options: Any) -> AsyncDatabase[Any, Any]:
    """Opens a database for asyncio: ``async with keelkv.aio.open(path) as db``; the arguments are those of `open`."""
    return AsyncDatabase(path, options)
