"""Snapshots: making, reading, listing and dropping them."""

import threading
import time

import keelkv
from common import Case


class Snapshots(Case):
    def changed(self):
        db = self.open()
        with db.write() as t:
            t[b"key"] = b"before"
            t.create_snapshot("old", note=b"a note")
        with db.write() as t:
            t[b"key"] = b"after"
        return db

    def test_a_snapshot_is_read_beside_the_newest_state(self):
        db = self.changed()
        with db.read(snapshot="old") as s:
            self.assertEqual((s[b"key"], list(s.items())), (b"before", [(b"key", b"before")]))
            with self.assertRaises(keelkv.NoTableError):
                s.snapshots()
            s.refresh()
            self.assertEqual(s[b"key"], b"after")
        db.close()
        with self.open(read_only=True) as db, db.read(snapshot=b"old") as s:
            self.assertEqual(s[b"key"], b"before")

    def test_what_is_recorded(self):
        db = self.changed()
        with db.read() as s:
            stat = s.stat_snapshot("old")
        self.assertEqual((stat.keep, stat.note, len(stat.guid)), (False, b"a note", 16))
        self.assertLess(abs(time.time_ns() - stat.time), 600 * 10**9)
        self.assertLessEqual(stat.used_pages, stat.file_pages)
        with db.read(commit=stat.commit) as s:
            self.assertEqual((s[b"key"], s.commit_id), (b"before", stat.commit))
        with db.read(time=stat.time) as s:
            self.assertEqual(s[b"key"], b"before")
        with db.read(commit=2**60) as s:
            self.assertEqual(s[b"key"], b"after")
        for at in ({"time": 1}, {"snapshot": "none"}):
            with self.assertRaisesRegex(keelkv.NotFoundError, r"(as old|no snapshot).*snapshots\(\)"):
                db.read(**at)
        with self.assertRaisesRegex(keelkv.InvalidError, "exclude each other"):
            db.read(commit=1, time=1)
        with self.assertRaises(keelkv.InvalidError):
            db.read(snapshot="")

    def test_going_back(self):
        db = self.changed()
        with db.write() as t:
            users = t.table("users", create=True)
            users[b"ada"] = b"1"
            number = users.number
            t.create_snapshot("with users")
        with db.write() as t:
            t.table("users").drop()
            t.table("new", create=True)[b"k"] = b"v"
        with db.read(snapshot="with users") as then, db.write() as t:
            t[b"own"] = b"write"
            self.assertEqual(t.revert(then), 3)
            self.assertEqual((t.tables(), t.table("users").number, t[b"key"]), ([b"users"], number, b"after"))
        with db.read(snapshot="old") as old, db.write() as t:
            self.assertEqual(t.revert(old, t), 1)  # the main table
            self.assertEqual((t[b"key"], t.tables()), (b"before", [b"users"]))
            self.assertEqual(t.revert(old, "users"), 1)
            self.assertEqual(t.tables(), [])
            with self.assertRaises(keelkv.NoTableError):
                t.revert(old, b"users")
            with self.assertRaisesRegex(keelkv.InvalidError, r"begin one with read\(\)"):
                t.revert(t)
            with self.assertRaisesRegex(keelkv.ReadOnlyError, r"begin one with write\(\)"):
                old.revert(old)
            with keelkv.open(self.directory / "other.kv") as other, other.read() as foreign:
                with self.assertRaisesRegex(keelkv.InvalidError, "another database .*other.kv"):
                    t.revert(foreign)
        self.assertEqual((db[b"key"], db.snapshots()), (b"before", [b"old", b"with users"]))
        self.assertEqual(db.check(space=True).faults, 0)

    def test_names_change_and_go(self):
        db = self.changed()
        with db.read() as before:
            with db.write() as t:
                t[b"key"] = b"third"
            before.create_snapshot("reader", keep=True)
        with db.write() as t:
            with self.assertRaisesRegex(keelkv.ExistsError, "replace=True"):
                t.create_snapshot("old")
            with self.assertRaisesRegex(keelkv.InvalidError, r"keep_snapshot\(\)"):
                t.drop_snapshot("reader")
            self.assertTrue(t.stat_snapshot("reader").keep)
            t.keep_snapshot("reader", False)
            t.rename_snapshot("old", "reader")
            t.create_snapshot("new", replace=True)
            with self.assertRaises(keelkv.NotFoundError):
                t.drop_snapshot("old")
            with self.assertRaises(keelkv.NotFoundError):
                t.stat_snapshot("old")
        self.assertEqual(db.snapshots(), [b"new", b"reader"])
        self.assertEqual(db.check(space=True).snapshots, 2)
        self.assertEqual(db.snapshot_cost("new"), 0)
        self.assertEqual(db.snapshot_cost("new", b"reader"), db.snapshot_cost("reader"))
        with self.assertRaisesRegex(keelkv.NotFoundError, 'no snapshot "none"'):
            db.snapshot_cost("new", "none")
        with db.read(snapshot="new") as old:
            with db.write() as t:
                t.drop_snapshot("new")
                t.drop_snapshot("reader")
                self.assertEqual(t.snapshots(), [])
            self.assertEqual(old[b"key"], b"third")
        db.reclaim()
        self.assertEqual((db.stat().parked_pages, db.check(space=True).snapshots), (0, 0))

    def test_commits_record_snapshots_by_themselves(self):
        db = self.changed()
        policy = keelkv.Retention(interval=3600, last=2, daily=7)
        with db.write() as t:
            self.assertIsNone(t.history())
            t.set_history(policy)
            self.assertEqual(t.history(), policy)
        automatic = [name for name in db.snapshots() if name.startswith(b"auto/")]
        self.assertEqual(len(automatic), 1)
        with db.write() as t:
            self.assertTrue(t.stat_snapshot(automatic[0]).automatic)
            t.set_history(None)
            for name in ("row/1", "row/2", "row/3"):
                t.create_snapshot(name)
            with self.assertRaisesRegex(keelkv.InvalidError, "nothing would stay"):
                t.thin_snapshots("row/", keelkv.Retention())
            self.assertEqual(t.thin_snapshots("row/", keelkv.Retention(last=1)), 2)
            with self.assertRaises(keelkv.InvalidError):
                t.set_history(keelkv.Retention(last=1))
            for wrong in ({"interval": -1, "last": 1}, {"interval": 2**32 + 5, "last": 1}, {"yield_pages": 2**64 + 1}):
                with self.assertRaisesRegex(ValueError, f"{next(iter(wrong))} is a whole number from 0 to"):
                    t.set_history(keelkv.Retention(**wrong))
                with self.assertRaises(ValueError):
                    t.thin_snapshots("row/", keelkv.Retention(**wrong))
        with db.read() as newest:
            self.assertIsNone(newest.history())

    def test_marks_tell_what_has_changed_and_keep_nothing(self):
        db = self.changed()
        with db.write() as t:
            for i in range(1000):
                t[b"a%04d" % i] = b"v" * 100
            t.create_snapshot("mark", mark=True)
            t.create_snapshot("yields", yields=True)
            with self.assertRaises(keelkv.InvalidError):
                t.create_snapshot("both", mark=True, keep=True)
        db[b"a0500"] = b"other"
        policy = keelkv.Retention(yield_after=86_400, yield_pages=1 << 33)
        with db.write() as t:
            t.release_snapshot("old")
            t.set_history(policy)
            self.assertEqual(t.history(), policy)
        with self.assertRaisesRegex(keelkv.InvalidError, r"changed_ranges\(\)"):
            db.read(snapshot="mark")
        with db.read() as now:
            stats = [now.stat_snapshot(name) for name in ("old", "mark", "yields")]
            self.assertEqual([stat.mark for stat in stats], [True, True, False])
            self.assertEqual([stat.yields for stat in stats], [False, False, True])
            (low, high), *more = now.changed_ranges("mark")
            self.assertTrue(low < b"a0500" < high)
            self.assertEqual(more, [])
            self.assertEqual(now.changed_ranges("mark", start=b"a0500", stop=b"a0501"), [(b"a0500", b"a0501")])
            self.assertEqual(now.changed_ranges("old"), [(b"", None)])
            with self.assertRaises(keelkv.NotFoundError):
                now.changed_ranges("none")

    def test_tables_that_came_and_went_since_a_mark_are_told_by_their_names(self):
        db = self.changed()
        with db.write() as t:
            for i in range(200):
                t.table(f"table{i:03}" + "x" * 100, create=True)
            t.create_snapshot("mark", mark=True)
        db[b"key"] = b"third"
        with db.read() as now:
            self.assertEqual(now.changed_table_names("mark"), [])
            with self.assertRaises(keelkv.NotFoundError):
                now.changed_table_names("none")
        with db.write() as t:
            gone = b"table100" + b"x" * 100
            t.table(gone).drop()
            t.table("zebra", create=True)
            own = t.changed_table_names("mark")
        with db.read() as now:
            (low, high), (last, end) = now.changed_table_names("mark")
            self.assertEqual(own, [(low, high), (last, end)])
            self.assertTrue(b"table000" < low <= gone < high < last <= b"zebra", (low, high, last))
            self.assertIsNone(end)

    def test_names_and_notes_are_bytes(self):
        db = self.changed()
        with db.write() as t:
            t.create_snapshot(bytearray(b"buffer"), note=bytearray(b"text"))
            t.create_snapshot(memoryview(b"view"), note=memoryview(b"more"))
            self.assertEqual((t.stat_snapshot("buffer").note, t.stat_snapshot("view").note), (b"text", b"more"))
            table = t.table("table", create=True)
            table.note = bytearray(b"of the table")
            self.assertEqual(table.note, b"of the table")
            for note, kind in (("text", "str; encode it"), (7, "int"), (None, "NoneType")):
                with self.assertRaisesRegex(TypeError, f"^a note is bytes, and this one is {kind}$"):
                    t.create_snapshot("n", note=note)
                with self.assertRaisesRegex(TypeError, f"^a note is bytes, and this one is {kind}$"):
                    table.note = note
            for name, kind in ((7, "int"), (None, "NoneType")):
                with self.assertRaisesRegex(TypeError, f"^a name is str or bytes, and this one is {kind}$"):
                    t.create_snapshot(name)
                with self.assertRaisesRegex(TypeError, f"^a name is str or bytes, and this one is {kind}$"):
                    t.table(name)
            with self.assertRaisesRegex(keelkv.NotFoundError, r"look at the names that snapshots\(\) has"):
                t.drop_snapshot("none")
        self.assertEqual(db.snapshots(), [b"buffer", b"old", b"view"])

    def test_a_reader_waits_for_a_writer_without_the_lock_of_the_interpreter(self):
        db = self.changed()
        writing = db.write()
        reader = db.read()
        waits = threading.Thread(target=reader.create_snapshot, args=("waits",))
        waits.start()
        time.sleep(0.05)
        self.assertEqual(db.snapshots(), [b"old"])
        writing.abort()
        waits.join()
        reader.abort()
        self.assertEqual(db.snapshots(), [b"old", b"waits"])
