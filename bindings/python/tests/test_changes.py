"""Differences: what was added, removed and changed between two transactions."""

import keelkv
from common import Case
from keelkv import Change


class Changes(Case):
    def both(self, db):
        before = db.read()
        self.addCleanup(before.abort)
        return before

    def test_changes_are_those_of_dicts(self):
        db = self.open()
        first = {b"%05d" % n: b"x" * (n % 50) for n in range(3000)}
        with db.write() as t:
            t.put_many(first)
        before = self.both(db)
        second = {key: value for key, value in first.items() if key[-1:] != b"7"}
        second.update({b"%05d" % n: b"new" for n in range(100, 4000, 9)})
        second[b"long"] = b"y" * 200000
        second[b"empty"] = b""
        with db.write() as t:
            t.clear()
            t.put_many(second)
            self.check(t, before, first, second)
        with db.read() as after:
            self.check(after, before, first, second)
            self.check(before, after, second, first)
            self.assertTrue(after.is_same(after))
            self.assertFalse(after.is_same(before) or after.is_same(before, after))

    def check(self, after, before, first, second):
        want = []
        for key in sorted(first.keys() | second.keys()):
            if first.get(key) != second.get(key):
                kind = "added" if key not in first else "removed" if key not in second else "changed"
                want.append(Change(kind, key, first.get(key), second.get(key)))
        self.assertEqual(list(after.diff(before)), want)
        self.assertEqual(list(after.diff(before, reverse=True)), want[::-1])
        some = [change for change in want if b"001" <= change.key < b"02"]
        self.assertEqual(list(after.diff(before, start=b"001", stop=b"02")), some)
        self.assertEqual(list(after.diff(before, start=b"001", stop=b"02", reverse=True)), some[::-1])
        self.assertEqual(list(after.diff(before, prefix=b"003")), [c for c in want if c.key.startswith(b"003")])
        counts = after.count_changes(before)
        kinds = [change.kind for change in want]
        self.assertEqual(counts, tuple(kinds.count(kind) for kind in ("added", "removed", "changed")))
        self.assertEqual(sum(after.count_changes(before, start=b"001", stop=b"02")), len(some))

    def test_tables_by_name_object_and_codec(self):
        db = self.open()
        with db.write() as t:
            t.table("gone", create=True)[b"k"] = b"1"
            t.table("numbers", create=True, key=int, value=str)[7] = "seven"
        before = self.both(db)
        with db.write() as t:
            t.table("gone").drop()
            t.table("numbers", key=int, value=str)[8] = "eight"
        with db.read() as after:
            numbers = after.table("numbers", key=int, value=str)
            self.assertEqual(list(after.diff(before, numbers, start=8)), [Change("added", 8, None, "eight")])
            self.assertEqual(list(after.diff(before, numbers, stop=8)), [])
            self.assertEqual(list(after.diff(before, "gone")), [Change("removed", b"k", b"1", None)])
            self.assertEqual(list(after.diff(before, before.table("gone"))), list(after.diff(before, b"gone")))
            self.assertTrue(after.is_same(before, after))
            self.assertEqual(after.count_changes(before, "numbers"), (1, 0, 0))
            with self.assertRaises(keelkv.NoTableError):
                after.diff(before, "none")

    def test_an_iterator_of_a_writer_goes_on_in_what_it_writes(self):
        db = self.open()
        before = self.both(db)
        with db.write() as t:
            t.put_many({b"%04d" % n: b"" for n in range(600)})
            seen = []
            for change in t.diff(before):
                seen.append(change.key)
                if change.key == b"0100":
                    t[b"9999"] = b"behind"
            self.assertEqual((len(seen), seen[-1]), (601, b"9999"))

    def test_misuse(self):
        db = self.open()
        with db.read() as s:
            with keelkv.open(self.directory / "other.kv") as other, other.read() as foreign:
                for call in (s.diff, s.count_changes, s.is_same):
                    with self.assertRaisesRegex(keelkv.InvalidError, "different databases"):
                        call(foreign)
            ended = db.read()
            ended.abort()
            for call in (s.diff, s.count_changes, s.is_same):
                with self.assertRaises(keelkv.BadHandleError):
                    call(ended)
                with self.assertRaises((TypeError, AttributeError)):
                    call(7)
        with db.write() as t:
            with self.assertRaises(keelkv.InvalidError):
                t.diff(t)
