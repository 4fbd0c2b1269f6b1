"""libkv through ctypes alone, as a binding would use it: open, put, get, packed scan, errors.

Needs no package. KV_LIBRARY names the library; without it libkv.so.0 is looked up by the system's loader.
"""

import ctypes as C
import os
import struct
import sys
import tempfile

kv = C.CDLL(os.environ.get("KV_LIBRARY", "libkv.so.0"))

OK, NOTFOUND, BAD_HANDLE, TOO_SMALL, READ_ONLY = 0, -1, -21, -7, -22
READ, WRITE = 16, 17
AFTER, PREFIX = 0x200000, 0x1000000


class Slice(C.Structure):
    _fields_ = [("data", C.c_void_p), ("len", C.c_size_t)]

    def bytes(self):
        return C.string_at(self.data, self.len)


class Batch(C.Structure):
    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
        ("bytes", C.c_void_p),
        ("bytes_size", C.c_size_t),
        ("ends", C.c_void_p),
        ("ends_size", C.c_size_t),
        ("kinds", C.c_void_p),
        ("limit", C.c_size_t),
        ("count", C.c_size_t),
        ("used", C.c_size_t),
        ("needed", C.c_size_t),
        ("at_end", C.c_uint32),
        ("skip", C.c_uint32),
    ]


class Range(C.Structure):
    _fields_ = [
        ("flags", C.c_uint32),
        ("reserved", C.c_uint32),
        ("from_", Slice),
        ("to", Slice),
        ("prefix", Slice),
    ]


assert C.sizeof(Batch) == 88 and C.sizeof(Range) == 56

H = C.c_void_p
for name, arguments in {
    "kv_open": [C.c_char_p, H, C.POINTER(H)],
    "kv_close": [H],
    "kv_txn_begin": [H, C.c_uint32, H, C.POINTER(H)],
    "kv_txn_commit": [H, C.POINTER(C.c_uint64)],
    "kv_put": [H, C.c_uint64, C.c_char_p, C.c_size_t, C.c_char_p, C.c_size_t, C.c_uint32],
    "kv_get": [H, C.c_uint64, C.c_char_p, C.c_size_t, C.POINTER(Slice)],
    "kv_db_get": [H, C.c_uint64, C.c_char_p, C.c_size_t, C.c_char_p, C.c_size_t, C.POINTER(C.c_size_t)],
    "kv_scan": [H, C.c_uint64, C.POINTER(Range), C.POINTER(Batch)],
    "kv_put_packed": [H, C.c_uint64, C.POINTER(Batch), C.c_uint32, C.POINTER(C.c_size_t)],
}.items():
    getattr(kv, name).argtypes = arguments
    getattr(kv, name).restype = C.c_int32
kv.kv_txn_abort.argtypes = [H]
kv.kv_txn_abort.restype = None
for name in ("kv_error_message", "kv_version", "kv_status_name"):
    getattr(kv, name).restype = C.c_char_p


def ok(status):
    if status != OK:
        raise AssertionError(f"{kv.kv_status_name(status).decode()}: {kv.kv_error_message().decode()}")


def begin(db, kind):
    txn = H()
    ok(kv.kv_txn_begin(db, kind, None, C.byref(txn)))
    return txn


def slice_of(data):
    return Slice(C.cast(C.c_char_p(data), C.c_void_p), len(data))


def packed(entries):
    """A batch of keys and values, and the memory it points to."""
    strings = [string for entry in entries for string in entry]
    data, ends, end = b"".join(strings), [], 0
    for string in strings:
        end += len(string)
        ends.append(end)
    memory, table = C.create_string_buffer(data, max(1, len(data))), (C.c_uint32 * len(ends))(*ends)
    batch = Batch(struct_size=C.sizeof(Batch), count=len(entries), ends_size=len(ends), bytes_size=len(data))
    batch.bytes, batch.ends = C.addressof(memory), C.addressof(table)
    return batch, (memory, table)


def scan(txn, prefix=b""):
    """All entries with a prefix, a buffer at a time."""
    memory, table = C.create_string_buffer(4096), (C.c_uint32 * 256)()
    batch = Batch(struct_size=C.sizeof(Batch), bytes_size=4096, ends_size=256)
    batch.bytes, batch.ends = C.addressof(memory), C.addressof(table)
    bounds = Range(flags=PREFIX, prefix=slice_of(prefix))
    while True:
        status = kv.kv_scan(txn, 0, C.byref(bounds), C.byref(batch))
        if status == NOTFOUND:
            return
        ok(status)
        data, start, strings = memory.raw[: batch.used], 0, []
        for end in struct.unpack_from(f"{2 * batch.count}I", table):
            strings.append(data[start:end])
            start = end
        yield from zip(strings[::2], strings[1::2])
        if batch.at_end:
            return
        last = strings[-2]  # kept alive here, as bounds points into it
        bounds.flags, bounds.from_ = PREFIX | AFTER, slice_of(last)


def main():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "smoke.kv").encode()
        db = H()
        ok(kv.kv_open(path, None, C.byref(db)))
        txn = begin(db, WRITE)
        ok(kv.kv_put(txn, 0, b"one", 3, b"1", 1, 0))
        entries = [(b"p/%04d" % i, b"v" * (i % 50)) for i in range(1000)]
        batch, _memory = packed(entries)
        done = C.c_size_t()
        ok(kv.kv_put_packed(txn, 0, C.byref(batch), 0, C.byref(done)))
        assert done.value == 1000
        ok(kv.kv_txn_commit(txn, None))

        txn = begin(db, READ)
        value = Slice()
        ok(kv.kv_get(txn, 0, b"one", 3, C.byref(value)))
        assert value.bytes() == b"1"
        assert list(scan(txn, b"p/")) == entries
        assert list(scan(txn, b"p/001")) == entries[10:20]
        assert list(scan(txn, b"none")) == []
        assert kv.kv_get(txn, 0, b"two", 3, C.byref(value)) == NOTFOUND
        assert kv.kv_error_message() == b"not found"
        assert kv.kv_put(txn, 0, b"one", 3, b"2", 1, 0) == READ_ONLY
        kv.kv_txn_abort(txn)
        kv.kv_txn_abort(txn)  # finalizers run in any order, and twice

        buffer, length = C.create_string_buffer(1), C.c_size_t()
        ok(kv.kv_db_get(db, 0, b"one", 3, buffer, 1, C.byref(length)))
        assert buffer.raw == b"1"
        assert kv.kv_db_get(db, 0, b"p/0009", 6, buffer, 1, C.byref(length)) == TOO_SMALL and length.value == 9
        ok(kv.kv_close(db))
        assert kv.kv_close(db) == BAD_HANDLE
    print("ok", kv.kv_version().decode())


if __name__ == "__main__":
    sys.exit(main())
