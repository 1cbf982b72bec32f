"""Which points of a ROC or DET curve to keep: all of a short one, of a long one those that its plot and its readings need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.metrics.curves import Curve

LIMIT = 20_000  # points up to which a curve is kept whole
DECADES = 10.0 ** -np.arange(1, 10)


def kept(roc: Curve, limit: int = LIMIT) -> NDArray[np.int64]:
    """Points of one curve to keep, ascending: all where they are at most `limit`, else about so many.

    Thinned, a curve keeps points evenly spaced on the logarithm of each error, as a DET plot shows them, its two ends, the two that bracket
    the EER and the one that minimises |FAR - FRR|, and on both sides of FAR = 1e-1, 1e-2, ... the last point with the nearest count, so
    that EER and TAR at those rates read off it are those of the whole curve. The table that holds it says that it is thinned.
    """
    last = roc.thresholds.size
    if last + 1 <= limit:
        return np.arange(last + 1, dtype=np.int64)
    genuine, impostor = int(roc.genuine[-1]), int(roc.impostor[-1])
    after = roc.crossing()
    by_far = np.searchsorted(roc.impostor, np.geomspace(1, impostor, limit // 2))
    by_frr = np.searchsorted(roc.genuine, genuine - np.geomspace(1, genuine, limit // 2))
    above = np.searchsorted(roc.impostor, np.ceil(DECADES[DECADES * impostor >= 1] * impostor - 1e-6))
    sides = (
        np.searchsorted(roc.impostor, np.concatenate([roc.impostor[above], roc.impostor[above - 1]]), side="right") - 1
    )
    fixed = np.array([0, after - 1, after, roc.nearest_equal(), last])
    return np.unique(np.concatenate([by_far, by_frr, sides, fixed])).astype(np.int64)
