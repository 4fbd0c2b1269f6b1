"""Codecs: keys and values that are not bytes."""

import json
import os
import pickle
import unittest

import keelkv
from common import Case


class Codecs(Case):
    def test_codecs(self):
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

    def test_a_decoder_that_ends_what_it_decodes_for(self):
        ends = []

        def decode(data):
            while ends:
                ends.pop()()
            return data.decode()

        with self.memory(key=keelkv.Codec(str.encode, decode), value=str) as db:
            db.update((f"k{i}", f"v{i}") for i in range(5))
            with db.read() as s:
                steps = iter(s.items())
                ends.append(lambda: list(steps))
                self.assertEqual(next(steps), ("k0", "v0"))
                with self.assertRaises(StopIteration):
                    next(steps)
                cursor = s.cursor()
                ends.append(cursor.close)
                self.assertEqual(cursor.first(), ("k0", "v0"))
                steps = iter(s.items())
                ends.append(s.abort)
                self.assertEqual(next(steps), ("k0", "v0"))


if __name__ == "__main__":
    unittest.main()
