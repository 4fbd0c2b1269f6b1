"""What is refused says what to do instead, and what is there says how it is called."""

import inspect
import unittest

import keelkv
from common import Case

FLAGS = r": flags: it has bits that cannot be given to this call; it takes keelkv.NO_OVERWRITE \| "


class Advice(Case):
    def refused(self, kind, text, call, *arguments, **options):
        with self.assertRaisesRegex(kind, text):
            call(*arguments, **options)

    def test_times(self):
        infinite = float("inf")
        with self.memory() as db:
            for wrong in (float("nan"), "1", b"1", -1, -0.5, -infinite, [], 1j):
                form = "^timeout is seconds, 0 or more, or None, and this is "
                self.refused(ValueError, form, keelkv.open, None, timeout=wrong)
                self.refused(ValueError, form, db.write, timeout=wrong)
                self.refused(ValueError, form, db.wait_commit, 0, timeout=wrong)
        with self.memory(timeout=infinite) as db:
            for timeout in (infinite, 1e300, 10**400, 0, 0.5, None):
                db.write(timeout=timeout).abort()

    def test_numbers(self):
        with self.memory() as db:
            for wrong in (-1, 1 << 70):
                self.refused(ValueError, "^write_memory is a whole number ", keelkv.open, None, write_memory=wrong)
                self.refused(ValueError, "^page_size is a whole number from 0 ", keelkv.open, None, page_size=wrong)
                self.refused(ValueError, "^write_memory is ", db.write, write_memory=wrong)
                self.refused(ValueError, "^a commit is ", db.wait_durable, wrong)
                self.refused(ValueError, "^a commit is ", db.wait_commit, wrong)
            self.refused(TypeError, "", db.write, write_memory=1.5)
            self.refused(OverflowError, "", db.put, b"a", b"1", 1 << 40)
            with db.write() as t:
                t[b"a"] = b"1"
                for wrong in (1 << 40, 1 << 64, -1):
                    self.refused(OverflowError, "", t.put, b"a", b"2", wrong)
                    self.refused(OverflowError, "", t.delete, b"a", wrong)
                    self.refused(OverflowError, "", t.writer, b"a", 0, wrong)
                    self.refused(ValueError, "^level is ", t.stat_table, wrong)
                self.refused(OverflowError, "", t.writer, b"a", 1 << 64)
                self.refused(OverflowError, "", t.nth, 1 << 64)
                self.refused(OverflowError, "", t.read, b"a", 1 << 64, 1)
                for wrong in (1.0, "1", None):
                    self.refused(TypeError, "", t.nth, wrong)
                    self.refused(TypeError, "", t.put, b"a", b"2", wrong)
                self.refused(keelkv.InvalidError, FLAGS, t.put, b"a", b"2", 9999)
                self.assertEqual(list(t.items()), [(b"a", b"1")])

    def test_what_was_meant(self):
        with self.memory() as db:
            for thing in (db, db.read()):
                self.refused(
                    TypeError, r"^a slice is no key; items\(start=..., stop=...\) has ", lambda: thing[b"a":b"b"]
                )
            for wrong, name in ((1, "int"), (None, "NoneType"), (object(), "object")):
                self.refused(TypeError, f"^a key is bytes, and this one is {name}; ", db.get, wrong)
                self.refused(TypeError, f"^a value is bytes, and this one is {name}; ", db.put, b"a", wrong)
            for name in ("table", "count", "rank", "nth", "get_many", "first", "delete", "cursor", "put_many"):
                form = f"^a Database has no {name}, which is of a transaction: `with db.read.. as s: s.{name}`, or "
                self.refused(AttributeError, form, getattr, db, name)
            self.refused(AttributeError, "^'Database' object has no attribute 'nope'$", getattr, db, "nope")
            with self.assertRaisesRegex(
                keelkv.ChildOpenError, r"aborted; use `with t.writer\(key\) as w:` and `with t.nested\(\) as n:`$"
            ):
                with db.write() as t:
                    writer = t.writer(b"a")
                    writer.write(b"part")
        self.refused(TypeError, r"^a Database is made by keelkv.open\(path\)$", keelkv.Database, "a.kv")
        self.refused(TypeError, r"^a Database is made by keelkv.open\(path\)$", keelkv.Database, path="a.kv")

    def test_help(self):
        for kind in (keelkv.Cursor, keelkv.Writer):
            self.assertEqual(kind.__module__, "keelkv")
            for name, method in vars(kind).items():
                if not name.startswith("_") and callable(method):
                    self.assertTrue(method.__doc__, name)
                    inspect.signature(method)
        self.assertEqual((keelkv.Cursor.__name__, keelkv.Writer.__name__), ("Cursor", "Writer"))
        self.assertEqual(str(keelkv.Cursor[bytes, str]), "keelkv.Cursor[bytes, str]")
        with self.memory() as db, db.write() as t:
            t[b"k1"] = b"1"
            cursor = t.cursor()
            self.assertIsInstance(cursor, keelkv.Cursor)
            self.assertIsInstance(t.writer(b"a"), keelkv.Writer)
            self.assertEqual(cursor.seek(b"k"), (b"k1", b"1"))
            self.assertIsNone(cursor.seek(b"k", keelkv.SEEK_EQ))
            t.abort()
        shown = {name for name in dir(keelkv) if not name.startswith("__")}
        self.assertEqual(shown, set(keelkv.__all__))


if __name__ == "__main__":
    unittest.main()
