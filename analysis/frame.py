"""Runs as tidy frames for people and other programs: a row a trial and metric, or a trial, step and measure of its forgetting curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gelo.analysis import curves
from gelo.analysis.labels import plain
from gelo.analysis.runs import Runs
from gelo.tasks.protocols import better

_TRIAL = ["trial", "backbone", "task", "adaptation", "remedy", "seed", "adaptation_kind", "remedy_kind"]
COLUMNS = [
    "sweep", "trial", "label", "backbone", "task", "adaptation", "remedy", "seed", "suite", "dataset", "part", "metric", "value", "low",
    "high", "unit", "better", "n", "counts", "reason", "protocol", "protocol_version", "scale", "partial", "leak", "unchecked",
    "adaptation_kind", "remedy_kind",
]  # fmt: skip
CURVE_COLUMNS = [
    "sweep", "trial", "label", "backbone", "task", "adaptation", "remedy", "seed", "step", "images", "dataset", "metric", "measures",
    "value", "low", "high", "unit", "better", "n", "adaptation_kind", "remedy_kind",
]  # fmt: skip
SIDES = ("adaptation", "remedy", "training")  # of a trial's fields, a column each: `remedy.alpha`
IMAGE = "image"  # the unit of a curve's intervals


def result_rows(runs: Runs, labels: Mapping[str, str]) -> pd.DataFrame:
    """`COLUMNS`, then the trials' fields: one row a trial and metric, in the order of the report's tables. labels: by trial."""
    frame = runs.trials[_TRIAL].merge(runs.metrics, on="trial", validate="one_to_many")
    ways = {name: better(name) or "" for name in frame["metric"].unique()}
    frame = frame.assign(better=frame["metric"].map(ways), protocol_version=frame["version"])
    return _finished(frame, COLUMNS, runs, labels)


def curve_rows(runs: Runs, labels: Mapping[str, str]) -> pd.DataFrame:
    """`CURVE_COLUMNS`, then the trials' fields: one row a trial, step and measure, of the trials that kept a curve.

    step: optimiser steps done, 0 the untouched tower; images: those trained on by then. metric: as MLflow has it
    (`forgetting/shapes/top1`); dataset: the set in it, "" of a mean and of the task; measures: what `forgetting/task` is of, such as
    `fr/validation/accuracy`.
    """
    found = curves.tidy(runs.curves).rename(columns={"name": "metric"})
    frame = runs.trials[_TRIAL].merge(found, on="trial", validate="one_to_many")
    task = frame["metric"] == "forgetting/task"
    pieces = frame["metric"].str.split("/")
    frame = frame.assign(
        dataset=[piece[1] if len(piece) == 3 else "" for piece in pieces],
        measures=[runs.curves[key].metric if own else "" for key, own in zip(frame["trial"], task, strict=True)],
        unit=[IMAGE if known else "" for known in frame["low"].notna()],
        better="higher",
    )
    return _finished(frame, CURVE_COLUMNS, runs, labels)


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of several sweeps, one below the other; a field that a trial does not have is empty. Of several protocol versions each row
    keeps its own: nothing is averaged here."""
    columns = list(dict.fromkeys(name for frame in frames for name in frame if not _is_field(name)))
    fields = sorted({name for frame in frames for name in frame} - set(columns), key=_place)
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    frame = pd.concat([each.reindex(columns=[*columns, *fields]) for each in filled], ignore_index=True)
    for name in fields:  # one column, one type: else no Parquet file takes it
        frame[name] = _one_type(frame[name])
    return frame


def _finished(frame: pd.DataFrame, columns: list[str], runs: Runs, labels: Mapping[str, str]) -> pd.DataFrame:
    frame = frame.assign(sweep=runs.sweep, label=[labels.get(key, "") for key in frame["trial"]])
    fields = pd.DataFrame([_fields(row) for row in runs.trials.to_dict("records")], index=runs.trials["trial"])
    fields = fields[sorted(fields, key=_place)]
    for name in fields:
        fields[name] = _one_type(fields[name])
    return frame[columns].join(fields, on="trial")


def _fields(trial: Mapping[Any, Any]) -> dict[str, Any]:
    """A trial's own fields by dotted name; lists as labels have them, `q+v`."""
    told = {side: trial[f"{side}_parameters"] for side in ("adaptation", "remedy")} | {"training": trial["settings"]}
    return {
        f"{side}.{name}": value if isinstance(value, bool | int | float) else plain(value)
        for side, fields in told.items()
        for name, value in fields.items()
        if value is not None
    }


def _one_type(column: pd.Series) -> pd.Series:
    """Numbers where all are, else text; empty stays empty."""
    known = column.dropna()
    if known.map(lambda value: isinstance(value, int | float) and not isinstance(value, bool)).all():
        return column.astype(float)
    return column.map(lambda value: plain(value) if pd.notna(value) else None).astype(object)


def _is_field(name: str) -> bool:
    side, dot, _ = name.partition(".")
    return bool(dot) and side in SIDES


def _place(name: str) -> tuple[int, str]:
    side, _, field = name.partition(".")
    return SIDES.index(side), field
