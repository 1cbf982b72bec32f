"""How a metric is read off the table of what was scored: right or wrong a unit, or a number off a ROC; the table's columns say which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gelo.tasks.metricnames import MEAN, parse_metric
from gelo.tasks.metrics import errors
from gelo.tasks.metrics.pairs import subjects
from gelo.tasks.metrics.scores import Scores, Threshold, UndefinedMetric
from gelo.tasks.metrics.verification import tar_at_far
from gelo.tasks.protocols.detection import BONA_FIDE

Rows = npt.NDArray[np.int64]
Statistic = Callable[[Rows], float]
TwoClasses = Callable[[Scores, Scores], float]


@dataclass(frozen=True)
class Reading:
    """See `gelo.analysis.scored.Scored`; rows in the order of the table."""

    unit: str
    names: npt.NDArray[np.str_]
    strata: Rows
    right: npt.NDArray[np.uint8] | None = None
    statistic: Statistic | None = None
    ends: Rows | None = None


def reading(table: pa.Table, metric: str, at: str) -> Reading:
    """A metric, by its full name, of a table as protocols write them. at: the result's note on its threshold. Raises LookupError where this
    metric is none that such a table is read for; KeyError, ValueError or pa.ArrowException for a table that is broken."""
    _, part, leaf = parse_metric(metric)
    columns = set(table.column_names)
    if {"id", "label", "predicted"} <= columns and leaf == "top1":
        right = _whole(table, "label") == _whole(table, "predicted")
        return Reading("image", _text(table, "id"), np.zeros(len(table), np.int64), right.astype(np.uint8))
    if {"id_1", "id_2", "same", "fold", "accepted"} <= columns and leaf == "accuracy":
        right = _whole(table, "same") == _whole(table, "accepted")
        names = np.char.add(np.char.add(_text(table, "id_1"), "\t"), _text(table, "id_2"))
        return Reading("pair", names, _whole(table, "fold").astype(np.int64), right.astype(np.uint8))
    if {"template_1", "template_2", "same", "score"} <= columns and leaf.startswith("tar_at_far_"):
        return _templates(table, float(leaf.removeprefix("tar_at_far_")))
    if {"attack", "score"} <= columns and (pair := _two_classes(leaf, at)) is not None:
        return _detector(table, part, pair)
    raise LookupError(f"no paired interval is known of {leaf}")


def _two_classes(leaf: str, at: str) -> TwoClasses | None:
    """The metric of (bona fide, attack) scores."""
    kind, _, rest = leaf.rpartition("_")
    if leaf == "eer":
        return lambda genuine, attacks: errors.eer(genuine, attacks, chosen_on="").value
    if leaf == "auc":
        return errors.auc
    if kind in ("apcer_at_bpcer", "bpcer_at_apcer") and rest.isdigit():
        read = getattr(errors, kind)
        return lambda genuine, attacks: float(read(genuine, attacks, int(rest) / 100))
    if leaf == "hter" and at:
        threshold = Threshold(float(at.partition(" ")[0]), "", "")
        return lambda genuine, attacks: errors.hter(genuine, attacks, threshold)
    return None


def _detector(table: pa.Table, part: str, pair: TwoClasses) -> Reading:
    """Of one attack against all bona fide, or of one domain; as `mean` of all of them."""
    videos = "video" in table.column_names
    score, kinds = _whole(table, "score").astype(np.float64), _text(table, "domain" if videos else "attack")
    bona_fide = _whole(table, "label") == 1 if videos else kinds == BONA_FIDE
    parts = sorted(set(kinds.tolist()) - {BONA_FIDE})
    wanted = parts if part.endswith(MEAN) and part not in parts else [name for name in parts if part.endswith(name)]
    if not wanted:
        raise LookupError(f"no {part} in the scores that are kept")
    wanted = wanted if part.endswith(MEAN) else [max(wanted, key=len)]

    def statistic(rows: Rows) -> float:
        of, told, genuine = score[rows], kinds[rows], bona_fide[rows]
        found = []
        for name in wanted:
            mine = told == name
            try:
                found.append(pair(Scores(of[genuine & mine if videos else genuine]), Scores(of[mine & ~genuine])))
            except UndefinedMetric:
                return float("nan")
        return float(np.mean(found))

    _, strata = np.unique(np.char.add(kinds, np.where(bona_fide, "\t1", "\t0")), return_inverse=True)
    unit = "video" if videos else "image"
    return Reading(unit, _text(table, "video" if videos else "id"), strata.astype(np.int64), statistic=statistic)


def _templates(table: pa.Table, rate: float) -> Reading:
    """Subjects are the templates that genuine pairs join."""
    score, same = _whole(table, "score").astype(np.float64), _whole(table, "same").astype(bool)
    first, second = _text(table, "template_1"), _text(table, "template_2")
    _, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    one, two = places[: len(table)], places[len(table) :]
    subject = subjects(same, one, two)

    def statistic(rows: Rows) -> float:
        of, genuine = score[rows], same[rows]
        try:
            return tar_at_far(Scores(of[genuine]), Scores(of[~genuine]), rate, chosen_on="").tar
        except UndefinedMetric:
            return float("nan")

    names, ends = np.char.add(np.char.add(first, "\t"), second), np.stack([subject[one], subject[two]], axis=1)
    return Reading("subject", names, np.zeros(len(table), np.int64), statistic=statistic, ends=ends.astype(np.int64))


def _whole(table: pa.Table, name: str) -> npt.NDArray[np.generic]:
    """A column without gaps. Raises ValueError for one that has any."""
    column = table[name]
    if column.null_count:
        raise ValueError(f"column {name} has {column.null_count} gaps")
    values: npt.NDArray[np.generic] = column.to_numpy()
    return values


def _text(table: pa.Table, name: str) -> npt.NDArray[np.str_]:
    return np.asarray(_whole(table, name)).astype(str)
