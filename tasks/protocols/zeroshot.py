"""Zero-shot classification: the class whose averaged prompt embedding is nearest (openai/CLIP: notebooks,
data/prompts.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.models.faults import Fault
from gelo.models.words import counted
from gelo.tasks.metrics import classification
from gelo.tasks.metrics.intervals import mean_of_rates, rate_interval
from gelo.tasks.protocols.base import Metric, Protocol, Suite, leaves_of
from gelo.tasks.protocols.inputs import feature_faults, id_faults, label_faults, normalised, refuse
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scoring import Scored, Scoring

PROTOCOL = "zero_shot: 100 f_hat w, argmax; w = normalised mean of normalised prompt embeddings"
PROTOCOL_VERSION = 5
METRICS = (
    Metric("top1", "higher", help="share of images whose class is the nearest"),
    Metric("mean_per_class", "higher", help="mean over classes of that share"),
    Metric("top5", "higher", help="share whose class is among the nearest five, of sets with more than five"),
)
LEAVES = leaves_of(METRICS)
SCALE = 100.0


def watched(dataset: str) -> str:
    """What a forgetting curve calls a data set's top-1."""
    return f"forgetting/{dataset}/{METRICS[0].leaf}"


def classifier(text_features: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """(d, K) from one (T, d) block of prompt embeddings per class: normalise each, mean, normalise.

    Raises UserError naming the class for an embedding that is not finite or zero, and for prompts that cancel out.
    """
    faults: list[Fault] = []
    columns = []
    for index, block in enumerate(text_features):
        faults += feature_faults(
            block, [f"class {index}, prompt {prompt}" for prompt in range(len(block))], "text features"
        )
        if not faults:
            columns.append(normalised(block).mean(axis=0))
    refuse("zero-shot classifier", faults)
    means = np.stack(columns)
    refuse(
        "zero-shot classifier", feature_faults(means, [f"class {index}" for index in range(len(means))], "mean prompt")
    )
    return normalised(means).T


def score(
    dataset: str,
    ids: Sequence[str] | NDArray[np.object_],
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    classifier: NDArray[np.floating],
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`top1`, `mean_per_class` and (beyond five classes) `top5` of features (N, d) against classifier (d, K); labels (N,) in 0..K - 1.

    Absent for fewer than two classes to choose from; where all images are of one class of several, a warning says so. The table has one
    row an image: id, label, and where something was given predicted, logit (of the predicted class), label_logit. Raises UserError for
    duplicate ids, features that are not finite or zero, and labels outside the classes, naming ids.
    """
    names = np.asarray(ids).astype(str)
    classes = classifier.shape[1]
    refuse(
        f"zero-shot on {dataset}",
        id_faults(names),
        feature_faults(features, names),
        label_faults(labels, names, classes),
    )
    tally, truth = Tally("zero_shot"), np.asarray(labels, dtype=np.int64)
    shown = np.bincount(truth, minlength=classes)
    counts = {"images": names.size, "classes": classes, "classes_shown": int((shown > 0).sum())}
    if classes < 2:
        for leaf in LEAVES:
            tally.lack(dataset, leaf, f"zero-shot: {counted(classes, 'class')}, at least 2 needed")
        nothing = pa.table({"id": names, "label": truth})
        return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, {}, **context), nothing
    logits = SCALE * (normalised(features) @ np.asarray(classifier, np.float64))
    predicted = np.argmax(logits, axis=1)
    right = predicted == truth
    found = np.bincount(truth[right], minlength=classes)
    tally.attempt(
        dataset, "top1", lambda: (classification.top1(predicted, truth), rate_interval(int(right.sum()), right.size))
    )
    tally.attempt(
        dataset,
        "mean_per_class",
        lambda: (
            classification.mean_per_class(predicted, truth),
            mean_of_rates(found[shown > 0], shown[shown > 0]),
        ),
    )
    tally.attempt(
        dataset,
        "top5",
        lambda: (value := classification.topk(logits, truth, 5), rate_interval(round(value * right.size), right.size)),
    )
    alone = f"all {names.size:,} images are of one of the {classes:,} classes: the accuracy is that class's alone"
    notes = {"warning": alone} if counts["classes_shown"] == 1 else {}
    table = pa.table(
        {
            "id": names,
            "label": truth,
            "predicted": predicted,
            "logit": np.take_along_axis(logits, predicted[:, None], axis=1)[:, 0],
            "label_logit": np.take_along_axis(logits, truth[:, None], axis=1)[:, 0],
        }
    )
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def _scored(s: Scoring) -> list[Scored]:
    d = s.dataset
    test = d.ids("test"), s.features("test", "image"), d.labels("test")
    return [score(d.name, *test, s.classifier(), **s.context)]


PROTOCOLS = (
    Protocol(
        "zero_shot",
        asked="zero_shot",
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(Suite("zero_shot", "zero_shot", METRICS, averaged="top1", compared=("images",)),),
        reads=(("test", ("image",)),),
        score=_scored,
        help="the nearest averaged prompt",
        source="openai/CLIP: notebooks, data/prompts.md",
        prompted=True,
        group="general",
    ),
)
