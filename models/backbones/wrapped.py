"""Tensors out of what training tools wrap them in: dictionaries in dictionaries, `module.` and other prefixes, transformers' names.

Decisions: the same code takes tensors and what stands for them before torch is loaded (`Shape`), so that what is told of a file in advance
is what becomes of it. Of two models in one file neither is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import takewhile
from os.path import commonpath
from pathlib import Path
from typing import Any, TypeVar

from gelo.models.backbones.containers import MERGE, FlawError, first
from gelo.models.backbones.huggingface import is_hugging_face, to_open_clip
from gelo.models.faults import UserError

T = TypeVar("T")

_OWN = (  # what names begin with once nothing is around them; all may begin with one where only one tower is there
    "visual",
    "text",
    "transformer",
    "vision_model",
    "text_model",
)
_VISION = {"visual", "vision_model", "pre_layrnorm"}  # parts of names that only a model with a vision tower has
_NOT_WEIGHTS = (  # OpenAI's files keep them among the tensors
    "input_resolution",
    "context_length",
    "vocab_size",
    "attn_mask",
)
_DEEPEST = 3  # levels of dicts that are looked into


class Shape(tuple[int, ...]):
    """The sizes of a tensor, with what is asked of a tensor on its way to other names."""

    __slots__ = ()

    def t(self) -> Shape:
        return Shape(reversed(self))

    def contiguous(self) -> Shape:
        return self

    @staticmethod
    def joined(parts: Sequence[Shape]) -> Shape:
        """As torch.cat along the first dimension."""
        return Shape((sum(part[0] for part in parts), *parts[0][1:]))


def inner(content: Any, is_tensor: Callable[[Any], bool], path: Path) -> Mapping[str, Any]:
    """The dictionary of tensors in what a file holds, or in what is in it. Raises FlawError where there is none, or are several models."""
    if not isinstance(content, Mapping):
        raise FlawError(f"a {type(content).__name__} with other things than tensors")
    odd = {str(key): value for key, value in content.items() if not is_tensor(value)}
    if not odd and content:
        return content
    held = dict(_deeper(content, is_tensor))
    models = {keys: tensors for keys, tensors in held.items() if _has_vision(tensors)} or held
    if len(models) == 1:
        return next(iter(models.values()))
    if models:
        target, keys = path.with_name(f"{path.stem}-plain.pt"), "".join(f"[{key!r}]" for key in next(iter(models)))
        save = f"torch.save(torch.load({str(path)!r}, weights_only=True){keys}, {str(target)!r})"
        raise FlawError(
            f"tensors of {len(models)} models, under {first([' -> '.join(map(repr, keys)) for keys in models])}",
            f'save those of one alone: python -c "import torch; {save}"',
        )
    named = first([f"{key!r} ({type(value).__name__})" for key, value in odd.items()]) or "it is empty"
    raise FlawError(f"a dict with other things than tensors: {named}")


def plain(state: Mapping[str, T], join: Callable[[Sequence[Any]], Any] | None = None) -> tuple[dict[str, T], bool]:
    """Tensors (or Shapes, with their `join`) under open_clip's names, and whether they came under transformers'.

    Raises FlawError for an adapter, and for names of transformers' that are no CLIP's."""
    names = {name: name.removeprefix("module.") for name in state}
    if any(part.startswith("lora_") for name in names for part in name.split(".")):
        raise FlawError("a peft adapter: tensors that are added to weights, not the weights", MERGE)
    prefix = _around(names.values())
    named = {short.removeprefix(prefix): state[name] for name, short in names.items()}
    foreign = is_hugging_face(named)
    if foreign:
        try:
            named = to_open_clip(named, join)
        except UserError as error:
            raise FlawError(error.faults[0].found, error.faults[0].remedy) from None
    return {name: tensor for name, tensor in named.items() if name not in _NOT_WEIGHTS}, foreign


def _around(names: Collection[str]) -> str:
    """What every name begins with before its own parts: `model.`, `_orig_mod.clip.`, mostly nothing."""
    shared = commonpath(["/".join(name.split(".")[:-1]) for name in names]).split("/") if len(names) > 1 else [""]
    return ".".join([*takewhile(lambda part: part != "" and part not in _OWN, shared), ""]).removeprefix(".")


def _has_vision(names: Collection[str]) -> bool:
    return any(part in _VISION for name in names for part in str(name).split("."))


def _deeper(
    content: Mapping[Any, Any], is_tensor: Callable[[Any], bool], above: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    """The keys that lead to each dict of nothing but tensors, and that dict."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value and len(above) < _DEEPEST:
            if all(map(is_tensor, value.values())):
                yield (*above, key), value
            else:
                yield from _deeper(value, is_tensor, (*above, key))
