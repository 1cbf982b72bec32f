"""Zero-shot accuracy under attack: images are changed, within a radius that nobody sees, until the encoder takes them for another class.

Source: the test of PMG-AFT (arXiv 2401.04350; `attack` names the code): L-infinity, radius 1/255, ten steps of 1/255 from a uniform start,
against the cross-entropy of the text logits. gelo's own: logits of the zero-shot protocol (100 f_hat w), where that code divides the scale
out; the pixels that an encoder is given are attacked, where that code attacks small images before they are enlarged; float32; a drawn part
of the test images, since each costs 21 passes. One attack is an upper bound of what an encoder withstands, no proof of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.models.words import counted
from gelo.tasks.metrics.intervals import rate_interval
from gelo.tasks.protocols.attack import Attack
from gelo.tasks.protocols.base import Metric, Protocol, Suite, leaves_of
from gelo.tasks.protocols.inputs import feature_faults, id_faults, label_faults, normalised, refuse
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scoring import Scored, Scoring

ATTACK = Attack()
PROTOCOL = f"zero_shot under attack: {ATTACK}"
PROTOCOL_VERSION = 1
METRICS = (
    Metric("top1", "higher", help="share of attacked images whose class is still the nearest"),
    Metric("top1_clean", "higher", help="the same of these images before the attack"),
)
LEAVES = leaves_of(METRICS)


def score(
    dataset: str,
    ids: Sequence[str] | NDArray[np.object_],
    clean: NDArray[np.floating],
    attacked: NDArray[np.floating],
    labels: NDArray[np.integer],
    classifier: NDArray[np.floating],
    *,
    attack: Attack = ATTACK,
    of: int | None = None,
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`top1` of attacked features (N, d) and `top1_clean` of the features (N, d) of the same images as they are, against classifier (d, K);
    labels (N,) in 0..K - 1. attack: what was done; of: how many images the split has.

    Absent for fewer than two classes to choose from. The table has one row an image: id, label, and where something was given clean and
    predicted, the classes found before and after. Raises UserError as `zeroshot.score` does.
    """
    names, truth = np.asarray(ids).astype(str), np.asarray(labels, dtype=np.int64)
    classes = classifier.shape[1]
    refuse(
        f"robustness on {dataset}",
        id_faults(names),
        feature_faults(clean, names),
        feature_faults(attacked, names, "features of attacked images"),
        label_faults(labels, names, classes),
    )
    tally = Tally("robust")
    counts = {"images": names.size, "classes": classes, **({} if of is None else {"test_images": of})}
    notes = {"attack": f"{attack}, seed {attack.seed}; loss: cross-entropy of 100 f_hat w"}
    if classes < 2 or not names.size:
        lacking = (
            f"{counted(classes, 'class')}, at least 2 needed" if names.size else "no test images, at least 1 needed"
        )
        for leaf in LEAVES:
            tally.lack(dataset, leaf, f"robustness: {lacking}")
        nothing = pa.table({"id": names, "label": truth})
        return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), nothing
    found = {}
    for leaf, features in (("top1", attacked), ("top1_clean", clean)):
        found[leaf] = np.argmax(normalised(features) @ np.asarray(classifier, np.float64), axis=1)
        right = int((found[leaf] == truth).sum())
        tally.give(dataset, leaf, right / names.size, rate_interval(right, names.size))
    table = pa.table({"id": names, "label": truth, "clean": found["top1_clean"], "predicted": found["top1"]})
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def _scored(s: Scoring) -> list[Scored]:
    d, ids = s.dataset, s.dataset.ids("test")
    rows = ATTACK.chosen(len(ids))
    clean, attacked = s.features("test", "image")[rows], s.features("test", "attacked")
    labels = d.labels("test")[rows]
    return [score(d.name, ids[rows], clean, attacked, labels, s.classifier(), of=len(ids), **s.context)]


PROTOCOLS = (
    Protocol(
        "robust",
        asked="robust",
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(Suite("robust", "robust", METRICS, averaged="top1", compared=("images",)),),
        reads=(("test", ("image", "attacked")),),
        score=_scored,
        help="zero-shot on attacked images, after PMG-AFT",
        source="serendipity1122/Pre-trained-Model-Guided-Fine-Tuning-for-Zero-Shot-Adversarial-Robustness: PMG_AFT.py",
        prompted=True,
        like="zero_shot",
        attack=ATTACK,
    ),
)
