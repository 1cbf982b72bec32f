"""What a specialised task brings to a training run: its data by collection, head, sampler, augmentation and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gelo.models.heads import HeadKind

Augment = Literal["none", "flip", "rand_augment", "spoof"]  # tasks/training/augment.py


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
