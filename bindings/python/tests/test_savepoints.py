"""Going back within a write transaction: savepoints, and transactions that are nested in it."""

import gc
import unittest

import keelkv
from common import Case
from keelkv import lmdb


class Savepoints(Case):
    def test_back_and_forth(self):
        with self.open() as db:
            with db.write() as t:
                t[b"a"] = b"1"
                first = t.savepoint()
                t[b"a"] = b"2"
                second = t.savepoint()
                t.table("new", create=True)[b"k"] = b"v"
                del t[b"a"]
                second.rollback()
                self.assertEqual(t[b"a"], b"2")
                with self.assertRaises(keelkv.NoTableError):
                    t.table("new")
                first.rollback()
                first.rollback()
                self.assertEqual(list(t.items()), [(b"a", b"1")])
                for gone in (second.rollback, second.release):
                    with self.assertRaisesRegex(keelkv.InvalidError, "no such savepoint"):
                        gone()
                t[b"b"] = b"3"
                first.release()
                with self.assertRaises(keelkv.InvalidError):
                    first.rollback()
            self.assertEqual(dict(db.read().items()), {b"a": b"1", b"b": b"3"})

    def test_as_a_block(self):
        with self.memory() as db, db.write() as t:
            with t.savepoint():
                t[b"a"] = b"1"
            with self.assertRaises(ZeroDivisionError):
                with t.savepoint() as inner:
                    t[b"a"] = b"2"
                    raise ZeroDivisionError
            self.assertEqual(t[b"a"], b"1")
            with self.assertRaises(keelkv.InvalidError):
                inner.rollback()  # forgotten at the end of its block
            with t.savepoint() as point:
                t[b"a"] = b"3"
                point.rollback()
                t[b"b"] = b"4"
            self.assertEqual(dict(t), {b"a": b"1", b"b": b"4"})
            with self.assertRaises(ZeroDivisionError):
                with t.savepoint() as outer, t.savepoint():
                    outer.rollback()
                    raise ZeroDivisionError
            with t.savepoint() as point:
                point.release()
            with t.savepoint():
                t.abort()

    def test_who_has_none(self):
        with self.memory() as db:
            with db.read() as s:
                with self.assertRaises(keelkv.ReadOnlyError):
                    s.savepoint()
                with self.assertRaises(keelkv.ReadOnlyError):
                    s.nested()
            with db.write() as t:
                point = t.savepoint()
                writer = t.writer(b"long")
                writer.write(b"part")
                with self.assertRaisesRegex(keelkv.InvalidError, "in parts"):
                    t.savepoint()
                with self.assertRaisesRegex(keelkv.InvalidError, "in parts"):
                    t.nested()
                point.rollback()
                with self.assertRaises(keelkv.BadHandleError):
                    writer.write(b"more")
                writer.close()
            for ended in (point.rollback, point.release, t.savepoint, t.nested):
                with self.assertRaisesRegex(keelkv.BadHandleError, "has ended"):
                    ended()

    def test_iterators_go_on_behind_their_keys(self):
        with self.memory() as db, db.write() as t:
            t.update({b"%02d" % n: b"old" for n in range(0, 20, 2)})
            point = t.savepoint()
            t.update({b"%02d" % n: b"new" for n in range(1, 20, 2)})
            scan = iter(t.items())
            self.assertEqual([next(scan)[0] for _ in range(4)], [b"00", b"01", b"02", b"03"])
            cursor = t.cursor()
            cursor.seek(b"05")
            point.rollback()
            self.assertEqual(next(scan), (b"04", b"old"))
            self.assertEqual(cursor.next(), (b"06", b"old"))
            with t.nested() as n:
                n[b"05"] = b"nested"
                del n[b"08"]
            self.assertEqual([key for key, _ in scan], [b"05", b"06", b"10", b"12", b"14", b"16", b"18"])


class Nested(Case):
    def test_blocks(self):
        with self.open() as db:
            with db.write() as t:
                t[b"a"] = b"1"
                with t.nested() as n:
                    self.assertEqual(n[b"a"], b"1")
                    n[b"b"] = b"2"
                    with n.nested() as inner:
                        inner[b"c"] = b"3"
                    self.assertEqual(n.count(), 3)
                    self.assertTrue(n.writes)
                self.assertTrue(n.ended)
                with self.assertRaises(ZeroDivisionError):
                    with t.nested() as n:
                        n[b"a"] = b"undone"
                        raise ZeroDivisionError
                with t.nested() as n:
                    del n[b"a"]
                    n.abort()
                self.assertFalse(t.ended)
                self.assertEqual(t[b"a"], b"1")
            self.assertEqual(dict(db.read()), {b"a": b"1", b"b": b"2", b"c": b"3"})

    def test_codecs_are_those_of_the_database(self):
        with keelkv.open(None, key=str, value=int) as db, db.write() as t:
            with t.nested() as n:
                n["a"] = 5
                self.assertIsInstance(n, keelkv.Transaction)
            self.assertEqual(t["a"], 5)

    def test_the_outer_one_waits(self):
        with self.open() as db, db.write() as t:
            t[b"a"], t[b"b"] = b"1", b"2"
            cursor, scan, point = t.cursor(), iter(t.items()), t.savepoint()
            other = t.table("other", create=True)
            point = t.savepoint()
            with t.nested() as n:
                for call in (
                    lambda: t[b"a"], lambda: t.put(b"a", b""), lambda: other.get(b"k"), lambda: cursor.next(),
                    lambda: next(scan), t.nested, t.savepoint, point.rollback, point.release, t.count,
                    lambda: t.create_snapshot("s"), lambda: t.commit_id,
                ):
                    with self.assertRaisesRegex(keelkv.ChildOpenError, r"nested transaction is open.*\(nested\(\)\)"):
                        call()
                n[b"a"] = b"3"
            self.assertEqual((t[b"a"], cursor.next(), next(iter(t.items()))), (b"3", (b"a", b"3"), (b"a", b"3")))

    def test_the_end_of_the_outer_one(self):
        with self.open() as db:
            t = db.write()
            n = t.nested()
            inner = n.nested()
            inner[b"a"] = b"1"
            with self.assertRaisesRegex(keelkv.ChildOpenError, r"with t.nested\(\) as n:"):
                t.commit()
            for ended in (n, inner):
                self.assertTrue(ended.ended)
                with self.assertRaisesRegex(keelkv.BadHandleError, "with the one in which it was nested"):
                    ended[b"a"]
                with self.assertRaises(keelkv.BadHandleError):
                    ended.commit()
                ended.abort()
            with db.write() as t:
                n = t.nested()
                n[b"a"] = b"1"
                t.abort()
                self.assertTrue(n.ended)
            self.assertEqual(len(db.read()), 0)
            with self.assertRaisesRegex(keelkv.BadHandleError, "nested"):
                with db.write() as t, t.nested() as n:
                    t.abort()
            n = db.write().nested()
            n[b"a"] = b"1"
            db.close()
            self.assertTrue(n.ended)

    def test_what_nobody_keeps_is_undone(self):
        with self.memory() as db:
            t = db.write()
            n = t.nested()
            n[b"a"] = b"1"
            del n
            gc.collect()
            self.assertEqual(len(t), 0)
            # A nested one keeps the outer one.
            n = t.nested()
            n[b"b"] = b"2"
            del t
            gc.collect()
            self.assertEqual(n[b"b"], b"2")
            n.commit()

    def test_deep(self):
        with self.memory() as db, db.write() as t:
            inside = [t]
            for number in range(200):
                inside.append(inside[-1].nested())
                inside[-1][b"%d" % number] = b""
            while len(inside) > 1:
                inside.pop().commit()
            self.assertEqual(len(t), 200)


class Fronts(Case):
    def test_lmdb(self):
        with lmdb.open(str(self.directory / "env")) as env:
            with env.begin(write=True) as txn:
                txn.put(b"a", b"1")
                cursor = txn.cursor()
                cursor.first()
                with env.begin(parent=txn, write=True) as child:
                    child.put(b"b", b"2")
                    with self.assertRaises(lmdb.Error):
                        txn.get(b"a")
                self.assertEqual(list(cursor), [(b"a", b"1"), (b"b", b"2")])
                child = env.begin(parent=txn, write=True)
                child.put(b"c", b"3")
                child.abort()
                self.assertIsNone(txn.get(b"c"))
                with self.assertRaises(lmdb.BadTxnError):
                    env.begin(parent=txn)
            with env.begin() as txn:
                self.assertEqual(txn.get(b"b"), b"2")
                with self.assertRaises(lmdb.Error):
                    env.begin(parent=txn, write=True)


if __name__ == "__main__":
    unittest.main()
