"""Pictures of the settings that a sweep varies: what is kept and gained over a learning rate, a rank, a number of classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gelo.analysis.compare import Comparison
from gelo.analysis.finding import spelled
from gelo.analysis.labels import NONE
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import DASHES, INK, STROKES, WIDTH, Plate, legend_below, look, panels, short
from gelo.analysis.pictures.measured import measured
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


def swept(comparison: Comparison) -> Iterator[Drawn]:
    """A picture for every number among the training's and the adaptation's settings of which some trials without a remedy, else alike, have
    three values at least. Zero-shot accuracy kept (GELO), below it the task's gain in points where it has one.

    Lines are means over seeds, a dot is a trial. Dashed across: trials of the same backbone and task that have no such setting.
    """
    frame = described(comparison)
    names = sorted({name for own in frame["own"] for name, value in own.items() if _is_number(value)})
    for name in names:
        if drawn := lines(frame, name):
            yield _picture(comparison, frame, name, drawn)


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


def _picture(comparison: Comparison, frame: pd.DataFrame, name: str, drawn: Sequence[Line]) -> Drawn:
    sides = [("gelo", "zero-shot kept (GELO)"), ("gain", "gain on the task, points")]
    sides = [(column, title) for column, title in sides if any(line.rows[column].notna().any() for line in drawn)]
    across = without(frame, name, drawn)
    figure = Plate(comparison, (WIDTH, 3.3 * len(sides)))
    axes = panels(figure, len(sides), 1)
    handles: list[Artist] = []
    for place, (line, label) in enumerate(zip(drawn, labels(drawn), strict=True)):
        own = look(place)
        style: dict[str, Any] = {"color": own.colour, "linewidth": 1.6, "linestyle": STROKES[place // 6 % 3]}
        handles.append(Line2D([], [], label=short(label), marker=own.marker, markersize=5, **style))
        for axis, (column, title) in zip(axes, sides, strict=True):
            mean = line.rows.groupby("over")[column].mean()
            figure.tell(axis.plot(mean.index, mean, zorder=3, **style)[0], label)
            for over, value in mean.dropna().items():
                dot = axis.plot(over, value, marker=own.marker, markersize=5, color=own.colour, zorder=3)[0]
                seeds = int((line.rows["over"] == over).sum())
                figure.tell(dot, label, f"{label}, {name} {over:g}: {title} {value:.4g}; {seeds} trials")
            if line.rows["seed"].nunique() > 1:
                dots = axis.scatter(
                    line.rows["over"], line.rows[column], s=9, alpha=0.45, color=own.colour, linewidth=0
                )
                figure.tell(dots, label)
    for place, (label, rows) in enumerate(across.items()):
        style = {"color": INK, "linewidth": 1.2, "linestyle": (DASHES, (0, (1, 2)), (0, (6, 2, 1, 2)))[place % 3]}
        handles.append(Line2D([], [], label=short(label), **style))
        for axis, (column, title) in zip(axes, sides, strict=True):
            mean_of = float(rows[column].mean())
            figure.tell(
                axis.axhline(mean_of, zorder=2, **style), label, f"{label}: {title} {mean_of:.4g}; {len(rows)} trials"
            )
    for axis, (_, title) in zip(axes, sides, strict=True):
        _scale(axis, sorted({value for line in drawn for value in line.rows["over"]}))
        axis.set_xlabel(name)
        axis.set_ylabel(title)
        axis.grid()
    axes[0].axhline(1, color=INK, linewidth=0.8)
    legend_below(figure, handles)
    rows = _rows(drawn, across)
    return Drawn(figure, _alt(rows, name), rows, of=name)


def _rows(drawn: Sequence[Line], across: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a trial; `over` is absent of those that have no such setting."""
    named = [line.rows.assign(line=label) for line, label in zip(drawn, labels(drawn), strict=True)]
    rows = pd.concat([*named, *(each.assign(line=label) for label, each in across.items())], ignore_index=True)
    return rows.reindex(columns=["line", "backbone", "task", "adaptation", "seed", "over", "gelo", "gain", "trial"])


def _alt(rows: pd.DataFrame, name: str) -> str:
    mean = rows.dropna(subset=["over"]).groupby(["line", "over"], sort=False)["gelo"].mean()
    ends = [f"{mean.loc[place]:.3f} by {place[0]} at {place[1]:g}" for place in (mean.idxmax(), mean.idxmin())]
    lines_of = rows.dropna(subset=["over"])["line"].nunique()
    return f"{lines_of} lines over {name}. Most zero-shot accuracy kept: {ends[0]}; least: {ends[1]}."


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


SWEPT = Picture(
    "over",
    "What is kept and gained over a setting",
    "Lines: mean over seeds; dots: trials; dashed across: trials that have no such setting.",
    swept,
)
