#!/usr/bin/env python3
"""Reads a database as docs/format.md describes it, and prints every entry of every table.

This is written from that document alone and shares nothing with the library: if the two disagree, one of them or the
document is wrong. It needs Python's standard library only, and is slow.

    python3 format_reader.py FILE

prints one line for the commit and the page size, and for each table, in the order of their numbers, a line

    table NUMBER NAME KIND FLAGS EXTENSION NOTE

followed by a line `KEY VALUE` for each entry. Names, extensions, notes, keys and values are hexadecimal, and `-` if
they are empty. Whatever a reader must check is checked, and a file that fails ends the program with status 1 and a
message that begins with "damaged", "newer", "older" or "foreign".
"""

import struct
import sys

SLOT = 4096
MAGIC = b"\x89kvfile\n"
PIECE = 1 << 20
HEADER = 24
ROOT = 24
KEEP = 288
LONG, EXT = 0x8000, 0x4000
SLOTTED, DENSE, BRANCH = 1, 2, 3
CHECK_PREFIX, HEAD2 = 1, 2
CATALOGUE, SPACE = 2**64 - 2, 2**64 - 1


class Refused(Exception):
    """The file is not what the document says; the first word says in which way."""


def need(condition, what):
    if not condition:
        raise Refused("damaged: " + what)


# ---- 1. conventions


def crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


TABLE = crc_table()


def crc(data):
    c = 0xFFFFFFFF
    for byte in data:
        c = TABLE[(c ^ byte) & 0xFF] ^ (c >> 8)
    return c ^ 0xFFFFFFFF


def number(data, at, size):
    need(at + size <= len(data), "a field beyond its bytes")
    return int.from_bytes(data[at : at + size], "little")


def is_zero(data):
    return not any(data)


# ---- 13. the key hash

MASK = 2**64 - 1


def mix(x):
    p = x * 0xD6E8FEB86659FD93
    return (p & MASK) ^ (p >> 64)


def fingerprint(key):
    h = len(key) * 0x9E3779B97F4A7C15 & MASK
    k = key[:256]
    for at in range(0, len(k), 8):
        h = mix(h ^ int.from_bytes(k[at : at + 8], "little"))
    return (h ^ (h >> 29)) & 0xFF


# ---- 3. meta slots


class Root:
    def __init__(self, data, at, what):
        self.page = number(data, at, 6)
        self.birth = number(data, at + 6, 6)
        self.entries = number(data, at + 12, 6)
        self.height = data[at + 18]
        self.sum = number(data, at + 20, 4)
        need(data[at + 19] <= 1, what + ": unknown flags of a root")
        self.has_long = data[at + 19] == 1
        if self.height == 0:
            need(is_zero(data[at : at + ROOT]), what + ": an empty root that is not zero")
        need(self.height <= 64, what + ": a tree too high")

    def check(self, first, pages, commit, what):
        if self.height:
            need(first <= self.page < pages, what + ": a root outside the file")
            need(1 <= self.birth <= commit, what + ": a root that is too young")


class Slot:
    def __init__(self, data):
        if number(data, 8, 4) != 1:
            raise Refused(("older" if number(data, 8, 4) == 0 else "newer") + ": version of the format")
        t = number(data, 30, 2)
        if t == 0:
            raise Refused("older: made before 0.1.0")
        write = number(data, 16, 4)
        if number(data, 12, 4) or data[28] != 1 or data[29] != 4 or not is_zero(data[156:160]):
            raise Refused("newer: an unknown feature")
        self.page_size = number(data, 24, 4)
        need(self.page_size in (4096, 8192, 16384, 32768, 65536), "page size")
        self.uuid, self.timeline = data[32:48], data[144:152]
        self.id, self.base, self.folded = (struct.unpack_from("<3Q", data, 48))
        self.pages, self.dead, self.parked = struct.unpack_from("<3Q", data, 80)
        need(1 <= self.id < 2**48 and self.base < self.id and self.folded < self.id, "ids of a slot")
        self.first = max(1, 4 * SLOT // self.page_size)
        need(self.first <= self.pages <= 2**40, "page count")
        need(self.dead + self.parked <= self.pages - self.first, "dead pages")
        need(is_zero(data[160:248]) and is_zero(data[252:256]), "bytes of a slot that are not zero")
        need(bool(write & 4) == (self.parked > 0 or not is_zero(data[328:352])), "the feature of snapshots")
        if write & ~4 == 0:
            need(is_zero(data[104:144]) and t == 352, "fields of an unnamed feature")
        need(352 <= t <= 4092, "beginning of the records")
        self.closed = bool(number(data, 152, 4) & 1)
        self.roots = [Root(data, 256 + ROOT * i, "slot") for i in range(4)]
        for root in self.roots:
            root.check(self.first, self.pages, self.id, "slot")
        n, m = struct.unpack_from("<2H", data, 248)
        need(t + 24 * n + m <= 4092, "records longer than their slot")
        self.spills = []
        for at in range(t, t + 24 * n, 24):
            page, pages, size = number(data, at, 6), number(data, at + 6, 4), number(data, at + 10, 4)
            birth, total = number(data, at + 14, 6), number(data, at + 20, 4)
            need(self.first <= page and pages > 0 and page + pages <= self.pages, "a spilled extent outside the file")
            need(size <= pages * self.page_size and 1 <= birth <= self.id, "a spilled extent")
            self.spills.append((page, size, total))
        at = t + 24 * n
        self.inline = data[at : at + m]
        need(is_zero(data[at + m : 4092]), "bytes behind the records")


# ---- 4. records


class Records:
    """The records of a slot: {id: (runs, freed, taken)}."""

    def __init__(self, slot):
        self.slot, self.list, self.last = slot, [], 0

    def read(self, data):
        self.data, self.at = data, 0
        while self.at < len(data):
            self.list.append(self.record())

    def leb(self):
        value = shift = 0
        while True:
            need(self.at < len(self.data) and shift < 70, "a number of a record")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                need(value < 2**64, "a number of a record")
                return value

    def run(self, end, pages):
        gap = self.leb()
        count = pages(self.leb())
        first = end + gap
        need(0 < count < 2**32 and self.slot.first <= first and first + count <= self.slot.pages, "a run of a record")
        return first, count

    def record(self):
        commit = self.leb()
        need(self.last < commit <= self.slot.id, "records out of order")
        self.last = commit
        runs, freed, taken, end = [], [], [], 0
        for _ in range(self.leb()):
            first, count = self.run(end, lambda n: n)
            end = first + count
            need(self.at < len(self.data) and self.data[self.at] <= 1, "kind of a run")
            kind = self.data[self.at]
            self.at += 1
            size = self.leb() if kind else 0
            need(not kind or 0 < size <= min(PIECE, count * self.slot.page_size), "bytes of a piece")
            runs.append((first, count, kind, size, number(self.data, self.at, 4)))
            self.at += 4
        end = 0
        for _ in range(self.leb()):
            own = []
            first, count = self.run(end, lambda n: own.append(n & 1) or n >> 1)
            end = first + count
            age = self.leb()
            need(age <= commit, "age of a freed extent")
            freed.append((first, count, commit - age, own[0]))
        end = 0
        for _ in range(self.leb()):
            first, count = self.run(end, lambda n: n)
            end = first + count
            taken.append((first, count))
        return commit, runs, freed, taken


# ---- 5. finding the current commit


class File:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        slots, ours = [], False
        for at in range(0, 4 * SLOT, SLOT):
            data = self.data[at : at + SLOT]
            if data[:8] == MAGIC:
                ours = True
                if len(data) == SLOT and crc(data[:4092]) == number(data, 4092, 4):
                    slots.append(Slot(data))
        if not slots:
            raise Refused("damaged: no slot counts" if ours else "foreign: no slot has the magic")
        slots.sort(key=lambda slot: -slot.id)
        for slot in slots[1:]:
            same = (slot.uuid, slot.timeline, slot.page_size)
            need(same == (slots[0].uuid, slots[0].timeline, slots[0].page_size), "slots of different files")
        need(len({slot.id for slot in slots}) == len(slots), "two slots with one id")
        self.size = slots[0].page_size
        floor = max(slot.base for slot in slots)
        for slot in slots:
            if slot.id >= floor and self.is_whole(slot):
                self.slot = slot
                return
        raise Refused("damaged: the durable commit is not there")

    def is_whole(self, slot):
        if slot.pages > slot.first and slot.pages * self.size > len(self.data):
            return False
        records = Records(slot)
        for page, size, total in slot.spills:
            data = self.data[page * self.size : page * self.size + size]
            if crc(data) != total:
                return False
            records.read(data)
        records.read(slot.inline)
        need(records.last == slot.id, "the slot's own record is missing")
        for commit, runs, _, _ in records.list:
            for first, count, kind, size, total in runs if commit > slot.base else []:
                if kind:
                    found = crc(self.data[first * self.size : first * self.size + size])
                else:
                    pages = (self.data[p * self.size : (p + 1) * self.size] for p in range(first, first + count))
                    found = crc(b"".join(struct.pack("<I", crc(page)) for page in pages))
                if found != total:
                    return False
        return True

    def bytes(self, page, size, total, what):
        """`size` bytes from the start of a page on, which must have this checksum."""
        need(self.slot.first <= page < 2**40, what + ": a page outside the file")
        end = page * self.size + size
        need(end <= self.slot.pages * self.size, what + ": pages outside the file")
        data = self.data[page * self.size : end]
        need(len(data) == size and crc(data) == total, what + ": checksum")
        return data

    # ---- 6. trees

    def tree(self, root, table):
        """The entries of a tree in order: (key, value)."""
        if root.height == 0:
            return
        count, before = 0, None
        for key, value in self.page(root.page, root.sum, root.height, table):
            need(before is None or before < key, "keys out of order")
            count, before = count + 1, key
            yield key, value
        need(count == root.entries, "count of entries")

    def page(self, page, total, level, table):
        data = self.bytes(page, self.size, total, "tree page")
        # 7. The header.
        kind, flags, n = data[0], data[3], number(data, 4, 2)
        need(kind in (SLOTTED, DENSE, BRANCH) and data[1] == level, "kind or level of a page")
        need((level > 1) == (kind == BRANCH), "a page of another level")
        known = CHECK_PREFIX | (HEAD2 if kind == BRANCH else 0)
        need(flags & 0x0F & ~known == 0 and n >= 1, "flags or count of a page")
        need(is_zero(data[14:16]), "zeros of a page header")
        need(number(data, 16, 8) == table, "a page of another table")
        prefix = data[self.size - data[2] :]
        heap = number(data, 6, 2)
        if kind == DENSE:
            need(heap == 0 and number(data, 8, 2) == 0, "records in a dense leaf")
            yield from self.dense(data, n, prefix)
        elif kind == SLOTTED:
            need(is_zero(data[10:14]), "zeros of a page header")
            need(HEADER + 7 * n + heap + len(prefix) <= self.size, "arrays and heap of a leaf overlap")
            yield from self.slotted(data, n, prefix)
        else:
            need(is_zero(data[11:14]), "zeros of a page header")
            each = (33 if flags & HEAD2 else 28) + 8 * data[10]
            need(HEADER + each * n + heap + len(prefix) <= self.size, "arrays and heap of a branch overlap")
            for i in range(n):
                child = number(data, HEADER + 4 * n + 6 * i, 6)
                yield from self.page(child, number(data, HEADER + 24 * n + 4 * i, 4), level - 1, table)

    # ---- 9. dense leaf

    def dense(self, data, n, prefix):
        width, element, value = data[10], data[11], number(data, 12, 2)
        need(1 <= width <= 8 and element == 1 << (width - 1).bit_length(), "shape of a dense leaf")
        need(HEADER + (element + value) * n + len(prefix) <= self.size, "a dense leaf beyond its page")
        for i in range(n):
            suffix = number(data, HEADER + element * i, element).to_bytes(element, "big")
            need(is_zero(suffix[width:]), "padding of a dense leaf")
            at = HEADER + element * n + value * i
            yield prefix + suffix[:width], data[at : at + value]

    # ---- 8. slotted leaf

    def slotted(self, data, n, prefix):
        for i in range(n):
            head = number(data, HEADER + 4 * i, 4).to_bytes(4, "big")
            at = number(data, HEADER + 5 * n + 2 * i, 2)
            s, z = number(data, at, 2), number(data, at + 2, 2)
            need(not s & EXT, "a record of a later version")
            length = s & 0x3FFF
            need(is_zero(head[length:]), "padding of a head")
            behind = at + 4
            key = prefix + head[:length] + data[behind : behind + max(length - 4, 0)]
            behind += max(length - 4, 0)
            if s & LONG:
                need(len(key) == KEEP, "inline bytes of a long key")
                key += self.rest(data[behind : behind + 24])
                behind += 24
            whole = min(self.size - 307, 16383)
            need((len(key) > whole) == bool(s & LONG), "length of a key")
            need(data[HEADER + 4 * n + i] == fingerprint(key), "fingerprint")
            stored = data[behind : behind + (z & 0x7FFF)]
            need(len(stored) == z & 0x7FFF, "a value beyond its page")
            yield key, self.long_value(stored) if z & LONG else stored

    # ---- 11. long keys

    def rest(self, described):
        need(len(described) == 24, "description of a long key")
        length, page = number(described, 0, 4), number(described, 4, 6)
        need(KEEP < length <= 2 << 20, "length of a long key")
        left = length - KEEP
        first = self.bytes(page, min(left, PIECE), number(described, 16, 4), "rest of a key")
        if left <= PIECE:
            need(number(described, 20, 4) == 0, "second checksum of a key")
            return first
        second = page + PIECE // self.size
        return first + self.bytes(second, left - PIECE, number(described, 20, 4), "rest of a key")

    # ---- 12. long values

    def extent(self, data, at):
        page, pages = number(data, at, 6), number(data, at + 6, 4)
        need(pages > 0 and self.slot.first <= page and page + pages <= self.slot.pages, "an extent outside the file")
        return page, pages

    def long_value(self, described):
        length, kind, e = number(described, 0, 6), number(described, 6, 1), number(described, 7, 1)
        need(length >= 1 and kind <= 1 and 1 <= e <= 8, "description of a value")
        extents = [self.extent(described, 8 + 16 * i) for i in range(e)]
        pieces = -(-length // PIECE)
        need(sum(pages for _, pages in extents) == -(-length // self.size), "pages of a value")
        need(all(pages * self.size % PIECE == 0 for _, pages in extents[:-1]), "an extent that cuts a piece")
        need((pieces > 32) == (kind == 1), "kind of a description")
        at = 8 + 16 * e
        if kind == 1:
            need(len(described) == at + 20, "description of a value")
            page, pages = self.extent(described, at)
            need(pages == -(-4 * pieces // self.size), "pages of an index")
            sums = self.bytes(page, 4 * pieces, number(described, at + 16, 4), "index")
        else:
            sums = described[at:]
            need(len(sums) == 4 * pieces, "checksums of a value")
        out, at = [], 0
        for first, pages in extents:
            inside = min(pages * self.size, length - at)
            for begin in range(0, inside, PIECE):
                size = min(PIECE, inside - begin)
                total = number(sums, 4 * ((at + begin) // PIECE), 4)
                out.append(self.bytes(first + begin // self.size, size, total, "piece of a value"))
            at += inside
        return b"".join(out)

    # ---- 14. tables

    def tables(self):
        """Each table: number, name, kind, flags, extension, note, root."""
        main, catalogue, *_ = self.slot.roots
        found = {0: (b"", 0, 0, b"", b"", main)}
        names = {}
        for key, record in self.tree(catalogue, CATALOGUE):
            need(len(key) == 8 and len(record) >= 30, "record of the catalogue")
            table = int.from_bytes(key, "big")
            root = Root(record, 0, "catalogue")
            root.check(self.slot.first, self.slot.pages, catalogue.birth, "catalogue")
            a, kind, flags, x = struct.unpack_from("<HBBH", record, 24)
            name, extension, note = record[30 : 30 + a], record[30 + a : 30 + a + x], record[30 + a + x :]
            need(len(name) == a and len(extension) == x <= 256 and len(note) <= 1024, "record of the catalogue")
            need(1 <= a <= 512 if 256 <= table < 2**53 else a == 0 and table < 256 and table != 2, "name or number")
            need(table != 0 or root.height == 0, "a root of the main table in the catalogue")
            at, last = 0, -1
            while at < x:
                need(at + 1 < x and extension[at] > last, "tags of an extension")
                last = extension[at]
                at += 2 + extension[at + 1]
            need(at == x, "end of an extension")
            found[table] = (name, kind, flags, extension, note, root if table else main)
            if table >= 256:
                need(name not in names, "two tables of one name")
                names[name] = table
        listed = dict(self.tree(found[1][5], 1)) if 1 in found else {}
        need({k: int.from_bytes(v, "little") for k, v in listed.items()} == names, "the list of names")
        need(all(len(v) == 8 for v in listed.values()), "the list of names")
        return sorted(found.items())


def show(data):
    return data.hex() or "-"


def main(path):
    file = File(path)
    print("commit", file.slot.id, file.size)
    for table, (name, kind, flags, extension, note, root) in file.tables():
        print("table", table, show(name), kind, flags, show(extension), show(note))
        for key, value in file.tree(root, table):
            print(show(key), show(value))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except Refused as refused:
        print(refused, file=sys.stderr)
        sys.exit(1)
