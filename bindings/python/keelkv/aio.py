"""Helpers for asyncio: what waits, waits on another thread.

    async with keelkv.aio.open("app.kv") as db:
        async with db.write() as t:
            await t.put(b"key", b"value")
        with db.read() as s:
            value = s[b"key"]

The write transactions of an `AsyncDatabase` have a thread of their own, on which all their calls run, as libkv tells by
the thread who would wait for itself. Tasks take turns before one of them waits there for other threads and processes.
Read transactions do not wait for others, so they are used directly. The executor of the event loop is left alone: what
waits for a turn there would keep the program from whatever ends it.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Deque,
    Generic,
    Iterable,
    List,
    Mapping,
    Optional,
    Set,
    Tuple,
    Type,
    TypeVar,
    Union,
    overload,
)

from . import database as _database
from ._errors import BusyError, CancelledError, DeadlockError
from .changes import Change, ChangeCounts
from .codec import Codec
from .figures import CheckReport, CompactReport, Retention, SnapshotStat
from .stream import Path, Stream
from .transaction import Table, Transaction

if TYPE_CHECKING:
    from typing_extensions import Literal, Self, Unpack

__all__ = ["AsyncDatabase", "AsyncTransaction", "open"]

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
R = TypeVar("R")

#: Seconds between two looks whether a task that waits for other threads or processes was cancelled.
_LOOK = 0.05
#: Seconds for which a thread waits for a commit at a time, so that it ends when nobody wants it any more.
_STEP = 0.2
#: Threads for checks, backups and syncs.
_WORKERS = 4


async def _on(executor: ThreadPoolExecutor, function: Callable[..., R], *arguments: Any) -> R:
    return await asyncio.get_running_loop().run_in_executor(executor, functools.partial(function, *arguments))


def _closed() -> CancelledError:
    return CancelledError("the database was closed while the task waited for it")


class _Turns:
    """Whose turn it is to write: tasks take it in the order in which they came."""

    def __init__(self) -> None:
        self._taken = False
        self._closed = False
        self._waiting: Deque[asyncio.Future[bool]] = deque()

    async def take(self, timeout: Optional[float]) -> bool:
        """Waits for the turn; False if it did not come in time."""
        if self._closed:
            raise _closed()
        if not self._taken:
            self._taken = True
            return True
        if timeout is not None and timeout <= 0:
            return False
        came: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(came)
        try:
            await asyncio.wait({came}, timeout=timeout)
        except BaseException:  # this task was cancelled
            if not came.done():
                self._waiting.remove(came)
            elif came.exception() is None:
                self.give()
            raise
        if came.done():
            return came.result()
        self._waiting.remove(came)
        return False

    def give(self) -> None:
        """Gives the turn to the next task."""
        while self._waiting:
            came = self._waiting.popleft()
            if not came.done():
                came.set_result(True)
                return
        self._taken = False

    def close(self) -> None:
        """Ends the waiting of every task."""
        self._closed = True
        while self._waiting:
            came = self._waiting.popleft()
            if not came.done():
                came.set_exception(_closed())


class AsyncTransaction(Generic[K, V]):
    """A write transaction on another thread. ``async with`` begins it, and commits or aborts at the end."""

    def __init__(
        self, owner: AsyncDatabase[K, V], timeout: Optional[float], nowait: bool, durability: Optional[str],
        write_memory: int,
    ) -> None:
        self._owner = owner
        self._timeout = 0 if nowait else timeout
        self._options: Any = {"durability": durability, "write_memory": write_memory}
        self._transaction: Optional[Transaction[K, V]] = None
        self._begun = False
        self._has_turn = False
        self._task: Optional[asyncio.Task[Any]] = None
        self._cancelled = threading.Event()

    def _begin(self, left: Optional[float]) -> Transaction[K, V]:
        """Waits for other threads and processes, in steps after which it looks whether its task was cancelled."""
        database = self._owner.database
        while not self._cancelled.is_set():
            if self._owner._closing.is_set():
                raise _closed()
            step = _LOOK if left is None else max(0.0, min(_LOOK, left))
            try:
                transaction = database.write(timeout=step, **self._options)
            except BusyError:
                if left is not None:
                    left -= step
                    if left <= 0:
                        raise
                continue
            if not self._cancelled.is_set():
                return transaction
            transaction.abort()
        raise CancelledError("the task that waited for a write transaction was cancelled")

    async def __aenter__(self) -> Self:
        if self._begun:
            raise RuntimeError("this transaction was begun already; begin another one with db.write()")
        self._begun = True
        owner, loop = self._owner, asyncio.get_running_loop()
        wait_ms = owner.database._wait_ms
        left = None if wait_ms < 0 else wait_ms / 1000
        if self._timeout is not None:
            left = _database.seconds(self._timeout)
        if left is None or left > 0:
            owner._refuse_self_wait()
        started = loop.time()
        if not await owner._turns.take(left):
            path = owner.database.identity().path or "a database in memory"
            raise BusyError(f"{path}: busy: another task is writing; repeat the call later, or wait for longer")
        if left is not None:
            left = max(0.0, left - (loop.time() - started))
        begun = loop.run_in_executor(owner._writer, self._begin, left)
        try:
            # Shielded: a transaction that is just being begun must not be lost.
            self._transaction = await asyncio.shield(begun)
        except BaseException:
            self._cancelled.set()
            begun.add_done_callback(self._give_up)
            raise
        self._task = asyncio.current_task()
        if self._task is not None:
            owner._writing.add(self._task)
        self._has_turn = True
        return self

    def _give_turn(self, _: object = None) -> None:
        if self._has_turn:
            self._has_turn = False
            if self._task is not None:
                self._owner._writing.discard(self._task)
            self._owner._turns.give()

    def _give_up(self, begun: asyncio.Future[Transaction[K, V]]) -> None:
        """Ends what was begun for a task that was cancelled, on the thread of the transaction, and before the next."""
        if not begun.cancelled() and begun.exception() is None:
            self._owner._writer.submit(begun.result().abort)
        self._owner._turns.give()

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        assert self._transaction is not None
        ended = asyncio.get_running_loop().run_in_executor(
            self._owner._writer, self._transaction.__exit__, kind, error, trace
        )
        # Not when this task is cancelled meanwhile, but when the transaction has ended.
        ended.add_done_callback(self._give_turn)
        await asyncio.shield(ended)

    async def run(self, function: Callable[[Transaction[K, V]], R]) -> R:
        """Calls a function with the transaction, on its thread. The transaction must not be used elsewhere.

        This is how to use savepoints and nested transactions, which begin and end in the function.
        """
        if self._transaction is None:
            raise RuntimeError("the transaction was not begun; use `async with db.write() as t`")
        result = await _on(self._owner._writer, function, self._transaction)
        if self._transaction.ended:
            self._give_turn()
        return result

    @overload
    async def get(self, key: K, default: None = None) -> Optional[V]: ...

    @overload
    async def get(self, key: K, default: Union[V, D]) -> Union[V, D]: ...

    async def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or the default."""
        return await self.run(lambda t: t.get(key, default))

    async def put(self, key: K, value: V, flags: int = 0) -> None:
        """Puts an entry."""
        await self.run(lambda t: t.put(key, value, flags))

    async def put_many(self, items: Union[Mapping[K, V], Iterable[Tuple[K, V]]], flags: int = 0) -> int:
        """Puts many entries and returns their number; the arguments are those of `Table.put_many`."""
        return await self.run(lambda t: t.put_many(items, flags))

    async def delete(self, key: K) -> bool:
        """Deletes an entry and tells whether there was one."""
        return await self.run(lambda t: t.delete(key))

    async def items(self, **bounds: Any) -> List[Tuple[K, V]]:
        """The entries of a range, as a list; the arguments are those of `Table.items`."""
        return await self.run(lambda t: list(t.items(**bounds)))

    async def create_snapshot(
        self, name: Union[str, bytes], *, replace: bool = False, keep: bool = False, mark: bool = False,
        yields: bool = False, note: bytes = b"",
    ) -> None:
        """Gives what is about to be committed a name; see `Transaction.create_snapshot`."""
        await self.run(lambda t: t.create_snapshot(
            name, replace=replace, keep=keep, mark=mark, yields=yields, note=note))

    async def rename_snapshot(self, name: Union[str, bytes], to: Union[str, bytes]) -> None:
        """Gives a snapshot another name. One that has the name already is dropped."""
        await self.run(lambda t: t.rename_snapshot(name, to))

    async def drop_snapshot(self, name: Union[str, bytes]) -> None:
        """Drops a snapshot. Who reads it is not disturbed."""
        await self.run(lambda t: t.drop_snapshot(name))

    async def release_snapshot(self, name: Union[str, bytes]) -> None:
        """Makes a mark of a snapshot; see `Transaction.release_snapshot`."""
        await self.run(lambda t: t.release_snapshot(name))

    async def changed_ranges(
        self, snapshot: Union[str, bytes], table: Union[Table[Any, Any], str, bytes, None] = None, **bounds: Any,
    ) -> List[Tuple[bytes, Optional[bytes]]]:
        """The ranges that may have changed since a snapshot or mark; see `Transaction.changed_ranges`."""
        return await self.run(lambda t: t.changed_ranges(snapshot, table, **bounds))

    async def changed_table_names(self, snapshot: Union[str, bytes]) -> List[Tuple[bytes, Optional[bytes]]]:
        """Where tables may have come and gone since a snapshot or mark; see `Transaction.changed_table_names`."""
        return await self.run(lambda t: t.changed_table_names(snapshot))

    async def keep_snapshot(self, name: Union[str, bytes], keep: bool = True) -> None:
        """Says whether a snapshot is to be kept; see `Transaction.keep_snapshot`."""
        await self.run(lambda t: t.keep_snapshot(name, keep))

    async def revert(
        self, before: Transaction[Any, Any], table: Union[Table[Any, Any], str, bytes, None] = None,
    ) -> int:
        """Makes everything, or one table, what a transaction that reads sees; see `Transaction.revert`."""
        return await self.run(lambda t: t.revert(before, table))

    async def diff(
        self, before: Transaction[Any, Any], table: Union[Table[Any, Any], str, bytes, None] = None, **bounds: Any,
    ) -> List[Change]:
        """What differs from what another transaction sees, as a list; see `Transaction.diff`."""
        return await self.run(lambda t: list(t.diff(before, table, **bounds)))

    async def count_changes(
        self, before: Transaction[Any, Any], table: Union[Table[Any, Any], str, bytes, None] = None, **bounds: Any,
    ) -> ChangeCounts:
        """How many keys differ from what another transaction sees; see `Transaction.count_changes`."""
        return await self.run(lambda t: t.count_changes(before, table, **bounds))

    async def is_same(
        self, before: Transaction[Any, Any], table: Union[Table[Any, Any], str, bytes, None] = None,
    ) -> bool:
        """Whether nothing is known to differ; see `Transaction.is_same`."""
        return await self.run(lambda t: t.is_same(before, table))

    async def set_history(self, policy: Optional[Retention]) -> None:
        """Has commits record snapshots by themselves from now on; see `Transaction.set_history`."""
        await self.run(lambda t: t.set_history(policy))

    async def history(self) -> Optional[Retention]:
        """The policy by which commits record snapshots by themselves, if they do."""
        return await self.run(lambda t: t.history())

    async def thin_snapshots(self, prefix: Union[str, bytes], retention: Retention) -> int:
        """Drops the snapshots whose names begin with a prefix, but for those that stay. Returns how many."""
        return await self.run(lambda t: t.thin_snapshots(prefix, retention))

    async def stat_snapshot(self, name: Union[str, bytes]) -> SnapshotStat:
        """What is recorded of a snapshot; `NotFoundError` if there is none of this name."""
        return await self.run(lambda t: t.stat_snapshot(name))

    async def snapshots(self) -> List[bytes]:
        """The names of all snapshots, in order, as this transaction leaves them."""
        return await self.run(lambda t: t.snapshots())


class AsyncDatabase(Generic[K, V]):
    """A database for asyncio, made by `open`."""

    def __init__(self, path: Optional[Path], options: Any) -> None:
        self._path = path
        self._options = options
        self._database: Optional[_database.Database[K, V]] = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="keelkv-write")
        self._watcher = ThreadPoolExecutor(1, thread_name_prefix="keelkv-watch")
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="keelkv")
        self._turns = _Turns()
        self._closing = threading.Event()
        #: The tasks that have a write transaction open.
        self._writing: Set[asyncio.Task[Any]] = set()
        #: Those who wait for a commit, with the number that it must exceed, and the task that wakes them.
        self._waiters: List[Tuple[int, asyncio.Future[int]]] = []
        self._watching: Optional[asyncio.Task[None]] = None

    async def __aenter__(self) -> Self:
        opening = asyncio.get_running_loop().run_in_executor(
            self._workers, lambda: _database.open(self._path, **self._options)
        )
        try:
            self._database = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._give_up)
            raise
        return self

    @staticmethod
    def _give_up(opening: asyncio.Future[_database.Database[K, V]]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            opening.result().close()

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()

    @property
    def database(self) -> _database.Database[K, V]:
        """The database below, to read from. Calls of it that wait keep the loop waiting.

        While a task has a write transaction open, one that writes would wait for ever: the loop waits for that task.
        """
        if self._database is None:
            raise RuntimeError("the database is not open; use `async with keelkv.aio.open(path) as db`")
        return self._database

    def _refuse_self_wait(self) -> None:
        if asyncio.current_task() in self._writing:
            raise DeadlockError("this task has a write transaction open; write through it")

    async def close(self) -> None:
        """Closes the database. Tasks that wait for it get `CancelledError` of keelkv."""
        if self._database is None:
            return
        self._closing.set()
        self._turns.close()
        self._database.interrupt()
        # On a thread of its own, as all others may be busy with what it ends.
        closer = ThreadPoolExecutor(1, thread_name_prefix="keelkv-close")
        try:
            await asyncio.shield(_on(closer, self._database.close))
        finally:
            closer.shutdown(wait=False)

    def read(
        self, *, snapshot: Union[str, bytes, None] = None, commit: int = 0, time: int = 0,
    ) -> Transaction[K, V]:
        """Begins a read transaction, which is used directly: ``with db.read() as s``; see `Database.read`.

        Its `create_snapshot` alone waits for who writes, and the loop with it; that of `AsyncDatabase` does not.
        """
        return self.database.read(snapshot=snapshot, commit=commit, time=time)

    def write(
        self, *, timeout: Optional[float] = None, nowait: bool = False,
        durability: Optional[Literal["full", "lazy"]] = None, write_memory: int = 0,
    ) -> AsyncTransaction[K, V]:
        """A write transaction: ``async with db.write() as t``. The arguments are those of `Database.write`.

        A task that has one open gets `DeadlockError` if it waits for another one.
        """
        return AsyncTransaction(self, timeout, nowait, durability, write_memory)

    @overload
    async def get(self, key: K, default: None = None) -> Optional[V]: ...

    @overload
    async def get(self, key: K, default: Union[V, D]) -> Union[V, D]: ...

    async def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or the default."""
        return self.database.get(key, default)

    async def put(self, key: K, value: V, flags: int = 0) -> None:
        """Puts an entry in a transaction of its own. A task that is cancelled while it waits has put nothing."""
        async with self.write() as t:
            await t.put(key, value, flags)

    async def create_snapshot(
        self, name: Union[str, bytes], *, replace: bool = False, keep: bool = False, mark: bool = False,
        yields: bool = False, note: bytes = b"",
    ) -> None:
        """Gives the newest state a name, in a transaction of its own; see `Transaction.create_snapshot`."""
        async with self.write() as t:
            await t.create_snapshot(
            name, replace=replace, keep=keep, mark=mark, yields=yields, note=note)

    async def snapshots(self) -> List[bytes]:
        """The names of all snapshots, in order."""
        return self.database.snapshots()

    async def reclaim(self) -> int:
        """Gives back at once what dropped snapshots alone had, and returns how many pages that are.

        A task that has a write transaction open gets `DeadlockError`, since this waits for the end of it.
        """
        self._refuse_self_wait()
        return await _on(self._workers, self.database.reclaim)

    async def snapshot_cost(self, first: Union[str, bytes], last: Union[str, bytes, None] = None) -> int:
        """How many pages come free if a snapshot is dropped; see `Database.snapshot_cost`.

        A task that has a write transaction open gets `DeadlockError`, since this may wait for the end of it.
        """
        self._refuse_self_wait()
        return await _on(self._workers, lambda: self.database.snapshot_cost(first, last))

    async def sync(self) -> None:
        """Makes everything durable that was committed."""
        await _on(self._workers, self.database.sync)

    async def check(self, **options: Any) -> CheckReport:
        """Verifies everything; the arguments are those of `Database.check`, whose callbacks run on another thread."""
        if options.get("space"):
            self._refuse_self_wait()
        return await _on(self._workers, lambda: self.database.check(**options))

    async def compact(self, **options: Any) -> CompactReport:
        """Makes the file smaller; the arguments are those of `Database.compact`, whose callback runs on another thread.

        A task that has a write transaction open gets `DeadlockError`, since this waits for the end of it.
        """
        self._refuse_self_wait()
        return await _on(self._workers, lambda: self.database.compact(**options))

    async def backup(self, target: Union[Path, Stream], **options: Any) -> None:
        """Copies the database; the arguments are those of `Database.backup`. A stream is written on another thread."""
        await _on(self._workers, lambda: self.database.backup(target, **options))

    async def wait_commit(self, after: int, timeout: Optional[float] = None) -> int:
        """Waits for a commit that is newer than number `after`, and returns the newest; `BusyError` after `timeout`."""
        newest = self.database.visible
        if newest > after:
            return newest
        timeout = _database.seconds(timeout)
        came: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiters.append((after, came))
        if self._watching is None:
            self._watching = asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait({came}, timeout=timeout)
            # If there was none in time, the library raises the error that says so.
            return came.result() if came.done() else self.database.wait_commit(after, 0)
        finally:
            if not came.done():
                came.cancel()

    async def _watch(self) -> None:
        """Waits for commits on a single thread, for all tasks that do, and wakes those that one concerns."""
        try:
            newest = self.database.visible
            while True:
                for after, came in self._waiters:
                    if newest > after and not came.done():
                        came.set_result(newest)
                self._waiters = [waiter for waiter in self._waiters if not waiter[1].done()]
                if not self._waiters:
                    return
                try:
                    newest = await _on(self._watcher, self.database.wait_commit, newest, _STEP)
                except BusyError:
                    pass
        except Exception as error:
            for _, came in self._waiters:
                if not came.done():
                    came.set_exception(_closed() if self._closing.is_set() else error)
            self._waiters.clear()
        finally:
            self._watching = None


@overload
def open(path: Optional[Path], **options: Unpack[_database.Options]) -> AsyncDatabase[bytes, bytes]: ...


@overload
def open(
    path: Optional[Path], *, key: Union[Codec[K], Type[K]], **options: Unpack[_database.Options]
) -> AsyncDatabase[K, bytes]: ...


@overload
def open(
    path: Optional[Path], *, value: Union[Codec[V], Type[V]], **options: Unpack[_database.Options]
) -> AsyncDatabase[bytes, V]: ...


@overload
def open(
    path: Optional[Path], *, value: ModuleType, **options: Unpack[_database.Options]
) -> AsyncDatabase[bytes, Any]: ...


@overload
def open(
    path: Optional[Path], *, key: Union[Codec[K], Type[K]], value: Union[Codec[V], Type[V]],
    **options: Unpack[_database.Options],
) -> AsyncDatabase[K, V]: ...


@overload
def open(
    path: Optional[Path], *, key: Union[Codec[K], Type[K]], value: ModuleType, **options: Unpack[_database.Options]
) -> AsyncDatabase[K, Any]: ...


def open(path: Optional[Path], **options: Any) -> AsyncDatabase[Any, Any]:
    """Opens a database for asyncio: ``async with keelkv.aio.open(path) as db``; the arguments are those of `open`."""
    return AsyncDatabase(path, options)
