"""Measures keelkv beside py-lmdb, sqlite3 and plyvel, those of them that are installed.

    python bench.py [--entries N] [--rounds N]

CPU time of the process in nanoseconds for each entry, threads of the engines included, as the median of the rounds. The
engines take turns within each round, and who begins changes from round to round. Keys are 24 random bytes and values
150. Every engine writes durably; each is called as its documentation says, and returns the same entries, which is
looked at. "ratio" is keelkv divided by py-lmdb: less than 1 is faster.
"""

import argparse
import gc
import os
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time

# The installed package is measured, and not the sources beside this file.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != HERE]

import keelkv  # noqa: E402
import keelkv.lmdb  # noqa: E402

try:
    import lmdb
except ImportError:
    lmdb = None
try:
    import plyvel
except ImportError:
    plyvel = None


class Keel:
    name = "keelkv"

    def __init__(self, directory):
        self.db = keelkv.open(os.path.join(directory, "keel.kv"))

    def put(self, pairs):
        with self.db.write() as t:
            for key, value in pairs:
                t.put(key, value)

    def setitem(self, pairs):
        with self.db.write() as t:
            for key, value in pairs:
                t[key] = value

    def put_many(self, pairs):
        with self.db.write() as t:
            t.put_many(pairs)

    def get(self, keys):
        found = 0
        with self.db.read() as s:
            for key in keys:
                found += s.get(key) is not None
        return found

    def get_many(self, keys):
        with self.db.read() as s:
            return sum(len(keys) - found.count(None) for keys in chunks(keys) for found in [s.get_many(keys)])

    def items(self):
        count = 0
        with self.db.read() as s:
            for _key, _value in s.items():
                count += 1
        return count

    def keys(self):
        count = 0
        with self.db.read() as s:
            for _key in s.keys():
                count += 1
        return count

    def seek(self, keys):
        count = 0
        with self.db.read() as s:
            for key in keys:
                for _ in s.items(start=key, limit=10):
                    count += 1
        return count

    def commits(self, pairs):
        for key, value in pairs:
            with self.db.write() as t:
                t.put(key, value)

    def snapshots(self, keys):
        found = 0
        for key in keys:
            with self.db.read() as s:
                found += s.get(key) is not None
        return found

    def close(self):
        self.db.close()


class Lmdb:
    """py-lmdb, or the front of keelkv that is called like it."""

    name = "py-lmdb"
    module = lmdb

    def __init__(self, directory):
        self.env = self.module.open(os.path.join(directory, self.name), map_size=1 << 32)

    def put(self, pairs):
        with self.env.begin(write=True) as txn:
            for key, value in pairs:
                txn.put(key, value)

    setitem = put

    def put_many(self, pairs):
        with self.env.begin(write=True) as txn:
            txn.cursor().putmulti(pairs)

    def get(self, keys):
        found = 0
        with self.env.begin() as txn:
            for key in keys:
                found += txn.get(key) is not None
        return found

    def get_many(self, keys):
        with self.env.begin() as txn:
            return sum(len(txn.cursor().getmulti(keys)) for keys in chunks(keys))

    def items(self):
        count = 0
        with self.env.begin() as txn:
            for _key, _value in txn.cursor():
                count += 1
        return count

    def keys(self):
        count = 0
        with self.env.begin() as txn:
            for _key in txn.cursor().iternext(values=False):
                count += 1
        return count

    def seek(self, keys):
        count = 0
        with self.env.begin() as txn:
            cursor = txn.cursor()
            for key in keys:
                cursor.set_range(key)
                for number, _ in enumerate(cursor.iternext(), 1):
                    count += 1
                    if number == 10:
                        break
        return count

    def commits(self, pairs):
        for key, value in pairs:
            with self.env.begin(write=True) as txn:
                txn.put(key, value)

    def snapshots(self, keys):
        found = 0
        for key in keys:
            with self.env.begin() as txn:
                found += txn.get(key) is not None
        return found

    def close(self):
        self.env.close()


class Front(Lmdb):
    name = "keelkv.lmdb"
    module = keelkv.lmdb


class Sqlite:
    name = "sqlite3"

    def __init__(self, directory):
        self.db = sqlite3.connect(os.path.join(directory, "sqlite.db"), isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("PRAGMA cache_size=-1000000")
        self.db.execute("CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID")

    def put(self, pairs):
        self.db.execute("BEGIN IMMEDIATE")
        for pair in pairs:
            self.db.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", pair)
        self.db.execute("COMMIT")

    setitem = put

    def put_many(self, pairs):
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany("INSERT OR REPLACE INTO kv VALUES (?, ?)", pairs)
        self.db.execute("COMMIT")

    def get(self, keys):
        found = 0
        self.db.execute("BEGIN")
        for key in keys:
            found += self.db.execute("SELECT v FROM kv WHERE k = ?", (key,)).fetchone() is not None
        self.db.execute("COMMIT")
        return found

    get_many = get

    def items(self):
        count = 0
        for _key, _value in self.db.execute("SELECT k, v FROM kv ORDER BY k"):
            count += 1
        return count

    def keys(self):
        count = 0
        for (_key,) in self.db.execute("SELECT k FROM kv ORDER BY k"):
            count += 1
        return count

    def seek(self, keys):
        count = 0
        for key in keys:
            for _ in self.db.execute("SELECT k, v FROM kv WHERE k >= ? ORDER BY k LIMIT 10", (key,)):
                count += 1
        return count

    def commits(self, pairs):
        for pair in pairs:
            self.db.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", pair)

    def snapshots(self, keys):
        found = 0
        for key in keys:
            found += self.db.execute("SELECT v FROM kv WHERE k = ?", (key,)).fetchone() is not None
        return found

    def close(self):
        self.db.close()


class Plyvel:
    name = "plyvel"

    def __init__(self, directory):
        self.db = plyvel.DB(os.path.join(directory, "plyvel"), create_if_missing=True, lru_cache_size=1 << 28)

    def put(self, pairs):
        with self.db.write_batch(sync=True) as batch:
            for key, value in pairs:
                batch.put(key, value)

    setitem = put_many = put

    def get(self, keys):
        found = 0
        s = self.db.snapshot()
        for key in keys:
            found += s.get(key) is not None
        return found

    get_many = get

    def items(self):
        count = 0
        for _key, _value in self.db.iterator():
            count += 1
        return count

    def keys(self):
        count = 0
        for _key in self.db.iterator(include_value=False):
            count += 1
        return count

    def seek(self, keys):
        count = 0
        for key in keys:
            for number, _ in enumerate(self.db.iterator(start=key), 1):
                count += 1
                if number == 10:
                    break
        return count

    def commits(self, pairs):
        for key, value in pairs:
            self.db.put(key, value, sync=True)

    def snapshots(self, keys):
        found = 0
        for key in keys:
            found += self.db.get(key) is not None
        return found

    def close(self):
        self.db.close()


ENGINES = [Keel] + ([Lmdb] if lmdb else []) + [Front, Sqlite] + ([Plyvel] if plyvel else [])


def chunks(keys, size=1000):
    return (keys[i:i + size] for i in range(0, len(keys), size))


def rows(rng, entries):
    """The rows: name, what is called with what, number of entries, and what it must return."""
    pairs = [(rng.getrandbits(192).to_bytes(24, "big"), rng.getrandbits(1200).to_bytes(150, "big"))
             for _ in range(entries)]
    present = [key for key, _ in pairs]
    absent = [rng.getrandbits(192).to_bytes(24, "big") for _ in range(entries)]
    rng.shuffle(present)
    few = entries // 20
    more = [(rng.getrandbits(192).to_bytes(24, "big"), b"x" * 150) for _ in range(few)]
    single = [(rng.getrandbits(192).to_bytes(24, "big"), b"x" * 150) for _ in range(200)]
    again = [(key, b"y" * 150) for key in present]
    return [
        ("put, random", "put", (pairs,), entries, None),
        ("get, random", "get", (present,), entries, entries),
        ("get, absent", "get", (absent,), entries, 0),
        ("get_many, 1000 at once", "get_many", (present,), entries, entries),
        ("iterate over items", "items", (), entries, entries),
        ("iterate over keys", "keys", (), entries, entries),
        ("seek and 10 items", "seek", (present[:few],), few, None),
        ("a snapshot for each get", "snapshots", (present[:few],), few, few),
        ("replace, t[key] = value", "setitem", (again,), entries, None),
        ("put_many", "put_many", (more,), few, None),
        ("a durable commit for each put", "commits", (single,), len(single), None),
    ]


def measure(entries, rounds):
    times = {}
    for number in range(rounds):
        plan = rows(random.Random(number), entries)
        directory = tempfile.mkdtemp(prefix="keelkv-bench-")
        engines = [kind(directory) for kind in ENGINES]
        for row, method, arguments, count, wanted in plan:
            first = number % len(engines)
            answers = set()
            for engine in engines[first:] + engines[:first]:
                gc.collect()
                begin = time.process_time()
                answer = getattr(engine, method)(*arguments)
                spent = time.process_time() - begin
                answers.add(answer)
                times.setdefault(row, {}).setdefault(engine.name, []).append(spent / count * 1e9)
                if wanted is not None and answer != wanted:
                    sys.exit(f"{engine.name} answered {answer} to {row}, and {wanted} is right")
            if len(answers) != 1:
                sys.exit(f"the engines differ in {row}: {answers}")
        for engine in engines:
            engine.close()
        shutil.rmtree(directory)
    return {row: {name: statistics.median(found) for name, found in by.items()} for row, by in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    names = [kind.name for kind in ENGINES]
    print(f"keelkv {keelkv.__version__} ({keelkv.backend}), Python {sys.version.split()[0]}, "
          f"{options.entries} entries, {options.rounds} rounds; ns of CPU time for each entry")
    print()
    header = ["", *names, "ratio"]
    print("| " + " | ".join(header) + " |")
    print("|---|" + "--:|" * (len(header) - 1))
    for row, by in measure(options.entries, options.rounds).items():
        ratio = f"{by['keelkv'] / by['py-lmdb']:.2f}" if "py-lmdb" in by else "-"
        print("| " + " | ".join([row, *(f"{by[name]:.0f}" for name in names), ratio]) + " |")


if __name__ == "__main__":
    main()
