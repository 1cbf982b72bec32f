"""Images that stay in a user's own file: a shard then holds, in place of an image's bytes, where in that file they lie.

The card names the file with its size and SHA-256, so a file that was exchanged is refused like a shard that was. What does not lie there in
one piece (a record of RecordIO that was cut at a magic word) is kept in the shard.
"""

from __future__ import annotations

import os
import struct
import weakref
from functools import lru_cache

_PLACE = struct.Struct("<cQQ")  # a letter, where the bytes begin, and how many they are
_LIES, _KEPT = b"@", b"="


class Elsewhere:
    """The user's file, open for reading from any thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def image(self, held: bytes) -> bytes:
        """The bytes of an image, of what a shard holds for it. Raises OSError where the file does not have them."""
        if held[:1] == _KEPT:
            return held[1:]
        _, start, length = _PLACE.unpack(held)
        data = os.pread(self._descriptor, length, start)
        if len(data) != length:
            raise OSError(f"{self.path} ends before byte {start + length:,}: it is not the file that was prepared")
        return data


@lru_cache(maxsize=8)
def opened(path: str) -> Elsewhere:
    """One descriptor a process and file."""
    return Elsewhere(path)


def held(image: bytes, at: tuple[int, int] | None) -> bytes:
    """What a shard holds for an image: its place (start, length), or its bytes where it has none."""
    return _KEPT + image if at is None else _PLACE.pack(_LIES, *at)
