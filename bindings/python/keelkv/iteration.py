"""Ranges of keys, and the views that iterate over them."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Generic,
    ItemsView,
    Iterator,
    KeysView,
    Optional,
    Tuple,
    TypeVar,
    ValuesView,
)

from ._constants import (
    RANGE_BEFORE,
    RANGE_FROM,
    RANGE_PREFIX,
    RANGE_REVERSE,
    SCAN_ITEMS,
    SCAN_KEYS,
    SCAN_VALUES,
    UNLIMITED,
    RawRange,
)

if TYPE_CHECKING:
    from typing_extensions import Protocol

    class Scanned(Protocol):
        """What a view asks: a table, or a database, which begins a read transaction for each question."""

        def _scan(self, what: int, *arguments: Any) -> Iterator[Any]: ...

        def _count(self, *arguments: Any) -> int: ...

        def __getitem__(self, key: Any) -> Any: ...

        def __contains__(self, key: object) -> bool: ...

        @property
        def _encode_key(self) -> Optional[Callable[[Any], bytes]]: ...


K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


def encode_range(
    encode: Optional[Callable[[Any], bytes]], prefix: Any = None, start: Any = None, stop: Any = None,
    reverse: bool = False,
) -> RawRange:
    """A range for the back ends: keys that begin with `prefix`, from `start` on, and before `stop`."""
    flags = RANGE_REVERSE if reverse else 0
    if prefix is not None:
        flags |= RANGE_PREFIX
        prefix = encode(prefix) if encode is not None else prefix
    if start is not None:
        flags |= RANGE_FROM
        start = encode(start) if encode is not None else start
    if stop is not None:
        flags |= RANGE_BEFORE
        stop = encode(stop) if encode is not None else stop
    return flags, start, stop, prefix


class _View(Generic[T]):
    """What views over keys, values and items have in common."""

    __slots__ = ()

    _what = SCAN_ITEMS
    _mapping: Any
    _range: RawRange
    _limit: Optional[int]

    def __iter__(self) -> Iterator[T]:
        return self._mapping._scan(  # type: ignore[no-any-return]
            self._what, *self._range, UNLIMITED if self._limit is None else self._limit
        )

    def __reversed__(self) -> Iterator[T]:
        if self._limit is not None:
            return iter(list(self)[::-1])
        flags, *bounds = self._range
        return self._mapping._scan(self._what, flags ^ RANGE_REVERSE, *bounds, UNLIMITED)  # type: ignore[no-any-return]

    def __len__(self) -> int:
        count: int = self._mapping._count(*self._range)
        return count if self._limit is None else min(count, self._limit)

    def _has_key(self, key: Any) -> bool:
        """Whether a key is in the range of this view and exists."""
        flags, start, stop, prefix = self._range
        encode = self._mapping._encode_key
        data = encode(key) if encode is not None else bytes(key)
        if flags & RANGE_FROM and start is not None and data < start:
            return False
        if flags & RANGE_BEFORE and stop is not None and data >= stop:
            return False
        if flags & RANGE_PREFIX and prefix is not None and not data.startswith(prefix):
            return False
        return key in self._mapping

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._mapping!r}>"


def _set(view: Any, mapping: Any, bounds: RawRange, limit: Optional[int]) -> None:
    if limit is not None and limit < 0:
        raise ValueError(f"a limit is 0 or more, and this is {limit}")
    view._mapping, view._range, view._limit = mapping, bounds, limit


class Keys(_View[K], KeysView[K], Generic[K]):
    """The keys of a range, in order. A set of keys like `dict.keys()`."""

    __slots__ = ("_limit", "_range")

    _what = SCAN_KEYS

    def __init__(self, mapping: Scanned, bounds: RawRange, limit: Optional[int]) -> None:
        _set(self, mapping, bounds, limit)

    def __contains__(self, key: object) -> bool:
        if self._limit is not None:
            return any(key == other for other in self)
        return self._has_key(key)


class Values(_View[V], ValuesView[V], Generic[V]):
    """The values of a range, in the order of their keys."""

    __slots__ = ("_limit", "_range")

    _what = SCAN_VALUES

    def __init__(self, mapping: Scanned, bounds: RawRange, limit: Optional[int]) -> None:
        _set(self, mapping, bounds, limit)

    def __contains__(self, value: object) -> bool:
        return any(value == other for other in self)


class Items(_View[Tuple[K, V]], ItemsView[K, V], Generic[K, V]):
    """The entries of a range as pairs, in the order of their keys. A set of pairs like `dict.items()`."""

    __slots__ = ("_limit", "_range")

    _what = SCAN_ITEMS

    def __init__(self, mapping: Scanned, bounds: RawRange, limit: Optional[int]) -> None:
        _set(self, mapping, bounds, limit)

    def __contains__(self, item: object) -> bool:
        if self._limit is not None:
            return any(item == other for other in self)
        if not isinstance(item, tuple) or len(item) != 2 or not self._has_key(item[0]):
            return False
        try:
            return bool(self._mapping[item[0]] == item[1])
        except KeyError:
            return False
