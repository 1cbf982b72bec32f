"""What a specialised task brings to a training run: its data by collection, head, sampler, augmentation and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from models.head_specs import HeadKind

Sampler = Literal["shuffled", "class_balanced"]
Augment = Literal["none", "flip"]
Schedule = Literal["constant", "cosine", "cosine_restarts"]


@dataclass(frozen=True, slots=True)
class Task:
    """One specialised task. `data`, `defaults` and `lora` are keyed by collection; `suite` is the prefix of its metrics.

    defaults: fields of `sweeps.trial.Training` but `data`. by_adaptation: those that an adaptation has otherwise. lora: fields of
    `models.adapt.Lora`.
    """

    name: str
    suite: Literal["fr", "mad", "pad"]
    data: Mapping[str, str]
    head: HeadKind
    defaults: Mapping[str, Mapping[str, object]]
    lora: Mapping[str, Mapping[str, object]]
    by_adaptation: Mapping[str, Mapping[str, Mapping[str, object]]] = field(default_factory=dict)


def epoch_order(sampler: Sampler, labels: np.ndarray, seed: int, epoch: int, batch: int) -> np.ndarray:
    """Record indices of one epoch as (steps, batch), the last incomplete batch dropped; a function of its arguments alone.

    shuffled: a permutation (TaharChettaoui/FRoundation: src/train.py). class_balanced: drawn with replacement, weight 1 / class
    count, as many draws as records (gurayozgur/FoundPAD: src/data/loaders.py).
    """
    rng = np.random.default_rng([seed, epoch])
    if sampler == "shuffled":
        order = rng.permutation(len(labels))
    else:
        counts = np.bincount(labels)
        weights = 1.0 / counts[labels]
        order = rng.choice(len(labels), size=len(labels), replace=True, p=weights / weights.sum())
    steps = len(order) // batch
    return order[: steps * batch].reshape(steps, batch)


def augment(kind: Augment, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Augment uint8 (N, S, S, 3). flip: mirrored left to right with probability one half, image by image."""
    if kind == "none":
        return pixels
    mirrored = rng.random(len(pixels)) < 0.5
    out = pixels.copy()
    out[mirrored] = out[mirrored, :, ::-1]
    return out
