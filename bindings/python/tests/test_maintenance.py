"""Figures, checks, backups."""

import errno
import gzip
import io
import os
import threading
import unittest

import keelkv
from common import Case


class Maintenance(Case):
    def test_figures(self):
        db = self.open()
        db[b"a"] = b"1"
        stat = db.stat()
        self.assertEqual(stat.page_size, 4096)
        self.assertEqual(stat.visible, db.visible)
        self.assertEqual(stat.readers, 0)
        self.assertLessEqual(stat.announced_pages_used, stat.announced_pages)
        identity = db.identity()
        self.assertEqual(identity.path, os.path.realpath(self.path))
        self.assertEqual(len(identity.uuid), 16)
        with db.read() as s:
            (reader,) = db.readers()
            self.assertEqual(reader.pid, os.getpid())
            self.assertEqual(reader.commit, s.commit_id)
            self.assertFalse(s.stat().writes)
            self.assertEqual(s.stat_table().entries, 1)
        with db.write():
            self.assertEqual(db.stat().writer, os.getpid())
        self.assertRegex(keelkv.library_version(), r"^\d+\.\d+\.\d+$")
        self.assertIn(keelkv.backend, ("c", "ctypes"))
        self.assertIn(str(self.path), repr(db))

    def test_check(self):
        db = self.open()
        db.update((b"%d" % i, b"v") for i in range(10_000))
        calls = []
        report = db.check(space=True, progress=lambda done, total: calls.append((done, total)))
        self.assertTrue(report.ok)
        self.assertEqual(report.entries, 10_000)
        self.assertTrue(calls)
        with db.read() as s:
            self.assertEqual(s.check().entries, 10_000)
        with db.write(), self.assertRaises(keelkv.DeadlockError):
            db.check(space=True)

    def test_callbacks_cancel_and_raise(self):
        db = self.open()
        db[b"a"] = b"1"
        copy = self.directory / "b.kv"

        def fail(done, total):
            raise ZeroDivisionError("in a callback")

        for job in (lambda p: db.check(progress=p), lambda p: db.backup(copy, progress=p),
                    lambda p: db.compact(progress=p), lambda p: db.read().backup(copy, progress=p), lambda p: db.read().check(progress=p)):
            with self.assertRaisesRegex(ZeroDivisionError, "in a callback"):
                job(fail)
            with self.assertRaises(keelkv.CancelledError):
                job(lambda done, total: True)
            with self.assertRaises(TypeError):
                job(5)
        self.assertFalse(copy.exists())
        self.assertEqual(db[b"a"], b"1")

    def test_backup(self):
        db = self.open()
        db.update((b"%d" % i, b"v" * 100) for i in range(1000))
        copy = self.directory / "b.kv"
        calls = []
        with db.read() as s:
            db[b"later"] = b""
            s.backup(copy, progress=lambda done, total: calls.append((done, total)))
        self.assertEqual(calls[-1][0], calls[-1][1])
        with self.open(copy) as other:
            self.assertEqual(len(other), 1000)
            self.assertNotEqual(other.identity().uuid, db.identity().uuid)
        with self.assertRaises(keelkv.ExistsError):
            db.backup(copy)
        db.backup(str(copy), overwrite=True)
        with self.open(copy) as other:
            self.assertIn(b"later", other)
        db.backup(os.fsencode(self.directory / "c.kv"), compact=True)
        with self.open(self.directory / "c.kv") as other:
            self.assertEqual(other, db)

    def test_compact(self):
        db = self.open()
        with db.write() as t:
            t.table("large", create=True).update((b"%06d" % i, b"v" * 200) for i in range(20_000))
        with db.write() as t:
            t.table("small", create=True).update((b"%06d" % i, b"v" * 200) for i in range(1000))
        with db.write() as t:
            t.table("large").drop()
        db.sync()
        first, calls = self.path.stat().st_size, []
        report = db.compact(stay=True, punch=True)
        self.assertIsInstance(report, keelkv.CompactReport)
        self.assertEqual(report.moved_pages, 0)
        self.assertGreater(report.punched_bytes, 1 << 20)
        with db.read() as reader:
            report = db.compact(progress=lambda done, total: calls.append((done, total)))
            self.assertEqual(report.held_commit, reader.commit_id)
            self.assertGreater(report.moved_pages, 30)
        self.assertEqual(calls[-1][0], calls[-1][1])
        before = self.path.stat().st_size
        report = db.compact()
        self.assertEqual((report.held_commit, report.cut_bytes), (0, before - self.path.stat().st_size))
        self.assertLess(self.path.stat().st_size, first // 3)
        self.assertTrue(db.check(space=True).ok)
        with db.write(), self.assertRaises(keelkv.DeadlockError):
            db.compact()

    def test_check_below_a_damaged_branch(self):
        with self.open() as db:
            db.update((b"%05d" % i, b"v" * 60) for i in range(4000))
            sound = db.check(space=True)
        self.assertEqual(sound.unaccounted_pages, 0)
        data = bytearray(self.path.read_bytes())
        # The first byte of a branch is 3, and the second its level.
        branch = next(at for at in range(4 * 4096, len(data), 4096) if data[at:at + 2] == b"\3\2")
        data[branch + 100] ^= 1
        self.path.write_bytes(data)
        with self.open() as db:
            report = db.check(space=True)
        self.assertEqual((report.ok, report.faults), (False, 1))
        self.assertEqual(report.unaccounted_pages, sound.tree_pages - report.tree_pages)
        self.assertGreater(report.unaccounted_pages, 50)

    def test_backup_into_a_stream(self):
        db = self.open()
        db.update((b"%d" % i, b"v" * 100) for i in range(1000))
        calls = []
        streams = {"file.kv": lambda path: open(path, "wb"), "raw.kv": lambda path: open(path, "wb", buffering=0),
                   "packed.kv": lambda path: gzip.open(path, "wb", compresslevel=1)}
        for name, make in streams.items():
            for compact in (False, True):
                with db.read() as s, make(self.directory / name) as stream:
                    s.backup(stream, compact=compact, progress=lambda done, total: calls.append((done, total)))
                    self.assertFalse(stream.closed)
                self.assertEqual(calls[-1][0], calls[-1][1])
                if name == "packed.kv":
                    data = gzip.decompress((self.directory / name).read_bytes())
                    (self.directory / name).write_bytes(data)
                with self.open(self.directory / name) as copy:
                    self.assertEqual(copy, db)
                    self.assertTrue(copy.check(space=True).ok)
        memory = io.BytesIO()
        self.assertIsNone(db.backup(memory))
        (self.directory / "memory.kv").write_bytes(memory.getvalue())
        with self.open(self.directory / "memory.kv") as copy:
            self.assertEqual(copy, db)
        self.assertEqual(db.stat().readers, 0)

    def test_backup_into_a_pipe(self):
        db = self.open()
        db.update((b"%d" % i, b"v" * 100) for i in range(10_000))
        reading, writing = os.pipe()
        received = []

        def receive():
            with open(reading, "rb") as pipe:
                received.append(pipe.read())

        thread = threading.Thread(target=receive)
        thread.start()
        with open(writing, "wb", buffering=0) as pipe:
            db.backup(pipe)
        thread.join()
        (self.directory / "piped.kv").write_bytes(received[0])
        with self.open(self.directory / "piped.kv") as copy:
            self.assertEqual(copy, db)

    def test_streams_that_take_a_part_at_a_time(self):
        db = self.open()
        db.update((b"%d" % i, b"v" * 100) for i in range(1000))

        class Some(io.RawIOBase):
            parts = []

            def write(self, data):
                self.parts.append(bytes(data[:1000]))
                return len(self.parts[-1])

        db.backup(Some())
        (self.directory / "parts.kv").write_bytes(b"".join(Some.parts))
        with self.open(self.directory / "parts.kv") as copy:
            self.assertEqual(copy, db)
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with open(reading, "rb"), open(writing, "wb", buffering=0) as full:
            with self.assertRaises(BlockingIOError):
                db.backup(full)

    def test_streams_that_fail(self):
        db = self.open()
        db[b"a"] = b"1"

        class Broken:
            def __init__(self, error):
                self.error = error

            def write(self, data):
                raise self.error

        for error in (OSError(errno.EPIPE, "the pipe is gone"), ZeroDivisionError("in write"), KeyboardInterrupt()):
            with self.assertRaises(type(error)) as caught:
                db.backup(Broken(error))
            self.assertIs(caught.exception, error)
        with self.assertRaises(TypeError):
            db.backup(io.StringIO())

        class Negative:
            calls = 0

            def write(self, data):
                self.calls += 1
                return -1 if self.calls < 10 else None

        with self.assertRaisesRegex(OSError, "-1"):
            db.backup(Negative())
        with self.assertRaisesRegex(ValueError, "overwrite"):
            db.backup(io.BytesIO(), overwrite=True)
        with self.assertRaises(keelkv.CancelledError):
            db.backup(io.BytesIO(), progress=lambda done, total: True)
        for wrong in (5, None, object()):
            with self.assertRaises(TypeError):
                db.backup(wrong)
        self.assertEqual(db.stat().readers, 0)
        self.assertEqual(db[b"a"], b"1")


if __name__ == "__main__":
    unittest.main()
