"""What a specialised task brings to a training run: its data by collection, head, sampler, augmentation and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gelo.models.heads import HeadKind

Augment = Literal["none", "flip", "rand_augment", "spoof"]  # tasks/training/augment.py


@dataclass(frozen=True, slots=True)
class Gain:
    """What a specialisation is for, by full metric names; several are averaged, and only where all are there.

    after: of the trained encoder. before: of the untouched backbone, whose text prompts stand against a trained detector. Which way is
    better the metrics themselves say.
    """

    after: tuple[str, ...]
    before: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One specialised task. `data`, `defaults`, `lora` and `gain` are keyed by collection; `suite` is the prefix of its metrics: where it
    is that of a protocol's trained head (`mad`, `pad`), the trained head is scored.

    defaults: fields of `tasks.ledger.trial.Training` but `data`. by_adaptation: those that an adaptation has otherwise. lora: fields of
    `models.adapt.Lora`. question: what the report asks of the gain.
    """

    name: str
    suite: str
    data: Mapping[str, str]
    head: HeadKind
    defaults: Mapping[str, Mapping[str, object]]
    lora: Mapping[str, Mapping[str, object]]
    by_adaptation: Mapping[str, Mapping[str, Mapping[str, object]]] = field(default_factory=dict)
    gain: Mapping[str, Gain] = field(default_factory=dict)
    question: str = ""
