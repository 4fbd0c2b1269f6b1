"""Bytes in and out of the ctypes back end: keys and values, ranges, and buffers that the library fills."""

from __future__ import annotations

import ctypes as C
from operator import index
from typing import Any, Callable, List, Optional, Tuple

from ._constants import BATCH_KEYS, RawRange
from ._jobs import OK, TOO_SMALL
from ._library import Batch, Range, Slice, kv, sized


def as_bytes(encode: Optional[Callable[[Any], Any]], thing: Any, what: str) -> bytes:
    """A key or a value as bytes."""
    if encode is not None:
        thing = encode(thing)
    if isinstance(thing, bytes):
        return thing
    if isinstance(thing, slice):
        raise TypeError("a slice is no key; items(start=..., stop=...) has the entries of a range")
    kind = type(thing).__name__
    if not isinstance(thing, str):
        try:
            return bytes(memoryview(thing))
        except TypeError:
            pass
    raise TypeError(
        f"a {what} is bytes, and this one is {kind}; encode it, or open the database with a codec: "
        f"keelkv.open(path, {what}={'str' if isinstance(thing, str) else '...'})"
    )


def unsigned(number: Any, bits: int = 64) -> int:
    """A number as an argument, which ctypes would cut off."""
    value = index(number)
    if not 0 <= value < 1 << bits:
        raise OverflowError(f"a number is too {'large' if value > 0 else 'small'}: {value}")
    return value


def pair_of(item: Any) -> Tuple[Any, Any]:
    """An item as a key and a value. Text and bytes are refused: the two characters of "ab" are no pair."""
    if isinstance(item, (str, bytes, bytearray, dict)) or not (
        hasattr(type(item), "__getitem__") or hasattr(type(item), "__next__")
    ):
        raise TypeError(f"an item is a pair of a key and a value, and this is {type(item).__name__}: {item!r:.80}")
    parts = tuple(item)
    if len(parts) != 2:
        raise ValueError(f"an item is a pair of a key and a value, and this has {len(parts)} parts")
    return parts


#: Buffers that nobody is using. Taking and giving back are single steps, so that threads can share them.
_buffers: List[Any] = []
BUFFER = 4096


def copied(call: Callable[[Any, int, Any], int]) -> Tuple[int, bytes]:
    """The status of a call that copies a value into a buffer, and the value."""
    try:
        buffer = _buffers.pop()
    except IndexError:
        buffer = C.create_string_buffer(BUFFER)
    length = C.c_size_t()
    status = call(buffer, BUFFER, C.byref(length))
    if status != TOO_SMALL:
        value = C.string_at(buffer, length.value) if status == OK else b""
        _buffers.append(buffer)
        return status, value
    _buffers.append(buffer)
    # Somebody may make the value longer between two calls.
    while status == TOO_SMALL:
        room = length.value
        buffer = C.create_string_buffer(room)
        status = call(buffer, room, C.byref(length))
    return status, C.string_at(buffer, length.value) if status == OK else b""


def as_range(bounds: RawRange) -> Tuple[Any, List[Any]]:
    """A range of the library, and what must live as long as it."""
    kept: List[Any] = []
    raw = Range(flags=bounds[0])
    for field, bound in zip(("from_", "to", "prefix"), bounds[1:]):
        if bound is not None:
            data = as_bytes(None, bound, "key")
            pointer = C.c_char_p(data)
            kept += (data, pointer)
            setattr(raw, field, Slice(C.cast(pointer, C.c_void_p), len(data)))
    return raw, kept


class Page:
    """A buffer that a cursor fills with entries."""

    def __init__(self, strings: int, size: int, entries: int) -> None:
        self.strings = strings
        self.memory = C.create_string_buffer(size)
        self.ends = (C.c_uint32 * (entries * strings))()
        self.batch = sized(Batch, flags=BATCH_KEYS if strings == 1 else 0, bytes=C.addressof(self.memory),
                           bytes_size=size, ends=C.addressof(self.ends), ends_size=entries * strings)

    def fill(self, cursor: Any, limit: int) -> int:
        """Fills the buffer, which grows if an entry needs it. The status of the library."""
        self.batch.limit = limit
        while True:
            status: int = kv.kv_cursor_fill(cursor, C.byref(self.batch))
            if status != TOO_SMALL or not self.grow():
                return status

    def grow(self) -> bool:
        """Makes room for the entry that had none; False if room is not what was missing."""
        size = self.batch.needed
        if size <= self.batch.bytes_size:
            return False
        self.memory = C.create_string_buffer(size)
        self.batch.bytes, self.batch.bytes_size = C.addressof(self.memory), size
        return True

    def take(self) -> List[bytes]:
        """The strings in the buffer."""
        data, begin, found = C.string_at(self.memory, self.batch.used), 0, []
        for end in self.ends[: self.batch.count * self.strings]:
            found.append(data[begin:end])
            begin = end
        return found
