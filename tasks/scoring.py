"""What a protocol may look at: one encoder on one data set. Features come from the cache, by split and view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gelo.tasks.data.catalogue import ENTRIES
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.protocols import zeroshot
from gelo.tasks.protocols.base import View
from gelo.tasks.protocols.tally import Context
from gelo.tasks.results import Result

Scored = tuple[Result, pa.Table]


@dataclass(frozen=True)
class Head:
    """A trained binary head as arrays: weight (2, d), bias (2,)."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Scoring:
    """One encoder on one data set. texts: text features by class, K arrays (T, d), None where no prompt is asked; head: only where it was
    trained for this task.

    unasked: why no prompt can be asked, where one should be. device: where a solver works.
    """

    dataset: Dataset
    features: Callable[[str, View], np.ndarray]
    texts: list[np.ndarray] | None
    logit_scale: float
    head: Head | None
    seed: int
    vision: str
    text: str
    device: str = "cpu"
    unasked: str = ""

    @property
    def context(self) -> Context:
        """What a result says of its making."""
        return {
            "data": self.dataset.fingerprint,
            "vision": self.vision,
            "text": self.text,
            "scale": self.dataset.card.scale,
            "partial": self.dataset.card.partial,
            "reading": self.dataset.card.reading,
        }

    @property
    def prefix(self) -> str:
        """Before the attacks and domains of a user's own set, so that they are not taken for those of the collection's."""
        return "" if self.dataset.name in ENTRIES else f"{self.dataset.name}."

    def classifier(self) -> np.ndarray:
        """(d, K) of the text prompts, which are there."""
        assert self.texts is not None
        return zeroshot.classifier(self.texts)

    def column(self, split: str, name: str) -> np.ndarray:
        """A column of the records of a split, (N,)."""
        return self.dataset.column(split, name)

    def subjects(self, split: str) -> np.ndarray | None:
        """Who each image of a split shows, (N,); None where that is not known of all."""
        if "subject" not in self.dataset.card.columns:
            return None
        subjects = self.column(split, "subject")
        return subjects if all(subjects.tolist()) else None

    def train_and_test(self) -> tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Name of the set, features and labels to learn from, ids, features and labels to test on.

        For protocols that choose nothing on a validation split: it counts as train.
        """
        d = self.dataset
        splits = [split for split in ("train", "val") if split in d.card.splits]
        train = np.concatenate([self.features(split, "image") for split in splits])
        labels = np.concatenate([d.labels(split) for split in splits])
        return d.name, train, labels, d.ids("test"), self.features("test", "image"), d.labels("test")
