"""Curves over a remedy's own field (`RemedySpec.curve`), such as the weight of WiSE or HMA: kept above, gained below."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gelo.analysis.compare import Z95, Comparison
from gelo.analysis.finding import groups, spelled
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import DASHES, INK, WIDTH, Look, Plate, legend_below, looks, panels, short
from gelo.analysis.pictures.measured import measured, seeds_of, spread, told
from gelo.models.members import kind_of
from gelo.models.remedies import REMEDIES

_SIDES = (("kept", "zero-shot kept (GELO)", 3), ("gain", "gain on the task, points", 1))
_CELL = ["backbone", "task", "adaptation", "beside"]


def curves(comparison: Comparison) -> Iterator[Drawn]:
    """A picture for each remedy with a field to draw over of which there are two values."""
    for spec in REMEDIES:
        if spec.curve:
            frame = over(comparison, kind_of(spec), spec.curve)
            if frame["over"].nunique() > 1:
                yield _drawn(comparison, frame, kind_of(spec), spec.curve)


def over(comparison: Comparison, kind: str, field: str) -> pd.DataFrame:
    """A row a value of the field, of trials else alike: `over`, kept and gain with intervals as means over seeds; line: what they share."""
    frame = measured(comparison)
    frame = frame[frame["remedy_kind"] == kind].dropna(subset=["gelo"])
    given = list(frame["remedy_parameters"])
    frame = frame.assign(
        over=[float(item.get(field, math.nan)) for item in given],
        beside=[str(sorted((name, str(value)) for name, value in item.items() if name != field)) for item in given],
    ).dropna(subset=["over"])
    found = []
    for place, (cell, members) in enumerate(groups(frame, _CELL)):
        backbone, task, adaptation, _ = cell
        for value, rows in members.groupby("over", sort=True):
            gained = rows.dropna(subset=["gain"])
            found.append(
                {"line": f"{backbone}, {task}, {spelled(adaptation)}", "place": place, "backbone": backbone, "task": task,
                 "adaptation": adaptation, "over": float(str(value)),
                 **spread("kept", rows["gelo"].tolist(), rows["margin"].mean() / Z95),
                 **spread("gain", gained["gain"].tolist(), gained["gain_error"].mean()), "seeds": len(rows)}
            )  # fmt: skip
    columns = [
        "line",
        "place",
        "backbone",
        "task",
        "adaptation",
        "over",
        "kept",
        "kept_low",
        "kept_high",
        "gain",
        "gain_low",
    ]
    return pd.DataFrame(found, columns=[*columns, "gain_high", "seeds"])


def _drawn(comparison: Comparison, frame: pd.DataFrame, kind: str, field: str) -> Drawn:
    repeated = frame.groupby("line")["place"].nunique()
    beside = {line for line, count in repeated.items() if count > 1}  # trials that differ in another field as well
    named = [
        f"{row['line']} ({row['place'] + 1})" if row["line"] in beside else row["line"] for _, row in frame.iterrows()
    ]
    frame = frame.assign(line=named).drop(columns="place")
    sides = [side for side in _SIDES if frame[side[0]].notna().any()]
    figure, names = Plate(comparison, (WIDTH, 2.9 * len(sides))), looks(named)
    for axis, (column, title, digits) in zip(panels(figure, len(sides), 1, sharex=True), sides, strict=True):
        for name, own in names.items():
            rows = frame[frame["line"] == name].dropna(subset=[column])
            figure.tell(axis.plot(rows["over"], rows[column], color=own.colour, linestyle=own.stroke)[0], name)
            for _, row in rows.iterrows():
                _point(figure, axis, row, column, own, f"{field} {row['over']:g}", digits)
        axis.axhline(1 if column == "kept" else 0, color=INK, linewidth=0.9, linestyle=DASHES, zorder=1)
        axis.set_ylabel(title)
        axis.grid()
    figure.axes[-1].set_xlabel(f"{field} of {kind}")
    handles = [
        Line2D([], [], color=own.colour, linestyle=own.stroke, marker=own.marker, label=short(name))
        for name, own in names.items()
    ]
    legend_below(figure, handles)
    most, least = frame.loc[frame["kept"].idxmax()], frame.loc[frame["kept"].idxmin()]
    ends = [f"{row['kept']:.3f} at {field} {row['over']:g} ({row['line']})" for row in (most, least)]
    alt = f"{len(names)} curves over {field} of {kind}. Most zero-shot accuracy kept: {ends[0]}; least: {ends[1]}."
    return Drawn(figure, alt, frame, of=kind)


def _point(figure: Plate, axis: Axes, row: pd.Series, column: str, own: Look, where: str, digits: int) -> None:
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    if not math.isnan(low):
        figure.tell(axis.plot([row["over"]] * 2, [low, high], color=own.colour, linewidth=1, alpha=0.6)[0], row["line"])
    dot = axis.plot(row["over"], row[column], color=own.colour, marker=own.marker, markersize=5, zorder=3)[0]
    words = "kept" if column == "kept" else "gain"
    tip = f"{row['line']}, {where}: {words} {told(row[column], low, high, digits)}; {seeds_of(row['seeds'], row['seeds'])}"
    figure.tell(dot, row["line"], tip)


CURVES = Picture(
    "curve",
    "Over a remedy's own setting",
    "What is kept and gained over the setting that the remedy interpolates by; means over seeds, bars are 95 % intervals over seeds and "
    "test images.",
    curves,
)
