"""What every protocol asks of its inputs; each function lists faults that name ids, and `refuse` raises them all
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.faults import Fault, UserError

_NAMED = 8  # ids spelled out in one fault


def refuse(subject: str, *groups: Iterable[Fault]) -> None:
    """Raise UserError with every fault of `groups`, if there is one."""
    faults = [fault for group in groups for fault in group]
    if faults:
        raise UserError(subject, faults)


def naming(ids: Sequence[object]) -> str:
    """The first ids and how many more there are: `a, b and 3 more`."""
    shown = ", ".join(str(name) for name in ids[:_NAMED])
    return shown if len(ids) <= _NAMED else f"{shown} and {len(ids) - _NAMED} more"


def id_faults(ids: ArrayLike, where: str = "ids") -> list[Fault]:
    """Ids (N,) that stand more than once."""
    names, counts = np.unique(np.asarray(ids).astype(str), return_counts=True)
    twice = names[counts > 1].tolist()
    return [Fault(where, f"{len(twice)} duplicate: {naming(twice)}", "each id once")] if twice else []


def length_faults(expected: int, **columns: ArrayLike) -> list[Fault]:
    """Columns whose first dimension is not `expected` long."""
    lengths = {name: np.shape(column)[0] if np.ndim(column) else 0 for name, column in columns.items()}
    return [Fault(name, f"{n} rows", f"{expected}, one for each id") for name, n in lengths.items() if n != expected]


def feature_faults(features: NDArray[np.floating], ids: ArrayLike, where: str = "features") -> list[Fault]:
    """Features (N, d) of another shape, not finite, or all zero (they have no direction), by id."""
    names = np.asarray(ids).astype(str)
    if np.ndim(features) != 2 or len(features) != names.size:
        return [Fault(where, f"shape {np.shape(features)}", f"({names.size}, d), one row for each id")]
    finite = np.isfinite(features).all(axis=1)
    zero = ~np.any(features, axis=1)
    faults = []
    if not finite.all():
        faults.append(_of_ids(where, "not finite", names[~finite], "finite numbers"))
    if zero.any():
        faults.append(_of_ids(where, "all zero", names[zero], "features with a direction"))
    return faults


def score_faults(scores: ArrayLike, ids: ArrayLike, where: str = "scores") -> list[Fault]:
    """Scores (N,) of another shape or not finite, by id."""
    values, names = np.asarray(scores), np.asarray(ids).astype(str)
    if values.shape != names.shape:
        return [Fault(where, f"shape {values.shape}", f"({names.size},), one for each id")]
    bad = ~np.isfinite(values)
    return [_of_ids(where, "not finite", names[bad], "finite numbers")] if bad.any() else []


def label_faults(labels: ArrayLike, ids: ArrayLike, classes: int, where: str = "labels") -> list[Fault]:
    """Labels (N,) that are not whole numbers in 0..classes - 1, by id."""
    values, names = np.asarray(labels), np.asarray(ids).astype(str)
    if values.shape != names.shape:
        return [Fault(where, f"shape {values.shape}", f"({names.size},), one for each id")]
    if not np.issubdtype(values.dtype, np.integer):
        return [Fault(where, f"type {values.dtype}", f"whole numbers, 0 to {classes - 1}")]
    bad = (values < 0) | (values >= classes)
    return [_of_ids(where, f"outside 0 to {classes - 1}", names[bad], "a class index")] if bad.any() else []


def learnt_from(
    subject: str,
    train_features: NDArray[np.floating],
    train_labels: NDArray[np.integer],
    test_ids: ArrayLike,
    test_features: NDArray[np.floating],
    test_labels: NDArray[np.integer],
) -> int:
    """Check what a protocol that learns from train gets; returns how many classes the labels of both splits count to.

    Raises UserError with every fault; training images are named by position.
    """
    rows = np.array([f"train row {row}" for row in range(len(train_features))], dtype=str)
    classes = max(int(np.max(train_labels, initial=0)), int(np.max(test_labels, initial=0))) + 1
    refuse(
        subject,
        id_faults(test_ids, "test ids"),
        feature_faults(train_features, rows, "train features"),
        feature_faults(test_features, test_ids, "test features"),
        label_faults(train_labels, rows, classes, "train labels"),
        label_faults(test_labels, test_ids, classes, "test labels"),
    )
    return classes


def lookup(known: ArrayLike, wanted: ArrayLike, where: str, what: str = "id") -> tuple[NDArray[np.intp], list[Fault]]:
    """Positions in `known` (N,) of each of `wanted` (M,), and a fault that names the missing (position 0)."""
    names, asked = np.asarray(known).astype(str), np.asarray(wanted).astype(str)
    order = np.argsort(names, kind="stable")
    place = np.searchsorted(names, asked, sorter=order)
    inside = np.minimum(place, max(names.size - 1, 0))
    found = (names[order[inside]] == asked) if names.size else np.zeros(asked.shape, dtype=bool)
    missing = list(dict.fromkeys(asked[~found].tolist()))
    faults = (
        [Fault(where, f"{len(missing)} unknown {what}: {naming(missing)}", f"an {what} of the scored set")]
        if missing
        else []
    )
    position = order[inside] if names.size else np.zeros(asked.shape, dtype=np.intp)
    return np.where(found, position, 0), faults


def normalised(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows (N, d) divided by their Euclidean length, in float64. Rows must not be zero."""
    wide = np.asarray(features, dtype=np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def _of_ids(where: str, found: str, ids: NDArray[np.str_], expected: str) -> Fault:
    return Fault(where, f"{ids.size} {found}: {naming(ids.tolist())}", expected)
