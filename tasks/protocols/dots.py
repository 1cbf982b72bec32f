"""Dot products of millions of pairs of rows: in matrix products where the pairs lie dense, row by row where they do not.

Each way rounds its sums differently, so the products are rounded to 2^-40: comparisons that are equal stay equal, and constant scores
constant, wherever in the list they stand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROWS, _COLUMNS = 1 << 7, 1 << 10  # rows of the first and of the second column multiplied at a time
_DENSE = 64  # products that a matrix may compute for each one asked for and still be faster than gathered rows
_GATHERED = 1 << 13  # pairs compared row by row at a time
_STEP = 2.0**-40  # 9e-13; rounding errors of a dot product of unit vectors are below 1e-14


def dots(pooled: NDArray[np.float64], one: NDArray[np.int32], two: NDArray[np.int32]) -> NDArray[np.float64]:
    """Dot products (P,) of the unit rows one and two (P,) of pooled (T, d), rounded to `_STEP`."""
    scores = np.empty(one.size)
    order = None
    edges = np.arange(0, len(pooled) + _ROWS, _ROWS)
    if (one[1:] >= one[:-1]).all():
        edges = np.searchsorted(one, edges.astype(one.dtype))
    else:
        order = np.argsort(one // _ROWS, kind="stable")
        edges = np.concatenate([[0], np.cumsum(np.bincount(one // _ROWS, minlength=edges.size - 1))])
    place = np.empty(len(pooled), dtype=np.int32)
    for group in range(edges.size - 1):
        span = slice(edges[group], edges[group + 1])
        rows = span if order is None else order[span]
        first, second = one[rows], two[rows]
        columns = np.flatnonzero(np.bincount(second, minlength=len(pooled)))
        lines = pooled[group * _ROWS : (group + 1) * _ROWS]
        if len(lines) * columns.size > _DENSE * first.size:
            scores[rows] = _gathered(pooled, first, second)
            continue
        place[columns] = np.arange(columns.size)
        products = np.empty((columns.size, len(lines)))
        for start in range(0, columns.size, _COLUMNS):
            part = slice(start, start + _COLUMNS)
            np.matmul(pooled[columns[part]], lines.T, out=products[part])
        scores[rows] = products[place[second], first - group * _ROWS]
    return rounded(scores)


def rounded(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores, in place, as the nearest multiples of `_STEP`."""
    scores /= _STEP
    np.rint(scores, out=scores)
    scores *= _STEP
    return scores


def _gathered(pooled: NDArray[np.float64], one: NDArray[np.int32], two: NDArray[np.int32]) -> NDArray[np.float64]:
    blocks = [
        np.einsum("pd,pd->p", pooled[one[start : start + _GATHERED]], pooled[two[start : start + _GATHERED]])
        for start in range(0, one.size, _GATHERED)
    ]
    return np.concatenate(blocks) if blocks else np.empty(0)
