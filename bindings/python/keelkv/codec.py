"""Codecs: how keys and values that are not bytes become bytes and back.

A codec is a pair of functions. `str`, `int`, `bytes`, and modules with `dumps` and `loads` (`json`, `pickle`) stand for
the codecs of the same name. Keys are ordered by their bytes, so a codec of keys should keep the order that the program
means: `STR` orders by code point, `INT` by number.
"""

from __future__ import annotations

import json as _json
import pickle as _pickle
from types import ModuleType
from typing import Any, Callable, Dict, Generic, Optional, Tuple, Type, TypeVar, Union, cast

__all__ = ["BYTES", "INT", "JSON", "PICKLE", "STR", "Codec", "CodecLike"]

T = TypeVar("T")


class Codec(Generic[T]):
    """How objects of one type become bytes and back.

    `encode` must raise `TypeError` for objects of another type. None for both functions leaves bytes as they are.
    """

    __slots__ = ("decode", "encode", "name")

    def __init__(
        self,
        encode: Optional[Callable[[T], bytes]],
        decode: Optional[Callable[[bytes], T]],
        name: str = "codec",
    ) -> None:
        self.encode = encode
        self.decode = decode
        self.name = name

    def __repr__(self) -> str:
        return f"<keelkv.codec.Codec {self.name}>"


#: What names a codec: the codec itself, `bytes`, `str` or `int`, or a module such as `json`.
CodecLike = Union[Codec[T], Type[T], ModuleType]

#: What the back ends take: encode and decode keys, encode and decode values; None leaves bytes as they are.
RawCodec = Optional[Tuple[Optional[Callable[..., Any]], ...]]


def _encode_str(text: str) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"the codec STR takes str, and this is {type(text).__name__}: {text!r:.80}")
    # Names of files may have surrogates, which are kept.
    return text.encode("utf-8", "surrogateescape")


def _decode_str(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


_OFFSET = 1 << 63


def _encode_int(number: int) -> bytes:
    if not isinstance(number, int):
        raise TypeError(f"the codec INT takes int, and this is {type(number).__name__}: {number!r:.80}")
    try:
        # The offset makes the order of bytes that of numbers, negative ones included.
        return (number + _OFFSET).to_bytes(8, "big")
    except OverflowError:
        raise ValueError(f"the codec INT takes numbers from -2**63 to 2**63 - 1, and this is {number}") from None


def _decode_int(data: bytes) -> int:
    if len(data) != 8:
        raise ValueError(f"the codec INT expects 8 bytes, and these are {len(data)}: {data!r:.80}")
    return int.from_bytes(data, "big") - _OFFSET


def _encode_json(value: Any) -> bytes:
    return _json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _decode_json(data: bytes) -> Any:
    return _json.loads(data.decode("utf-8", "surrogatepass"))


#: Bytes stay as they are.
BYTES: Codec[bytes] = Codec(None, None, "BYTES")
#: Text as UTF-8.
STR: Codec[str] = Codec(_encode_str, _decode_str, "STR")
#: Numbers from -2**63 to 2**63 - 1 in eight bytes, in their order.
INT: Codec[int] = Codec(_encode_int, _decode_int, "INT")
#: What the module `json` can write, as UTF-8.
JSON: Codec[Any] = Codec(_encode_json, _decode_json, "JSON")
#: What the module `pickle` can write. Whoever can write the database can run code in those who read it.
PICKLE: Codec[Any] = Codec(_pickle.dumps, _pickle.loads, "PICKLE")

_BY_NAME: Dict[int, Codec[Any]] = {
    id(bytes): BYTES, id(str): STR, id(int): INT, id(_json): JSON, id(_pickle): PICKLE,
}


def _of_module(module: ModuleType) -> Codec[Any]:
    dumps, loads = module.dumps, module.loads

    def encode(value: Any) -> bytes:
        data = dumps(value)
        return data.encode() if isinstance(data, str) else cast(bytes, data)

    return Codec(encode, loads, module.__name__)


def find(wanted: Any) -> Codec[Any]:
    """The codec that something stands for."""
    if wanted is None:
        return BYTES
    if isinstance(wanted, Codec):
        return wanted
    known = _BY_NAME.get(id(wanted))
    if known is not None:
        return known
    if isinstance(wanted, ModuleType) and hasattr(wanted, "dumps") and hasattr(wanted, "loads"):
        return _of_module(wanted)
    raise TypeError(
        f"{wanted!r} is no codec; give bytes, str, int, json, pickle, or keelkv.codec.Codec(encode, decode)"
    )


def raw(key: Any, value: Any) -> RawCodec:
    """What the back ends take for a codec of keys and one of values."""
    k, v = find(key), find(value)
    parts = (k.encode, k.decode, v.encode, v.decode)
    return None if all(part is None for part in parts) else parts
