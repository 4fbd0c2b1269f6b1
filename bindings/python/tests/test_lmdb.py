"""The front for py-lmdb: the same programs run with py-lmdb, where it is installed, and with this."""

import ast
import inspect
import os
import pathlib
import textwrap
import unittest

import keelkv.lmdb
from common import Case

try:
    import lmdb
except ImportError:
    lmdb = None


def entries(module, path):
    """Single entries, and what their calls return."""
    seen = []
    with module.open(path, map_size=1 << 24, max_dbs=4) as env:
        with env.begin(write=True) as txn:
            seen += [txn.put(b"a", b"1"), txn.put(b"a", b"2", overwrite=False), txn.get(b"a"), txn.put(b"a", b"3")]
            seen += [txn.get(b"a"), txn.get(b"x"), txn.get(b"x", b"default"), txn.get(b"x", default=5)]
            seen += [txn.replace(b"a", b"4"), txn.replace(b"b", b"5"), txn.pop(b"b"), txn.pop(b"b")]
            seen += [txn.delete(b"x"), txn.put(b"c", b""), txn.delete(b"c"), txn.put(b"z", b"1", append=True)]
            seen += [txn.put(b"y", b"1", append=True), txn.put(bytearray(b"m"), memoryview(b"n"))]
        with env.begin() as txn:
            seen += [txn.get(b"a"), txn.stat()["entries"], env.stat()["entries"]]
            try:
                txn.put(b"a", b"1")
            except module.ReadonlyError as error:
                seen.append(isinstance(error, module.Error))
        try:
            with env.begin(write=True) as txn:
                txn.put(b"lost", b"1")
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        with env.begin(buffers=True) as txn:
            view = txn.get(b"a")
            seen += [type(view), bytes(view), txn.get(b"lost"), txn.get(b"lost", b"d")]
            cursor = txn.cursor()
            seen += [cursor.first(), bytes(cursor.key()), type(cursor.value())]
        txn = env.begin(write=True)
        txn.put(b"aborted", b"1")
        txn.abort()
        txn = env.begin(write=True)
        txn.put(b"committed", b"1")
        txn.commit()
        try:
            txn.get(b"a")
        except module.Error:
            seen.append("ended")
        with module.Transaction(env, write=True) as txn:
            seen += [txn.get(b"aborted"), txn.get(b"committed"), isinstance(txn.id(), int)]
        seen += [env.path() == path, env.info()["last_txnid"] > 0, env.flags()["readonly"], env.reader_check()]
        env.sync()
        env.sync(True)
        env.set_mapsize(1 << 25)
    return seen


def cursors(module, path):
    seen = []
    env = module.open(path, map_size=1 << 24)
    with env.begin(write=True) as txn:
        for i in range(0, 100, 2):
            txn.put(b"%03d" % i, b"v%d" % i)
        with txn.cursor() as c:
            seen += [c.key(), c.value(), c.item()]
            seen += [c.first(), c.item(), c.next(), c.item(), c.prev(), c.item(), c.prev(), c.last(), c.item()]
            seen += [c.next(), c.key(), c.set_key(b"010"), c.item(), c.set_key(b"011"), c.set_range(b"011"), c.item()]
            seen += [c.set_range(b"900"), c.set_range(b""), c.item(), c.get(b"020"), c.get(b"021"), c.get(b"021", b"d")]
            seen += [c.set_range(b"090"), list(c.iternext()), list(c.iternext(values=False))[:3]]
            seen += [c.set_range(b"006"), list(c.iterprev()), list(c.iterprev(keys=False))[:3]]
            seen += [c.set_range(b"096"), list(c)]
            seen += [c.put(b"007", b"x"), c.item(), c.put(b"007", b"y", overwrite=False), c.item(), c.next(), c.item()]
            seen += [c.replace(b"007", b"z"), c.item(), c.replace(b"0071", b"q"), c.pop(b"0071"), c.pop(b"none")]
            seen += [c.set_key(b"020"), c.delete(), c.item(), c.next(), c.item()]
            seen += [c.set_key(b"098"), c.delete(), c.key()]
            seen += [c.delete(), c.getmulti([b"000", b"none", b"002"])]
            seen += [c.first(), list(c.iternext_nodup())[:3], c.last(), list(c.iterprev_nodup())[:3]]
            seen += [c.putmulti([(b"p1", b"1"), (b"p2", b"2"), (b"000", b"no")], overwrite=False)]
            seen += [c.last(), c.key(), c.first(), c.next(), c.key()]
        c = txn.cursor()
        c.set_range(b"030")
        for key, value in c:
            seen.append((key, value, c.item()))
            if key == b"034":
                seen += [c.next(), c.next(), c.key()]  # moves the iterator as well
            if key == b"050":
                break
        seen += [c.item(), c.next(), c.item(), c.prev(), c.item()]
        for key, _ in c.iterprev():
            if key == b"040":
                txn.delete(b"038")
                txn.put(b"037", b"new")
            if key == b"034":
                break
        seen += [c.item(), c.prev(), c.item()]
        seen += [len(list(c)), c.key(), c.prev(), c.key()]
        seen += [len(list(c.iterprev())), c.key(), c.next(), c.key()]
        c = txn.cursor()
        seen += [c.next(), c.key()]
        c = txn.cursor()
        seen += [c.prev(), c.key()]
        c = txn.cursor()
        seen += [list(c.iterprev(values=False))[:2]]
        for key, _ in txn.cursor():
            if key.endswith(b"4"):
                txn.delete(key)
        seen += [[key for key, _ in txn.cursor()]]
    env.close()
    try:
        env.begin()
    except module.Error:
        seen.append("closed")
    return seen


def databases(module, path):
    seen = []
    with module.open(path, map_size=1 << 24, max_dbs=4) as env:
        users = env.open_db(b"users")
        with env.begin(write=True) as txn:
            things = env.open_db(b"things", txn=txn)
            txn.put(b"a", b"user", db=users)
            txn.put(b"a", b"thing", db=things)
            txn.put(b"b", b"thing", db=things)
            seen += [txn.get(b"a"), txn.get(b"a", db=users), txn.get(b"a", db=things), txn.delete(b"b", db=things)]
            seen += [txn.stat(users)["entries"], list(txn.cursor(db=things)), txn.pop(b"x", db=users)]
        with env.begin(db=users) as txn:
            seen += [txn.get(b"a"), list(txn.cursor())]
        with env.begin(write=True) as txn:
            txn.drop(users, delete=False)
            seen += [txn.get(b"a", db=users), txn.stat(users)["entries"]]
            txn.drop(things)
        try:
            env.open_db(b"none", create=False)
        except module.NotFoundError:
            seen.append("none")
        seen += [env.open_db(None) is not None]
        # py-lmdb 0.9x wants a transaction here, which later versions ignore.
        with env.begin() as txn:
            seen += [env.open_db(b"users", txn=txn).flags(txn)]
    return seen


def files(module, directory):
    seen = []
    os.mkdir(directory)
    at = os.path.join(directory, "env")
    with module.open(at) as env:
        seen += [os.path.isdir(at)]
        with env.begin(write=True) as txn:
            txn.put(b"a", b"1")
        copy = os.path.join(directory, "copy")
        os.mkdir(copy)
        env.copy(copy, compact=True)
        with open(os.path.join(directory, "descriptor"), "wb") as file:
            seen += [env.copyfd(file.fileno()), file.closed]
    with module.open(copy, readonly=True) as env, env.begin() as txn:
        seen += [txn.get(b"a"), env.flags()["readonly"]]
        try:
            env.begin(write=True)
        except module.Error:
            seen.append("readonly")
    with module.open(os.path.join(directory, "file"), subdir=False, sync=False) as env:
        seen += [os.path.isfile(os.path.join(directory, "file")), env.flags()["subdir"]]
    with module.open(os.path.join(directory, "descriptor"), subdir=False, readonly=True) as env, env.begin() as txn:
        seen += [txn.get(b"a")]
    try:
        module.open(os.path.join(directory, "none"), create=False)
    except module.Error:
        seen.append("no such environment")
    return seen


def writes_beside_cursors(module, path):
    """What a cursor shows and does after writes of its own transaction."""
    seen = []
    with module.open(path, map_size=1 << 24) as env:
        with env.begin(write=True) as txn:
            for key in (b"aa", b"bb", b"cc", b"dd"):
                txn.put(key, b"old")
            cursor = txn.cursor()
            seen += [cursor.set_range(b"a"), cursor.item(), txn.put(b"aa", b"new"), cursor.value(), cursor.item()]
            seen += [txn.put(b"ab", b"1"), cursor.item(), cursor.next(), cursor.item(), txn.delete(b"ab")]
            seen += [cursor.item(), cursor.next(), cursor.item(), txn.replace(b"cc", b"2"), cursor.value()]
            seen += [cursor.last(), txn.delete(b"dd"), cursor.item(), cursor.prev(), cursor.item()]
            seen += [txn.pop(b"aa"), cursor.set_key(b"bb"), cursor.item()]
            nowhere = txn.cursor()
            seen += [nowhere.put(b"ee", b"3"), nowhere.delete(), txn.get(b"ee"), nowhere.item(), nowhere.delete()]
            seen += [txn.get(b"ee"), nowhere.item()]
            nowhere = txn.cursor()
            seen += [nowhere.replace(b"ff", b"4"), nowhere.delete(), txn.get(b"ff"), nowhere.prev(), nowhere.item()]
            nowhere = txn.cursor()
            seen += [nowhere.putmulti([(b"gg", b"5"), (b"hh", b"6")]), nowhere.delete(), nowhere.key()]
            many = txn.cursor()
            seen += [many.getmulti([b"bb", b"cc"]), many.item(), many.next(), many.item(), many.delete()]
            seen += [many.getmulti([b"bb", b"cc"]), many.delete(), many.item(), list(txn.cursor())]
            other = txn.cursor()
            seen += [other.first(), [(key, txn.put(key, b"x"), other.value()) for key, _ in other.iternext()]]
    return seen


class Lmdb(Case):
    def same(self, program):
        mine = program(keelkv.lmdb, str(self.directory / "keel"))
        if lmdb is None:
            self.skipTest("py-lmdb is not installed; this front ran alone")
        theirs = program(lmdb, str(self.directory / "lmdb"))
        for number, (one, two) in enumerate(zip(mine, theirs)):
            self.assertEqual(one, two, f"result {number} of {program.__name__}")
        self.assertEqual(len(mine), len(theirs))

    def test_entries(self):
        self.same(entries)

    def test_cursors(self):
        self.same(cursors)

    def test_databases(self):
        self.same(databases)

    def test_files(self):
        self.same(files)

    def test_writes_beside_cursors(self):
        self.same(writes_beside_cursors)

    def test_a_directory_of_lmdb(self):
        theirs = self.directory / "data.mdb"
        theirs.write_bytes(b"")
        for create in (True, False):
            with self.assertRaisesRegex(
                keelkv.lmdb.Error, "has an environment of LMDB, data.mdb; import it with `kv import-lmdb .*/data.kv`, "
            ):
                keelkv.lmdb.open(str(self.directory), create=create)
        self.assertEqual(list(self.directory.iterdir()), [theirs])
        keelkv.open(self.directory / keelkv.lmdb.FILE_NAME).close()
        keelkv.lmdb.open(str(self.directory)).close()

    def test_what_is_refused(self):
        with keelkv.lmdb.open(str(self.directory / "a")) as env:
            for wrong in ({"dupsort": True}, {"reverse_key": True}, {"integerkey": True}):
                with self.assertRaises(keelkv.lmdb.IncompatibleError):
                    env.open_db(b"x", **wrong)
            with env.begin(write=True) as txn:
                with self.assertRaises(keelkv.lmdb.BadTxnError):
                    env.begin(parent=txn)
                with self.assertRaises(keelkv.lmdb.BadValsizeError):
                    txn.put(b"k" * (3 << 20), b"")
                with self.assertRaises(keelkv.lmdb.LockError) as caught:
                    env.begin(write=True)
                self.assertIsInstance(caught.exception.__cause__, keelkv.DeadlockError)
                with self.assertRaises(TypeError):
                    txn.put("a", b"")
                self.assertEqual(type(txn.cursor().getmulti([b"a"], values=False)), list)
                with self.assertRaises(TypeError):
                    txn.cursor().getmulti([b"a"], dupdata=True, values=False)
        with self.assertRaisesRegex(keelkv.lmdb.Error, "closed") as caught:
            env.readers()
        self.assertEqual(type(caught.exception).__module__, "keelkv.lmdb")

    def test_arguments_have_the_same_names(self):
        if lmdb is None:
            self.skipTest("py-lmdb is not installed")
        # The classes of its C extension do not tell their arguments, but it brings the same classes for cffi.
        source = pathlib.Path(lmdb.__file__).with_name("cffi.py")
        compared = 0
        for kind in ast.parse(source.read_text()).body:
            if not isinstance(kind, ast.ClassDef) or kind.name not in ("Environment", "Transaction", "Cursor"):
                continue
            for theirs in (function for function in kind.body if isinstance(function, ast.FunctionDef)):
                if theirs.name in ABSENT or theirs.name.startswith("_") and theirs.name != "__init__":
                    continue
                with self.subTest(f"{kind.name}.{theirs.name}"):
                    mine = arguments(tree_of(getattr(getattr(keelkv.lmdb, kind.name), theirs.name)))
                    wanted = {name: default for name, default in arguments(theirs).items() if name not in ABSENT}
                    # An older py-lmdb may have fewer.
                    same = {name: default for name, default in mine.items() if name in wanted}
                    self.assertEqual(list(same), list(wanted))
                    if kind.name != "Environment" or theirs.name != "__init__":  # where most are ignored
                        self.assertEqual(same, wanted)
                    compared += 1
        self.assertGreater(compared, 45)


#: Methods and arguments that only several values of a key, or the other format of LMDB 1.0, would need.
ABSENT = {
    "first_dup", "last_dup", "next_dup", "prev_dup", "set_key_dup", "set_range_dup", "iternext_dup", "iterprev_dup",
    "dupfixed_bytes", "keyfixed", "lib_version",
}


def tree_of(function):
    """The definition of a function in its source."""
    return ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]


def arguments(function):
    """The names of the arguments of a definition, and the defaults of those that have one."""
    names = [argument.arg for argument in function.args.args if argument.arg != "self"]
    defaults = [None] * (len(names) - len(function.args.defaults)) + function.args.defaults
    names += [argument.arg for argument in function.args.kwonlyargs]
    empty = ast.dump(ast.Constant(b""))
    shown = [empty if getattr(d, "id", "") == "EMPTY_BYTES" else d and ast.dump(d).replace(", kind=None", "")
             for d in defaults + function.args.kw_defaults]
    return dict(zip(names, shown))


if __name__ == "__main__":
    unittest.main()
