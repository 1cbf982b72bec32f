"""Plain values out of a pickle, and nothing run: no name is looked up but NumPy's own way to write an array of numbers.

Decisions: the machine is the one that Python's `pickle` has in Python, cut down to the opcodes of plain values. The one in C sizes its
memo by the largest index that the file names, 32 GB for four bytes of it. NumPy's types are stand-ins of ours: its own take a length or
an item size from the file as it stands there.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gelo.models.faults import pass_interrupt

_REFUSED = {
    "PERSID", "BINPERSID", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "EMPTY_SET", "FROZENSET", "ADDITEMS",
    "NEXT_BUFFER", "READONLY_BUFFER",
}  # fmt: skip
_VALUES = (type(None), bool, int, float, str, bytes, bytearray)
_NUMBERS = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248])")


class SafePickleError(ValueError):
    """A pickle that is damaged, or asks for more than plain values."""


class _Opcodes(dict[int, Callable[[Any], None]]):
    def __missing__(self, code: int) -> Callable[[Any], None]:
        name = next((op.name for op in pickletools.opcodes if op.code == chr(code)), f"{code:#04x}")
        raise SafePickleError(f"asks for opcode {name}: refused, nothing was run")


class _Dtype:
    """Stands for numpy.dtype: numbers of up to eight bytes."""

    def __init__(self, spec: str | bytes, align: object = False, copy: object = True) -> None:
        name = str(_decoded(spec))
        if not _NUMBERS.fullmatch(name):
            raise SafePickleError(f"an array of {name!r}: refused, numbers alone are read")
        self.numbers = np.dtype(name)

    def set(self, state: Any) -> None:
        version, order = state[0], _decoded(state[1])
        if version not in range(5) or order not in ("|", "<", ">", "="):
            raise SafePickleError(f"version {version} of a NumPy type, byte order {order!r}")
        self.numbers = self.numbers.newbyteorder(order)


class _Array:
    """Stands for numpy.ndarray, empty until its state comes."""

    def __init__(self) -> None:
        self.array: NDArray[Any] = np.empty(0, np.uint8)

    def set(self, state: Any) -> None:
        version, shape, dtype, fortran, data = state
        if version != 1:
            raise SafePickleError(f"version {version} of a NumPy array")
        self.array = _frombuffer(data, dtype, shape, "F" if fortran else "C").array


def _reconstruct(of: object, shape: object, kind: object) -> _Array:
    if of is not _NDARRAY or shape != (0,) or kind not in (b"b", "b"):
        raise SafePickleError("an array that NumPy would not write so")
    return _Array()


def _frombuffer(data: bytes | bytearray, dtype: _Dtype, shape: tuple[int, ...], order: str = "C") -> _Array:
    if math.prod(shape) * dtype.numbers.itemsize != len(data) or min(shape, default=0) < 0:
        raise SafePickleError(f"an array of shape {shape} in {len(data)} bytes")
    filled = _Array()
    filled.array = np.ndarray(shape, dtype.numbers, data, order="F" if order == "F" else "C")
    return filled


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return _frombuffer(data, dtype, ()).array.item()


_NDARRAY = object()
_NAMES: dict[tuple[str, str], Any] = {("numpy", "ndarray"): _NDARRAY, ("numpy", "dtype"): _Dtype} | {
    (f"numpy.{core}.{module}", name): stand_in
    for core in ("core", "_core")
    for module, name, stand_in in (
        ("multiarray", "_reconstruct", _reconstruct),
        ("multiarray", "scalar", _scalar),
        ("numeric", "_frombuffer", _frombuffer),
    )
}


class _Exact(io.BytesIO):
    """Bytes that are never read short, as the machine in Python would let them be."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size is not None and len(data) < size:
            raise EOFError(f"{size:,} bytes asked for, {len(data):,} left: truncated?")
        return data


class _Plain(pickle._Unpickler):
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]
    dispatch = _Opcodes(
        {
            ord(op.code): pickle._Unpickler.dispatch[ord(op.code)]
            for op in pickletools.opcodes
            if op.name not in _REFUSED
        }
    )

    def __init__(self, data: bytes) -> None:
        super().__init__(_Exact(data), encoding="bytes")
        self._room = len(data)  # text that becomes bytes: each stands in the file once

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes at protocol 2
            return self._latin1
        if (module, name) in _NAMES:
            return _NAMES[module, name]
        raise SafePickleError(f"asks for {module}.{name}: refused, nothing was run")

    def _latin1(self, text: str, codec: str) -> bytes:
        self._room -= len(text)
        if codec not in ("latin1", "latin-1") or self._room < 0:
            raise SafePickleError(f"bytes in {codec}")
        return text.encode("latin-1")

    def _build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Array | _Dtype):
            raise SafePickleError(
                f"asks to set the state of a {type(self.stack[-1]).__name__}: refused, nothing was run"
            )
        self.stack[-1].set(state)

    def _bytearray(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(size)))

    def _setitems(self) -> None:
        items = self.pop_mark()
        self._set(items[::2], items[1::2])

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key], [value])

    def _set(self, keys: list[Any], values: list[Any]) -> None:
        if not all(isinstance(key, str | bytes | int) for key in keys):  # others take their time to hash
            raise SafePickleError("a dictionary with other keys than text and numbers: refused")
        self.stack[-1].update(zip(keys, values, strict=True))

    dispatch |= {ord("b"): _build, 0x96: _bytearray, ord("u"): _setitems, ord("s"): _setitem}


def load_plain(data: bytes) -> Any:
    """Bytes, text, numbers, booleans, None, lists, tuples, dictionaries and NumPy arrays of numbers, which cannot be written to.

    Dictionary keys and the strings of lists that Python 2 wrote as bytes come back as text. Raises SafePickleError, with nothing run.
    """
    try:
        return _text(_finished(_Plain(data).load(), {}))
    except SafePickleError:
        raise
    except Exception as error:  # whatever damaged bytes lead the machine of pickle to
        pass_interrupt(error)
        raise SafePickleError(f"a damaged pickle ({type(error).__name__}: {error})") from None


def _finished(value: Any, seen: dict[int, Any]) -> Any:
    """`value` with its arrays in place of the stand-ins; each container is visited once, however often it is held."""
    if isinstance(value, _VALUES):
        return value
    if isinstance(value, _Array):
        value.array.flags.writeable = False
        return value.array
    if not isinstance(value, list | tuple | dict):
        raise SafePickleError(f"holds a {type(value).__name__}: refused")
    if id(value) not in seen:
        seen[id(value)] = value
        if isinstance(value, tuple):
            seen[id(value)] = tuple(_finished(inner, seen) for inner in value)
        elif isinstance(value, list):
            value[:] = [_finished(inner, seen) for inner in value]
        else:
            value.update({key: _finished(inner, seen) for key, inner in value.items()})
    return seen[id(value)]


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return {_decoded(key): _text(inner) for key, inner in value.items()}
    if isinstance(value, list) and value and all(isinstance(inner, bytes) and len(inner) < 256 for inner in value):
        return [_decoded(inner) for inner in value]
    return value


def _decoded(value: Any) -> Any:
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value
