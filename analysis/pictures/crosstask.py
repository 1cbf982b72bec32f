"""What training on one task did to all: trained on (rows) by tested on (columns), a panel a backbone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gelo.analysis.compare import Comparison
from gelo.analysis.finding import groups, spelled
from gelo.analysis.labels import NONE
from gelo.analysis.pagetables import tint, tint_colours
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import FAINT, INK, SOFT, WIDTH, Plate, panels, short
from gelo.analysis.pictures.measured import moved, unique
from gelo.models.secrets import redacted
from gelo.tasks.protocols import direction
from gelo.tasks.training import TASKS

COLUMNS = ["backbone", "trained", "tested", "value", "before", "better", "seeds", "metric", "why"]
GENERAL = {"zero_shot": "general, zero-shot", "probe": "general, probe"}


@dataclass(frozen=True)
class Column:
    """What is tested. own: metrics of a trial on that task; other: of any other encoder, by its text prompts where a head is needed."""

    name: str
    task: str
    own: tuple[str, ...]
    other: tuple[str, ...]


def crosstask(comparison: Comparison) -> Iterator[Drawn]:
    """Of the trials without a remedy; nothing where fewer than two tasks were trained for or tested."""
    frame = matrix(comparison)
    tested = frame.dropna(subset=["value"])["tested"].nunique()
    if frame["trained"].nunique() < 2 or tested < 2 or frame["better"].isna().all():
        return
    backbones, columns = unique(frame["backbone"]), unique(frame["tested"])
    tall = 0.9 + 0.52 * max(len(unique(frame[frame["backbone"] == each]["trained"])) for each in backbones)
    figure = Plate(comparison, (WIDTH, tall * len(backbones)))
    widest = float(frame["better"].abs().max())
    for axis, backbone in zip(panels(figure, len(backbones), 1), backbones, strict=True):
        _panel(figure, axis, frame[frame["backbone"] == backbone], columns, widest)
        axis.set_title(backbone)
    yield Drawn(figure, _alt(frame), frame)


def matrix(comparison: Comparison) -> pd.DataFrame:
    """A row a cell: the mean over seeds in per cent, `better` its change in points against the untouched backbone, + is better; `why` of
    what is absent."""
    trials = comparison.runs.trials
    rows = trials[trials["remedy_kind"] == NONE]
    columns = _columns(comparison, rows)
    found = []
    for (backbone, task, way), each in groups(rows, ["backbone", "task", "adaptation"]):
        trained = "untouched" if task == NONE else f"{task}, {spelled(way)}"
        for column in columns:
            metrics = column.own if task == column.task else column.other
            cell = [_one(comparison, str(key), column, metrics) for key in each["trial"]]
            known = [(after, before) for after, before in cell if not math.isnan(after)]
            paired = [(after, before) for after, before in known if not math.isnan(before)]
            sign = direction(metrics[0]) if column.task else 1
            better = (
                sign * float(np.mean([after - before for after, before in paired]))
                if paired and task != NONE
                else math.nan
            )
            found.append(
                {"backbone": backbone, "trained": trained, "tested": column.name,
                 "value": float(np.mean([after for after, _ in known])) if known else math.nan,
                 "before": float(np.mean([before for _, before in paired])) if paired and task != NONE else math.nan, "better": better,
                 "seeds": len(known), "metric": " + ".join(metrics), "own": task == column.task,
                 "why": "" if known else _why(comparison, [str(key) for key in each["trial"]], column, metrics)}
            )  # fmt: skip
    return pd.DataFrame(found, columns=[*COLUMNS, "own"])


def _columns(comparison: Comparison, rows: pd.DataFrame) -> list[Column]:
    """The tasks that are measured on this sweep's collection, and the general averages. Numbers that are no shares are left out."""
    measured = set(comparison.runs.metrics["metric"])
    found = []
    for task in TASKS:
        gain = comparison.measures(task)
        if gain.after and comparison.factor(task) == 100 and measured & {*gain.after, *gain.before}:
            found.append(Column(f"{task}, {_leaf(gain.after)}", task, gain.after, gain.before))
    for suite, words in GENERAL.items():
        if suite in comparison.general and comparison.general[suite].average.notna().any():
            found.append(Column(words, "", (suite,), (suite,)))
    return found


def _leaf(metrics: tuple[str, ...]) -> str:
    return " + ".join(dict.fromkeys(metric.rpartition("/")[2] for metric in metrics))


def _one(comparison: Comparison, key: str, column: Column, metrics: tuple[str, ...]) -> tuple[float, float]:
    """(after, before) in per cent, NaN where not known."""
    base = comparison.baseline.get(key, "")
    if not column.task:
        average = comparison.general[metrics[0]].average
        return 100 * float(average.get(key, math.nan)), 100 * float(average.get(base, math.nan))
    return 100 * comparison.measured(key, metrics), 100 * comparison.measured(base, column.other)


def _why(comparison: Comparison, keys: list[str], column: Column, metrics: tuple[str, ...]) -> str:
    """Why no seed has the cell's value."""
    if not column.task:
        lacking = next((comparison.general[metrics[0]].why.get(key, "") for key in keys), "")
        return redacted(lacking or "the average is not complete")
    rows = comparison.runs.metrics
    said = rows[rows["trial"].isin(keys) & rows["metric"].isin(metrics) & (rows["reason"] != "")]["reason"]
    reasons = [*said, *(reason for key in keys for reason in comparison.status[key].reasons)]
    return redacted(str(reasons[0])) if reasons else "not measured in this sweep"


def _panel(figure: Plate, axis: Axes, frame: pd.DataFrame, columns: list[str], widest: float) -> None:
    names = unique(frame["trained"])
    for _, row in frame.iterrows():
        x, y = columns.index(row["tested"]), names.index(row["trained"])
        known = not math.isnan(row["value"])
        better = None if math.isnan(row["better"]) else float(row["better"])
        colour = tint_colours(False).get(tint(better, widest), "white") if known else "#f1f2f4"
        box = mpl.patches.Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, facecolor=colour, edgecolor=INK if row["own"] else FAINT,
                                    linewidth=1.8 if row["own"] else 0.6, hatch="" if known else "////")  # fmt: skip
        axis.add_patch(box)
        figure.tell(box, str(row["trained"]), _tip(row))
        words = f"{row['value']:.1f}" if known else "none"
        axis.text(
            x,
            y - (0.12 if better is not None else 0),
            words,
            ha="center",
            va="center",
            fontsize=10,
            color=INK if known else SOFT,
        )
        if better is not None:
            axis.text(x, y + 0.24, moved(better), ha="center", va="center", fontsize=8, color=INK)
    axis.set_xlim(-0.5, len(columns) - 0.5)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xticks(range(len(columns)), [name.replace(", ", "\n") for name in columns], fontsize=8.5)
    axis.set_yticks(range(len(names)), [short(name, 26) for name in names], fontsize=8.5)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_xlabel("tested on")
    axis.set_ylabel("trained on")


def _tip(row: pd.Series) -> str:
    where = f"{row['backbone']}, trained on {row['trained']}, tested on {row['tested']}"
    if math.isnan(row["value"]):
        return f"{where}: none, {row['why']}"
    change = (
        ""
        if math.isnan(row["better"])
        else f", {moved(row['better'])} points for the better against untouched ({row['before']:.1f} %)"
    )
    return (
        f"{where}: {row['value']:.1f} %{change}; {row['seeds']} seed{'s' if row['seeds'] != 1 else ''}, {row['metric']}"
    )


def _alt(frame: pd.DataFrame) -> str:
    known = frame.dropna(subset=["better"])
    best, worst = known.loc[known["better"].idxmax()], known.loc[known["better"].idxmin()]
    ends = [
        f"{row['backbone']} trained on {row['trained']}, tested on {row['tested']} ({moved(row['better'])} points)"
        for row in (best, worst)
    ]
    absent = int(frame["value"].isna().sum())
    return f"{len(frame)} cells, {absent} of them without a value. Largest improvement: {ends[0]}; largest loss: {ends[1]}."


CROSSTASK = Picture(
    "cross_task",
    "Trained on one task, tested on all",
    "Per cent, below it the change in points against the untouched backbone, turned so that + is better. Framed: its own task, by the "
    "trained head where it has one; other encoders are tested by text prompts where a detector is needed. Hatched: no value, the tip says "
    "why. Means over seeds.",
    crosstask,
)
