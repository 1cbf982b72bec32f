"""What every protocol asks of its inputs; each function lists faults that name ids, and `refuse` raises them all
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from gelo.models.faults import Fault, UserError
from gelo.models.words import counted

_NAMED = 8  # ids spelled out in one fault
_BLOCK = 1 << 14  # rows of features looked at together


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
    counts = pc.value_counts(column_of(ids))
    twice = sorted(map(str, counts.field("values").filter(pc.greater(counts.field("counts"), 1)).to_pylist()))
    return [Fault(where, f"{len(twice)} duplicate: {naming(twice)}", "each id once")] if twice else []


def length_faults(expected: int, **columns: ArrayLike) -> list[Fault]:
    """Columns whose first dimension is not `expected` long."""
    lengths = {name: np.shape(column)[0] if np.ndim(column) else 0 for name, column in columns.items()}
    return [Fault(name, f"{n} rows", f"{expected}, one for each id") for name, n in lengths.items() if n != expected]


def feature_faults(features: NDArray[np.floating], ids: ArrayLike, where: str = "features") -> list[Fault]:
    """Features (N, d) of another shape, not finite, or all zero (they have no direction), by id."""
    names = np.asarray(ids)
    if np.ndim(features) != 2 or len(features) != names.size:
        return [Fault(where, f"shape {np.shape(features)}", f"({names.size}, d), one row for each id")]
    finite, zero = np.empty(names.size, dtype=bool), np.empty(names.size, dtype=bool)
    for start in range(0, names.size, _BLOCK):
        rows = slice(start, start + _BLOCK)
        np.isfinite(features[rows]).all(axis=1, out=finite[rows])
        np.logical_not(np.any(features[rows], axis=1), out=zero[rows])
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


def why_not_learnt(
    train_labels: NDArray[np.integer], test_labels: NDArray[np.integer], classes: Sequence[str] = ()
) -> str:
    """Why nothing can be said of these test images by what train shows, "" where it can: too few classes, or one that it lacks.

    classes: names in label order, for the reason.
    """
    if not np.size(test_labels):
        return "no test images, at least 1 needed"
    known = np.unique(train_labels).size
    if known < 2:
        return f"{counted(known, 'class')} in training, at least 2 needed"
    strange = np.asarray(test_labels)[~np.isin(test_labels, train_labels)]
    if not strange.size:
        return ""
    lacking = [classes[label] if label < len(classes) else f"class {label}" for label in np.unique(strange).tolist()]
    return (
        f"{counted(strange.size, 'test image')} of {counted(len(lacking), 'class')} that train lacks: {naming(lacking)}"
    )


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


def column_of(values: ArrayLike | pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Names as an Arrow column: int64 where all are whole numbers, else strings."""
    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else _arrow(np.asarray(values))
    return column.cast(pa.int64() if pa.types.is_integer(column.type) else pa.string())


def lookup(
    known: ArrayLike | pa.Array, wanted: ArrayLike | pa.Array | pa.ChunkedArray, where: str, what: str = "id"
) -> tuple[NDArray[np.int32], list[Fault]]:
    """Positions in `known` (N,) of each of `wanted` (M,), and a fault that names the missing (position 0).

    Whole numbers and their text are the same name, so that 7 finds "7".
    """
    position, missing = _positions(known, wanted)
    return np.maximum(position, 0), _unknown(missing, where, what)


def empty_faults(table: pa.Table, column: str, where: str = "pairs") -> list[Fault]:
    """A column with nulls in it, which would read as a class of their own or as False."""
    empty = table[column].null_count
    return [Fault(f"{where}.{column}", f"{empty} of {table.num_rows} empty", "a value in each row")] if empty else []


def pair_ends(
    known: Sequence[object] | NDArray[np.generic] | pa.Array,
    pairs: pa.Table,
    columns: tuple[str, str],
    what: str = "id",
) -> tuple[NDArray[np.int32], NDArray[np.int32], list[Fault]]:
    """Positions in `known` (N,) of the two columns of pairs (P,), and every fault: unknown names, pairs of a thing with itself,
    pairs given more than once in either order. With faults, unknown names have positions from N on.
    """
    first, second = (column_of(pairs[column]) for column in columns)
    (one, lost_one), (two, lost_two) = _positions(known, first), _positions(known, second)
    faults = _unknown(lost_one, f"pairs.{columns[0]}", what) + _unknown(lost_two, f"pairs.{columns[1]}", what)
    strangers = list(dict.fromkeys([*map(str, lost_one), *map(str, lost_two)]))
    if strangers:
        one, two = one.copy(), two.copy()
        code = {name: len(known) + place for place, name in enumerate(strangers)}
        for position, column in ((one, first), (two, second)):
            lost = np.flatnonzero(position < 0)
            position[lost] = [code[str(name)] for name in column.take(pa.array(lost)).to_pylist()]
    return one, two, faults + _pair_faults(one, two, first, second)


def normalised(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows (N, d) divided by their Euclidean length, in float64. Rows must not be zero."""
    wide = np.asarray(features, dtype=np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def _arrow(values: NDArray[np.generic]) -> pa.Array:
    if values.dtype == object:
        try:
            return pa.array(values, pa.string())
        except pa.ArrowException:  # something other than text among them
            values = values.astype(str)
    return pa.array(values)


def _positions(
    known: ArrayLike | pa.Array, wanted: ArrayLike | pa.Array | pa.ChunkedArray
) -> tuple[NDArray[np.int32], list[object]]:
    """Positions in `known` of `wanted` (M,), -1 where there is none, and what is missing, once each."""
    names, asked = column_of(known), column_of(wanted)
    if names.type != asked.type:
        names, asked = names.cast(pa.string()), asked.cast(pa.string())
    place = pc.index_in(asked, value_set=names, skip_nulls=True)
    if not place.null_count:
        return place.to_numpy(), []
    missing = asked.filter(pc.is_null(place)).unique().to_pylist()
    return pc.fill_null(place, -1).to_numpy(), missing


def _unknown(missing: Sequence[object], where: str, what: str) -> list[Fault]:
    found = f"{len(missing)} unknown {what}: {naming(missing)}"
    return [Fault(where, found, f"an {what} of the scored set")] if missing else []


def _pair_faults(
    one: NDArray[np.int32], two: NDArray[np.int32], first: pa.ChunkedArray, second: pa.ChunkedArray
) -> list[Fault]:
    if not one.size:
        return []
    faults = []
    own = one == two
    if own.any():
        names = first.filter(pa.array(own)).unique().to_pylist()
        faults.append(Fault("pairs", f"{len(names)} with themselves: {naming(names)}", "two different ids"))
    keys = _keys(one, two)
    keys.sort()
    if (keys[1:] == keys[:-1]).any():
        _, index, counts = np.unique(_keys(one, two), return_index=True, return_counts=True)
        rows = np.sort(index[counts > 1])
        twice = [f"({first[row]}, {second[row]})" for row in rows.tolist()]
        faults.append(Fault("pairs", f"{len(twice)} given more than once: {naming(twice)}", "each pair once"))
    return faults


def _keys(one: NDArray[np.int32], two: NDArray[np.int32]) -> NDArray[np.unsignedinteger]:
    """One number for each pair, whichever way round; 32 bits where they fit, for there may be millions."""
    names = int(max(one.max(), two.max())) + 1
    wide = np.uint32 if names <= 1 << 16 else np.uint64
    keys: NDArray[np.unsignedinteger] = np.minimum(one, two).astype(wide)
    np.multiply(keys, wide(names), out=keys)
    np.add(keys, np.maximum(one, two), out=keys, casting="unsafe")
    return keys


def _of_ids(where: str, found: str, ids: NDArray[np.generic], expected: str) -> Fault:
    return Fault(where, f"{ids.size} {found}: {naming(ids.tolist())}", expected)
