"""Children of os.fork(): what they inherit says clearly that it is not theirs, and they can open the file anew."""

import copy
import os
import pickle
import unittest

import keelkv
from common import Case

PROGRAM = """
    import gc, os, sys, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    import keelkv
    db = keelkv.open(sys.argv[1])
    db[b"a"] = b"1"
    db[b"long"] = b"x" * 100_000
    s = db.read()
    t = db.write()
    t[b"b"] = b"2"
    iterator = iter(s.items())
    next(iterator)
    cursor = s.cursor()
    cursor.first()
    view = s.view(b"long")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for use in (lambda: db[b"a"], lambda: db.read(), lambda: db.write(), lambda: db.__setitem__(b"a", b""),
                        lambda: s[b"a"], lambda: t[b"b"], lambda: t.__setitem__(b"c", b""), lambda: len(s),
                        lambda: cursor.next(), lambda: s.view(b"a"), lambda: t.commit(), lambda: db.sync(),
                        lambda: db.check(), lambda: db.stat(), lambda: list(s.items())):
                try:
                    use()
                except keelkv.ForkedError as error:
                    assert "child" in str(error), error
                else:
                    raise AssertionError("no ForkedError")
            db.close()
            with keelkv.open(sys.argv[1]) as own:
                assert own[b"a"] == b"1"
                try:
                    own.write(nowait=True)
                except keelkv.BusyError:
                    pass
                else:
                    raise AssertionError("the parent's transaction is open")
            del s, t, iterator, cursor
            gc.collect()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    t.commit()
    assert bytes(view) == b"x" * 100_000
    assert next(iterator)[0] == b"long"
    print(sorted(db))
"""


class Fork(Case):
    @unittest.skipUnless(hasattr(os, "waitstatus_to_exitcode"), "needs Python 3.9")
    def test_a_child(self):
        self.assertEqual(self.program(PROGRAM, self.path), "[b'a', b'b', b'long']\n")

    def test_a_child_that_ends_as_programs_do(self):
        out = self.program("""
            import os, sys, warnings
            warnings.simplefilter("ignore", DeprecationWarning)
            import keelkv
            db = keelkv.open(sys.argv[1], durability="lazy")
            t = db.write()
            t[b"a"] = b"1"
            view = db.read().view
            child = os.fork()
            if child == 0:
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
            t.commit()
            print(dict(db))
        """, self.path)
        self.assertEqual(out, "{b'a': b'1'}\n")

    def test_multiprocessing(self):
        out = self.program("""
            import multiprocessing, sys
            import keelkv

            def work(number):
                with keelkv.open(sys.argv[1]) as db:
                    for i in range(20):
                        with db.write() as t:
                            t[b"n"] = b"%d" % (int(t.get(b"n", b"0")) + 1)

            context = multiprocessing.get_context("fork")
            workers = [context.Process(target=work, args=(i,)) for i in range(4)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
                assert worker.exitcode == 0
            print(keelkv.open(sys.argv[1])[b"n"])
        """, self.path)
        self.assertEqual(out, "b'80'\n")

    def test_objects_are_neither_copied_nor_pickled(self):
        db = self.open()
        db[b"a"] = b"1"
        with db.write() as t:
            table = t.table("t", create=True)
            for thing in (db, t, table):
                for way in (copy.copy, copy.deepcopy, pickle.dumps):
                    with self.assertRaisesRegex(TypeError, f"a {type(thing).__name__} cannot be copied or pickled; "):
                        way(thing)
            for thing in (t.cursor(), t.writer(b"b"), iter(t), t._txn):
                for way in (copy.copy, copy.deepcopy, pickle.dumps):
                    with self.assertRaises(TypeError):
                        way(thing)
            del thing
            self.assertEqual(t[b"a"], b"1")
            t.abort()
        self.assertEqual(db[b"a"], b"1")
        self.assertIs(keelkv.open, keelkv.database.open)
