"""Linear probe: logistic regression on frozen, L2-normalised features.

Decisions: C is chosen on the data set's validation split, or where it has none on a seeded, stratified quarter of the training set, the
lowest C on a tie; test images never take part in the choice. The study's own two choices are unknown (docs/protocols.md), so each has
its variants, apart by name: features after the projection (`probe`) or before it (`probe_trunk`), and the classifier fitted in the end on
train and validation, or on train alone (`..._train`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import softmax

from gelo.tasks.metrics import classification
from gelo.tasks.metrics.intervals import rate_interval
from gelo.tasks.protocols.base import Metric, Protocol, Suite, View
from gelo.tasks.protocols.inputs import feature_faults, id_faults, label_faults, normalised, refuse, why_not_learnt
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scoring import Scored, Scoring

PROTOCOL = "linear probe: logistic regression (L-BFGS) on L2-normalised features"
PROTOCOL_VERSION = 4
TOP1 = Metric("top1", "higher", help="share of images whose class is the likeliest")
GRID = tuple(float(f"{10 ** (step / 3):.3g}") for step in range(-6, 14))  # C from 0.01 to 21500, three a decade
HELD_OUT = 0.25
ITERATIONS = 1000


def score(
    dataset: str,
    train_features: NDArray[np.floating],
    train_labels: NDArray[np.integer],
    test_ids: Sequence[str] | NDArray[np.object_],
    test_features: NDArray[np.floating],
    test_labels: NDArray[np.integer],
    seed: int,
    validation: tuple[NDArray[np.floating], NDArray[np.integer]] | None = None,
    *,
    suite: str = "probe",
    device: str = "cpu",
    classes: Sequence[str] = (),
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`top1` on test features (M, d) of a classifier fitted on train features (N, d); labels are class indices from 0.

    validation: features (V, d) and labels (V,) of the split on which C is chosen. suite: of one of `PROTOCOLS`; those in `_train` fit
    in the end on train alone. device: where the solver works. classes: names in label order, for reasons.

    Absent when what it is fitted on has fewer than two classes or lacks a class of the test images, and where no class has two images
    to hold one out. The table has one row an image: id, label, predicted, probability (of the predicted class). Raises UserError for
    duplicate ids and features that are not finite or zero, naming ids (training images by position).
    """
    from gelo.tasks.logistic import path

    names = np.asarray(test_ids).astype(str)
    rows = np.array([f"train row {row}" for row in range(len(train_features))], dtype=str)
    trained = len(train_features)
    if validation is not None:
        train_features = np.concatenate([train_features, validation[0]])
        train_labels = np.concatenate([train_labels, validation[1]])
        rows = np.array([*rows, *(f"val row {row}" for row in range(len(validation[0])))], dtype=str)
    known = int(np.max(train_labels, initial=-1)) + 1
    refuse(
        f"linear probe on {dataset}",
        id_faults(names, "test ids"),
        feature_faults(train_features, rows, "train features"),
        feature_faults(test_features, names, "test features"),
        label_faults(train_labels, rows, max(known, 1), "train labels"),
        label_faults(test_labels, names, int(np.max(test_labels, initial=0)) + 1, "test labels"),
    )
    tally = Tally(suite)
    counts = {"train_images": rows.size, "test_images": names.size, "classes": int(np.unique(train_labels).size)}
    held = np.arange(rows.size) >= trained if validation is not None else hold_out(np.asarray(train_labels), seed)
    fitted = slice(0, trained if suite.endswith("_train") else None)
    reason = why_not_learnt(np.asarray(train_labels)[fitted], test_labels, classes) or _why_not_chosen(
        np.asarray(train_labels), held
    )
    if reason:
        tally.lack(dataset, "top1", f"linear probe: {reason}")
        return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, {}, **context), _table(names, test_labels)
    train, test, known_labels = normalised(train_features), normalised(test_features), np.asarray(train_labels)
    best, held_out = choose(train, known_labels, held, device)
    fit = path(train[fitted], known_labels[fitted], [best], iterations=ITERATIONS, device=device)[0]
    chances = softmax(fit.logits(test), axis=1)
    predicted = fit.predict(test)
    right = int(np.sum(predicted == test_labels))
    tally.give(dataset, "top1", classification.top1(predicted, test_labels), rate_interval(right, names.size))
    notes = {
        "feature_stage": f"{'pre' if 'trunk' in suite else 'post'}-projection, L2-normalised",
        "fitted_on": "train" if validation is None or suite.endswith("_train") else "train + validation",
        "C": f"{best:g}",
        "C_grid": ", ".join(f"{value:g}" for value in GRID),
        "C_chosen_on": f"{_where_chosen(validation is not None, seed)}: accuracy {held_out:.4f}",
        "converged": f"{'yes' if fit.converged else 'no'}, gradient {fit.gradient:.1e} after {fit.iterations} iterations",
    }
    table = _table(names, test_labels, predicted, chances.max(axis=1))
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def _where_chosen(given: bool, seed: int) -> str:
    return "the validation split" if given else f"stratified {HELD_OUT:.0%} of train, seed {seed}"


def choose(
    features: NDArray[np.floating], labels: NDArray[np.integer], held: NDArray[np.bool_], device: str = "cpu"
) -> tuple[float, float]:
    """The C of `GRID` that is most accurate on the images `held` out (the lowest on a tie), and that accuracy."""
    from gelo.tasks.logistic import path

    fits = path(features[~held], labels[~held], GRID, iterations=ITERATIONS, device=device)
    accuracies = [float(np.mean(fit.predict(features[held]) == labels[held])) for fit in fits]
    best = int(np.argmax(accuracies))
    return GRID[best], accuracies[best]


def hold_out(labels: NDArray[np.integer], seed: int) -> NDArray[np.bool_]:
    """A quarter of each class (at least one image, never all), (N,) bool; a class with a single image keeps it for
    training.
    """
    rng = np.random.default_rng(seed)
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        if members.size >= 2:
            held[members[: max(1, round(HELD_OUT * members.size))]] = True
    return held


def _why_not_chosen(labels: NDArray[np.integer], held: NDArray[np.bool_]) -> str:
    if not held.any():
        return "every class has a single training image, none can be held out to choose C"
    if np.unique(labels[~held]).size < 2:
        return "fewer than 2 classes in training beside what C is chosen on"
    return ""


def _table(
    names: NDArray[np.str_],
    labels: NDArray[np.integer],
    predicted: NDArray[np.integer] | None = None,
    chance: NDArray[np.float64] | None = None,
) -> pa.Table:
    """One row an image; predicted and probability are null where nothing could be fitted."""
    return pa.table(
        {
            "id": pa.array(names, pa.string()),
            "label": pa.array(labels, pa.int64()),
            "predicted": pa.nulls(names.size, pa.int64()) if predicted is None else pa.array(predicted, pa.int64()),
            "probability": pa.nulls(names.size, pa.float64()) if chance is None else pa.array(chance, pa.float64()),
        }
    )


def scored(s: Scoring, suite: str, view: View) -> list[Scored]:
    """One suite by the features of one view."""
    d = s.dataset
    given = (s.features("val", view), d.labels("val")) if "val" in d.card.splits else None
    train = s.features("train", view), d.labels("train")
    test = d.ids("test"), s.features("test", view), d.labels("test")
    names = d.card.classes
    return [score(d.name, *train, *test, s.seed, given, suite=suite, device=s.device, classes=names, **s.context)]


def _protocol(name: str, view: View, help: str) -> Protocol:
    return Protocol(
        name,
        asked=name,
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(Suite(name, f"linear_{name}", (TOP1,), averaged="top1", compared=("test_images",)),),
        reads=tuple((split, (view,)) for split in ("train", "val", "test")),
        score=partial(scored, suite=name, view=view),
        help=help,
        source="openai/CLIP, A.3; the study's own choices are not told",
        optional=("val",),
        learns=True,
        like="" if name == "probe" else "probe",
        group="general" if name == "probe" else "",
    )


PROTOCOLS = (
    _protocol("probe", "image", "a linear probe after the projection, fitted on train and validation"),
    _protocol("probe_train", "image", "the same, fitted on train alone"),
    _protocol("probe_trunk", "trunk", "a linear probe before the projection, fitted on train and validation"),
    _protocol("probe_trunk_train", "trunk", "the same, fitted on train alone"),
)
