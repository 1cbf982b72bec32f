"""Bars: zero-shot accuracy kept (GELO) by task and adaptation, one panel a backbone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gelo.analysis.compare import Comparison
from gelo.analysis.finding import spelled
from gelo.analysis.labels import NONE
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import COLOURS, DASHES, INK, WIDTH, Plate, legend_below, panels, short
from gelo.analysis.pictures.measured import approaches, cell_name, measured, seeds_of, told, unique

_HATCHES = ("", "//", "..", "xx", "\\\\", "++")
_BARS = 12  # of a panel, more do not stand in half the width


def retained(comparison: Comparison) -> Iterator[Drawn]:
    """Of the trials without a remedy."""
    frame = approaches(comparison)
    frame = frame[frame["kind"] == NONE].reset_index(drop=True)
    if frame.empty:
        return
    backbones, tasks, ways = (unique(frame[column]) for column in ("backbone", "task", "adaptation"))
    trials = measured(comparison)
    across = 2 if len(backbones) > 1 and len(tasks) * len(ways) <= _BARS else 1
    figure = Plate(comparison, (WIDTH, 3.1 * -(-len(backbones) // across)))
    axes = panels(figure, len(backbones), across, sharey=True)
    top = max(1.05, 1.14 * float(np.nanmax(frame[["kept", "kept_high"]].to_numpy())))
    for axis, backbone in zip(axes, backbones, strict=True):
        for place, way in enumerate(ways):
            cell = frame[(frame["backbone"] == backbone) & (frame["adaptation"] == way)]
            own = trials[
                (trials["backbone"] == backbone) & (trials["adaptation"] == way) & (trials["remedy_kind"] == NONE)
            ]
            _bars(figure, axis, cell, own, tasks, place, len(ways))
        axis.axhline(1, color=INK, linewidth=1, linestyle=DASHES)
        axis.set_title(backbone)
        axis.set_xticks(range(len(tasks)), [short(task, 18) for task in tasks])
        axis.tick_params(axis="x", length=0)
        axis.set_ylim(0, top)
        axis.grid(axis="y")
    axes[0].set_ylabel("zero-shot accuracy kept (GELO)")
    handles: list[Artist] = [
        mpl.patches.Patch(facecolor=_colour(i), hatch=_hatch(i), edgecolor="white", label=short(spelled(way)))
        for i, way in enumerate(ways)
    ]
    handles.append(Line2D([], [], color=INK, linewidth=1, linestyle=DASHES, label="untouched backbone = 1"))
    legend_below(figure, handles)
    yield Drawn(figure, _alt(frame), frame)


def _bars(
    figure: Plate, axis: Axes, cell: pd.DataFrame, trials: pd.DataFrame, tasks: Sequence[str], place: int, ways: int
) -> None:
    """One adaptation's bars: the mean over seeds with its interval, and a dot a seed where there are several."""
    width = 0.8 / ways
    for index, task in enumerate(tasks):
        x = index + (place - (ways - 1) / 2) * width
        rows = cell[cell["task"] == task]
        if rows.empty:
            axis.text(x, 0.02, "no value", rotation=90, ha="center", va="bottom", fontsize=7.5)
            continue
        row, series = rows.iloc[0], spelled(rows.iloc[0]["adaptation"])
        bar = axis.bar(
            x, row["kept"], width * 0.92, color=_colour(place), hatch=_hatch(place), edgecolor="white", linewidth=0
        )
        kept = told(row["kept"], row["kept_low"], row["kept_high"], 3)
        where = cell_name(row["backbone"], row["task"])
        figure.tell(bar[0], series, f"{series}, {where}: kept {kept}; {seeds_of(row['seeds'], row['planned'])}")
        seeds = trials[trials["task"] == task]["gelo"].dropna()
        high = max([row["kept"], *seeds])
        if not np.isnan(row["kept_low"]):
            line = axis.plot([x, x], [row["kept_low"], row["kept_high"]], color=INK, linewidth=1, zorder=3)[0]
            figure.tell(line, series)
            high = max(high, row["kept_high"])
        if len(seeds) > 1:
            figure.tell(axis.scatter([x] * len(seeds), seeds, s=9, color=INK, zorder=3), series)
        if width > 0.16:
            axis.text(x, high + 0.02, f"{row['kept']:.2f}", ha="center", va="bottom", fontsize=8,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6}, zorder=4)  # fmt: skip


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _hatch(place: int) -> str:
    return _HATCHES[place % len(_HATCHES)]


def _alt(frame: pd.DataFrame) -> str:
    most, least = frame.loc[frame["kept"].idxmax()], frame.loc[frame["kept"].idxmin()]
    ends = [
        f"{spelled(row['adaptation'])} on {cell_name(row['backbone'], row['task'])} ({row['kept']:.3f})"
        for row in (most, least)
    ]
    return f"{len(frame)} bars. Most zero-shot accuracy is kept by {ends[0]}, least by {ends[1]}; untouched is 1."


RETAINED = Picture(
    "kept",
    "Zero-shot accuracy kept",
    "Zero-shot accuracy kept, by task, adaptation and backbone: a bar is the mean over seeds, a dot a seed. Lines on bars: 95 % intervals "
    "over seeds and test images.",
    retained,
)
