"""What a specialised task brings to a training run: its data by collection, head, sampler, augmentation and defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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
class Validation:
    """The task's validation metric, `metric` its full name, in [0, 1], higher = better: what soups, budgets and schedulers choose by, and
    never what is reported.

    chosen(labels (N,), count, rng) -> rows, score(features (n, d), labels (n,), detector) -> value: tasks/training/validation.py. detector:
    whether the images are shown as the trained head's tests show them, and its (weight, bias) handed over; else by the backbone's.
    data: gelo's own validation images by collection, "data set/split"; where there are none those of the training set's `val` split.
    """

    metric: str
    chosen: Callable[[NDArray[np.integer], int, np.random.Generator], NDArray[np.int64]]
    score: Callable[[NDArray[np.floating], NDArray[np.integer], Any], float]
    detector: bool = False
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """One specialised task. `data`, `defaults`, `lora` and `gain` are keyed by collection; `suite` is the prefix of its metrics: where it
    is that of a protocol's trained head (`mad`, `pad`), the trained head is scored.

    defaults: fields of `tasks.ledger.trial.Training` but `data`. by_adaptation: those that an adaptation has otherwise. lora: fields of
    `models.adapt.Lora`. question: what the report asks of the gain. validation: None for a task that nothing is chosen by.
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
    validation: Validation | None = None
