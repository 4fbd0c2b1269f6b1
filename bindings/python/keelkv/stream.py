"""What a backup is written to: a file by its name, or a stream, which is an object with a method `write`."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING, Callable, Protocol, Union

from ._constants import JOB_COMPACT, JOB_OVERWRITE

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["Path", "Stream"]


class Stream(Protocol):
    """A file that was opened for writing bytes, a compressor, or anything else that takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Takes bytes and returns how many, or anything else if it took all of them."""


Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


def file_name(path: Path) -> bytes:
    """A path in the encoding of the file system."""
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError(f"a path has no zero bytes, and this one has: {path!r}")
    return name


def is_stream(target: Union[Path, Stream]) -> TypeIs[Stream]:
    """Whether the target is a stream."""
    # A path may be an object of a class that can write as well, and then it was meant as a path.
    return hasattr(target, "write") and not isinstance(target, os.PathLike)


def backup_flags(target: Union[Path, Stream], compact: bool, overwrite: bool) -> int:
    """The flags of a backup to this target."""
    if overwrite and is_stream(target):
        raise ValueError("overwrite is for a file that exists, and the target is a stream; leave it out")
    return (JOB_COMPACT if compact else 0) | (JOB_OVERWRITE if overwrite else 0)


def write_all(stream: Stream) -> Callable[[bytes], None]:
    """A function that writes bytes to a stream, all of them: an unbuffered file may take a part at a time."""
    raw = isinstance(stream, io.RawIOBase)

    def write(data: bytes) -> None:
        while data:
            taken = stream.write(data)
            if taken == 0 or (raw and taken is None):
                raise BlockingIOError(errno.EAGAIN, "the stream takes no bytes now; give one that waits until it does")
            if isinstance(taken, int) and taken < 0:
                raise OSError(f"the stream's write returned {taken}, which is no number of bytes")
            # Objects that are no files of the module io return what they like, and have taken everything.
            data = data[taken:] if isinstance(taken, int) else b""

    return write
