"""The metrics as functions of plain NumPy arrays, under the names of the field: `gelo.metrics.eer`, `gelo.metrics.top1`.

**Direction**: a higher score is more genuine, more bona fide; `score >= threshold` is accepted. Scores are 1-D, float64 and finite:
`as_scores` makes them of any list and refuses NaN. All rates are fractions in [0, 1]. A metric that has no value on what it is given raises
`UndefinedMetric` with the reason, never returns NaN.

A threshold is a `Threshold`, which says by which rule and on which data it was chosen; functions that choose one take those words as
`chosen_on`.

    genuine, impostor = as_scores([0.9, 0.8, 0.4]), as_scores([0.5, 0.2, 0.1])
    equal = eer(genuine, impostor, chosen_on="dev")        # .value, .threshold
    frr(genuine, equal.threshold)                          # at that threshold, also of another set
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gelo._lazy import lazy as _lazy

if TYPE_CHECKING:  # the same as `_PLACES`: tests/test_facade.py compares them
    from gelo.tasks.metrics.classification import mean_per_class, top1, topk
    from gelo.tasks.metrics.curves import Curve, curve
    from gelo.tasks.metrics.effective import Sample
    from gelo.tasks.metrics.errors import (
        EqualError,
        acer,
        apcer,
        apcer_at_bpcer,
        apcer_worst,
        auc,
        bpcer,
        bpcer_at_apcer,
        eer,
        eer_nearest_fpr,
        far,
        frr,
        hter,
    )
    from gelo.tasks.metrics.identification import TpirAtFpir, rank_k, ranks, tpir_at_fpir
    from gelo.tasks.metrics.intervals import Interval, mean_of_rates, rate_interval
    from gelo.tasks.metrics.pairs import Comparisons
    from gelo.tasks.metrics.roc_intervals import Roc
    from gelo.tasks.metrics.scores import Scores, Threshold, UndefinedMetric, as_scores
    from gelo.tasks.metrics.similarity import feature_drift, linear_cka
    from gelo.tasks.metrics.verification import FoldAccuracy, TarAtFar, fold_accuracy, tar_at_far

__all__ = [
    "Comparisons", "Curve", "EqualError", "FoldAccuracy", "Interval", "Roc", "Sample", "Scores", "TarAtFar", "Threshold", "TpirAtFpir",
    "UndefinedMetric", "acer", "apcer", "apcer_at_bpcer", "apcer_worst", "as_scores", "auc", "bpcer", "bpcer_at_apcer", "curve", "eer",
    "eer_nearest_fpr", "far", "feature_drift", "fold_accuracy", "frr", "hter", "linear_cka", "mean_of_rates", "mean_per_class", "rank_k",
    "ranks", "rate_interval", "tar_at_far", "top1", "topk", "tpir_at_fpir",
]  # fmt: skip

_NAMES = {
    "classification": "mean_per_class top1 topk",
    "curves": "Curve curve",
    "effective": "Sample",
    "errors": "EqualError acer apcer apcer_at_bpcer apcer_worst auc bpcer bpcer_at_apcer eer eer_nearest_fpr far frr hter",
    "identification": "TpirAtFpir rank_k ranks tpir_at_fpir",
    "intervals": "Interval mean_of_rates rate_interval",
    "pairs": "Comparisons",
    "roc_intervals": "Roc",
    "scores": "Scores Threshold UndefinedMetric as_scores",
    "similarity": "feature_drift linear_cka",
    "verification": "FoldAccuracy TarAtFar fold_accuracy tar_at_far",
}
_PLACES = {name: f"gelo.tasks.metrics.{module}" for module, names in _NAMES.items() for name in names.split()}
_get, __dir__ = _lazy(__name__, _PLACES)


def __getattr__(name: str) -> Any:
    return _get(name)
