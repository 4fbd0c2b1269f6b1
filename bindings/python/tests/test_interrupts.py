"""Exceptions of signal handlers, which leave nothing open and nobody locked out."""

import gc
import os
import signal
import threading
import time
import unittest

import keelkv
from common import Case

if keelkv.backend == "ctypes":
    from keelkv._library import kv


class Interrupts(Case):
    def interrupted(self, name, before, call):
        """Makes a call in which Ctrl-C strikes just before or after a function of the library."""
        function, struck = getattr(kv, name), []

        def strike(*arguments):
            if not struck and before:
                struck.append(name)
                raise KeyboardInterrupt
            status = function(*arguments)
            if not struck:
                struck.append(name)
                raise KeyboardInterrupt
            return status

        setattr(kv, name, strike)
        try:
            with self.assertRaises(KeyboardInterrupt):
                call()
        finally:
            setattr(kv, name, function)
        self.assertEqual(struck, [name])

    @unittest.skipUnless(keelkv.backend == "ctypes", "the extension makes these steps without Python")
    def test_between_two_steps(self):
        db = self.open(durability="lazy")

        def commits(t):
            with t:
                t[b"a"] = b"1"

        def is_free():
            db.write(nowait=True).abort()

        for before in (True, False):
            self.interrupted("kv_txn_begin", before, db.write)
            is_free()
            self.interrupted("kv_txn_begin", before, lambda: db.__setitem__(b"a", b"1"))
            is_free()
            for end in (lambda t: t.commit(), lambda t: t.abort(), commits):
                t = db.write()
                name = "kv_txn_abort" if "abort" in end.__code__.co_names else "kv_txn_commit"
                self.interrupted(name, before, lambda: end(t))
                t.abort()
                is_free()
            self.interrupted("kv_txn_commit", before, lambda: db.__setitem__(b"a", b"1"))
            is_free()
            self.interrupted("kv_txn_begin", before, db.read)
            gc.collect()
            self.assertEqual(db.stat().readers, 0)
            with db.write() as t:
                t[b"long"] = b"x" * 100_000
                self.interrupted("kv_writer_open", before, lambda: t.writer(b"b"))
                w = t.writer(b"b")
                self.interrupted("kv_writer_finish", before, w.finish)
                w.close()
                self.interrupted("kv_cursor_open", before, t.first)
                self.interrupted("kv_cursor_open", before, t.pop_first)
                self.interrupted("kv_get_buf", before, lambda: t.view(b"long"))
            self.assertEqual(bytes(db[b"long"]), b"x" * 100_000)
            other = keelkv.open(self.path)
            t = other.read()
            self.interrupted("kv_close", before, other.close)
            other.close()
            self.assertTrue(other.closed)
            self.assertTrue(t.ended)
            self.interrupted("kv_open", before, lambda: keelkv.open(self.path))

    def test_while_waiting_for_a_turn(self):
        db = self.open(durability="lazy")
        armed = []

        def interrupt(*_):
            if armed:
                raise KeyboardInterrupt

        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, interrupt))
        for delay in (0.02, 0.1, 0.19, 0.2, 0.21):
            began, end = threading.Event(), threading.Event()

            def hold():
                with db.write():
                    began.set()
                    time.sleep(0.2)

            def strike():
                time.sleep(delay)
                while not end.wait(0.001):
                    os.kill(os.getpid(), signal.SIGINT)

            threads = [threading.Thread(target=target) for target in (hold, strike)]
            threads[0].start()
            began.wait()
            threads[1].start()
            try:
                armed.append(True)
                while True:
                    db.write().abort()
            except KeyboardInterrupt:
                armed.clear()
            end.set()
            for thread in threads:
                thread.join()
            gc.collect()
            db.write(nowait=True).abort()


if __name__ == "__main__":
    unittest.main()
