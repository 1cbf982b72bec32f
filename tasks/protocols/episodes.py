"""Few-shot episodes of varied ways and shots: which classes, which images to learn from, which to ask about.

Source: Frankluox/FewTrans: data/sampling.py (Meta-Dataset's rules, "unbiased": an image is drawn from its whole class) at the limits of
its write_yaml_test_with_arg_visual_only.py. Two things are gelo's: support images come from the train split and queries from the test
split, where that code draws both from one pool; no class hierarchy is used (there for ImageNet and Fungi alone).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WAYS = (2, 15)  # fewest and most classes of an episode
SHOTS = 10  # support images of a class, at most
SUPPORT = 150  # of all, at most
QUERIES = 15  # test images of a class, at most
SEED = 0  # of every encoder, whatever the trial's: episodes are paired
_SPREAD = np.log(2)  # a class's share of the support set is up to twice, or down to half, that of its images


@dataclass(frozen=True)
class Episode:
    """classes (K,): labels, in the order drawn. support (n,), query (m,): rows of the train and of the test split; support_of (n,) and
    query_of (m,): their classes as positions in `classes`."""

    classes: NDArray[np.int64]
    support: NDArray[np.int64]
    support_of: NDArray[np.int64]
    query: NDArray[np.int64]
    query_of: NDArray[np.int64]


class Episodes:
    """Draws episodes from the labels of the two splits, (N,) and (M,): the number of an episode says all of it, so that every encoder gets
    the same. Raises ValueError for fewer than two classes that both splits have."""

    def __init__(self, train_labels: NDArray[np.integer], test_labels: NDArray[np.integer], seed: int = SEED) -> None:
        self.classes = np.intersect1d(train_labels, test_labels).astype(np.int64)
        if self.classes.size < WAYS[0]:
            raise ValueError(f"{self.classes.size} classes that train and test both have, at least {WAYS[0]} needed")
        self._train = [np.flatnonzero(train_labels == label) for label in self.classes]
        self._test = [np.flatnonzero(test_labels == label) for label in self.classes]
        self._seed = seed

    def __getitem__(self, number: int) -> Episode:
        """Ways: uniform in 2..15, or to the number of classes; classes: uniform. Queries: 15 a class, or as many as the drawn class with
        fewest test images has, the same of each. Support: its size by one uniform share of what the classes can give, its composition
        near that of the split, at least one image and at most ten of a class."""
        rng = np.random.default_rng([self._seed, number])
        ways = int(rng.integers(WAYS[0], min(WAYS[1], self.classes.size) + 1))
        chosen = rng.choice(self.classes.size, ways, replace=False)
        sizes = np.array([self._train[each].size for each in chosen])
        queries = min(QUERIES, *(self._test[each].size for each in chosen))
        share = rng.uniform()
        total = min(int(np.floor(share * np.minimum(SHOTS, sizes) + 1).sum()), SUPPORT)
        weights = sizes * np.exp(rng.uniform(-_SPREAD, _SPREAD, ways))
        shots = np.floor(weights / weights.sum() * (total - ways)).astype(np.int64) + 1
        shots = np.minimum(shots, np.minimum(SHOTS, sizes))
        support = [
            rng.choice(self._train[each], count, replace=False) for each, count in zip(chosen, shots, strict=True)
        ]
        query = [rng.choice(self._test[each], queries, replace=False) for each in chosen]
        numbers = np.arange(ways)
        return Episode(
            self.classes[chosen],
            np.concatenate(support),
            np.repeat(numbers, shots),
            np.concatenate(query),
            np.repeat(numbers, queries),
        )
