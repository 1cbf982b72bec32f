"""Plain values out of a pickle, and nothing run: no name is looked up but NumPy's own way to write an array of numbers."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct

_ARRAYS: dict[tuple[str, str], Callable[..., Any]] = {
    (module, "_reconstruct"): _reconstruct for module in ("numpy.core.multiarray", "numpy._core.multiarray")
} | {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}


class SafePickleError(ValueError):
    """A pickle that is damaged, or asks for more than plain values."""


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes at protocol 2
            return _latin1
        if (module, name) in _ARRAYS:
            return _ARRAYS[module, name]
        raise SafePickleError(f"asks for {module}.{name}: refused, nothing was run")

    def persistent_load(self, pid: object) -> Any:
        raise SafePickleError("asks for a persistent object: refused, nothing was run")


def load_plain(data: bytes) -> Any:
    """Bytes, text, numbers, booleans, None, lists, tuples, dictionaries and NumPy arrays of numbers.

    Dictionary keys and the strings of lists that Python 2 wrote as bytes come back as text. Raises SafePickleError, with nothing run.
    """
    try:
        return _text(_Plain(io.BytesIO(data), encoding="bytes").load())
    except SafePickleError:
        raise
    except Exception as error:  # whatever damaged bytes lead the machine of pickle to
        raise SafePickleError(f"a damaged pickle ({type(error).__name__}: {error})") from None


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return {_decoded(key): _text(inner) for key, inner in value.items()}
    if isinstance(value, list) and value and all(isinstance(inner, bytes) and len(inner) < 256 for inner in value):
        return [_decoded(inner) for inner in value]
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        raise SafePickleError("an array of objects: refused")
    return value


def _decoded(value: Any) -> Any:
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def _latin1(text: str, codec: str) -> bytes:
    if codec not in ("latin1", "latin-1"):
        raise SafePickleError(f"bytes in {codec}")
    return text.encode("latin-1")
