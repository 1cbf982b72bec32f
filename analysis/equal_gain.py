"""What is kept at equal gain: a curve of (gain, kept) points as one number, each a weighted sum of what was kept.

Gain is a fraction of the best validation gain of the task and backbone, kept is zero-shot accuracy over that of the untouched backbone. The
rates, steps and remedies of two trials may differ as they like: both are asked what they kept when they had gained the same. Where to look
is decided on validation data (`gain`, `chosen`); what is found there is measured on test images (`kept`). So a number is w @ kept with
weights w that no test image moved, and a bootstrap over test images is one product. The formulas stand in docs/protocols.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
LEVELS = (0.5, 0.8, 0.9, 0.95)
HEADLINE = 0.9


def at_level(gain: Vector, level: float) -> Vector | None:
    """Weights (points,) of what is kept at `level`: linear between the two points around its first crossing in the order of the points.

    None where gain never reaches it. gain: fractions in the order of the steps, the first 0.
    """
    weights = np.zeros(len(gain))
    reached = np.flatnonzero(gain >= level)
    if not len(reached):
        return None
    first = int(reached[0])
    if first == 0:
        weights[0] = 1.0
        return weights
    share = (level - gain[first - 1]) / (gain[first] - gain[first - 1])
    weights[first - 1 : first + 1] = 1 - share, share
    return weights


def area(gain: Vector) -> Vector | None:
    """Weights (points,) of the mean of kept over gain from 0 to the curve's own largest gain: the trapezoid over the running maximum of
    gain, divided by that largest gain. None for fewer than two points, or where nothing was gained."""
    running = np.maximum.accumulate(np.maximum(gain, 0.0))
    if len(gain) < 2 or running[-1] <= running[0]:
        return None
    widths = np.diff(running)
    around: Vector = (np.append(widths, 0.0) + np.insert(widths, 0, 0.0)) / 2
    return around / widths.sum()


def hypervolume(gain: Vector, chosen: Vector) -> Vector:
    """Weights (points,) of the area that the points dominate, from the reference point gain 0, kept 0.

    At each gain the point counts that keeps most of those that gained at least as much, by `chosen`. With chosen = kept, w @ kept is the
    hypervolume of the Pareto front; with what was kept on validation data a front of many points is not the larger for its noise. Shares
    of a kept below 0 do not exist; points of no gain weigh nothing.
    """
    weights = np.zeros(len(gain))
    order = np.argsort(gain, kind="stable")
    order = order[gain[order] > 0]
    widths = np.diff(gain[order], prepend=0.0)
    best = -1
    for place in range(len(order) - 1, -1, -1):
        if best < 0 or chosen[order[place]] > chosen[best]:
            best = int(order[place])
        weights[best] += widths[place]
    return weights


def front(gain: Vector, kept: Vector) -> npt.NDArray[np.bool_]:
    """Which points no other dominates: none is as good in both and better in one."""
    more = (gain[None] >= gain[:, None]) & (kept[None] >= kept[:, None])
    better = more & ((gain[None] > gain[:, None]) | (kept[None] > kept[:, None]))
    found: npt.NDArray[np.bool_] = np.logical_not(better.any(axis=1))
    return found
