"""Pictures of the settings that a sweep varies: what is kept and gained over a learning rate, a rank, a number of classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gelo.analysis.compare import Comparison
from gelo.analysis.finding import spelled
from gelo.analysis.labels import NONE
from gelo.analysis.plots import COLOURS, FAINT, INK, MARKERS, drawing, legend_below, measured
from gelo.models.words import differing

_FEWEST = 3  # values of a setting that make a curve
_WIDE = 8  # highest over lowest value, from which on the axis is logarithmic


@dataclass(frozen=True)
class Line:
    """Trials that differ in one setting and in their seed alone. cell: (backbone, task); rows have `over`, `gelo` and `gain`."""

    cell: tuple[str, str]
    way: str
    rest: Mapping[str, Any]
    rows: pd.DataFrame


def swept(comparison: Comparison) -> dict[str, bytes]:
    """SVG by setting: of every number among the training's and the adaptation's of which some trials without a remedy, else alike, have
    three values at least. Left zero-shot accuracy kept (GELO), right the task's gain in points where it has one.

    Lines are means over seeds, a dot is a trial. Dashed across: trials of the same backbone and task that have no such setting.
    """
    frame = described(comparison)
    names = sorted({name for own in frame["own"] for name, value in own.items() if _is_number(value)})
    found = {name: lines(frame, name) for name in names}
    return {name: _picture(comparison, frame, name, drawn) for name, drawn in found.items() if drawn}


def described(comparison: Comparison) -> pd.DataFrame:
    """`measured` of the trials without a remedy whose zero-shot average is known, with `own`: their settings by name."""
    frame = measured(comparison)
    frame = frame[(frame["task"] != NONE) & (frame["remedy_kind"] == NONE)].dropna(subset=["gelo"])
    return frame.assign(
        own=[
            {**settings, **way} for settings, way in zip(frame["settings"], frame["adaptation_parameters"], strict=True)
        ]
    )


def lines(frame: pd.DataFrame, name: str) -> list[Line]:
    """The lines over one setting: every group of trials that are else alike, where some group of its backbone and task is long enough.

    frame: of `described`.
    """
    has = frame[[_is_number(own.get(name)) for own in frame["own"]]]
    has = has.assign(
        over=[float(own[name]) for own in has["own"]],
        rest=[{key: value for key, value in own.items() if key != name} for own in has["own"]],
    )
    alike = ["backbone", "task", "adaptation_kind", has["rest"].map(lambda rest: str(sorted(rest.items())))]
    found = []
    for (backbone, task, way, _), rows in has.groupby(alike, sort=False):
        found.append(Line((str(backbone), str(task)), str(way), rows["rest"].iloc[0], rows))
    long = {line.cell for line in found if line.rows["over"].nunique() >= _FEWEST}
    return [line for line in found if line.cell in long]


def _picture(comparison: Comparison, frame: pd.DataFrame, name: str, drawn: Sequence[Line]) -> bytes:
    sides = [("gelo", "zero-shot kept (GELO)"), ("gain", "biometric gain, points")]
    sides = [(column, title) for column, title in sides if any(line.rows[column].notna().any() for line in drawn)]
    names, across = labels(drawn), without(frame, name, drawn)
    with drawing(comparison, (max(5.6, 4.3 * len(sides)), 3.7)) as (figure, out):
        axes = figure.subplots(1, len(sides), squeeze=False)[0]
        values = sorted({value for line in drawn for value in line.rows["over"]})
        handles: list[Artist] = []
        for place, (line, label) in enumerate(zip(drawn, names, strict=True)):
            look: dict[str, Any] = {
                "color": COLOURS[place % len(COLOURS)],
                "marker": MARKERS[place % 6],
                "markersize": 5,
            }
            look |= {"linewidth": 1.6, "linestyle": ("-", (0, (5, 1.5)), (0, (1, 1)))[place // 6 % 3]}
            handles.append(Line2D([], [], label=label, **look))
            for axis, (column, _) in zip(axes, sides, strict=True):
                mean = line.rows.groupby("over")[column].mean()
                axis.plot(mean.index, mean, zorder=3, **look)
                if line.rows["seed"].nunique() > 1:
                    axis.scatter(
                        line.rows["over"], line.rows[column], s=9, alpha=0.45, color=look["color"], linewidth=0
                    )
        for place, (label, rows) in enumerate(across.items()):
            look = {
                "color": INK,
                "linewidth": 1.2,
                "linestyle": ((0, (4, 3)), (0, (1, 2)), (0, (6, 2, 1, 2)))[place % 3],
            }
            handles.append(Line2D([], [], label=label, **look))
            for axis, (column, _) in zip(axes, sides, strict=True):
                axis.axhline(rows[column].mean(), zorder=2, **look)
        for axis, (_, title) in zip(axes, sides, strict=True):
            _scale(axis, values)
            axis.set_xlabel(name)
            axis.set_ylabel(title)
            axis.grid(color=FAINT, linewidth=0.5)
        axes[0].axhline(1, color=INK, linewidth=0.8)
        legend_below(figure, handles)
    return out.getvalue()


def labels(drawn: Sequence[Line]) -> list[str]:
    """What tells the lines apart: of backbone, task, adaptation and the other settings those that differ."""
    told = [{"backbone": line.cell[0], "task": line.cell[1], "adaptation": spelled(line.way)} for line in drawn]
    named = [name for name in ("backbone", "task", "adaptation") if len({each[name] for each in told}) > 1] or [
        "adaptation"
    ]
    varying: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for line in drawn:  # settings of other tasks and adaptations differ by nature
        varying.setdefault((line.cell[1], line.way), []).append(line.rest)
    found = []
    for line, each in zip(drawn, told, strict=True):
        shown = [
            f"{name} {line.rest[name]}" for name in differing(varying[line.cell[1], line.way]) if name in line.rest
        ]
        found.append(", ".join([*(each[name] for name in named), *shown]))
    return found


def without(frame: pd.DataFrame, name: str, drawn: Sequence[Line]) -> dict[str, pd.DataFrame]:
    """Trials without the setting, by what they are called, of the lines' backbones and tasks; seeds of one approach together."""
    cells = {line.cell for line in drawn}
    rows = frame[[name not in own for own in frame["own"]]]
    return {
        ", ".join((spelled(str(way)), str(backbone), str(task))): group
        for (backbone, task, way), group in rows.groupby(["backbone", "task", "adaptation"], sort=False)
        if (backbone, task) in cells
    }


def _scale(axis: Axes, values: list[float]) -> None:
    """The values themselves as ticks, on a logarithmic axis where they span it."""
    if values[0] > 0 and values[-1] / values[0] >= _WIDE:
        axis.set_xscale("log")
    axis.set_xticks(values, [f"{value:g}" for value in values], rotation=45 if len(values) > 5 else 0)
    axis.minorticks_off()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
