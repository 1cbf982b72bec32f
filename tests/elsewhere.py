"""A device that is not there: tensors on it are computed on the CPU, and what CUDA refuses is refused: numbers of two devices in one
operation, and NumPy. For code that has to run on a GPU, on machines without."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

THERE = torch.device("meta")  # autograd has no thread for a device that torch does not know
_CPU = torch.device("cpu")
_ATEN = torch.ops.aten
_MIXES = {  # as on CUDA: copies, and indices that lie on the CPU
    *(_ATEN.copy_.default, _ATEN._to_copy.default, _ATEN.index.Tensor),
    *(_ATEN.index_put_.default, _ATEN.index_put.default, _ATEN._index_put_impl_.default),
}


class There(Tensor):
    """A tensor on that device. inner: the same on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> There:
        made: There = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype, device=THERE
        )  # fmt: skip
        made.inner = inner
        return made

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"There({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    there = [each for each in tensors if isinstance(each, There)]
    here = [each for each in tensors if not isinstance(each, There) and each.dim()]
    if there and here and func not in _MIXES:
        raise RuntimeError(
            f"{func}: expected all tensors on the same device, found {len(there)} there, {len(here)} here"
        )
    wanted = kwargs.get("device")
    if wanted is not None:
        kwargs = {**kwargs, "device": _CPU}
    own = {id(each.inner): each for each in there}
    out = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if func is _ATEN.copy_.default and not isinstance(args[0], There):
        return args[0]
    if torch.device(wanted) == _CPU if wanted is not None else not there:
        return out

    def outer(each: Any) -> Any:
        if not isinstance(each, Tensor):
            return each
        return own[id(each)] if id(each) in own else There(each)

    return tree_map(outer, out)


def _inner(each: Any) -> Any:
    return each.inner if isinstance(each, There) else each


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Made(TorchFunctionMode):
    """torch.tensor makes nothing of its numbers where they are to lie on the device that this one is in place of."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") == THERE:
            return func(*args, **{**kwargs, "device": _CPU}).to(THERE)
        if func is Tensor.tolist and isinstance(args[0], There):
            return args[0].inner.tolist()
        return func(*args, **kwargs)


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """The device, for the time of the block. It knows no inference mode (`no_grad` takes its place), no autocast and
    no generator (the CPU's do)."""
    plain, drawing = torch.autocast, torch.Generator
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), _Dispatch(), _Made():
        warnings.filterwarnings("ignore", "for .*: copying from a non-meta parameter")  # torch takes it for that device
        patch.setattr(torch, "inference_mode", torch.no_grad)
        patch.setattr(
            torch,
            "autocast",
            lambda kind, *given, **named: plain("cpu" if kind == THERE.type else kind, *given, **named),
        )
        patch.setattr(torch, "Generator", lambda device=_CPU: drawing("cpu" if device == THERE else device))
        yield THERE
