"""Changes between two transactions: what was added, removed and changed."""

from __future__ import annotations

from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Tuple

from ._constants import CHANGES, RANGE_AFTER, RANGE_BEFORE, RANGE_FROM, RANGE_REVERSE, RawRange

#: What a back end hands out at once: (kind, key, value before, value after) each, and whether there are no more.
Fetched = Tuple[List[Tuple[int, bytes, Optional[bytes], Optional[bytes]]], bool]


class Change(NamedTuple):
    """One change between two states."""

    #: "added", "removed" or "changed".
    kind: str
    key: Any
    #: The value before; None if the key was added.
    before: Any
    #: The value after; None if the key was removed.
    after: Any


class ChangeCounts(NamedTuple):
    """How many keys differ between two states."""

    added: int
    removed: int
    changed: int


def changes(fetch: Callable[..., Fetched], bounds: RawRange, codec: Any) -> Iterator[Change]:
    """The changes of a range, some at a time. The first ones are fetched at once, so that failures are told here."""
    return _rest(fetch, bounds, codec, fetch(*bounds))


def _rest(fetch: Callable[..., Fetched], bounds: RawRange, codec: Any, fetched: Fetched) -> Iterator[Change]:
    _, decode_key, _, decode_value = codec or (None,) * 4
    flags, lower, upper, prefix = bounds
    while True:
        found, is_end = fetched
        for kind, key, before, after in found:
            yield Change(
                CHANGES[kind],
                key if decode_key is None else decode_key(key),
                before if decode_value is None or before is None else decode_value(before),
                after if decode_value is None or after is None else decode_value(after),
            )
        if is_end:
            return
        # What is found next lies behind the last one.
        if flags & RANGE_REVERSE:
            flags, upper = flags | RANGE_BEFORE, found[-1][1]
        else:
            flags, lower = flags & ~RANGE_FROM | RANGE_AFTER, found[-1][1]
        fetched = fetch(flags, lower, upper, prefix)
