"""The helpers for asyncio."""

import asyncio
import io
import threading
import unittest

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
                        await asyncio.wait_for(wait(), 0.2)
                    with self.assertRaises(keelkv.BusyError):
                        async with db.write(timeout=0.1):
                            pass
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


if __name__ == "__main__":
    unittest.main()
