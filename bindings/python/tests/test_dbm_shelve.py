"""The fronts for dbm and shelve: the same programs run with the standard modules and with these."""

import dbm.dumb
import importlib
import os
import shelve
import stat
import sys

import keelkv.dbm
import keelkv.shelve
from common import Case


class Dbm(Case):
    def program_for(self, module, path):
        """A small program for dbm, and what it saw."""
        seen = []
        with module.open(path, "c") as db:
            db["text"] = "ä"
            db[b"bytes"] = b"\xff\x00"
            db["empty"] = ""
            seen += [db["text"], db[b"text"], db["empty"], len(db), sorted(db.keys()), "text" in db, b"x" in db]
            seen += [db.get("text"), db.get("x"), db.get("x", b"default"), sorted(iter(db))]
            seen += [db.setdefault("new", b"1"), db.setdefault("new", b"2")]
            del db["new"]
            for action in (lambda: db["x"], lambda: db.__delitem__("x")):
                try:
                    action()
                except KeyError as error:
                    seen.append(type(error).__mro__[-4:])
            for key in db.keys():
                if key == b"empty":
                    del db[key]
            seen.append(sorted(db.items()))
            seen.append(sorted(db.values()))
            seen.append(db.pop("text"))
            db.update({"a": b"1", "b": b"2"})
        with module.open(path, "r") as db:
            seen += [sorted(db.items())]
        with module.open(path, "w") as db:
            db["c"] = b"3"
            seen += [len(db)]
        with module.open(path, "n") as db:
            seen += [len(db)]
        try:
            module.open(path + "-none", "r")
        except (module.error, OSError):
            seen.append("none")
        return seen

    def test_the_same_program(self):
        wanted = self.program_for(dbm.dumb, str(self.directory / "dumb"))
        self.assertEqual(self.program_for(keelkv.dbm, str(self.directory / "keel")), wanted)
        try:
            gnu = importlib.import_module("dbm.gnu")
        except ImportError:
            return
        self.assertEqual(self.program_for(gnu, str(self.directory / "gnu")), wanted)

    def test_messages_name_flags(self):
        with self.assertRaisesRegex(keelkv.NoFileError, "open it with the flag 'c'$") as caught:
            keelkv.dbm.open(self.path, "r")
        self.assertEqual(str(caught.exception), caught.exception.strerror)
        self.assertEqual(caught.exception.args, (str(caught.exception),))
        with self.assertRaisesRegex(keelkv.NoFileError, "open it with the flag 'c'$"):
            keelkv.dbm.open(self.path, "w")
        self.path.touch()
        with self.assertRaisesRegex(keelkv.NotADatabaseError, "or open it with the flag 'c'$"):
            keelkv.dbm.open(self.path, "w")
        keelkv.dbm.open(self.path, "n").close()
        with keelkv.dbm.open(self.path) as db:
            for write in (lambda: db.update(a="b"), db.clear, lambda: db.setdefault("a", "b"),
                          lambda: db.__delitem__("a")):
                with self.assertRaisesRegex(keelkv.ReadOnlyError, r"\(the flag 'r'\)"):
                    write()

    def test_whichdb(self):
        which = keelkv.dbm.whichdb
        self.assertIsNone(which(self.path))
        self.path.write_bytes(b"text, and no database")
        self.assertEqual(which(self.path), "")
        dbm.dumb.open(str(self.directory / "dumb"), "c").close()
        self.assertEqual(which(str(self.directory / "dumb")), "dbm.dumb")
        keelkv.dbm.open(self.directory / "b.kv", "n").close()
        for name in (self.directory / "b.kv", os.fsencode(self.directory / "b.kv")):
            self.assertEqual(which(name), "keelkv.dbm")

    def test_beyond_dumb(self):
        db = keelkv.dbm.open(self.path, "c", 0o640)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o640 & ~self.umask())
        for key in ("b", "a", "c"):
            db[key] = key
        self.assertEqual(db.keys(), [b"a", b"b", b"c"])
        found, key = [], db.firstkey()
        while key is not None:
            found.append(key)
            key = db.nextkey(key)
        self.assertEqual(found, [b"a", b"b", b"c"])
        db.sync()
        with db.database.read() as s:
            self.assertEqual(s.count(), 3)
        db.clear()
        self.assertIsNone(db.firstkey())
        with self.assertRaises(TypeError):
            db[5] = b""
        with self.assertRaises(TypeError):
            db["a"] = 5
        db.close()
        with self.assertRaises(keelkv.dbm.error):
            db["a"]
        reader = keelkv.dbm.open(self.path, "r")
        with self.assertRaises(keelkv.dbm.error):
            reader["a"] = "b"
        reader.close()
        for flag in ("x", "", "rw", 5):
            with self.assertRaises(ValueError):
                keelkv.dbm.open(self.path, flag)

    @staticmethod
    def umask():
        mask = os.umask(0)
        os.umask(mask)
        return mask


class Shelve(Case):
    def program_for(self, open_shelf, path):
        seen = []
        with open_shelf(path) as shelf:
            shelf["list"] = [1, 2]
            shelf["list"].append(3)  # is lost, as shelve says
            seen.append(shelf["list"])
            shelf["ä"] = {"key": (1, 2.5, None)}
            seen += [sorted(shelf), len(shelf), "ä" in shelf, "x" in shelf, shelf.get("x", 7)]
            del shelf["list"]
            try:
                shelf["list"]
            except KeyError:
                seen.append("gone")
        with open_shelf(path, writeback=True) as shelf:
            shelf["ä"]["more"] = [1]
            shelf["ä"]["more"].append(2)
            shelf.sync()
            seen.append(shelf["ä"])
        with open_shelf(path, flag="r") as shelf:
            seen.append(sorted(shelf.items()))
        with open_shelf(path, "c", 2) as shelf:
            shelf["p"] = 1
            seen.append(shelf.pop("p"))
        with open_shelf(path, "n") as shelf:
            seen.append(dict(shelf))
        return seen

    def test_the_same_program(self):
        def standard(path, flag="c", protocol=None, writeback=False):
            return shelve.Shelf(dbm.dumb.open(path, flag), protocol, writeback)

        wanted = self.program_for(standard, str(self.directory / "standard"))
        self.assertEqual(self.program_for(keelkv.shelve.open, str(self.directory / "keel")), wanted)

    def test_closed(self):
        shelf = keelkv.shelve.open(self.path)
        shelf.close()
        with self.assertRaises(ValueError):
            shelf["a"]
        self.assertIsInstance(shelf, shelve.Shelf)
        self.assertIn("keelkv.shelve", sys.modules)
