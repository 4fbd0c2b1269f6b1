"""The helpers for asyncio."""

import asyncio
import io
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

import keelkv.aio
from common import Case


class Aio(Case):
    def run_loop(self, coroutine):
        return asyncio.run(asyncio.wait_for(coroutine, 60))

    def test_the_whole(self):
        async def main():
            async with keelkv.aio.open(self.path) as db:
                async with db.write() as t:
                    await t.put(b"a", b"1")
                    self.assertEqual(await t.put_many([(b"b", b"2"), (b"c", b"3")]), 2)
                    self.assertTrue(await t.delete(b"c"))
                    self.assertEqual(await t.get(b"a"), b"1")
                    self.assertEqual(await t.items(prefix=b"b"), [(b"b", b"2")])
                    thread = await t.run(lambda transaction: threading.get_ident())
                    self.assertEqual(await t.run(lambda transaction: threading.get_ident()), thread)
                    self.assertNotEqual(thread, threading.get_ident())
                with self.assertRaises(ZeroDivisionError):
                    async with db.write() as t:
                        await t.put(b"lost", b"1")
                        raise ZeroDivisionError
                with db.read() as s:
                    self.assertEqual(dict(s), {b"a": b"1", b"b": b"2"})

                def half(t):
                    with t.nested() as n:
                        n[b"c"] = b"3"
                    with t.savepoint():
                        del t[b"a"]
                        raise ZeroDivisionError

                async with db.write() as t:
                    with self.assertRaises(ZeroDivisionError):
                        await t.run(half)
                    self.assertEqual([await t.get(key) for key in (b"a", b"c")], [b"1", b"3"])
                    await t.delete(b"c")
                await db.put(b"d", b"4")
                self.assertEqual(await db.get(b"d"), b"4")
                await db.sync()
                self.assertTrue((await db.check()).ok)
                await db.backup(self.directory / "b.kv")
                stream = io.BytesIO()
                await db.backup(stream)
                self.assertEqual(len(stream.getvalue()) % 4096, 0)
                with self.assertRaises(keelkv.BusyError):
                    await db.wait_commit(db.database.visible, timeout=0.1)
                waiter = asyncio.ensure_future(db.wait_commit(db.database.visible))
                await asyncio.sleep(0.05)
                await db.put(b"e", b"5")
                self.assertEqual(await waiter, db.database.visible)
                with self.assertRaises(RuntimeError):
                    await db.write().put(b"a", b"1")
            self.assertTrue(db.database.closed)

        self.run_loop(main())

    def test_snapshots(self):
        async def main():
            async with keelkv.aio.open(self.path) as db:
                await db.put(b"a", b"before")
                await db.create_snapshot("old", note=b"a note")
                async with db.write() as t:
                    await t.put(b"a", b"after")
                    await t.create_snapshot("new", keep=True)
                    self.assertEqual(await t.snapshots(), [b"new", b"old"])
                    self.assertEqual((await t.stat_snapshot("old")).note, b"a note")
                with db.read(snapshot="old") as s:
                    self.assertEqual(s[b"a"], b"before")
                    async with db.write() as t:
                        self.assertEqual(await t.revert(s), 1)
                self.assertEqual(await db.get(b"a"), b"before")
                self.assertEqual(await db.snapshots(), [b"new", b"old"])
                self.assertIsInstance(await db.snapshot_cost("new"), int)
                async with db.write() as t:
                    await t.set_history(keelkv.Retention(interval=9, last=1))
                    self.assertEqual((await t.history()).interval, 9)
                    await t.set_history(None)
                    self.assertEqual(await t.thin_snapshots("none", keelkv.Retention(last=1)), 0)
                async with db.write() as t:
                    with self.assertRaises(keelkv.InvalidError):
                        await t.drop_snapshot("new")
                    await t.keep_snapshot("new", False)
                    await t.rename_snapshot("old", "new")
                    await t.drop_snapshot("new")
                    with self.assertRaisesRegex(keelkv.DeadlockError, "^this task has a write transaction open"):
                        await db.reclaim()
                    with self.assertRaisesRegex(keelkv.DeadlockError, "^this task has a write transaction open"):
                        await db.compact()
                self.assertEqual((await db.compact(stay=True)).held_commit, 0)
                self.assertEqual(await db.snapshots(), [])
                self.assertIsInstance(await db.reclaim(), int)
                with self.assertRaises(keelkv.ExistsError):
                    await db.create_snapshot("twice")
                    await db.create_snapshot("twice")

        self.run_loop(main())

    def test_tasks_take_turns(self):
        async def main():
            async with keelkv.aio.open(self.path, durability="lazy") as db:
                async def count():
                    for _ in range(10):
                        async with db.write() as t:
                            number = int(await t.get(b"n", b"0"))
                            await asyncio.sleep(0)
                            await t.put(b"n", b"%d" % (number + 1))

                await asyncio.gather(*(count() for _ in range(5)))
                self.assertEqual(await db.get(b"n"), b"50")

        self.run_loop(main())

    def test_a_task_that_waits_can_be_cancelled(self):
        async def main():
            async with keelkv.aio.open(self.path) as db:
                async with db.write() as t:
                    await t.put(b"a", b"1")

                    async def wait():
                        async with db.write():
                            self.fail("two write transactions are open")

                    with self.assertRaises(asyncio.TimeoutError):
                        await asyncio.wait_for(asyncio.ensure_future(wait()), 0.2)

                    async def wait_a_little(**options):
                        async with db.write(**options):
                            self.fail("two write transactions are open")

                    for options in ({"timeout": 0.1}, {"timeout": 0}, {"nowait": True}):
                        with self.assertRaisesRegex(keelkv.BusyError, "a.kv: busy: another task is writing; "):
                            await asyncio.ensure_future(wait_a_little(**options))
                async with db.write(timeout=5) as t:
                    self.assertEqual(await t.get(b"a"), b"1")

        self.run_loop(main())

    def test_the_loop_goes_on(self):
        async def main():
            other = self.open()
            async with keelkv.aio.open(self.path) as db:
                held = other.write()
                ticks = 0

                async def write():
                    async with db.write() as t:
                        await t.put(b"a", b"1")

                task = asyncio.ensure_future(write())
                for _ in range(10):
                    await asyncio.sleep(0.01)
                    ticks += 1
                self.assertFalse(task.done())
                held.abort()
                await task
                self.assertEqual(ticks, 10)

        self.run_loop(main())

    def test_others_go_on_with_their_executor(self):
        async def main():
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
            async with keelkv.aio.open(self.path, durability="lazy") as db:
                async def write():
                    async with db.write() as t:
                        await asyncio.sleep(0.05)
                        await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.01)
                        await t.put(b"a", b"b")

                tasks = [asyncio.ensure_future(write())]
                await asyncio.sleep(0.02)
                tasks += [asyncio.ensure_future(db.put(b"%d" % i, b"x")) for i in range(20)]
                tasks += [asyncio.ensure_future(db.wait_commit(db.database.visible + 10)) for i in range(200)]
                await asyncio.wait_for(asyncio.gather(*tasks), 30)
                self.assertEqual(len(db.database), 21)
                self.assertLess(threading.active_count(), 10)

        self.run_loop(main())

    def test_closing_ends_what_waits(self):
        async def main():
            other = self.open(durability="lazy")
            began, end = threading.Event(), threading.Event()

            def hold():
                with other.write():
                    began.set()
                    end.wait(30)

            thread = threading.Thread(target=hold)
            thread.start()
            began.wait()
            try:
                async with keelkv.aio.open(self.path, durability="lazy") as db:
                    tasks = [asyncio.ensure_future(db.put(b"%d" % i, b"x")) for i in range(3)]
                    tasks += [asyncio.ensure_future(db.wait_commit(db.database.visible)) for i in range(3)]
                    await asyncio.sleep(0.1)
                    before = time.monotonic()
                self.assertLess(time.monotonic() - before, 10)
                for answer in await asyncio.gather(*tasks, return_exceptions=True):
                    self.assertIsInstance(answer, keelkv.CancelledError)
                with self.assertRaises(keelkv.CancelledError):
                    await db.put(b"late", b"x")
            finally:
                end.set()
                thread.join()
            self.assertEqual(len(other), 0)

        self.run_loop(main())

    def test_what_is_cancelled_is_not_written(self):
        async def main():
            async with keelkv.aio.open(self.path, durability="lazy") as db:
                async with db.write() as t:
                    for _ in range(3):
                        with self.assertRaises(asyncio.TimeoutError):
                            await asyncio.wait_for(asyncio.ensure_future(db.put(b"late", b"x")), 0.05)
                    await t.put(b"a", b"1")
                await db.put(b"b", b"2")
                self.assertEqual(list(db.database), [b"a", b"b"])
                # Wherever a cancellation strikes, the next task gets its turn.
                for i in range(60):
                    task = asyncio.ensure_future(db.put(b"c", b"%d" % i))
                    await asyncio.sleep(0.0001 * (i % 20))
                    task.cancel()
                    await asyncio.wait_for(db.put(b"d", b"%d" % i), 10)
                self.assertEqual(await db.get(b"d"), b"59")

        self.run_loop(main())

    def test_who_waits_no_longer_leaves_the_queue(self):
        async def main():
            async with keelkv.aio.open(self.path, durability="lazy") as db:
                async def write(timeout):
                    async with db.write(timeout=timeout) as t:
                        await t.put(b"a", b"1")

                async with db.write() as t:
                    late = [asyncio.ensure_future(write(0.01)) for _ in range(5)]
                    cancelled = [asyncio.ensure_future(write(30)) for _ in range(5)]
                    waits = asyncio.ensure_future(write(30))
                    await asyncio.sleep(0.05)
                    for task in cancelled:
                        task.cancel()
                    for answer in await asyncio.gather(*late, return_exceptions=True):
                        self.assertIsInstance(answer, keelkv.BusyError)
                    for answer in await asyncio.gather(*cancelled, return_exceptions=True):
                        self.assertIsInstance(answer, asyncio.CancelledError)
                    self.assertEqual(len(db._turns._waiting), 1)
                    await t.put(b"b", b"2")
                await asyncio.wait_for(waits, 10)
                self.assertEqual(len(db.database), 2)

        self.run_loop(main())

    def test_a_task_does_not_wait_for_itself(self):
        async def main():
            async with keelkv.aio.open(self.path, durability="lazy") as db:
                async with db.write(write_memory=1 << 20) as t:
                    await t.put(b"a", b"1")
                    for wait in (db.put(b"b", b"2"), db.write().__aenter__(), db.write(timeout=5).__aenter__(),
                                 db.check(space=True)):
                        with self.assertRaisesRegex(
                            keelkv.DeadlockError, "^this task has a write transaction open; write through it$"
                        ):
                            await wait
                    await t.run(lambda transaction: transaction.commit())
                    await db.put(b"c", b"3")
                await db.put(b"d", b"4")
                self.assertEqual(list(db.database), [b"a", b"c", b"d"])

        self.run_loop(main())


if __name__ == "__main__":
    unittest.main()
