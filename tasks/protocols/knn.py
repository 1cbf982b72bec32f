"""k-nearest-neighbour probe: the classes of the most similar training images, each vote weighted by exp(cosine / 0.07).

Source: facebookresearch/dino: eval_knn.py, its weighting and temperature; k = 20, or all training images where there are fewer.
Ties go to the lower class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.tasks.metrics import classification
from gelo.tasks.metrics.intervals import rate_interval
from gelo.tasks.protocols.base import Metric, Protocol, Suite
from gelo.tasks.protocols.inputs import learnt_from, normalised, why_not_learnt
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scoring import Scored, Scoring

PROTOCOL = "k-NN: cosine on L2-normalised post-projection features, k = 20, votes weighted by exp(cosine / 0.07)"
PROTOCOL_VERSION = 4
NEIGHBOURS = 20
TEMPERATURE = 0.07
_AT_ONCE = 1024  # test images whose similarities are held at once


def score(
    dataset: str,
    train_features: NDArray[np.floating],
    train_labels: NDArray[np.integer],
    test_ids: Sequence[str] | NDArray[np.object_],
    test_features: NDArray[np.floating],
    test_labels: NDArray[np.integer],
    *,
    classes: Sequence[str] = (),
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`top1` of test features (M, d) by their neighbours among train features (N, d); labels are class indices from 0.

    Absent when train has fewer than two classes or lacks one of the test images'; classes: names in label order, for the reason. The
    table has one row an image: id, label, predicted (null where absent). Raises UserError for duplicate ids and for features that are
    not finite or zero, naming ids.
    """
    names = np.asarray(test_ids).astype(str)
    known = learnt_from(f"k-NN on {dataset}", train_features, train_labels, names, test_features, test_labels)
    tally = Tally("knn")
    predicted = pa.nulls(names.size, pa.int64())
    reason = why_not_learnt(train_labels, test_labels, classes)
    if reason:
        tally.lack(dataset, "top1", f"k-NN: {reason}")
    else:
        found = nearest(train_features, np.asarray(train_labels), test_features, known)
        right = int(np.sum(found == test_labels))
        tally.give(dataset, "top1", classification.top1(found, test_labels), rate_interval(right, names.size))
        predicted = pa.array(found)
    counts = {
        "train_images": len(train_features),
        "test_images": names.size,
        "classes": int(np.unique(train_labels).size),
    }
    table = pa.table({"id": names, "label": np.asarray(test_labels, np.int64), "predicted": predicted})
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, {"k": str(NEIGHBOURS)}, **context), table


def nearest(
    train: NDArray[np.floating], labels: NDArray[np.integer], test: NDArray[np.floating], classes: int
) -> NDArray[np.int64]:
    """The class of each test row, (M,)."""
    known, k = normalised(train), min(NEIGHBOURS, len(train))
    found = []
    for start in range(0, len(test), _AT_ONCE):
        similar = normalised(test[start : start + _AT_ONCE]) @ known.T
        near = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        weights = np.exp(np.take_along_axis(similar, near, axis=1) / TEMPERATURE)
        votes = np.zeros((len(similar), classes))
        for column in range(k):
            votes[np.arange(len(similar)), labels[near[:, column]]] += weights[:, column]
        found.append(np.argmax(votes, axis=1))
    return np.concatenate([np.empty(0, np.int64), *found])


def _scored(s: Scoring) -> list[Scored]:
    return [score(*s.train_and_test(), classes=s.dataset.card.classes, **s.context)]


PROTOCOLS = (
    Protocol(
        "knn",
        asked="knn",
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(
            Suite(
                "knn",
                "",
                (Metric("top1", "higher", help="share of images whose class has most votes"),),
                compared=("test_images",),
            ),
        ),
        reads=tuple((split, ("image",)) for split in ("train", "val", "test")),
        score=_scored,
        help="the nearest training images",
        source="facebookresearch/dino: eval_knn.py",
        optional=("val",),
        learns=True,
        like="probe",
    ),
)
