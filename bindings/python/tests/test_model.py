"""Random operations compared with a dictionary, and snapshots with copies of it."""

import os
import random

import keelkv
from common import Case

SEED = int(os.environ.get("KEELKV_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)


class Model(Case):
    def setUp(self):
        super().setUp()
        self.rng = random.Random(SEED)
        print(f"[seed {SEED}] ", end="", flush=True)

    def key(self):
        kind = self.rng.random()
        if kind < 0.8:
            return b"%03d" % self.rng.randrange(300)
        return bytes(self.rng.choices(b"\x00a\xff", k=self.rng.randrange(0, 6)))

    def value(self):
        length = self.rng.choice([0, 1, 10, 100, 1000, 5000, 40_000])
        return bytes([self.rng.randrange(256)]) * length

    def same(self, mapping, model):
        self.assertEqual(list(mapping.items()), sorted(model.items()))
        self.assertEqual(len(mapping), len(model))

    def write(self, t, model):
        """One random write, and what it answers."""
        key, value = self.key(), self.value()
        choice = self.rng.randrange(12)
        if choice < 4:
            t[key] = value
            model[key] = value
        elif choice == 4:
            self.assertEqual(t.pop(key, None), model.pop(key, None))
        elif choice == 5:
            self.assertEqual(t.delete(key), model.pop(key, None) is not None)
        elif choice == 6:
            self.assertEqual(t.replace(key, value), model.get(key))
            model[key] = value
        elif choice == 7:
            self.assertEqual(t.insert(key, value), key not in model)
            model.setdefault(key, value)
        elif choice == 8:
            self.assertEqual(t.setdefault(key, value), model.setdefault(key, value))
        elif choice == 9:
            start, stop = sorted([self.key(), self.key()])
            gone = [k for k in model if start <= k < stop]
            if len(gone) < 60:
                self.assertEqual(t.delete_range(start=start, stop=stop), len(gone))
                for k in gone:
                    del model[k]
        elif choice == 10:
            reverse = self.rng.random() < 0.5
            first = t.pop_first(reverse=reverse)
            self.assertEqual(first, (max if reverse else min)(model.items(), default=None))
            if first is not None:
                del model[first[0]]
        else:
            pairs = [(self.key(), self.value()) for _ in range(20)]
            self.assertEqual(t.put_many(pairs), 20)
            model.update(pairs)

    def read(self, t, model):
        """One random question."""
        key, keys = self.key(), sorted(model)
        choice = self.rng.randrange(8)
        if choice == 0:
            self.assertEqual(t.get(key), model.get(key))
        elif choice == 1:
            self.assertEqual(key in t, key in model)
        elif choice == 2:
            self.assertEqual(t.rank(key), sum(k < key for k in keys))
        elif choice == 3:
            start, stop = self.key(), self.key()
            wanted = [(k, model[k]) for k in keys if start <= k < stop]
            self.assertEqual(list(t.items(start=start, stop=stop)), wanted)
            self.assertEqual(list(t.items(start=start, stop=stop, reverse=True)), wanted[::-1])
            self.assertEqual(t.count(start=start, stop=stop), len(wanted))
        elif choice == 4:
            prefix = key[:2]
            limit = self.rng.randrange(10)
            self.assertEqual(
                list(t.keys(prefix=prefix, limit=limit)), [k for k in keys if k.startswith(prefix)][:limit]
            )
        elif choice == 5:
            n = self.rng.randrange(-310, 310)
            wanted = keys[n] if -len(keys) <= n < len(keys) else None
            self.assertEqual(t.nth(n), None if wanted is None else (wanted, model[wanted]))
        elif choice == 6:
            asked = [self.key() for _ in range(10)]
            self.assertEqual(t.get_many(asked), [model.get(k) for k in asked])
        elif key in model:
            self.assertEqual(bytes(t.view(key)), model[key])
            self.assertEqual(t.size(key), len(model[key]))
            offset = self.rng.randrange(0, 50_000)
            self.assertEqual(t.read(key, offset, 100), model[key][offset:offset + 100])

    def test_operations_and_snapshots(self):
        db = self.open(durability="lazy")
        tables = {None: {}, "one": {}, "two": {}}
        with db.write() as t:
            for name in ("one", "two"):
                t.table(name, create=True)
        snapshots = []

        def table(t, name):
            return t if name is None else t.table(name)

        for _ in range(120):
            changed = {name: dict(model) for name, model in tables.items()}
            t = db.write()
            for _ in range(self.rng.randrange(30)):
                name = self.rng.choice(list(tables))
                self.write(table(t, name), changed[name])
                self.read(table(t, name), changed[name])
            if self.rng.random() < 0.8:
                t.commit()
                tables = changed
            else:
                t.abort()
            if self.rng.random() < 0.3:
                snapshots.append((db.read(), tables))
            if len(snapshots) > 4:
                s, models = snapshots.pop(self.rng.randrange(len(snapshots)))
                for name, model in models.items():
                    self.same(table(s, name), model)
                s.abort()
            for s, models in snapshots:
                name = self.rng.choice(list(models))
                self.read(table(s, name), models[name])
            if self.rng.random() < 0.05:
                for s, _ in snapshots:
                    s.abort()
                snapshots.clear()
                db.close()
                db = self.open(durability="lazy")
        with db.read() as s:
            for name, model in tables.items():
                self.same(table(s, name), model)
        self.assertTrue(db.check(space=True).ok)

    def test_laws_of_mappings(self):
        db = self.memory()
        model = {self.key(): self.value() for _ in range(200)}
        db.update(model)
        with db.read() as s:
            self.assertEqual(s, model)
            self.assertEqual(dict(s), model)
            self.assertEqual(set(s), set(model))
            self.assertEqual(len(list(s)), len(s))
            self.assertEqual(list(zip(s.keys(), s.values())), list(s.items()))
            self.assertEqual(s.keys(), model.keys())
            self.assertEqual(s.items(), model.items())
            self.assertEqual(list(reversed(s)), list(s)[::-1])
            for key in s:
                self.assertIn(key, s)
                self.assertEqual(s[key], s.get(key))
            other = keelkv.open(None)
            other.update(s)
            self.assertEqual(other, db)
            other.close()
