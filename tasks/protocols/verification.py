"""Face verification of image pairs: ten-fold accuracy (LFW, CFP-FP, AgeDB-30, CALFW, CPLFW and the miniature pairs,
pose, age).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.faults import Fault
from tasks.metrics.intervals import percentile, strata_mean
from tasks.metrics.scores import UndefinedMetric, as_scores
from tasks.metrics.verification import fold_accuracy
from tasks.protocols.inputs import feature_faults, id_faults, lookup, naming, normalised, refuse
from tasks.protocols.tally import Context, Tally
from tasks.results import Result

PROTOCOL = (
    "verification: f(x) + f(flip x), L2, squared distance < t, t from the other folds, mean of the fold accuracies"
)
PROTOCOL_VERSION = 1


def score(
    part: str,
    features: NDArray[np.floating],
    flipped: NDArray[np.floating],
    ids: Sequence[str] | NDArray[np.object_],
    pairs: pa.Table,
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`accuracy` over pairs (id_1, id_2, same: bool, fold: int); features and flipped (N, d), unnormalised, in the
    order of ids (N,).

    The table has one row a pair: id_1, id_2, same, fold, score (negated squared distance, higher = same person) and
    accepted (null where the accuracy is undefined). The interval draws pairs within folds, thresholds kept. Raises
    UserError for duplicate ids, features that are not finite or zero, pairs with an unknown id, of an image with
    itself, or given twice.
    """
    names = np.asarray(ids).astype(str)
    first, second = (np.asarray(pairs.column(name).to_pylist(), dtype=str) for name in ("id_1", "id_2"))
    same = np.asarray(pairs.column("same").to_pylist(), dtype=bool)
    fold = np.asarray(pairs.column("fold").to_pylist(), dtype=np.int64)
    one, unknown_first = lookup(names, first, "pairs.id_1")
    two, unknown_second = lookup(names, second, "pairs.id_2")
    bad = [*feature_faults(features, names), *feature_faults(flipped, names, "features of the flipped images")]
    if not bad:
        bad = feature_faults(features.astype(np.float64) + flipped, names, "features plus flipped")
    refuse(f"verification on {part}", id_faults(names), bad, unknown_first, unknown_second, pair_faults(first, second))
    embedding = normalised(features.astype(np.float64) + flipped)
    similarity = as_scores(-np.sum((embedding[one] - embedding[two]) ** 2, axis=1))
    tally = Tally("fr")
    accepted = pa.nulls(same.size, pa.bool_())
    notes: dict[str, str] = {}
    try:
        outcome = fold_accuracy(similarity, same, fold)
    except UndefinedMetric as undefined:
        tally.lack(part, "accuracy", str(undefined))
    else:
        sizes = np.bincount(np.searchsorted(outcome.folds, fold))
        hits = np.rint(outcome.accuracies * sizes)
        tally.give(part, "accuracy", outcome.mean, percentile(strata_mean(hits, sizes, seed=0)))
        accepted = pa.array(outcome.accepted)
        notes["thresholds"] = ", ".join(f"{t:.2f}" for t in outcome.thresholds)
    counts = {
        "images": names.size,
        "genuine": int(same.sum()),
        "impostor": int((~same).sum()),
        "folds": int(np.unique(fold).size),
    }
    table = pa.table(
        {"id_1": first, "id_2": second, "same": same, "fold": fold, "score": similarity, "accepted": accepted}
    )
    return tally.result(part, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def pair_faults(first: NDArray[np.str_], second: NDArray[np.str_], where: str = "pairs") -> list[Fault]:
    """Pairs of a thing with itself, and pairs given more than once in either order."""
    faults = []
    own = list(dict.fromkeys(first[first == second].tolist()))
    if own:
        faults.append(Fault(where, f"{len(own)} with themselves: {naming(own)}", "two different ids"))
    if first.size:
        _, code = np.unique(np.concatenate([first, second]), return_inverse=True)
        a, b = code[: first.size].astype(np.int64), code[first.size :].astype(np.int64)
        _, index, counts = np.unique(
            np.minimum(a, b) * code.size + np.maximum(a, b), return_index=True, return_counts=True
        )
        twice = [f"({first[row]}, {second[row]})" for row in np.sort(index[counts > 1])]
        if twice:
            faults.append(Fault(where, f"{len(twice)} given more than once: {naming(twice)}", "each pair once"))
    return faults
