"""Exceptions: one class for each status, and each one that can be provoked."""

import errno
import os
import pathlib
import pickle
import re
import signal
import unittest

import keelkv
from keelkv import _errors
from common import Case

HEADER = pathlib.Path(__file__).resolve().parents[3] / "include" / "kv.h"


class Classes(unittest.TestCase):
    def test_every_status_has_a_class(self):
        if not HEADER.exists():
            self.skipTest("kv.h is not here")
        statuses = dict(re.findall(r"^#define (KV_[A-Z_]+) \((-\d+)\)$", HEADER.read_text(), re.M))
        self.assertGreater(len(statuses), 30)
        classes = {kind.name: str(kind.status) for kind in _errors.BY_STATUS.values()}
        self.assertEqual(classes, statuses)
        for kind in _errors.BY_STATUS.values():
            self.assertIs(getattr(keelkv, kind.__name__), kind)
            self.assertTrue(kind.__doc__)

    def test_kinds_are_also_built_in(self):
        for status, kind in _errors.BY_STATUS.items():
            self.assertTrue(issubclass(kind, keelkv.Error))
            self.assertEqual(issubclass(kind, ValueError), -39 <= status <= -20, kind)
            self.assertEqual(issubclass(kind, OSError), -59 <= status <= -40, kind)
        self.assertTrue(issubclass(keelkv.NotFoundError, KeyError))
        self.assertTrue(issubclass(keelkv.NoFileError, FileNotFoundError))
        self.assertTrue(issubclass(keelkv.AccessError, PermissionError))

    def test_exceptions_survive_pickle(self):
        for status in _errors.BY_STATUS:
            error = _errors.from_status(status, "a.kv: it happened", errno.EIO, 7, 8, 9, "a.kv")
            copy = pickle.loads(pickle.dumps(error))
            self.assertIs(type(copy), type(error))
            self.assertEqual(str(copy), str(error))
            self.assertEqual((copy.page, copy.table, copy.needed), (7, 8, 9))
            if isinstance(error, OSError):
                self.assertEqual((copy.errno, copy.filename), (errno.EIO, "a.kv"))


class Provoked(Case):
    def test_expected_ones(self):
        db = self.open()
        with self.assertRaises(keelkv.NotFoundError) as caught:
            db[b"none"]
        self.assertEqual(caught.exception.args, (b"none",))
        self.assertEqual(str(caught.exception), "b'none'")
        self.assertEqual(caught.exception.status, -1)
        with self.assertRaises(keelkv.NotFoundError) as caught:
            db[memoryview(b"none")]
        with self.open(None, key=keelkv.Codec(repr_tuple, eval_tuple)) as pairs:
            with self.assertRaises(KeyError) as tuple_caught:
                pairs[(1, 2)]
            self.assertEqual(tuple_caught.exception.args, ((1, 2),))
        with db.write() as t:
            t[b"b"] = b""
            with self.assertRaises(keelkv.ExistsError):
                t.put(b"b", b"", keelkv.NO_OVERWRITE)
            with self.assertRaises(keelkv.OrderError):
                t.put(b"a", b"", keelkv.APPEND)
            with self.assertRaises(keelkv.NoTableError):
                t.table("none")
            with self.assertRaises(keelkv.BusyError):
                db.write(nowait=True)

    def test_usage(self):
        db = self.open()
        with db.write() as t, self.assertRaises(keelkv.InvalidError):
            t.table(b"", create=True)
        with self.assertRaises(keelkv.InvalidError):
            keelkv.open(self.directory / "b.kv", page_size=5)
        with db.write() as t:
            with self.assertRaises(keelkv.TooBigError):
                t[b"k" * (2 * 1024 * 1024 + 1)] = b""
            with self.assertRaises(keelkv.DeadlockError):
                db.write()
            with self.assertRaises(keelkv.DeadlockError):
                db[b"a"] = b""
            t.abort()
        with db.read() as s:
            for write in (
                lambda: s.put(b"a", b""), lambda: s.delete(b"a"), lambda: s.pop(b"a", None), lambda: s.clear(),
                lambda: s.pop_first(), lambda: s.delete_range(prefix=b"a"), lambda: s.setdefault(b"a", b""),
                lambda: s.replace(b"a", b""), lambda: s.table("x", create=True), lambda: s.update({b"a": b""}),
            ):
                with self.assertRaises(keelkv.ReadOnlyError):
                    write()
        with self.assertRaises(keelkv.BadHandleError):
            s[b"a"]
        db[b"a"] = b"1"
        db.close()
        with self.open(read_only=True) as reader:
            self.assertEqual(reader[b"a"], b"1")
            with self.assertRaises(keelkv.ReadOnlyError):
                reader[b"a"] = b"2"
            with self.assertRaises(keelkv.ReadOnlyError):
                reader.write()

    def test_files(self):
        with self.assertRaises(FileNotFoundError) as caught:
            keelkv.open(self.path, create=False)
        self.assertIsInstance(caught.exception, keelkv.NoFileError)
        self.assertEqual(caught.exception.errno, errno.ENOENT)
        self.assertEqual(caught.exception.filename, str(self.path))
        self.assertIn(str(self.path), str(caught.exception))
        self.open().close()
        with self.assertRaises(keelkv.ExistsError):
            keelkv.open(self.path, new=True)
        text = self.directory / "text"
        text.write_text("no database\n" * 2000)
        with self.assertRaises(keelkv.NotADatabaseError):
            keelkv.open(text)
        with self.assertRaises(keelkv.NotADatabaseError):
            keelkv.open(self.directory)
        for wrong in ({"durability": "x"}, {"verify": "x"}):
            with self.assertRaises(ValueError):
                keelkv.open(self.path, **wrong)
        with self.assertRaises(ValueError):
            keelkv.open("a\0b")
        with self.assertRaises(TypeError):
            keelkv.open(5)

    def test_damage(self):
        with self.open() as db:
            db.update((b"%05d" % i, b"v" * 100) for i in range(20_000))
        data = bytearray(self.path.read_bytes())
        for at in range(20_000, len(data) - 5000, 4096 * 50):
            data[at] ^= 0xFF
        self.path.write_bytes(data)
        db = self.open()
        with self.assertRaises(keelkv.CorruptError) as caught:
            for _ in db.items():
                pass
        self.assertIsNotNone(caught.exception.page)
        faults = []
        report = db.check(fault=lambda fault: faults.append(fault))
        self.assertFalse(report.ok)
        self.assertEqual(report.faults, len(faults))
        self.assertEqual(faults[0].status, keelkv.CorruptError.status)
        self.assertIsInstance(faults[0].message, str)
        self.assertEqual({fault.kind for fault in faults}, {"unreadable"})
        with self.assertRaises(keelkv.CorruptError):
            db.backup(self.directory / "copy.kv")
        db.close()
        lost = []
        saved = keelkv.salvage(self.path, self.directory / "saved.kv", fault=lambda fault: lost.append(fault))
        self.assertGreater(saved.entries, 1000)
        self.assertGreater(saved.damaged_pages, 0)
        self.assertTrue(lost)
        with self.open(self.directory / "saved.kv") as db:
            self.assertTrue(db.check().ok)
        with self.assertRaises(keelkv.ExistsError):
            keelkv.salvage(self.path, self.directory / "saved.kv")

    def test_limit_of_readers(self):
        db = self.memory()
        readers = []
        with self.assertRaises(keelkv.LimitError):
            for _ in range(10_000):
                readers.append(db.read())
        for reader in readers:
            reader.abort()
        db.read().abort()

    def test_a_full_disk_spoils_a_transaction(self):
        out = self.program("""
            import keelkv, resource, signal, sys
            db = keelkv.open(sys.argv[1])
            db[b"a"] = b"1"
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
            t = db.write()
            try:
                t[b"long"] = b"x" * (8 << 20)
            except keelkv.NoSpaceError as error:
                assert isinstance(error, OSError) and error.filename == sys.argv[1]
                print("full")
            try:
                t[b"b"] = b"2"
                t.commit()
            except keelkv.TransactionFailedError:
                print("failed")
            t.abort()
            print(dict(db))
        """, self.path)
        self.assertEqual(out, "full\nfailed\n{b'a': b'1'}\n")

    @unittest.skipUnless(hasattr(os, "geteuid") and os.geteuid() == 0, "changes its user, which needs root")
    def test_permission(self):
        self.open().close()
        self.path.chmod(0o600)
        self.directory.chmod(0o755)
        out = self.program("""
            import keelkv, os, sys
            os.setuid(65534)
            try:
                keelkv.open(sys.argv[1])
            except PermissionError as error:
                assert isinstance(error, keelkv.AccessError)
                print(error.errno == 13)
        """, self.path)
        self.assertEqual(out, "True\n")

    def test_memory(self):
        out = self.program("""
            import keelkv, pathlib, resource
            db = keelkv.open(None)
            t = db.write()
            t[b"a"] = b"x" * (64 << 20)
            t.commit()
            s = db.read()
            now = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + (32 << 20), resource.RLIM_INFINITY))
            try:
                s[b"a"]
            except MemoryError:
                print("no memory for a copy")
            try:
                keelkv.open(None)
            except keelkv.NoMemoryError:
                print("no memory for a database")
        """)
        self.assertEqual(out, "no memory for a copy\nno memory for a database\n")

    def test_a_signal_ends_a_wait_on_the_main_thread(self):
        db = self.open()
        other = self.open()
        t = self.begin_elsewhere(other)

        def handler(number, frame):
            raise InterruptedError("a signal")

        former = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, former)
        for write in (db.write, lambda: db.__setitem__(b"a", b"1"), lambda: db.wait_commit(db.visible),
                      lambda: db.wait_commit(db.visible, timeout=60)):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with self.assertRaises(InterruptedError):
                write()
        t.abort()

    def begin_elsewhere(self, db):
        """A write transaction that another thread began."""
        import threading

        begun = []
        thread = threading.Thread(target=lambda: begun.append(db.write()))
        thread.start()
        thread.join()
        return begun[0]


def repr_tuple(pair):
    return repr(pair).encode()


def eval_tuple(data):
    return tuple(map(int, data.decode().strip("()").split(",")))
