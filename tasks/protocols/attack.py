"""An attack on the pixels of test images as a protocol states it: settings, which images, where it starts. Arrays only.

Source: serendipity1122/Pre-trained-Model-Guided-Fine-Tuning-for-Zero-Shot-Adversarial-Robustness: PMG_AFT.py, `attack_pgd` and the
defaults of its test (Madry et al. 2018, projected gradient descent).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

_VERSION = 1  # raised by hand when attacked pixels of equal settings change


@dataclass(frozen=True, slots=True)
class Attack:
    """L-infinity PGD on pixels in [0, 1]. epsilon: radius; step: of each of `steps`; images: so many of the split, drawn by `seed`, or all
    where it has fewer; the start is uniform in +-epsilon, by `seed` and the image's row."""

    epsilon: float = 1 / 255
    step: float = 1 / 255
    steps: int = 10
    images: int = 200
    seed: int = 0

    @property
    def fingerprint(self) -> str:
        """16 hex digits over all of it."""
        return hashlib.sha256(json.dumps([_VERSION, asdict(self)], sort_keys=True).encode()).hexdigest()[:16]

    @property
    def passes(self) -> int:
        """What an image costs in forward passes: one and one back each step, and the last."""
        return 2 * self.steps + 1

    def __str__(self) -> str:
        of = f"epsilon {255 * self.epsilon:g}/255, {self.steps} steps of {255 * self.step:g}/255"
        return f"L-inf PGD on pixels in [0, 1], {of}, a uniform start"

    def chosen(self, total: int) -> NDArray[np.int64]:
        """Rows of a split of `total` images that are attacked, sorted."""
        drawn = np.random.default_rng(self.seed).permutation(total)[: self.images]
        return np.sort(drawn).astype(np.int64)

    def start(self, row: int, side: int) -> NDArray[np.float32]:
        """(3, side, side) in +-epsilon, of the image of this row; the same for every encoder of that size."""
        drawn = np.random.default_rng([self.seed, row]).uniform(-1, 1, (3, side, side))
        return (self.epsilon * drawn).astype(np.float32)
