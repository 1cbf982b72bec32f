"""Scored pairs, of images or of templates: the error curve behind them, and the metrics of a file of them that another program made."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.tasks.metricnames import rate_label
from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.intervals import Complement, Interval, mean_of_rates
from gelo.tasks.metrics.roc_intervals import Roc
from gelo.tasks.metrics.scores import Scores, UndefinedMetric, needs_resolution
from gelo.tasks.metrics.verification import fold_accuracy
from gelo.tasks.protocols.base import Metric
from gelo.tasks.protocols.curves import Part, flags
from gelo.tasks.protocols.detection import area, warnings_of
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scorefiles.scorefile import ScoreFile

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
LABELS = tuple(rate_label(rate) for rate in RATES)
METRICS = (
    Metric("eer", "lower", help="equal error rate, interpolated"),
    Metric("auc", "higher", help="area under the ROC curve"),
    Metric("tar_at_far_{rate}", "higher", LABELS, help="genuine pairs accepted at the threshold of the nearest FAR"),
)
FOLDED = "scores of pairs: eer interpolated, auc, TAR at the nearest FAR, accuracy over folds from squared distances"
UNFOLDED = "scores of template pairs: eer interpolated, auc, TAR at the nearest FAR"
VERSION = 2
FOLDS = 10
LARGEST = 4.0  # squared distance of unit vectors, reached by opposite ones


def curve(result: Result, table: pa.Table) -> Iterator[Part]:
    """The one curve of a table of pairs (same, score), under the data set's name."""
    same, score = flags(table["same"]), table["score"].to_numpy()
    yield Part(result.dataset, score[same], score[~same])


def measure(file: ScoreFile, notes: dict[str, str], context: Context, *, folded: bool) -> Result:
    """`METRICS` of a file of pairs and, `folded`, their accuracy over folds."""
    tally = Tally("fr", unit="pair")
    same = file.labels == 1
    genuine, impostor = Scores(file.scores[same]), Scores(file.scores[~same])
    roc = Roc(Sample(genuine), Sample(impostor))
    for leaf, read in (("eer", roc.equal_error(roc.curve.eer())), ("auc", area(roc))):
        tally.give(file.name, leaf, read.value, read.interval())
    for rate in RATES:
        tally.attempt(file.name, f"tar_at_far_{rate_label(rate)}", partial(_tar, roc, rate))
    few = [rate_label(rate) for rate in RATES if 1 <= round(rate * impostor.size, 6) < 30]
    if few:
        notes["rule_of_30"] = f"fewer than 30 impostor pairs beyond FAR {', '.join(few)}"
    counts = {"genuine": genuine.size, "impostor": impostor.size}
    if folded:
        counts |= _accuracy(tally, file, same, notes)
    notes |= warnings_of(genuine, impostor, ("genuine", "impostors"))
    return tally.result(file.name, FOLDED if folded else UNFOLDED, VERSION, counts, notes, **context)


def _accuracy(tally: Tally, file: ScoreFile, same: NDArray[np.bool_], notes: dict[str, str]) -> dict[str, int]:
    """Give or lack `accuracy`: its threshold grid, 0 to 3.99 in steps of 0.01, is in squared distances."""
    try:
        if not file.distance:
            raise UndefinedMetric(
                "accuracy: needs a `distance` column, the squared distance of unit features (2 - 2 cos), for its "
                "threshold grid of 0 to 3.99"
            )
        if -file.scores.min() > LARGEST + 1e-6:
            raise UndefinedMetric(f"accuracy: distances up to {-file.scores.min():g}, the threshold grid ends at 3.99")
        fold = _folds(file, same)
        outcome = fold_accuracy(file.scores, same, fold)
    except UndefinedMetric as undefined:
        tally.lack(file.name, "accuracy", str(undefined))
        return {}
    sizes = np.bincount(np.searchsorted(outcome.folds, fold))
    hits = np.rint(outcome.accuracies * sizes)
    tally.give(file.name, "accuracy", outcome.mean, mean_of_rates(hits, sizes))
    notes["thresholds"] = ", ".join(f"{t:.2f}" for t in outcome.thresholds)
    notes["folds"] = "the column's" if "fold" in file.given else "ten tenths of the file, in its order"
    return {"folds": outcome.folds.size}


def _folds(file: ScoreFile, same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The column's, or LFW's: ten contiguous folds, each genuine pairs and then as many impostors; another order, such as that of a
    shuffled file, says nothing of folds.
    """
    if "fold" in file.given:
        return file.given["fold"].astype(np.int64)
    size = same.size // FOLDS
    if size == 0 or same.size % (2 * FOLDS) or (same.reshape(FOLDS, size) != (np.arange(size) < size // 2)).any():
        raise UndefinedMetric(
            "accuracy: no `fold` column, and the ten tenths of the file are not genuine pairs and then as many impostors, as LFW's are"
        )
    return np.repeat(np.arange(FOLDS), same.size // FOLDS)


def _tar(roc: Roc, rate: float) -> tuple[float, Interval | None]:
    """As `tar_at_far`, off a curve that is there: of millions of pairs, sorting is the longest part."""
    needs_resolution(rate, roc.impostor.scores.size, "FAR", "impostor pairs")
    missed = float(roc.curve.frr()[roc.curve.nearest_far(rate)])
    accepted, total = int(roc.curve.genuine[roc.curve.nearest_far(rate)]), roc.genuine.scores.size
    return accepted / total, Complement(roc.frr_at_far(rate, missed)).interval()
