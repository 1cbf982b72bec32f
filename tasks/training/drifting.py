"""`Drifting`: how far the tower of a look, or the one that is kept, went from the base: weights, features and what each block makes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gelo.models.distance import Distance, distance, squares
from gelo.models.encoder import Encoder
from gelo.models.tower import Tower
from gelo.models.training.inner import pooled_tokens
from gelo.tasks.metrics.scores import UndefinedMetric
from gelo.tasks.metrics.similarity import feature_drift, linear_cka
from gelo.tasks.training.shown import features

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Taken:
    """What a tower makes of the images: features (n, d), None where they give nothing to go by, and pooled tokens (n, width) by block."""

    features: Features | None
    blocks: Sequence[Features] = ()

    def of(self, rows: NDArray[np.int64]) -> Taken:
        """Of some of the images."""
        found = None if self.features is None else self.features[rows]
        return Taken(found, [each[rows] for each in self.blocks])


def taken(encoder: Encoder, pixels: NDArray[np.uint8]) -> Taken:
    """In one pass over pixels (n, S, S, 3)."""
    with pooled_tokens(encoder.visual) as tokens:
        found = features(encoder, pixels)
    return Taken(found, [np.concatenate(each) for each in tokens])


class Drifting:
    """pixels: of a look, of which `rows` are measured. The base's side is that of the look at step 0, where the tower is the base's; only a
    run that goes on, and a tower that is more than its weights, cost a pass of the base, once."""

    def __init__(self, base: Encoder, pixels: NDArray[np.uint8] | None, rows: NDArray[np.int64]) -> None:
        self.base, self.rows, self.pixels = base, rows, pixels if len(rows) else None
        self._squares = squares(base)
        self._before: Taken | None = None
        self._last: tuple[Distance, Taken] | None = None

    def look(self, tower: Tower, found: Taken) -> dict[str, float]:
        """`distance`, `drift` and `cka` of a tower that made `found` of all the pixels; what is undefined is absent."""
        far = distance(tower, self.base, self._squares)
        self._last = (far, found.of(self.rows))
        return self._numbers(tower, *self._last)

    def kept(self, tower: Tower) -> dict[str, Any]:
        """Of the tower that is published: `of` (what its distance is of), `kept` (as `look`) and `blocks`. That of the last look is not
        shown the images again."""
        far = distance(tower, self.base, self._squares)
        if self._last is None or self._last[0] != far:
            now = Taken(None) if self.pixels is None else taken(tower.encoder(self.base), self.pixels).of(self.rows)
            self._last = (far, now)
        numbers, now = self._numbers(tower, *self._last), self._last[1]
        before = self._before.blocks if self._before is not None else ()
        blocks = [
            {"block": place, **_defined({"distance": share, "cka": _cka(before, now.blocks, place)})}
            for place, share in enumerate(far.blocks)
        ]
        return {"of": "weights" if far.merged else "experts", "kept": numbers, "blocks": blocks}

    def _numbers(self, tower: Tower, far: Distance, now: Taken) -> dict[str, float]:
        if self._before is None and self.pixels is not None:
            untouched = tower.plain and far.whole == 0
            self._before = now if untouched else taken(self.base, self.pixels).of(self.rows)
        numbers: dict[str, float | None] = {"distance": far.whole}
        if self._before is not None and self._before.features is not None and now.features is not None:
            numbers["drift"] = feature_drift(self._before.features, now.features)
            numbers["cka"] = _cka([self._before.features], [now.features], 0)
        return _defined(numbers)


def _cka(before: Sequence[Features], after: Sequence[Features], place: int) -> float | None:
    if place >= min(len(before), len(after)):
        return None
    try:
        return linear_cka(before[place], after[place])
    except UndefinedMetric:
        return None


def _defined(numbers: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if value is not None and math.isfinite(value)}
