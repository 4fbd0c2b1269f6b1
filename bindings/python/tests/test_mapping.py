"""Databases, transactions and tables as mappings, and everything else that tables can do."""

import collections.abc
import unittest

import keelkv
from common import Case


class DatabaseMapping(Case):
    def test_the_mapping_of_a_database(self):
        db = self.open()
        self.assertIsInstance(db, collections.abc.MutableMapping)
        self.assertFalse(db)
        db[b"b"] = b"2"
        db[b"a"] = b"1"
        self.assertEqual(db[b"a"], b"1")
        self.assertEqual(db.get(b"a"), b"1")
        self.assertIsNone(db.get(b"x"))
        self.assertEqual(db.get(b"x", b"default"), b"default")
        self.assertEqual(db.get(b"x", default=7), 7)
        self.assertIn(b"a", db)
        self.assertNotIn(b"x", db)
        self.assertEqual(len(db), 2)
        self.assertEqual(list(db), [b"a", b"b"])
        self.assertEqual(list(reversed(db)), [b"b", b"a"])
        self.assertEqual(dict(db), {b"a": b"1", b"b": b"2"})
        self.assertEqual(db, {b"a": b"1", b"b": b"2"})
        del db[b"a"]
        with self.assertRaises(KeyError):
            del db[b"a"]
        with self.assertRaises(KeyError):
            db[b"a"]
        self.assertEqual(db.pop(b"b"), b"2")
        self.assertEqual(db.pop(b"b", None), None)
        with self.assertRaises(KeyError):
            db.pop(b"b")
        self.assertEqual(db.setdefault(b"c", b"3"), b"3")
        self.assertEqual(db.setdefault(b"c", b"4"), b"3")
        db.update({b"d": b"4"})
        db.update([(b"e", b"5")])
        self.assertEqual(db.popitem(), (b"c", b"3"))
        self.assertEqual(list(db.keys()), [b"d", b"e"])
        self.assertEqual(list(db.values()), [b"4", b"5"])
        db.put(b"f", b"6", keelkv.NO_OVERWRITE)
        with self.assertRaises(keelkv.ExistsError):
            db.put(b"f", b"7", keelkv.NO_OVERWRITE)
        db.clear()
        self.assertEqual(len(db), 0)
        with self.assertRaises(KeyError):
            db.popitem()

    def test_values_of_every_length(self):
        db = self.open()
        lengths = [0, 1, 100, 4095, 4096, 4097, 70_000, 3_000_000]
        for length in lengths:
            db[b"%d" % length] = b"x" * length
        for length in lengths:
            key = b"%d" % length
            self.assertEqual(db[key], b"x" * length)
            with db.read() as s:
                self.assertEqual(s[key], b"x" * length)
                self.assertEqual(s.size(key), length)
                self.assertEqual(s.read(key, 10, 20), (b"x" * length)[10:30])
                self.assertEqual(s.read(key, 2**40, 2**40), b"")
                self.assertEqual(len(s.view(key)), length)
        with db.read() as s:
            self.assertEqual({len(value) for value in s.values()}, set(lengths))
            self.assertIsNone(s.read(b"none", 0, 1))
            self.assertIsNone(s.size(b"none"))
            with self.assertRaises(ValueError):
                s.read(b"1", -1, 1)

    def test_other_bytes_than_bytes(self):
        db = self.open()
        db[bytearray(b"key")] = memoryview(b"value")
        self.assertEqual(db[memoryview(b"key")], b"value")
        with db.write() as t:
            t[bytearray(b"k2")] = bytearray(b"v2")
            self.assertEqual(t.get_many([bytearray(b"k2"), b"none"]), [b"v2", None])
            del t[memoryview(b"k2")]
        self.assertIn(bytearray(b"key"), db)

    def test_str_is_refused_and_says_what_to_do(self):
        db = self.open()
        for wrong in (lambda: db["a"], lambda: db.get("a"), lambda: "a" in db, lambda: db.__setitem__("a", b"")):
            with self.assertRaisesRegex(TypeError, r"a key is bytes, and this one is str; .*key=str"):
                wrong()
        with self.assertRaisesRegex(TypeError, r"a value is bytes, and this one is str; .*value=str"):
            db[b"a"] = "text"
        for thing in (1, None, 1.5, object(), ["a"]):
            with self.assertRaisesRegex(TypeError, "a key is bytes"):
                db[thing]
            with db.write() as t:
                with self.assertRaisesRegex(TypeError, "a value is bytes"):
                    t[b"a"] = thing

    def test_items_are_pairs(self):
        with self.memory(key=str, value=str) as db, db.write() as t:
            self.assertEqual(t.put_many({"no": "Oslo", "se": "Stockholm"}), 2)
            self.assertEqual(dict(t), {"no": "Oslo", "se": "Stockholm"})
            with self.memory(key=str, value=str) as other:
                other["dk"] = "København"
                self.assertEqual(t.put_many(other), 1)
                with other.read() as s:
                    self.assertEqual(t.put_many(s), 1)
            self.assertEqual(t.put_many([["fi", "Helsinki"], iter(("is", "Reykjavík"))]), 2)
            self.assertEqual(len(t), 5)
            t.clear()
            form = "^an item is a pair of a key and a value, and this "
            for put in (t.put_many, t.update):
                for wrong, what in (
                    ("ab", "is str: 'ab'$"), (b"ab", "is bytes: "), (5, "is int: 5$"), ({"a", "b"}, "is set: "),
                    ({"a": "b", "c": "d"}, "is dict: "),
                ):
                    with self.assertRaisesRegex(TypeError, form + what):
                        put([wrong])
                with self.assertRaisesRegex(ValueError, form + "has 3 parts$"):
                    put([("a", "b", "c")])
            self.assertEqual(len(t), 0)


class Transactions(Case):
    def test_a_block_whose_database_is_closed_tells_that_nothing_was_written(self):
        db = self.open()
        with self.assertRaisesRegex(keelkv.BadHandleError, "^the database of this transaction is closed; "):
            with db.write() as t:
                t[b"a"] = b"1"
                db.close()
        with self.open() as db:
            self.assertEqual(len(db), 0)
            with db.write() as t:
                t[b"a"] = b"1"
                t.commit()
            with self.assertRaises(ZeroDivisionError), db.write() as t:
                db.close()
                raise ZeroDivisionError
        db = self.open()
        with db.read():
            db.close()

    def test_a_block_commits_or_aborts(self):
        db = self.open()
        with db.write() as t:
            t[b"a"] = b"1"
            self.assertTrue(t.writes)
        self.assertTrue(t.ended)
        self.assertEqual(db[b"a"], b"1")
        with self.assertRaises(ZeroDivisionError):
            with db.write() as t:
                t[b"a"] = b"2"
                1 / 0  # noqa: B018
        self.assertEqual(db[b"a"], b"1")
        with db.write() as t:
            t[b"b"] = b"2"
            t.abort()
        with db.write() as t:
            t[b"c"] = b"3"
            number = t.commit()
        self.assertEqual(db.visible, number)
        self.assertEqual(list(db), [b"a", b"c"])

    def test_a_snapshot_does_not_change(self):
        db = self.open()
        db[b"a"] = b"1"
        with db.read() as s:
            before = s.commit_id
            db[b"a"] = b"2"
            self.assertEqual(s[b"a"], b"1")
            self.assertFalse(s.writes)
            s.refresh()
            self.assertGreater(s.commit_id, before)
            self.assertEqual(s[b"a"], b"2")
            with self.assertRaises(keelkv.ReadOnlyError):
                s[b"a"] = b"3"

    def test_commits_that_are_not_waited_for(self):
        db = self.open()
        t = db.write()
        t[b"a"] = b"1"
        number = t.commit_async()
        db.wait_durable(number)
        self.assertEqual(db[b"a"], b"1")
        self.assertGreaterEqual(db.durable, number)
        with db.write(durability="lazy") as t:
            t[b"b"] = b"1"
        db.sync()
        self.assertEqual(db.durable, db.visible)
        with self.assertRaises(ValueError):
            db.write(durability="none")
        with self.assertRaises(keelkv.BusyError):
            db.wait_commit(db.visible, timeout=0)
        self.assertEqual(db.wait_commit(db.visible - 1), db.visible)

    def test_single_operations(self):
        db = self.memory()
        with db.write() as t:
            self.assertTrue(t.insert(b"a", b"1"))
            self.assertFalse(t.insert(b"a", b"2"))
            self.assertEqual(t.replace(b"a", b"3"), b"1")
            self.assertIsNone(t.replace(b"b", b"4"))
            self.assertEqual(t.setdefault(b"b", b"5"), b"4")
            self.assertEqual(t.setdefault(b"c", b"6"), b"6")
            self.assertEqual(t.pop(b"c"), b"6")
            self.assertEqual(t.pop(b"c", 8), 8)
            self.assertEqual(t.pop(b"c", default=9), 9)
            self.assertTrue(t.delete(b"b"))
            self.assertFalse(t.delete(b"b"))
            self.assertTrue(t.delete(b"b", keelkv.BLIND))
            with self.assertRaises(KeyError):
                t.put(b"b", b"1", keelkv.NO_INSERT)
            with self.assertRaises(keelkv.OrderError):
                t.put(b"A", b"1", keelkv.APPEND)
            self.assertEqual(t.put_many([(b"x", b"1"), [b"y", b"2"]]), 2)
            self.assertEqual(t.pop_first(), (b"a", b"3"))
            self.assertEqual(t.pop_first(reverse=True), (b"y", b"2"))
            self.assertEqual(t.pop_first(prefix=b"q"), None)
            self.assertEqual(list(t), [b"x"])
            t.update(t.items())
            self.assertEqual(t.popitem(), (b"x", b"1"))
            with self.assertRaises(KeyError):
                t.popitem()
            stat = t.stat()
            self.assertTrue(stat.writes)

    def test_counts_and_places(self):
        db = self.memory()
        with db.write() as t:
            t.update((b"%03d" % i, b"%d" % i) for i in range(200))
            t[b"x"] = b""
        with db.read() as s:
            self.assertEqual(len(s), 201)
            self.assertEqual(s.count(), 201)
            self.assertEqual(s.count(prefix=b"01"), 10)
            self.assertEqual(s.count(start=b"010", stop=b"020"), 10)
            self.assertEqual(s.count(start=b"190"), 11)
            self.assertEqual(s.rank(b"100"), 100)
            self.assertEqual(s.rank(b"100a"), 101)
            self.assertEqual(s.nth(7), (b"007", b"7"))
            self.assertEqual(s.nth(-1), (b"x", b""))
            self.assertEqual(s.nth(-1, prefix=b"1"), (b"199", b"199"))
            self.assertIsNone(s.nth(201))
            self.assertIsNone(s.nth(-202))
            self.assertEqual(s.percentile(50, prefix=b"0"), (b"049", b"49"))
            self.assertEqual(s.percentile(0), s.first())
            self.assertEqual(s.percentile(100), s.last())
            with self.assertRaises(keelkv.InvalidError):
                s.percentile(101)
            self.assertEqual(s.first(start=b"150"), (b"150", b"150"))
            self.assertEqual(s.last(stop=b"150"), (b"149", b"149"))
            self.assertIsNone(s.first(prefix=b"q"))
            self.assertTrue(s.random(prefix=b"19")[0].startswith(b"19"))
            self.assertEqual(s.get_many([b"003", b"none", b"001"]), [b"3", None, b"1"])
            self.assertEqual(s.get_many([]), [])

    def test_delete_range(self):
        db = self.memory()
        with db.write() as t:
            t.update((b"%03d" % i, b"") for i in range(100))
            self.assertEqual(t.delete_range(prefix=b"01"), 10)
            self.assertEqual(t.delete_range(start=b"090"), 10)
            self.assertEqual(t.delete_range(start=b"500"), 0)
            with self.assertRaises(keelkv.InvalidError):
                t.delete_range()
            self.assertEqual(len(t), 80)
            t.clear()
            self.assertEqual(len(t), 0)

    def test_tables(self):
        db = self.open()
        with db.write() as t:
            users = t.table("users", create=True)
            users[b"ann"] = b"1"
            t.table(b"things", new=True)[b"x"] = b"y"
            with self.assertRaises(keelkv.ExistsError):
                t.table("users", new=True)
            with self.assertRaises(keelkv.NoTableError):
                t.table("nobody")
            users.note = b"schema 1"
            self.assertEqual(users.note, b"schema 1")
            self.assertEqual(users.name, b"users")
            self.assertEqual(t.name, b"")
        self.assertEqual(db.tables(), [b"things", b"users"])
        self.assertEqual(len(db), 0)
        with db.read() as s:
            self.assertEqual(dict(s.table("users")), {b"ann": b"1"})
            self.assertEqual(s.table("users").stat_table().entries, 1)
            self.assertEqual(s.table("users").stat_table(1).leaf_pages, 1)
        with db.write() as t:
            t.table("users").rename("people")
            t.table("things").drop()
            self.assertEqual(t.tables(), [b"people"])
            with self.assertRaises(keelkv.InvalidError):
                t.drop()

    def test_cursors(self):
        db = self.memory()
        with db.write() as t:
            t.update((b"%d" % i, b"v%d" % i) for i in range(10))
            c = t.cursor()
            self.assertIsNone(c.get())
            self.assertEqual(c.next(), (b"0", b"v0"))
            self.assertEqual(c.next(), (b"1", b"v1"))
            self.assertEqual(c.prev(), (b"0", b"v0"))
            self.assertIsNone(c.prev())
            self.assertEqual(c.last(), (b"9", b"v9"))
            self.assertIsNone(c.next())
            self.assertEqual(c.prev(), (b"9", b"v9"))
            self.assertEqual(c.seek(b"5", keelkv.SEEK_EQ), (b"5", b"v5"))
            self.assertEqual(c.seek(b"5", keelkv.SEEK_GT), (b"6", b"v6"))
            self.assertEqual(c.seek(b"5x", keelkv.SEEK_LE), (b"5", b"v5"))
            self.assertEqual(c.rank(), 5)
            self.assertEqual(c.count(), 10)
            self.assertEqual(c.nth(3), (b"3", b"v3"))
            self.assertTrue(c.put(b"new"))
            self.assertEqual(c.get(), (b"3", b"new"))
            self.assertTrue(c.delete())
            self.assertFalse(c.delete())
            self.assertIsNone(c.get())
            self.assertEqual(c.next(), (b"4", b"v4"))
            self.assertEqual(c.percentile(100), (b"9", b"v9"))
            self.assertIn(c.random()[0], t)
            down = t.cursor(prefix=b"", start=b"2", stop=b"5", reverse=True)
            self.assertEqual(down.first(), (b"4", b"v4"))
            self.assertEqual(down.next(), (b"2", b"v2"))
            c.close()
            with self.assertRaises(keelkv.BadHandleError):
                c.next()


if __name__ == "__main__":
    unittest.main()
