"""Few-shot probe: the linear probe on n training images a class, n = 1, 2, 4, 8, 16, over five draws: mean and spread.

Decisions: gelo's own protocol. C is 10 for every n, as few shots leave nothing to choose it on; the draws are nested (2 shots hold the 1)
and a function of the trial's seed; a class with fewer images than n gives all it has, and an n that no class can fill is absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.tasks.protocols.base import Metric, Protocol, Suite
from gelo.tasks.protocols.inputs import learnt_from, normalised, why_not_learnt
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scoring import Scored, Scoring

PROTOCOL = "few-shot probe: logistic regression (C = 10) on n images a class, L2-normalised post-projection features, five draws"
PROTOCOL_VERSION = 2
SHOTS = (1, 2, 4, 8, 16)
METRICS = (
    Metric("top1_{shots}_shots", "higher", SHOTS, help="share of images whose class is the likeliest, mean over draws"),
    Metric("sd_{shots}_shots", None, SHOTS, help="its standard deviation over draws"),
)
DRAWS = 5
STRENGTH = 10.0


def score(
    dataset: str,
    train_features: NDArray[np.floating],
    train_labels: NDArray[np.integer],
    test_ids: Sequence[str] | NDArray[np.object_],
    test_features: NDArray[np.floating],
    test_labels: NDArray[np.integer],
    seed: int,
    *,
    classes: Sequence[str] = (),
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`top1_<n>_shots`, the mean over the draws, and `sd_<n>_shots`, their standard deviation (n - 1), on test features (M, d).

    Absent when train has fewer than two classes or lacks one of the test images'; classes: names in label order, for the reason. The
    table has one row a draw: shots, draw, top1. Raises UserError for duplicate ids and for features that are not finite or
    zero, naming ids.
    """
    from gelo.tasks.logistic import path

    names = np.asarray(test_ids).astype(str)
    labels = np.asarray(train_labels)
    learnt_from(f"few-shot probe on {dataset}", train_features, train_labels, names, test_features, test_labels)
    tally = Tally("few_shot")
    train, test = normalised(train_features), normalised(test_features)
    drawn: list[tuple[int, int, float]] = []
    sizes = np.unique(labels, return_counts=True)[1]
    unlearnt = why_not_learnt(labels, test_labels, classes)
    for shots in SHOTS:
        reason = unlearnt or (f"no class has {shots} training images" if sizes.max() < shots else "")
        if reason:
            tally.lack(dataset, f"top1_{shots}_shots", f"few-shot probe: {reason}")
            tally.lack(dataset, f"sd_{shots}_shots", f"few-shot probe: {reason}")
            continue
        scores = []
        for draw in range(DRAWS):
            chosen = pick(labels, shots, seed, draw)
            fit = path(train[chosen], labels[chosen], [STRENGTH])[0]
            scores.append(float(np.mean(fit.predict(test) == test_labels)))
            drawn.append((shots, draw, scores[-1]))
        tally.give(dataset, f"top1_{shots}_shots", float(np.mean(scores)))
        tally.give(dataset, f"sd_{shots}_shots", float(np.std(scores, ddof=1)))
    counts = {
        "train_images": len(train_features),
        "test_images": names.size,
        "classes": int(sizes.size),
        "draws": DRAWS,
    }
    columns = list(zip(*drawn, strict=True)) or [(), (), ()]
    table = pa.table(
        {
            "shots": pa.array(columns[0], pa.int64()),
            "draw": pa.array(columns[1], pa.int64()),
            "top1": pa.array(columns[2], pa.float64()),
        }
    )
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, {"C": f"{STRENGTH:g}"}, **context), table


def pick(labels: NDArray[np.integer], shots: int, seed: int, draw: int) -> NDArray[np.int64]:
    """Row numbers of `shots` images of each class (all, where it has fewer), sorted."""
    rng = np.random.default_rng([seed, draw])
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:shots] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def _scored(s: Scoring) -> list[Scored]:
    return [score(*s.train_and_test(), s.seed, classes=s.dataset.card.classes, **s.context)]


PROTOCOLS = (
    Protocol(
        "few_shot",
        asked="few_shot",
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(Suite("few_shot", "", METRICS, compared=("test_images",)),),
        reads=tuple((split, ("image",)) for split in ("train", "val", "test")),
        score=_scored,
        help="a linear probe on a few images a class",
        source="gelo's own",
        optional=("val",),
        learns=True,
        like="probe",
    ),
)
