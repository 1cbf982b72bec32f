"""`SplitSource`: a split of a prepared data set as a training run reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.faults import Fault, UserError
from gelo.tasks.data.decoded import DecodedSplit
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.tokens import ask, asked
from gelo.tasks.protocols import zeroshot
from gelo.tasks.training.augment import augment
from gelo.tasks.training.base import Augment


class SplitSource:
    """See `gelo.models.training.stream.Source`. Images come from the decoded cache; what is not there yet is decoded at once."""

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        transform: Transform,
        cache: Path,
        size: int | None = None,
        kind: Augment = "none",
    ) -> None:
        """transform: what the cache holds; size: of what a step sees, cropped from it; kind: of augmentation. Raises UserError for a split
        that is not there and for an image that cannot be read."""
        if split not in dataset.card.splits:
            there = ", ".join(dataset.card.splits)
            raise UserError(
                f"data set {dataset.name}", Fault(f"{dataset.name}/{split}", "no such split", f"one of {there}")
            )
        self.name, self.fingerprint = f"{dataset.name}/{split}", dataset.fingerprint
        self.labels = dataset.labels(split)
        self._dataset, self._split, self._kind = dataset, split, kind
        self._size = transform.size if size is None else size
        self._cache = cache
        self._pixels = DecodedSplit(dataset, split, transform, cache)

    def take(
        self, rows: NDArray[np.integer], draws: np.random.Generator | None = None, own: slice = slice(None)
    ) -> NDArray[np.uint8]:
        """See Source."""
        pixels = self._pixels.take(rows[own])
        return pixels if draws is None else augment(self._kind, pixels, self._size, draws, len(rows), own)

    def column(self, name: str) -> NDArray[np.object_]:
        """See Source."""
        return self._dataset.column(self._split, name)

    def classifier(self, base: Encoder) -> torch.Tensor:
        """See Source."""
        ask(base, self._dataset, self._cache)
        texts, why_not = asked(base.text_fingerprint, self._dataset, self._cache)
        if texts is None:
            raise UserError(f"data set {self._dataset.name}", Fault(self.name, why_not, "prompts that can be asked"))
        return torch.from_numpy(zeroshot.classifier(texts)).float().to(base.device)
