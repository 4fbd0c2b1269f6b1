"""Misuse: whatever a program does in whatever order, exceptions come and nothing breaks."""

import gc
import itertools
import os
import random
import sys
import tracemalloc
import weakref

import keelkv
from keelkv import _backend
from common import Case


class Misuse(Case):
    def uses(self, db, s, t, table, cursor, iterator):
        """Calls of everything that can be called."""
        return [
            lambda: db[b"a"], lambda: db.get(b"a"), lambda: b"a" in db, lambda: len(db), lambda: list(db),
            lambda: db.__setitem__(b"a", b""), lambda: db.__delitem__(b"a"), lambda: db.read(), lambda: db.write(),
            lambda: db.sync(), lambda: db.visible, lambda: db.stat(), lambda: db.identity(), lambda: db.readers(),
            lambda: db.check(), lambda: db.backup(self.directory / "never.kv"), lambda: db.wait_commit(0, 0),
            lambda: db.wait_durable(1), lambda: db.tables(), lambda: db.pop(b"a", None),
            *(use for m in (s, t, table) for use in (
                lambda m=m: m[b"a"], lambda m=m: m.get(b"a"), lambda m=m: b"a" in m, lambda m=m: len(m),
                lambda m=m: list(m), lambda m=m: list(m.items()), lambda m=m: m.put(b"a", b""),
                lambda m=m: m.delete(b"a"), lambda m=m: m.pop(b"a"), lambda m=m: m.get_many([b"a"]),
                lambda m=m: m.view(b"a"), lambda m=m: m.first(), lambda m=m: m.nth(0), lambda m=m: m.cursor(),
                lambda m=m: m.count(prefix=b"a"), lambda m=m: m.rank(b"a"), lambda m=m: m.size(b"a"),
                lambda m=m: m.read(b"a", 0, 1), lambda m=m: m.pop_first(), lambda m=m: m.setdefault(b"a", b""),
                lambda m=m: m.replace(b"a", b""), lambda m=m: m.delete_range(prefix=b"a"), lambda m=m: m.clear(),
                lambda m=m: m.update({b"a": b""}), lambda m=m: m.name, lambda m=m: m.stat_table(),
            )),
            *(use for m in (s, t) for use in (
                lambda m=m: m.commit(), lambda m=m: m.commit_async(), lambda m=m: m.refresh(), lambda m=m: m.stat(),
                lambda m=m: m.table("x"), lambda m=m: m.tables(), lambda m=m: m.check(), lambda m=m: m.commit_id,
                lambda m=m: m.backup(self.directory / "never.kv"),
            )),
            lambda: cursor.first(), lambda: cursor.next(), lambda: cursor.get(), lambda: cursor.seek(b"a", 33),
            lambda: cursor.put(b""), lambda: cursor.delete(), lambda: cursor.nth(0), lambda: cursor.rank(),
            lambda: next(iterator),
        ]

    def things(self):
        db = keelkv.open(self.path)
        with db.write() as w:
            w.update((b"%04d" % i, b"v%d" % i) for i in range(3000))
            w.table("x", create=True)
        s, t = db.read(), db.write()
        table, cursor, iterator = t.table("x"), t.cursor(), iter(s.items())
        cursor.first()
        next(iterator)
        return db, s, t, table, cursor, iterator

    def test_use_after_close(self):
        things = self.things()
        things[0].close()
        self.assertTrue(things[0].closed)
        for number, use in enumerate(self.uses(*things)):
            with self.subTest(number):
                with self.assertRaises((keelkv.BadHandleError, StopIteration)):
                    use()
        for thing in things[1:3]:
            self.assertTrue(thing.ended)
            thing.abort()
            with thing:
                pass
        things[0].close()
        things[0].interrupt()
        for thing in things:
            repr(thing)
        self.assertFalse((self.directory / "never.kv").exists())

    def test_use_after_the_end(self):
        db, s, t, table, cursor, iterator = self.things()
        s.abort()
        t.commit()
        for number, use in enumerate(self.uses(db, s, t, table, cursor, iterator)[20:]):
            with self.subTest(number):
                with self.assertRaises((keelkv.BadHandleError, StopIteration)):
                    use()
        cursor.close()
        cursor.close()
        db.close()

    def test_garbage_in_any_order(self):
        for order in itertools.permutations(range(6)):
            things = list(self.things()) if order[0] == 0 else things  # noqa: F821
            if order[0] != 0:
                break
            for number in order:
                things[number] = None
        rng = random.Random(1)
        for _ in range(20):
            things = list(self.things())
            rng.shuffle(things)
            while things:
                things.pop()
        with self.open() as db:
            self.assertEqual(db.stat().readers, 0)
            db.write().abort()

    def test_garbage_in_cycles(self):
        class Holder:
            pass

        db, s, t, table, cursor, iterator = self.things()
        holder = Holder()
        db.holder = holder
        holder.things = [db, s, t, table, cursor, iterator, holder]
        gone = weakref.ref(holder), weakref.ref(db), weakref.ref(s), weakref.ref(table)
        del db, s, t, table, cursor, iterator, holder
        gc.collect()
        gc.collect()
        self.assertEqual([reference() for reference in gone], [None] * 4)
        with self.open() as db:
            self.assertEqual(db.stat().readers, 0)
            db.write(nowait=True).abort()

    def test_a_codec_that_ends_what_it_is_used_by(self):
        holder = {}

        def encode(thing):
            end = holder.get("end")
            if end is not None:
                end()
            return thing

        for name in ("abort", "commit", "close"):
            with self.open(key=keelkv.Codec(encode, bytes)) as db:
                for use in (
                    lambda t: t[b"a"], lambda t: t.__setitem__(b"a", b""), lambda t: t.get_many([b"a", b"b"]),
                    lambda t: t.items(prefix=b"a").__iter__(), lambda t: t.view(b"a"), lambda t: t.pop(b"a"),
                    lambda t: t.put_many([(b"a", b"")]), lambda t: t.cursor().seek(b"a", 33), lambda t: b"a" in t,
                ):
                    if db.closed:
                        db = self.open(key=keelkv.Codec(encode, bytes))
                    t = db.write()
                    t[b"a"] = b"1"
                    holder["end"] = db.close if name == "close" else getattr(t, name)
                    try:
                        with self.assertRaises(keelkv.BadHandleError):
                            use(t)
                    finally:
                        holder.clear()
                    t.abort()

    def test_a_codec_that_fails(self):
        def fail(thing):
            raise ZeroDivisionError

        with self.open(key=keelkv.Codec(fail, fail)) as db, self.open(value=keelkv.Codec(fail, fail)) as values:
            with self.open() as plain:
                plain[b"a"] = b"1"
            for use in (lambda: db[b"a"], lambda: b"a" in db, lambda: list(db), lambda: values[b"a"],
                        lambda: list(values.values()), lambda: values.__setitem__(b"a", 1),
                        lambda: values.read().get_many([b"a"])):
                with self.assertRaises(ZeroDivisionError):
                    use()
        with self.open(key=keelkv.Codec(lambda thing: 5, bytes)) as db:
            with self.assertRaises(TypeError):
                db[b"a"]

    def test_objects_that_were_never_begun(self):
        with self.assertRaises((keelkv.BadHandleError, AttributeError)):
            keelkv.Table.__new__(keelkv.Table)[b"a"]
        with self.assertRaises((keelkv.BadHandleError, AttributeError)):
            keelkv.Database.__new__(keelkv.Database)[b"a"]
        with self.assertRaises(keelkv.BadHandleError):
            keelkv.Database()[b"a"]
        with self.assertRaises(TypeError):
            keelkv.Table(None, 0, None)
        with self.assertRaises(TypeError):
            _backend.TxnCore("no database", 16)
        for kind in (_backend.CursorCore, keelkv.Table):
            with self.assertRaises(TypeError):
                kind()

    def test_wrong_arguments(self):
        with self.open() as db, db.write() as t:
            t[b"a"] = b"1"
            for use in (
                lambda: t.get(), lambda: t.get(b"a", b"b", b"c"), lambda: t.get(b"a", wrong=1), lambda: t.put(b"a"),
                lambda: t.put(b"a", b"b", b"c", b"d"), lambda: t.put(b"a", b"b", "flags"), lambda: t.pop(),
                lambda: t.pop(b"a", 1, 2), lambda: t.get_many(5), lambda: t.get_many([5]), lambda: t.nth("x"),
                lambda: t.put_many(5), lambda: t.put_many([5]), lambda: t.items(prefix=5).__iter__(),
                lambda: t.percentile("x"), lambda: t.cursor().seek(), lambda: t.delete(),
                lambda: t.table(5), lambda: db.backup(5), lambda: db.wait_durable("x"),
            ):
                with self.assertRaises((TypeError, keelkv.InvalidError)):
                    use()
            with self.assertRaises(ValueError):
                t.put_many([(b"a", b"b", b"c")])
            with self.assertRaises((keelkv.InvalidError, OverflowError)):
                t.put(b"a", b"b", 2**31)
            with self.assertRaises((OverflowError, TypeError, keelkv.InvalidError, keelkv.NoTableError)):
                keelkv.Table(t._txn, 2**70, None)[b"a"]
            self.assertEqual(t[b"a"], b"1")

    def test_the_end_of_the_interpreter(self):
        for end in ("", "sys.exit(0)", "del db", "db.close()", "gc.disable()", "t.abort()"):
            out = self.program(f"""
                import atexit, gc, sys, threading
                import keelkv
                db = keelkv.open(sys.argv[1], durability="lazy")
                db[b"a"] = b"1"
                s, t = db.read(), db.write()
                t[b"b"] = b"2"
                things = [s.items(), iter(s), s.cursor(), s.view(b"a"), t.table("x", create=True)]
                things.append(things)
                atexit.register(lambda: print(bytes(things[3])))
                class Late:
                    def __del__(self):
                        try:
                            list(s)
                        except Exception:
                            pass
                late = Late()
                def wait(db=db):
                    try:
                        db.wait_commit(10**6)
                    except keelkv.Error:
                        pass
                threading.Thread(target=wait, daemon=True).start()
                {end}
            """, self.path)
            with self.open() as db:
                self.assertEqual(dict(db).get(b"b"), None)
            self.assertEqual(out, "b'1'\n")

    def test_the_end_of_the_interpreter_ends_jobs(self):
        with self.open() as db:
            db.update((os.urandom(16), b"v" * 200) for _ in range(30_000))
        for job in ("keelkv.salvage(sys.argv[1], sys.argv[1] + '.saved', progress=slow)",
                    "keelkv.open(sys.argv[1]).check(progress=slow)",
                    "keelkv.open(sys.argv[1]).read().backup(sys.argv[1] + '.copy', progress=slow)"):
            self.program(f"""
                import sys, threading, time
                import keelkv
                begun = threading.Event()

                def slow(done, total, sleep=time.sleep):
                    begun.set()
                    sleep(0.3)

                def run():
                    try:
                        {job}
                    except keelkv.CancelledError:
                        pass

                class Late:
                    def __del__(self, sleep=time.sleep):
                        sleep(0.6)

                threading.Thread(target=run, daemon=True).start()
                begun.wait()
                sys.late = Late()
            """, self.path)

    def test_references_are_counted(self):
        """Every call gives back what it took, also when it fails."""
        if keelkv.backend != "c":
            self.skipTest("the ctypes back end counts nothing itself")
        key, value, other = b"key-%d" % 10**6, b"value-%d" % 10**6, bytearray(b"other")
        db = self.open()
        coded = self.open(self.directory / "b.kv", key=keelkv.Codec(bytes, bytes), value=keelkv.Codec(bytes, bytes))
        default = object()

        def everything(db):
            db[key] = value
            db.get(key, default)
            db.get(b"none", default)
            db.get(b"none", default=default)
            key in db  # noqa: B015
            with db.write() as t:
                for call in (
                    lambda: t.put(key, value), lambda: t.put(other, other), lambda: t.put(key, 5), lambda: t[b"none"],
                    lambda: t.put(5, value), lambda: t.put(key, value, keelkv.NO_OVERWRITE), lambda: t.get(key),
                    lambda: t.get(key, default), lambda: t.get(b"none", default), lambda: t.pop(b"none", default),
                    lambda: t.pop(key, default), lambda: t.replace(key, value), lambda: t.setdefault(key, value),
                    lambda: t.insert(key, value), lambda: t.get_many([key, other, b"none"]),
                    lambda: t.get_many([key, 5]),
                    lambda: t.put_many([(key, value)]), lambda: t.put_many([(key, value), 5]), lambda: list(t.items()),
                    lambda: list(t.keys(start=key, stop=other)), lambda: list(t.values()), lambda: t.first(prefix=key),
                    lambda: t.cursor().seek(key, 33), lambda: t.view(key), lambda: t.view(b"none"),
                    lambda: t.writer(key).write(value), lambda: t.writer(5), lambda: t.writer(key).finish(),
                    lambda: t.writer(key).write(5), lambda: t.writer(key, flags=keelkv.NO_OVERWRITE),
                    lambda: t.rank(key), lambda: t.size(key), lambda: t.read(key, 0, 3), lambda: t.delete(key),
                    lambda: t.pop_first(prefix=key), lambda: t.delete_range(start=key),
                    lambda: next(iter(t.items()), None),
                    lambda: t.items(prefix=key).__iter__(), lambda: t.table(b"none"), lambda: t.nth(0),
                    lambda: key in t,
                    lambda: db.write(nowait=True), lambda: t.stat(), lambda: t.check(progress=default),
                ):
                    try:
                        call()
                    except (TypeError, KeyError, ValueError, keelkv.Error):
                        pass

        def counts():
            gc.collect()
            # None does not count from 3.12 on.
            none = () if sys.version_info >= (3, 12) else (None,)
            return [sys.getrefcount(thing) for thing in (key, value, other, default, db, coded, type(db), *none)]

        for database in (db, coded):
            for _ in range(3):
                everything(database)
            tracemalloc.start()
            before, objects, memory = counts(), len(gc.get_objects()), tracemalloc.get_traced_memory()[0]
            for _ in range(100):
                everything(database)
            after = counts()
            for one, two in zip(before, after):
                self.assertLess(abs(one - two), 50, (before, after))
            gc.collect()
            self.assertLess(len(gc.get_objects()) - objects, 200)
            # A buffer that is not given back once in a hundred rounds would be more.
            self.assertLess(tracemalloc.get_traced_memory()[0] - memory, 60_000)
            tracemalloc.stop()
            self.assertLess(sys.getrefcount(_backend.EntriesCore) + sys.getrefcount(_backend.TxnCore), 200)
