"""Threads: what waits releases the GIL, and no order of calls does harm."""

import os
import random
import threading
import time

import keelkv
from common import Case


def start(*functions):
    """Runs functions on threads; returns what waits for them and raises what they raised."""
    raised = []

    def caught(function):
        try:
            function()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=caught, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()

    def join():
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a thread hangs"
        if raised:
            raise raised[0]

    return join


class Threads(Case):
    def test_waiting_for_a_write_transaction_releases_the_gil(self):
        db = self.open()
        t = db.write()
        began = threading.Event()

        def wait():
            began.set()
            with db.write() as other:
                other[b"b"] = b"2"

        join = start(wait)
        began.wait()
        time.sleep(0.1)
        t[b"a"] = b"1"
        t.commit()
        join()
        self.assertEqual(dict(db), {b"a": b"1", b"b": b"2"})

    def test_a_value_is_what_it_was_at_the_call(self):
        db = self.open(durability="lazy")
        for kind in (bytearray, lambda data: memoryview(bytearray(data))):
            for change in ("key", "value"):
                key, value = kind(b"k" * 20), kind(b"v" * 200_000)
                t = db.write()

                def put():
                    db[key] = value

                join = start(put)
                time.sleep(0.1)  # the call waits for its turn, without the GIL
                if change == "key":
                    key[:] = b"x" * 20
                else:
                    value[:] = b"x" * 200_000
                t.abort()
                join()
                self.assertEqual(dict(db), {b"k" * 20: b"v" * 200_000})
                self.assertTrue(db.check().ok)
                del db[b"k" * 20]

    def test_a_timeout(self):
        db = self.open(timeout=0.2)
        t = db.write()

        def wait():
            before = time.monotonic()
            with self.assertRaises(keelkv.BusyError):
                db.write()
            self.assertGreater(time.monotonic() - before, 0.15)
            with self.assertRaises(keelkv.BusyError):
                db[b"a"] = b""
            with self.assertRaises(keelkv.BusyError):
                db.write(timeout=0.05)
            with self.assertRaises(keelkv.BusyError):
                db.write(timeout=0)

        start(wait)()
        t.abort()
        other = self.open(timeout=0.3)
        t = None
        held = []
        start(lambda: held.append(other.write()))()
        before = time.monotonic()
        with self.assertRaises(keelkv.BusyError):
            db.write()
        self.assertLess(time.monotonic() - before, 5)
        held[0].abort()

    def test_interrupt_and_close_end_waits(self):
        for end in ("interrupt", "close"):
            db = keelkv.open(self.path)
            other = self.open()
            t = other.write()
            waiting = threading.Barrier(3)

            def wait():
                waiting.wait()
                with self.assertRaises((keelkv.CancelledError, keelkv.BadHandleError)):
                    db.write()

            def wait_commit():
                waiting.wait()
                with self.assertRaises((keelkv.CancelledError, keelkv.BadHandleError)):
                    db.wait_commit(db.visible)

            join = start(wait, wait_commit)
            waiting.wait()
            time.sleep(0.2)
            getattr(db, end)()
            join()
            t.abort()
            other.close()
            db.close()

    def test_threads_share_an_iterator(self):
        decoding = keelkv.Codec(str.encode, lambda data: time.sleep(0) or data.decode())
        with self.memory(key=decoding, value=str) as db:
            db.update((f"{i:04}", str(i)) for i in range(2000))
            with db.read() as s:
                for steps in (iter(db.items()), iter(s.items()), iter(db), reversed(s)):
                    found = []
                    start(*(lambda: found.extend(steps) for _ in range(4)))()
                    self.assertEqual(len(set(found)), 2000)
                    self.assertEqual(len(found), 2000)
            del steps
            self.assertEqual(db.stat().readers, 0)

    def test_many_threads_read_and_write(self):
        db = self.open(durability="lazy")
        stop = threading.Event()

        def write(name):
            def run():
                for i in range(60):
                    with db.write() as t:
                        for j in range(20):
                            t[b"%d/%d/%d" % (name, i, j)] = b"v" * j
                        t[b"count"] = b"%d" % (int(t.get(b"count", b"0")) + 20)
            return run

        def read():
            while not stop.is_set():
                with db.read() as s:
                    count = int(s.get(b"count", b"0"))
                    self.assertEqual(len(s) - (count > 0), count)
                    self.assertEqual(sum(1 for _ in s.keys(prefix=b"1/")), s.count(prefix=b"1/"))
                self.assertIsNone(db.get(b"none"))

        readers = start(read, read)
        start(*(write(name) for name in range(4)))()
        stop.set()
        readers()
        self.assertEqual(int(db[b"count"]), 4 * 60 * 20)
        self.assertTrue(db.check(space=True).ok)

    def test_one_snapshot_and_one_view_on_many_threads(self):
        db = self.open()
        db.update((b"%04d" % i, b"v%d" % i) for i in range(3000))
        db[b"long"] = b"x" * 1_000_000
        with db.read() as s:
            view = s.view(b"long")
            iterator = iter(s.keys(stop=b"9"))
            seen = [[], [], []]

            def take(mine):
                for key in iterator:
                    mine.append(key)
                    self.assertEqual(s[key], b"v%d" % int(key))
                self.assertEqual(bytes(view[:10]), b"x" * 10)

            start(*(lambda mine=mine: take(mine) for mine in seen))()
            self.assertEqual(sorted(sum(seen, [])), list(s.keys(stop=b"9")))

    def test_ends_on_other_threads(self):
        """Whatever a thread uses, another one ends: only exceptions of this package come, and nothing breaks."""
        rng = random.Random(3)
        for _ in range(30):
            db = keelkv.open(self.path, durability="lazy")
            db.update((b"%03d" % i, b"v" * 1000) for i in range(300))
            t = db.write() if rng.random() < 0.5 else db.read()

            def use():
                try:
                    for _ in range(100):
                        for key, value in t.items():
                            assert value == b"v" * 1000, value
                            if t.writes:
                                t[key] = value
                        t.get(b"100")
                        t.view(b"200")
                        t.cursor().last()
                except keelkv.Error:
                    pass

            join = start(use, use)
            time.sleep(rng.random() * 0.02)
            try:
                rng.choice([t.abort, t.commit, db.close])()
            except keelkv.Error:
                pass
            join()
            db.close()

    def test_a_commit_is_waited_for_by_close(self):
        db = self.open()
        t = db.write()
        t.update((os.urandom(16), b"v" * 500) for _ in range(20_000))

        def commit():
            try:
                t.commit()
            except keelkv.Error:
                pass

        join = start(commit)
        db.close()
        join()
        with self.open() as db:
            self.assertIn(len(db), (0, 20_000))
            self.assertTrue(db.check().ok)

    def test_check_and_backup_release_the_gil(self):
        db = self.open()
        db.update((os.urandom(16), b"v" * 200) for _ in range(50_000))
        ticks, most = [], 0
        stop = threading.Event()

        def tick():
            while not stop.is_set():
                ticks.append(time.monotonic())
                time.sleep(0)

        join = start(tick)
        # On a busy machine the other thread may get no turn during one job.
        for job in (db.check, lambda: db.backup(self.directory / "b.kv", overwrite=True)):
            for _ in range(50):
                ticks.clear()
                before = time.monotonic()
                job()
                after = time.monotonic()
                most = sum(before < at < after for at in list(ticks))
                if most > 3:
                    break
            self.assertGreater(most, 3)
        stop.set()
        join()

    def test_a_callback_may_use_the_database(self):
        db = self.open()
        db[b"a"] = b"1"
        seen = []
        with db.read() as s:
            def progress(done, total):
                seen.append((s[b"a"], db[b"a"], done <= total))
                db[b"b"] = b"2"
                for end in (s.commit, s.refresh, db.close):
                    with self.assertRaises(keelkv.BusyError):
                        end()
                s.abort()

            s.check(progress=progress)
            self.assertEqual(s[b"a"], b"1")
        self.assertEqual(seen, [(b"1", b"1", True)])
        self.assertEqual(db[b"b"], b"2")
