"""Views of values: they outlive whatever they came from."""

import gc

import keelkv
from common import Case


class Views(Case):
    def test_a_view_outlives_everything(self):
        for length in (0, 1, 1000, 65_536, 65_537, 5_000_000):
            db = keelkv.open(self.path)
            value = bytes(range(256)) * (length // 256 + 1)
            value = value[:length]
            db[b"a"] = value
            s = db.read()
            view = s.view(b"a")
            self.assertTrue(view.readonly)
            self.assertEqual(view.format, "B")
            self.assertEqual(len(view), length)
            with self.assertRaises(TypeError):
                view[:1] = b"x" if length else 5
            part = view[length // 2:]
            s.abort()
            del s
            db[b"a"] = b"something else"
            db[b"b"] = b"y" * 100_000
            self.assertEqual(view, value)
            db.close()
            del db
            gc.collect()
            self.assertEqual(view, value)
            del view
            gc.collect()
            self.assertEqual(part, value[length // 2:])
            part.release()

    def test_a_view_of_a_write_transaction(self):
        db = self.open()
        with db.write() as t:
            t[b"a"] = b"x" * 100_000
            view = t.view(b"a")
            t[b"a"] = b"y"
            self.assertEqual(view, b"x" * 100_000)
        self.assertEqual(view, b"x" * 100_000)

    def test_a_view_keeps_its_snapshot(self):
        db = self.open()
        db[b"a"] = b"x" * 100_000
        with db.read() as s:
            view = s.view(b"a")
        self.assertEqual(db.stat().readers, 1)
        del view
        gc.collect()
        self.assertEqual(db.stat().readers, 0)
        with db.read() as s, self.assertRaises(KeyError):
            s.view(b"none")

    def test_views_reach_what_takes_buffers(self):
        db = self.open()
        db[b"a"] = b"abc" * 40_000
        with db.read() as s:
            view = s.view(b"a")
            target = self.directory / "out"
            target.write_bytes(view)
            self.assertEqual(target.read_bytes(), b"abc" * 40_000)
            db[b"b"] = view
            self.assertEqual(db[b"b"], view)
