"""Face verification of image pairs: ten-fold accuracy (LFW, CFP-FP, AgeDB-30, CALFW, CPLFW and the miniature pairs,
pose, age).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.tasks.metrics.intervals import mean_of_rates, rule_of_30
from gelo.tasks.metrics.scores import Scores, UndefinedMetric, as_scores
from gelo.tasks.metrics.verification import fold_accuracy
from gelo.tasks.protocols import scoredpairs
from gelo.tasks.protocols.base import Metric, Protocol, ScoresFile, Suite
from gelo.tasks.protocols.detection import warnings_of
from gelo.tasks.protocols.inputs import empty_faults, feature_faults, id_faults, normalised, pair_ends, refuse
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scoring import Scored, Scoring

PROTOCOL = (
    "verification: f(x) + f(flip x), L2, squared distance < t, t from the other folds, mean of the fold accuracies"
)
PROTOCOL_VERSION = 3


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
    accepted (null where the accuracy is undefined). The unit of the interval is the pair, within its fold; thresholds are kept. Raises
    UserError for duplicate ids, features that are not finite or zero, pairs with an unknown id, of an image with
    itself, given twice, or without a class or fold.
    """
    names = np.asarray(ids)
    one, two, faults = pair_ends(names, pairs, ("id_1", "id_2"))
    bad = [*feature_faults(features, names), *feature_faults(flipped, names, "features of the flipped images")]
    if not bad:
        bad = feature_faults(features.astype(np.float64) + flipped, names, "features plus flipped")
    faults += empty_faults(pairs, "same") + empty_faults(pairs, "fold")
    refuse(f"verification on {part}", id_faults(names), bad, faults)
    same, fold = pairs["same"].to_numpy().astype(bool), pairs["fold"].to_numpy().astype(np.int64)
    embedding = normalised(features.astype(np.float64) + flipped)
    similarity = as_scores(-np.sum((embedding[one] - embedding[two]) ** 2, axis=1))
    tally = Tally("fr", unit="pair")
    accepted = pa.nulls(same.size, pa.bool_())
    notes = warnings_of(Scores(similarity[same]), Scores(similarity[~same]), ("genuine", "impostors"))
    try:
        outcome = fold_accuracy(similarity, same, fold)
    except UndefinedMetric as undefined:
        tally.lack(part, "accuracy", str(undefined))
    else:
        sizes = np.bincount(np.searchsorted(outcome.folds, fold))
        hits = np.rint(outcome.accuracies * sizes)
        tally.give(part, "accuracy", outcome.mean, mean_of_rates(hits, sizes))
        accepted = pa.array(outcome.accepted)
        notes |= rule_of_30({(part, "accuracy"): same.size - hits.sum()})
        notes["thresholds"] = ", ".join(f"{t:.2f}" for t in outcome.thresholds)
    counts = {
        "images": names.size,
        "genuine": int(same.sum()),
        "impostor": int((~same).sum()),
        "folds": int(np.unique(fold).size),
    }
    table = pa.table(
        {
            "id_1": pairs["id_1"],
            "id_2": pairs["id_2"],
            "same": same,
            "fold": fold,
            "score": similarity,
            "accepted": accepted,
        }
    )
    return tally.result(part, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def _scored(s: Scoring) -> list[Scored]:
    d = s.dataset
    image, flip = s.features("test", "image"), s.features("test", "flip")
    return [score(d.name, image, flip, d.ids("test"), d.table("pairs"), **s.context)]


PROTOCOLS = (
    Protocol(
        "verification",
        asked="biometric",
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(
            Suite(
                "fr",
                "biometric",
                (
                    Metric(
                        "accuracy",
                        "higher",
                        main=("pairs", "pose", "age", "*"),
                        help="pairs told right at the threshold of the other folds, mean over folds",
                    ),
                ),
                compared=("genuine", "impostor"),
            ),
        ),
        reads=(("test", ("image", "flip")),),
        score=_scored,
        help="face verification of image pairs",
        source="deepinsight/insightface: recognition/arcface_torch/eval/verification.py",
        curve=scoredpairs.curve,
        file=ScoresFile(
            ("id", "fold"), partial(scoredpairs.measure, folded=True), pairs=True, metrics=scoredpairs.METRICS
        ),
    ),
)
