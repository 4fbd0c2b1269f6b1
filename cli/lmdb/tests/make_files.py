#!/usr/bin/env python3
"""Makes files of LMDB 0.9 and 1.0, and says what py-lmdb reads from them.

    make_files.py fixtures FOLDER            the files of tests/files/, each with what is in it
    make_files.py random SEED FOLDER         larger ones, of other content for each SEED
    make_files.py copy FILE COPY             a compacted copy
    make_files.py foreign PROGRAM PAGE-SIZE FILE [EMULATOR]
                                             a fixture of another machine; see make_foreign.c

Needs the package lmdb 3.0 (pip install lmdb), which carries both versions of LMDB. Its own interface chooses one by
lib_version=0 or 1 when a file is made, but it has neither page sizes, checksums, encryption nor reversed values. So
the files are written through the C functions in its extension module, and read through py-lmdb.

What is in FILE is in FILE.jsonl: a line for the file, then for each database a line of its own and one for each entry
in LMDB's order. Fixtures are packed with gzip. tests/read.rs writes the same lines from what the reader finds.
"""

import ctypes
import gzip
import json
import os
import random
import subprocess
import sys

import lmdb
import lmdb.cpython

LIBRARY = ctypes.CDLL(lmdb.cpython.__file__)
NOSUBDIR, NOSYNC, CREATE = 0x4000, 0x10000, 0x40000
REVERSEKEY, DUPSORT, INTEGERKEY, DUPFIXED, INTEGERDUP, REVERSEDUP = 0x02, 0x04, 0x08, 0x10, 0x20, 0x40
FLAGS = {"reverse_key": REVERSEKEY, "dupsort": DUPSORT, "integerkey": INTEGERKEY, "dupfixed": DUPFIXED,
         "integerdup": INTEGERDUP}
CHECKSUM_BYTES = 10


class Bytes(ctypes.Structure):
    """MDB_val"""
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_char_p)]

    @classmethod
    def of(cls, data):
        return cls(len(data), data)


class Writable(ctypes.Structure):
    """MDB_val, for functions that fill it"""
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]


POINTER = ctypes.POINTER(Writable)
SUM = ctypes.CFUNCTYPE(None, POINTER, POINTER, POINTER)
ENCRYPT = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, POINTER, POINTER, ctypes.c_int)


@SUM
def checksum(data, out, _key):
    """A sum of all bytes, so that it differs from zero."""
    total = sum(ctypes.string_at(data[0].data, data[0].size)) + 1
    ctypes.memmove(out[0].data, total.to_bytes(CHECKSUM_BYTES, "little"), CHECKSUM_BYTES)


@ENCRYPT
def encrypt(data, out, _key, _decrypt):
    """No good cipher."""
    text = bytes(byte ^ 0x55 for byte in ctypes.string_at(data[0].data, data[0].size))
    ctypes.memmove(out[0].data, text, len(text))
    return 0


class Writer:
    """An environment that is made by one version of LMDB."""

    def __init__(self, version, path, page_size=None, sums=False, encrypted=False):
        self.prefix = {"0.9": "mdb09_", "1.0": "mdb10_"}[version]
        self.env = ctypes.c_void_p()
        for name in (path, path + "-lock"):
            if os.path.exists(name):
                os.remove(name)
        self.call("env_create", ctypes.byref(self.env))
        self.call("env_set_mapsize", self.env, ctypes.c_size_t(1 << 30))
        self.call("env_set_maxdbs", self.env, 64)
        if page_size:
            self.call("env_set_pagesize", self.env, page_size)
        if sums:
            self.call("env_set_checksum", self.env, checksum, CHECKSUM_BYTES)
        if encrypted:
            self.call("env_set_encrypt", self.env, encrypt, ctypes.byref(Bytes.of(b"key")), 0)
        self.call("env_open", self.env, path.encode(), NOSUBDIR | NOSYNC, 0o644)

    def call(self, name, *arguments):
        function = getattr(LIBRARY, self.prefix + name)
        answer = function(*arguments)
        if answer:
            raise OSError(f"mdb_{name} answers {answer}")

    def begin(self):
        txn = ctypes.c_void_p()
        self.call("txn_begin", self.env, None, 0, ctypes.byref(txn))
        return txn

    def commit(self, txn):
        self.call("txn_commit", txn)

    def database(self, txn, name, flags):
        dbi = ctypes.c_uint()
        self.call("dbi_open", txn, name, flags | CREATE, ctypes.byref(dbi))
        return dbi

    def put(self, txn, dbi, key, value):
        self.call("put", txn, dbi, ctypes.byref(Bytes.of(key)), ctypes.byref(Bytes.of(value)), 0)

    def delete(self, txn, dbi, key, value=None):
        value = ctypes.byref(Bytes.of(value)) if value is not None else None
        self.call("del", txn, dbi, ctypes.byref(Bytes.of(key)), value)

    def fill(self, name, flags, entries):
        txn = self.begin()
        dbi = self.database(txn, name, flags)
        for key, value in entries:
            self.put(txn, dbi, key, value)
        self.commit(txn)

    def close(self):
        function = getattr(LIBRARY, self.prefix + "env_close")
        function.restype = None
        function(self.env)


def dump(version, path, reversed_values=()):
    """Writes what py-lmdb reads to path.jsonl."""
    env = lmdb.open(path, subdir=False, readonly=True, lock=False, max_dbs=64)
    lines = []
    with env.begin() as txn:
        names = env.dbs(txn)
        lines.append({"version": version, "page_size": env.stat()["psize"], "databases": 1 + len(names)})
        for name in [None, *names]:
            database = env.open_db(name, txn=txn, create=False)
            flags = sum(bit for flag, bit in FLAGS.items() if database.flags().get(flag))
            flags |= REVERSEDUP if name in reversed_values else 0
            entries = txn.stat(database)["entries"] - (0 if name else len(names))
            lines.append({"database": name.hex() if name else None, "flags": flags, "entries": entries})
            with txn.cursor(database) as cursor:
                for key, value in cursor:
                    # 1.0 keeps names with a zero behind them.
                    if name or key.removesuffix(b"\0") not in names:
                        lines.append({"key": key.hex(), "value": value.hex()})
    env.close()
    with open(path + ".jsonl", "w", encoding="ascii") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


def number(integer, length=8, order=sys.byteorder):
    return integer.to_bytes(length, order)


def kinds(writer, long_key):
    """A database of every kind, small enough to be kept."""
    few = random.Random(1)
    writer.fill(None, 0, [(b"main %03d" % i, few.randbytes(i)) for i in range(30)])
    lengths = [0, 1, 2, 3, 500, 1000, 1900, 2000, 2010, 2020, 2030, 2040, 2100, 4079, 4080, 4081, 8176, 8177, 20000]
    pairs = [(b"k" * (i % 9 + 1) + b"%d" % i, bytes([i]) * length) for i, length in enumerate(lengths)]
    writer.fill(b"plain", 0, pairs)
    writer.fill(b"many", 0, [(b"%x" % (i * 7919 % 100003), b"value %d" % i) for i in range(300)])
    writer.fill(b"long keys", 0, [(bytes([i]) * (long_key - i % 7), b"%d" % i) for i in range(1, 25)])
    pairs = [(b"one", b"value"), (b"two", b"y"), (b"two", b"x"), (b"\0", b"\0"), (b"\0", b"\0\0"), (b"\0\0", b"z")]
    pairs += [(b"several", b"value %d" % i) for i in range(30)]
    pairs += [(b"tree", b"%d" % i * 5) for i in range(230)]
    pairs += [(b"long", bytes([i]) * (long_key - i % 3)) for i in range(12)]
    writer.fill(b"dupsort", DUPSORT, pairs)
    pairs = [(b"one", b"1234567")] + [(b"several", b"%07d" % (i * 37 % 101)) for i in range(50)]
    pairs += [(b"tree", b"%07d" % (i * 7919 % 10007)) for i in range(500)]
    writer.fill(b"dupfixed", DUPSORT | DUPFIXED, pairs)
    writer.fill(b"integers", INTEGERKEY, [(number(i * i * i), b"%d" % i) for i in range(120)])
    writer.fill(b"integers of 4", INTEGERKEY, [(number(i * i, 4), b"%d" % i) for i in range(120)])
    pairs = [(b"tree" if i % 9 else b"key", number(i * 7919 % 65537)) for i in range(310)] + [(b"one", number(7))]
    writer.fill(b"integerdup", DUPSORT | DUPFIXED | INTEGERDUP, pairs)
    pairs = [(number(i % 5, 4), number(i * 77, 4)) for i in range(50)]
    writer.fill(b"both", INTEGERKEY | DUPSORT | DUPFIXED | INTEGERDUP, pairs)
    writer.fill(b"reversed", REVERSEKEY, [(b"%d" % i, b"value") for i in range(100)])
    writer.fill(b"reversed values", DUPSORT | REVERSEDUP, [(b"%d" % (i % 4), b"%d" % i) for i in range(100)])
    writer.fill(b"empty", 0, [])
    writer.fill(b"empty dupsort", DUPSORT, [])
    writer.fill(b"name with\n\xff", 0, [(b"key", b"value")])
    # Pages that are free, trees that have shrunk, values that come from trees back to one.
    txn = writer.begin()
    dbi = writer.database(txn, b"many", 0)
    for i in range(0, 300, 3):
        writer.delete(txn, dbi, b"%x" % (i * 7919 % 100003))
    dbi = writer.database(txn, b"dupsort", DUPSORT)
    for i in range(28):
        writer.delete(txn, dbi, b"several", b"value %d" % i)
    writer.commit(txn)
    writer.fill(b"after", 0, [(b"later %d" % i, b"x" * 100) for i in range(40)])


def several_levels(writer):
    """Trees of many levels, also of values: for small pages."""
    writer.fill(b"tall", 0, [(b"key %05d" % (i * 7919 % 4001), b"v%d" % i) for i in range(420)])
    writer.fill(b"tall values", DUPSORT, [(b"key", b"value %05d" % (i * 7919 % 4001)) for i in range(350)])
    writer.fill(b"tall fixed", DUPSORT | DUPFIXED, [(b"key", b"%05d" % (i * 7919 % 4001)) for i in range(600)])
    writer.fill(b"long", 0, [(b"%d" % i, b"x" * (i * 11)) for i in range(60)])


def of_random(writer, seed, long_key):
    """What chance makes, in several transactions with deletes between them."""
    chance = random.Random(seed)
    for number_of_database in range(8):
        flags = 0
        if chance.random() < 0.6:
            flags |= DUPSORT
            flags |= chance.choice([0, DUPFIXED])
            flags |= chance.choice([0, REVERSEDUP, INTEGERDUP if flags & DUPFIXED else 0])
        flags |= chance.choice([0, 0, REVERSEKEY, INTEGERKEY])
        name = None if number_of_database == 0 and not flags else b"db %d %02x" % (number_of_database, flags)
        fixed = 8 if flags & INTEGERDUP else chance.randrange(1, 40)
        keys = chance.choice([3, 100, 1000])
        longest = chance.choice([8, 60, long_key])

        def key():
            if flags & INTEGERKEY:
                return number(chance.randrange(keys))
            text = b"%d" % chance.randrange(keys)
            return text + b"." * min(longest - len(text), int(text) % 97 * longest // 97)

        def value():
            if flags & DUPFIXED:
                return chance.randbytes(fixed)
            if flags & DUPSORT:
                return chance.randbytes(1 + chance.randrange(chance.choice([3, 40, long_key - 1])))
            return chance.randbytes(chance.randrange(chance.choice([10, 100, 300, 1000, 9000])))

        there = []
        for _ in range(chance.randrange(1, 5)):
            txn = writer.begin()
            dbi = writer.database(txn, name, flags)
            for _ in range(chance.choice([10, 300, 1500])):
                pair = (key(), value())
                writer.put(txn, dbi, *pair)
                there.append(pair)
            for _ in range(chance.choice([0, 10, 500])):
                pair = there.pop(chance.randrange(len(there))) if there else None
                try:
                    if pair:
                        writer.delete(txn, dbi, pair[0], pair[1] if flags & DUPSORT else None)
                except OSError:
                    pass  # It was deleted or replaced before.
            writer.commit(txn)


def reversed_in(seed_names):
    return [name for name in seed_names if name and int(name.split()[-1], 16) & REVERSEDUP]


def pack(path):
    """Packs a file and what is in it."""
    for name in (path, path + ".jsonl"):
        if os.path.exists(name):
            with open(name, "rb") as plain:
                data = plain.read()
            with open(name + ".gz", "wb") as out, gzip.GzipFile("", "wb", 9, out, 0) as packed:
                packed.write(data)
            os.remove(name)
    if os.path.exists(path + "-lock"):
        os.remove(path + "-lock")


def fixtures(folder):
    os.makedirs(folder, exist_ok=True)

    def make(version, name, write, reversed_values=(), readable=True, **options):
        path = os.path.join(folder, f"{name}-{version}.mdb")
        writer = Writer(version, path, **options)
        write(writer)
        writer.close()
        if readable:
            dump(version, path, reversed_values)
        pack(path)

    for version, long_key in (("0.9", 511), ("1.0", 1978)):
        make(version, "kinds", lambda writer: kinds(writer, long_key), [b"reversed values"])
        make(version, "nothing", lambda writer: None)
        make(version, "emptied", lambda writer: (writer.fill(None, 0, [(b"k", b"v")]), empty(writer)))
        make(version, "main-dupsort", lambda writer: writer.fill(
            None, DUPSORT, [(b"key %d" % (i % 3), b"%d" % i) for i in range(90)]))
    make("1.0", "pages-256", several_levels, page_size=256)
    make("1.0", "pages-65536", lambda writer: writer.fill(
        None, 0, [(b"%d" % i, b"x" * (i * 1000)) for i in range(70)]), page_size=65536)
    make("1.0", "checksums", several_levels, page_size=512, sums=True)
    make("1.0", "encrypted", lambda writer: writer.fill(None, 0, [(b"k", b"v")]), readable=False, encrypted=True)


def foreign(program, page_size, path):
    """Makes a fixture by a program that tests/make_foreign.c became on a machine with other words or another order."""
    with open(program, "rb") as file:
        head = file.read(6)
    word, order = (4, 8)[head[4] - 1], ("little", "big")[head[5] - 1]
    chance = random.Random(2)
    pairs = [(b"several", b"value %d" % i) for i in range(9)] + [(b"tree", b"%d" % (i * 37)) for i in range(180)]
    fixed = [(b"several", b"%04d" % i) for i in range(9)] + [(b"tree", b"%04d" % (i * 7)) for i in range(520)]
    integers = [(number(i * i * 300, word, order), b"%d" % i) for i in range(50)]
    dups = [(b"key", number(i * 311, word, order)) for i in range(50)]
    databases = [
        (b"plain", 0, [(b"k" * i, chance.randbytes(1) * (i * i * 9)) for i in range(1, 26)]),
        (b"many", 0, [(b"%x" % (i * 7919 % 100003), b"%d" % i) for i in range(110)]),
        (b"dupsort", DUPSORT, pairs),
        (b"dupfixed", DUPSORT | DUPFIXED, fixed),
        (b"integers", INTEGERKEY, integers),
        (b"integerdup", DUPSORT | DUPFIXED | INTEGERDUP, dups),
        (b"empty", 0, []),
    ]
    lines = []
    for name, flags, entries in sorted(databases):
        lines.append(f"database .{name.hex()} {flags}\n")
        lines.extend(f"put .{key.hex()} .{value.hex()}\n" for key, value in entries)
    emulator = sys.argv[5:]
    made = subprocess.run([*emulator, program, path, page_size], check=True, input="".join(lines).encode(),
                          stdout=subprocess.PIPE)
    with open(path + ".jsonl", "wb") as out:
        out.write(made.stdout)
    pack(path)


def empty(writer):
    txn = writer.begin()
    dbi = writer.database(txn, None, 0)
    writer.delete(txn, dbi, b"k")
    writer.commit(txn)


def of_seed(seed, folder):
    for version, page_size in (("0.9", None), ("1.0", None), ("1.0", 1024), ("1.0", 32768)):
        name = f"random-{version}" if page_size is None else f"random-{version}-{page_size}"
        path = os.path.join(folder, name + ".mdb")
        writer = Writer(version, path, page_size)
        of_random(writer, seed, 400)
        writer.close()
        env = lmdb.open(path, subdir=False, readonly=True, lock=False, max_dbs=64)
        names = env.dbs()
        env.close()
        dump(version, path, reversed_in(names))
        copy = os.path.join(folder, name + "-copied.mdb")
        # LMDB's compaction crashes with some of these files, so a process of its own does it.
        if subprocess.run([sys.executable, __file__, "copy", path, copy], check=False).returncode:
            os.remove(copy)
            continue
        dump(version, copy, reversed_in(names))


def copy_of(path, copy):
    env = lmdb.open(path, subdir=False, readonly=True, lock=False, max_dbs=64)
    with open(copy, "wb") as out:
        env.copyfd(out.fileno(), compact=True)
    env.close()


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "fixtures":
        fixtures(sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] == "random":
        of_seed(int(sys.argv[2]), sys.argv[3])
    elif len(sys.argv) >= 5 and sys.argv[1] == "foreign":
        foreign(*sys.argv[2:5])
    elif len(sys.argv) == 4 and sys.argv[1] == "copy":
        copy_of(*sys.argv[2:])
    else:
        sys.exit(__doc__)
