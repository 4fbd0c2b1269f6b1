"""Values that are written in parts."""

import gc

import keelkv
from common import Case


class Writer(Case):
    def test_a_long_value_in_parts(self):
        db = self.open()
        parts = [bytes([i]) * (i * 1000) for i in range(200)]
        with db.write() as t:
            t[b"before"] = b"1"
            with t.writer(b"long", size_hint=1 << 20) as w:
                for part in parts:
                    self.assertEqual(w.write(part), len(part))
                    self.assertNotIn(b"long", t)
                t[b"between"] = b"2"
                w.write(bytearray(b"end"))
                self.assertFalse(w.closed)
            self.assertTrue(w.closed)
            self.assertEqual(t[b"long"], b"".join(parts) + b"end")
            with self.assertRaises(keelkv.BadHandleError):
                w.write(b"more")
            with self.assertRaises(keelkv.BadHandleError):
                w.finish()
            w.close()
        self.assertEqual(list(db), [b"before", b"between", b"long"])
        self.assertTrue(db.check(space=True).ok)

    def test_a_value_that_is_given_up(self):
        db = self.open()
        with db.write() as t:
            with self.assertRaises(ZeroDivisionError):
                with t.writer(b"a") as w:
                    w.write(b"x" * 100_000)
                    raise ZeroDivisionError
            w = t.writer(b"b")
            w.write(b"x")
            del w
            gc.collect()
            w = t.writer(b"c")
            w.close()
            t[b"d"] = b""
        self.assertEqual(list(db), [b"d"])
        self.assertTrue(db.check(space=True).ok)

    def test_flags_and_errors(self):
        db = self.open()
        with db.write() as t:
            t[b"a"] = b"1"
            with self.assertRaises(keelkv.ExistsError):
                t.writer(b"a", flags=keelkv.NO_OVERWRITE)
            with self.assertRaises(KeyError):
                t.writer(b"b", flags=keelkv.NO_INSERT)
            with self.assertRaises(TypeError):
                t.writer("a")
            with self.assertRaises(TypeError):
                t.writer(b"a").write("text")
            gc.collect()
        with db.read() as s, self.assertRaises(keelkv.ReadOnlyError):
            s.writer(b"a")

    def test_a_commit_before_the_end(self):
        db = self.open()
        t = db.write()
        w = t.writer(b"a")
        w.write(b"x")
        with self.assertRaises(keelkv.ChildOpenError):
            t.commit()
        with self.assertRaises(keelkv.BadHandleError):
            w.write(b"y")
        w.close()
        self.assertEqual(len(db), 0)
        t = db.write()
        w = t.writer(b"a")
        db.close()
        with self.assertRaises(keelkv.BadHandleError):
            w.finish()
        del t, w
        gc.collect()
