"""Ranges and the views over them, and iteration while the transaction writes."""

import collections.abc
import random

import keelkv
from common import Case


class Views(Case):
    def setUp(self):
        super().setUp()
        self.db = self.memory()
        self.model = {b"%04d" % i: b"v%d" % i for i in range(0, 6000, 3)}
        self.model[b"p/"] = b""
        self.model[b"p/a"] = b"long" * 50_000
        self.model[b"p/b"] = b"1"
        with self.db.write() as t:
            t.update(self.model)
        self.keys = sorted(self.model)

    def check(self, mapping, **bounds):
        """Compares views of a range with what a list of all keys says."""
        prefix, start, stop = (bounds.get(name) for name in ("prefix", "start", "stop"))
        keys = [
            key for key in self.keys
            if (prefix is None or key.startswith(prefix)) and (start is None or key >= start)
            and (stop is None or key < stop)
        ]
        if bounds.get("reverse"):
            keys.reverse()
        keys = keys[: bounds.get("limit")]
        items = [(key, self.model[key]) for key in keys]
        self.assertEqual(list(mapping.keys(**bounds)), keys)
        self.assertEqual(list(mapping.values(**bounds)), [value for _, value in items])
        self.assertEqual(list(mapping.items(**bounds)), items)
        self.assertEqual(list(reversed(mapping.items(**bounds))), items[::-1])
        self.assertEqual(len(mapping.items(**bounds)), len(items))
        if keys:
            self.assertIn(keys[-1], mapping.keys(**bounds))
            self.assertIn(items[-1], mapping.items(**bounds))
        self.assertNotIn(b"nothing", mapping.keys(**bounds))
        self.assertNotIn((b"nothing", b""), mapping.items(**bounds))

    def test_ranges_of_a_database_and_of_transactions(self):
        ranges = [
            {}, {"prefix": b"p/"}, {"prefix": b"00"}, {"prefix": b"none"}, {"prefix": b""}, {"start": b"5000"},
            {"stop": b"0100"}, {"start": b"0100", "stop": b"0200"}, {"start": b"2", "stop": b"1"},
            {"prefix": b"p/", "start": b"p/a"}, {"prefix": b"p/", "stop": b"p/b"},
            {"start": self.keys[5], "stop": self.keys[6]},
        ]
        for bounds in ranges:
            for limit in (None, 0, 1, 5, 1023, 1024, 1025, 10**6):
                for reverse in (False, True):
                    with self.subTest(**bounds, limit=limit, reverse=reverse):
                        with self.db.read() as s:
                            self.check(s, **bounds, limit=limit, reverse=reverse)
                        if limit in (None, 5):
                            self.check(self.db, **bounds, limit=limit, reverse=reverse)

    def test_views_are_sets(self):
        with self.db.read() as s:
            keys, items = s.keys(prefix=b"p/"), s.items(prefix=b"p/")
            self.assertIsInstance(keys, collections.abc.KeysView)
            self.assertIsInstance(items, collections.abc.ItemsView)
            self.assertIsInstance(s.values(), collections.abc.ValuesView)
            self.assertEqual(keys & {b"p/a", b"x"}, {b"p/a"})
            self.assertEqual(keys, {b"p/", b"p/a", b"p/b"})
            self.assertTrue(keys <= s.keys())
            self.assertEqual(keys - {b"p/"}, {b"p/a", b"p/b"})
            self.assertIn((b"p/b", b"1"), items)
            self.assertNotIn((b"p/b", b"2"), items)
            self.assertNotIn((b"0000", b"v0"), items)
            self.assertNotIn("no pair", items)
            self.assertNotIn(b"0000", keys)
            self.assertIn(b"1", s.values(prefix=b"p/"))
            self.assertIn("Items", repr(items))
            with self.assertRaises(ValueError):
                s.items(limit=-1)

    def test_a_view_is_alive(self):
        with self.db.write() as t:
            view = t.keys(prefix=b"q")
            self.assertEqual(list(view), [])
            t[b"q1"] = b""
            self.assertEqual(list(view), [b"q1"])
            self.assertEqual(len(view), 1)

    def test_iterators_are_independent(self):
        with self.db.read() as s:
            one, two = iter(s), iter(s)
            self.assertEqual([next(one), next(one), next(two)], [self.keys[0], self.keys[1], self.keys[0]])
            rest = list(one)
            self.assertEqual(rest, self.keys[2:])
            for _ in range(3):
                with self.assertRaises(StopIteration):
                    next(one)

    def test_iterators_see_writes_ahead(self):
        with self.db.write() as t:
            seen = []
            for key in t.keys(prefix=b"00"):
                seen.append(key)
                if key == b"0003":
                    t[b"0004"] = b"new"
                    t[b"0001"] = b"behind"
                    del t[b"0006"]
                if key == b"0009":
                    t[b"0009"] = b"changed"
            expected = [k for k in self.keys if k.startswith(b"00") and k != b"0006"] + [b"0004"]
            self.assertEqual(seen, sorted(expected))
            down = []
            for key, _ in t.items(prefix=b"00", reverse=True):
                down.append(key)
                del t[key]
            self.assertEqual(down, sorted([*expected, b"0001"], reverse=True))
            self.assertEqual(t.count(prefix=b"00"), 0)
            for value in t.values(prefix=b"p/"):
                t.pop(b"p/b", None)
                self.assertNotEqual(value, b"1")

    def test_deleting_while_iterating_is_a_model(self):
        rng = random.Random(7)
        for reverse in (False, True):
            with self.db.write() as t:
                left = dict(self.model)
                for key, value in t.items(reverse=reverse):
                    self.assertEqual(left[key], value)
                    if rng.random() < 0.3:
                        del t[key], left[key]
                    if rng.random() < 0.3:
                        victim = rng.choice(self.keys)
                        t.pop(victim, None)
                        left.pop(victim, None)
                self.assertEqual(dict(t), left)
                t.abort()

    def test_refreshing_while_iterating(self):
        with self.db.read() as s:
            iterator = iter(s.values())
            self.assertEqual(next(iterator), b"v0")
            self.db[b"0001"] = b"new"
            s.refresh()
            self.assertEqual(next(iterator), b"new")

    def test_an_end_leaves_iterators_harmless(self):
        s = self.db.read()
        iterator = iter(s.items())
        next(iterator)
        s.abort()
        with self.assertRaises(keelkv.BadHandleError):
            next(iterator)
        with self.assertRaises((keelkv.BadHandleError, StopIteration)):
            next(iterator)
        abandoned = iter(self.db.items())
        next(abandoned)
        self.assertEqual(self.db.stat().readers, 1)
        del abandoned
        self.assertEqual(self.db.stat().readers, 0)
