"""What weights are known by: digests of tensors, and whether others fit in their place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor


def fitting(state: Mapping[str, Tensor], own: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """`state`, where it has the names and shapes of `own`; ValueError names the tensors else."""
    wrong = sorted(own.keys() ^ state.keys()) or sorted(k for k in own if own[k].shape != state[k].shape)
    if wrong:
        raise ValueError(f"{len(wrong)} tensors do not fit {what}: {', '.join(wrong[:5])}")
    return dict(state)


def tensors_digest(state: Mapping[str, Tensor]) -> bytes:
    """SHA-256 over names, types, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


def digest(kind: str, state: Mapping[str, Tensor], *others: object) -> str:
    """16 hex digits over tensors and what else JSON takes. kind: of what they are."""
    made = hashlib.sha256(f"{kind} 1|".encode())
    made.update(tensors_digest(state))
    made.update(json.dumps(others, sort_keys=True, default=list).encode())
    return made.hexdigest()[:16]


def vocabulary(tokenizer: object) -> list[object]:
    """All of a tokenizer that can change its ids: class, context length, vocabulary, merges."""
    get_vocab = getattr(getattr(tokenizer, "tokenizer", None), "get_vocab", None)
    words = get_vocab() if get_vocab is not None else getattr(tokenizer, "encoder", {})
    merges = [list(merge) for merge in getattr(tokenizer, "bpe_ranks", {})]
    clean = getattr(getattr(tokenizer, "clean_fn", None), "__name__", "")
    return [type(tokenizer).__name__, getattr(tokenizer, "context_length", 0), clean, words, merges]
