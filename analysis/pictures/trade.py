"""Gain against kept: what each approach gained on its task and what it kept elsewhere, with intervals on both axes and the front."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gelo.analysis.compare import Comparison
from gelo.analysis.equal_gain import front
from gelo.analysis.labels import NONE
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import (
    DASHES,
    INK,
    WIDTH,
    Look,
    Plate,
    legend_below,
    lettered,
    looks,
    mark,
    panels,
    view,
)
from gelo.analysis.pictures.measured import approaches, cell_name, cells, seeds_of, told

_MOST = 400  # marks that have an interval, a letter and a tip: more would be a cloud
_FEW = 8  # approaches of a panel, up to which two stand beside each other


def trade(comparison: Comparison) -> Iterator[Drawn]:
    """A panel for each backbone and task."""
    frame = approaches(comparison).dropna(subset=["kept", "gain"]).reset_index(drop=True)
    if frame.empty:
        return
    parts = cells(frame)
    names = looks(frame["name"])
    across = 2 if len(parts) > 1 and max(len(rows) for rows in parts) <= _FEW else 1
    down = -(-len(parts) // across)
    figure = Plate(comparison, (WIDTH, (3.0 if across == 2 else 4.2) * down))
    frame = frame.assign(front=False)
    for axis, rows in zip(panels(figure, len(parts), across), parts, strict=True):
        best = front(rows["gain"].to_numpy(), rows["kept"].to_numpy())
        frame.loc[rows.index[best], "front"] = True
        _panel(figure, axis, rows, names, best, crowded=len(frame) > _MOST)
    kinds = dict(zip(frame["name"], frame["kind"], strict=True))
    handles = [
        mark(each.marker, each.colour, f"{each.letter}  {name}", **_face(each, kinds[name] == NONE))
        for name, each in names.items()
    ]
    legend_below(figure, handles)
    note = f"More than {_MOST} points: they stand without intervals and tips." if len(frame) > _MOST else ""
    yield Drawn(figure, _alt(frame), frame, note=note)


def _panel(
    figure: Plate, axis: Axes, rows: pd.DataFrame, names: dict[str, Look], best: np.ndarray, *, crowded: bool
) -> None:
    axis.set_title(cell_name(str(rows["backbone"].iloc[0]), str(rows["task"].iloc[0])))
    axis.axhline(1, color=INK, linewidth=0.9, linestyle=DASHES, zorder=1)
    axis.axvline(0, color=INK, linewidth=0.9, linestyle=DASHES, zorder=1)
    order = rows[best].sort_values("gain")
    x, y = order["gain"].to_numpy(), order["kept"].to_numpy()
    axis.step([min(0.0, x[0]), *x], [y[0], *y], where="pre", color=INK, linewidth=5, alpha=0.18, zorder=1)
    for _, row in rows.iterrows():
        each, plainly = names[row["name"]], row["kind"] == NONE
        if not crowded:
            _whiskers(figure, axis, row, each.colour)
        dot = axis.plot(row["gain"], row["kept"], linestyle="", marker=each.marker, markersize=6.5, color=each.colour,
                        zorder=3, **_face(each, plainly))[0]  # fmt: skip
        if not crowded:
            figure.tell(dot, row["name"], tip_of(row))
    axis.set_xlabel("gain on the task, points")
    axis.set_ylabel("zero-shot accuracy kept (GELO)")
    for which, column, rest in (("x", "gain", 0.0), ("y", "kept", 1.0)):
        ends = rows[[f"{column}_low", f"{column}_high"]].to_numpy().ravel()
        view(axis, which, [rest, *rows[column]], ends[np.isfinite(ends)].tolist())
    axis.grid()
    if not crowded:
        points = list(zip(rows["gain"].astype(float), rows["kept"].astype(float), strict=True))
        lettered(figure, axis, points, rows["name"].tolist(), names)


def _whiskers(figure: Plate, axis: Axes, row: pd.Series, colour: str) -> None:
    look: dict[str, Any] = {"color": colour, "linewidth": 1.1, "alpha": 0.55, "zorder": 2}
    if not math.isnan(row["kept_low"]):
        line = axis.plot([row["gain"]] * 2, [row["kept_low"], row["kept_high"]], **look)[0]
        figure.tell(line, row["name"])
    if not math.isnan(row["gain_low"]):
        line = axis.plot([row["gain_low"], row["gain_high"]], [row["kept"]] * 2, **look)[0]
        figure.tell(line, row["name"])


def _face(each: Look, plainly: bool) -> dict[str, Any]:
    """Full without a remedy, hollow with one."""
    return {
        "markerfacecolor": each.colour if plainly else "white",
        "markeredgecolor": each.colour,
        "markeredgewidth": 1.5,
    }


def tip_of(row: pd.Series) -> str:
    """What a point of an approach says."""
    setting = "" if row["remedy"] in (NONE, row["kind"]) else f" [{row['remedy']}]"
    return (
        f"{row['name']}{setting}, {cell_name(row['backbone'], row['task'])}: kept "
        f"{told(row['kept'], row['kept_low'], row['kept_high'], 3)}, gain "
        f"{told(row['gain'], row['gain_low'], row['gain_high'], 1)} points; {seeds_of(row['seeds'], row['planned'])}"
    )


def _alt(frame: pd.DataFrame) -> str:
    most, least, gain = (
        frame.loc[frame[column].agg(how)]
        for column, how in (("kept", "idxmax"), ("kept", "idxmin"), ("gain", "idxmax"))
    )
    return (
        f"{len(frame)} points. Most zero-shot accuracy is kept by {most['name']} ({cell_name(most['backbone'], most['task'])}: "
        f"{most['kept']:.3f}), least by {least['name']} ({cell_name(least['backbone'], least['task'])}: {least['kept']:.3f}); the largest "
        f"gain is {gain['gain']:.1f} points by {gain['name']} ({cell_name(gain['backbone'], gain['task'])})."
    )


TRADE = Picture(
    "gain_kept",
    "Gain against what was kept",
    "What each approach gained on its task, in points, and the share of zero-shot accuracy that it kept: up and right is better. A point "
    "is the mean over seeds of one setting; bars are 95 % intervals over seeds and test images, that of the gain without the untouched "
    "backbone's own; one that leaves the panel goes on. Full marks: without a remedy. The pale stair is the front of the points drawn; to "
    "stand on it is no test.",
    trade,
)
