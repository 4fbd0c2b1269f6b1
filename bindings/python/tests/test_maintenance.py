"""Figures, checks, backups."""

import os

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
        identity = db.identity()
        self.assertEqual(identity.path, os.path.realpath(self.path))
        self.assertEqual(len(identity.uuid), 16)
        with db.read() as s:
            (reader,) = db.readers()
            self.assertEqual(reader.pid, os.getpid())
            self.assertEqual(reader.commit, s.commit_id)
            self.assertFalse(s.stat().writes)
            self.assertEqual(s.table_stat().entries, 1)
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
                    lambda p: db.read().backup(copy, progress=p), lambda p: db.read().check(progress=p)):
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

    def test_codecs(self):
        import json
        import pickle

        with self.open(key=str, value=json) as db:
            db["ä"] = {"list": [1, None, "ö"]}
            self.assertEqual(db["ä"], {"list": [1, None, "ö"]})
            db["null"] = None
            with db.write() as t:
                self.assertIsNone(t.setdefault("null", 5))
                self.assertIsNone(t["null"])
                self.assertEqual(t.setdefault("new", 5), 5)
                users = t.table("users", create=True)
                users["ann"] = [1]
                raw = t.table("raw", create=True, key=bytes, value=bytes)
                raw[b"\xff"] = b"\xfe"
            with db.read() as s:
                self.assertEqual(list(s.items(prefix="n")), [("new", 5), ("null", None)])
                self.assertEqual(s.get_many(["ä", "none", "null"]), [{"list": [1, None, "ö"]}, None, None])
                self.assertEqual(s.table("users").first(), ("ann", [1]))
                self.assertEqual(s.tables(), [b"raw", b"users"])
                self.assertIn("ä", s.keys(start="a"))
                self.assertEqual(s.first(prefix="ä")[0], "ä")
            for wrong in (lambda: db[b"a"], lambda: db[1], lambda: db.items(prefix=1)):
                with self.assertRaises(TypeError):
                    wrong()
        with self.memory(key=int, value=pickle) as db:
            numbers = [-2**63, -5, -1, 0, 1, 7, 2**40, 2**63 - 1]
            db.update((n, (n, "x")) for n in reversed(numbers))
            self.assertEqual(list(db), numbers)
            self.assertEqual(db[-5], (-5, "x"))
            self.assertEqual(list(db.keys(start=-1, stop=7)), [-1, 0, 1])
            for wrong in (2**63, -2**63 - 1):
                with self.assertRaises(ValueError):
                    db[wrong] = 1
            with self.assertRaises(TypeError):
                db["1"]
        for wrong in (float, 5, os):
            with self.assertRaises(TypeError):
                keelkv.open(None, key=wrong)
