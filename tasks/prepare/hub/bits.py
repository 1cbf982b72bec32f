"""Numbers as Parquet packs them: headers in Thrift's compact protocol, and runs of small numbers.

Formats: apache/thrift: doc/specs/thrift-compact-protocol.md; apache/parquet-format: Encodings.md (RLE / Bit-Packing Hybrid). Bytes
that are none of it raise one of `BROKEN`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_YES, _NO = 1, 2
BROKEN = (ValueError, LookupError, TypeError, AttributeError, OverflowError, OSError, MemoryError, RecursionError)


def places(data: memoryview, width: int, count: int) -> NDArray[np.int64]:
    """Numbers of `width` bits, in runs of one or packed by bits (Encodings.md: RLE / Bit-Packing Hybrid)."""
    at = 0
    found: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    left = count
    while left > 0:
        header, at = _varint(data, at)
        run = header >> 1
        if not run or width > 32:
            raise ValueError("an empty run")
        if header & 1:
            size = run * width
            bits = np.unpackbits(np.frombuffer(data[at : at + size], np.uint8), bitorder="little")
            values = (
                bits[: len(bits) // max(width, 1) * width].reshape(-1, width) @ (1 << np.arange(width))
                if width
                else np.zeros(run * 8)
            )
        else:
            size = (width + 7) // 8
            values = np.full(min(run, left), int.from_bytes(data[at : at + size], "little"))
        if not len(values):
            raise ValueError("a run without values")
        found.append(values[:left].astype(np.int64))
        left -= len(found[-1])
        at += size
    return np.concatenate(found)


def struct(data: memoryview, at: int) -> tuple[dict[int, Any], int]:
    """A struct of Thrift's compact protocol by field number, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while (head := data[at]) != 0:
        at += 1
        kind = head & 15
        if head >> 4:
            number += head >> 4
        else:
            number, at = _zigzag(data, at)
        if kind in (_YES, _NO):
            fields[number] = kind == _YES
        else:
            fields[number], at = _value(data, at, kind)
    return fields, at + 1


def _value(data: memoryview, at: int, kind: int) -> tuple[Any, int]:
    if kind in (4, 5, 6):
        return _zigzag(data, at)
    if kind == 8:
        size, at = _varint(data, at)
        return bytes(data[at : at + size]), at + size
    if kind in (9, 10):
        count, of = data[at] >> 4, data[at] & 15
        at += 1
        if count == 15:
            count, at = _varint(data, at)
        found = []
        for _ in range(count):
            value, at = _value(data, at, of)
            found.append(value)
        return found, at
    if kind == 12:
        return struct(data, at)
    if kind in (_YES, _NO, 3, 7):
        return data[at], at + (8 if kind == 7 else 1)
    raise ValueError("a kind of field that Parquet does not have")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number without an end")


def _zigzag(data: memoryview, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at
