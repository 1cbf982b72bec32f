"""PyTorch's pickles, described and never run: every name that one asks for becomes a stand-in of ours, or is refused.

Decisions: the machine is the one of Python's `pickle` that is written in Python, cut down to the opcodes of plain values. A tensor is a
record of where its numbers lie, a module a dictionary of what it holds. Imports no torch.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

_OPCODES = (
    "PROTO", "STOP", "MARK", "GLOBAL", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2",
    "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "BINUNICODE", "BININT", "BININT1", "BININT2",
    "LONG1", "BINFLOAT", "NEWTRUE", "NEWFALSE", "NONE", "BINPERSID", "REDUCE", "NEWOBJ", "BUILD",
)  # fmt: skip
TYPES = {
    "HalfStorage": ("float16", 2), "BFloat16Storage": ("bfloat16", 2), "FloatStorage": ("float32", 4), "DoubleStorage": ("float64", 8),
    "LongStorage": ("int64", 8), "IntStorage": ("int32", 4), "ShortStorage": ("int16", 2), "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1), "BoolStorage": ("bool", 1),
}  # fmt: skip
_INERT = re.compile(r"torch\.jit\._pickle\.(build_(int|double|bool|tensor)list|restore_type_tag)|torch\.device")


class ArchiveError(ValueError):
    """An archive that is damaged, or holds more than tensors, modules and plain values. asked: the name that its pickle asks for."""

    def __init__(self, told: str, asked: str = "") -> None:
        super().__init__(told)
        self.asked = asked


class Stored(NamedTuple):
    """Where a tensor's numbers lie: entry of the archive, type, how many are there, the first, sizes and steps (in numbers)."""

    key: str
    dtype: str
    held: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass
class Module:
    """Stands for an object of a class that the archive's code defines: its name, and what it holds."""

    kind: str
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Class:
    name: str


@dataclass(frozen=True)
class _Storage:
    dtype: str
    size: int


@dataclass(frozen=True)
class _Held:
    key: str
    of: _Storage
    held: int


def _tensor(held: _Held, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *rest: object) -> Stored:
    numbers = (offset, *shape, *stride)
    if not isinstance(held, _Held) or len(shape) != len(stride) or any(type(n) is not int or n < 0 for n in numbers):
        raise ArchiveError("a tensor that PyTorch would not write so")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    count: int = prod(shape)
    if count > held.held or (count and last >= held.held):
        raise ArchiveError(f"a tensor of {shape} in {held.held:,} numbers")
    return Stored(held.key, held.of.dtype, held.held, offset, shape, stride)


def _parameter(data: Stored, *rest: object) -> Stored:
    return data


def _ordered() -> dict[str, Any]:
    return {}


def _inert(*given: object) -> None:
    """Stands for what is plain once it is read, and no tensor."""


_NAMES: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": _ordered,
}


class _Opcodes(dict[int, Callable[[Any], None]]):
    def __missing__(self, code: int) -> Callable[[Any], None]:
        name = next((op.name for op in pickletools.opcodes if op.code == chr(code)), f"{code:#04x}")
        raise ArchiveError(f"a pickle that asks for {name}")


class _Exact(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size is not None and len(data) < size:
            raise EOFError("truncated?")
        return data


class _Machine(pickle._Unpickler):
    stack: list[Any]
    dispatch = _Opcodes(
        {ord(op.code): pickle._Unpickler.dispatch[ord(op.code)] for op in pickletools.opcodes if op.name in _OPCODES}
    )

    def find_class(self, module: str, name: str) -> Any:
        asked = f"{module}.{name}"
        if module == "torch" and name in TYPES:
            return _Storage(*TYPES[name])
        if module.startswith("__torch__"):
            return _Class(asked)
        if asked in _NAMES:
            return _NAMES[asked]
        if _INERT.fullmatch(asked):
            return _inert
        raise ArchiveError(f"a pickled {asked}, which would run code to be read", asked)

    def persistent_load(self, given: Any) -> _Held:
        word, storage, key, _, held = given
        if word != "storage" or not isinstance(storage, _Storage) or type(key) is not str or type(held) is not int:
            raise ArchiveError("numbers that PyTorch would not keep so")
        return _Held(key, storage, held)

    def _reduce(self) -> None:
        given = self.stack.pop()
        called = self.stack.pop()
        if called not in (*_NAMES.values(), _inert) or not isinstance(given, tuple):
            raise ArchiveError(f"a call of a {type(called).__name__}")
        self.stack.append(called(*given))

    def _new(self) -> None:
        given = self.stack.pop()
        kind = self.stack.pop()
        if not isinstance(kind, _Class) or given != ():
            raise ArchiveError(f"an object of a {type(kind).__name__}")
        self.stack.append(Module(kind.name))

    def _build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, Module) and isinstance(state, dict):
            made.state = state
        elif not isinstance(made, Module | dict):  # an OrderedDict's is what torch notes of a state dict
            raise ArchiveError(f"a state for a {type(made).__name__}")

    dispatch |= {ord("R"): _reduce, 0x81: _new, ord("b"): _build}


def described(data: bytes) -> Any:
    """What a pickle of PyTorch's describes: `Module`s, dictionaries, lists, `Stored` tensors and plain values.

    Raises ArchiveError for what asks for more, and whatever damaged bytes lead the machine to; nothing is run."""
    return _Machine(_Exact(data)).load()
