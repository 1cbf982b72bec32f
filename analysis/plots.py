"""The pictures, one function each: SVG bytes, text as outlines so that they look alike everywhere, labelled miniature inside."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gelo.analysis.compare import Z95, Comparison
from gelo.analysis.finding import spelled
from gelo.analysis.labels import NONE

# Okabe and Ito's colours, told apart with every common colour blindness; markers and hatches say the same once more.
COLOURS = (  # six that are told apart by everybody, then more
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00",
    "#7A4B00", "#6A3D9A", "#8C8C00", "#E31A1C", "#1B5E20", "#555555", "#00BFA5", "#F781BF",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
INK, FAINT = "#22272e", "#c9ced6"
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 10, "text.parse_math": False,
    "svg.hashsalt": "gelo", "svg.fonttype": "path", "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "hatch.linewidth": 0.6, "figure.facecolor": "white", "legend.frameon": False,
}  # fmt: skip


def retained(comparison: Comparison) -> bytes | None:
    """Bars: retained zero-shot accuracy (GELO) by task x adaptation, one panel per backbone, the baseline a line at 1."""
    frame = measured(comparison)
    frame = frame[(frame["task"] != NONE) & (frame["remedy_kind"] == NONE)]
    if frame["gelo"].isna().all():
        return None
    backbones, tasks = _unique(frame["backbone"]), _unique(frame["task"])
    ways = _unique(frame["adaptation"])
    top = max(1.05, 1.14 * float(np.nanmax(frame["gelo"] + frame["margin"].fillna(0))))
    with drawing(comparison, (max(5.6, 1.1 + 1.1 * len(backbones) * len(tasks)), 3.7)) as (figure, out):
        axes = figure.subplots(1, len(backbones), sharey=True, squeeze=False)[0]
        for axis, backbone in zip(axes, backbones, strict=True):
            for place, way in enumerate(ways):
                cell = frame[(frame["backbone"] == backbone) & (frame["adaptation"] == way)]
                _bars(axis, cell, tasks, place, len(ways))
            axis.axhline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)))
            axis.set_title(backbone, fontsize=11, fontweight="bold")
            axis.set_xticks(range(len(tasks)), tasks)
            axis.tick_params(length=0)
            axis.set_ylim(0, top)
            axis.grid(axis="y", color=FAINT, linewidth=0.5)
        axes[0].set_ylabel("zero-shot accuracy kept (GELO)")
        handles: list[Artist] = [
            mpl.patches.Patch(facecolor=COLOURS[i % len(COLOURS)], label=spelled(way)) for i, way in enumerate(ways)
        ]
        handles.append(Line2D([], [], color=INK, linewidth=1, linestyle=(0, (4, 3)), label="untouched backbone = 1"))
        legend_below(figure, handles)
    return out.getvalue()


def trade(comparison: Comparison) -> bytes | None:
    """Scatter: biometric gain (points) against general loss (points of the zero-shot average), one mark per trial."""
    frame = measured(comparison).dropna(subset=["loss", "gain"])
    if frame.empty:
        return None
    tasks, ways, backbones = (_unique(frame[column]) for column in ("task", "adaptation", "backbone"))
    remedies = [remedy for remedy in _unique(frame["remedy"]) if remedy != NONE]
    with drawing(comparison, (6.4, max(4.4, 2.4 + 0.23 * len(remedies)))) as (figure, out):
        axis = figure.subplots()
        for _, row in frame.iterrows():
            colour = COLOURS[ways.index(row["adaptation"]) % len(COLOURS)]
            size = 45 + 55 * backbones.index(row["backbone"])
            treated = row["remedy_kind"] != NONE
            face = "white" if treated else colour
            marker = MARKERS[tasks.index(row["task"]) % 6]
            axis.scatter(
                row["loss"],
                row["gain"],
                s=size,
                marker=marker,
                facecolor=face,
                edgecolor=colour,
                linewidth=1.4,
                alpha=0.9,
            )
            if treated:  # a letter tells remedies apart, in grey as well
                axis.text(
                    row["loss"],
                    row["gain"],
                    LETTERS[remedies.index(row["remedy"]) % 26],
                    fontsize=6.5,
                    ha="center",
                    va="center",
                )
        axis.axvline(0, color=INK, linewidth=0.8)
        axis.axhline(0, color=INK, linewidth=0.8)
        axis.margins(0.09)
        axis.grid(color=FAINT, linewidth=0.5)
        axis.set_xlabel("general loss: points of zero-shot average, before − after")
        axis.set_ylabel("biometric gain, points")
        handles = [_mark(MARKERS[i % 6], INK, task) for i, task in enumerate(tasks)]
        handles += [_mark("o", COLOURS[i % len(COLOURS)], spelled(way)) for i, way in enumerate(ways)]
        handles += [_mark("o", FAINT, name, math.sqrt(45 + 55 * i)) for i, name in enumerate(backbones)]
        handles += [_mark("", INK, f"{LETTERS[i % 26]}  {remedy}") for i, remedy in enumerate(remedies)]
        figure.legend(handles=handles, loc="outside right upper")
    return out.getvalue()


def remedy_curve(comparison: Comparison, kind: str, field: str) -> bytes | None:
    """Curve over a field of a remedy (`RemedySpec.curve`): zero-shot kept and biometric gain; None below two values of it."""
    frame = measured(comparison)
    frame = frame[frame["remedy_kind"] == kind].dropna(subset=["gelo"])
    told = list(frame["remedy_parameters"])
    frame = frame.assign(
        over=[float(item.get(field, math.nan)) for item in told],
        beside=[str(sorted((name, str(value)) for name, value in item.items() if name != field)) for item in told],
    )
    if frame["over"].nunique() < 2:
        return None
    with drawing(comparison, (7.0, 3.6)) as (figure, out):
        left, right = figure.subplots(1, 2)
        for place, (cell, rows) in enumerate(
            frame.groupby(["backbone", "task", "adaptation", "seed", "beside"], sort=False)
        ):
            rows = rows.sort_values("over")
            backbone, task, way, seed = (str(piece) for piece in tuple(cell)[:4])
            one = frame["seed"].nunique() == 1
            look = {
                "color": COLOURS[place % len(COLOURS)],
                "marker": MARKERS[place % 6],
                "label": f"{backbone}, {task}, {spelled(way)}{'' if one else f', seed {seed}'}",
            }
            left.plot(rows["over"], rows["gelo"], **look)
            right.plot(rows["over"], rows["gain"], **look)
        left.axhline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        left.set_ylabel("zero-shot kept (GELO)")
        right.set_ylabel("biometric gain, points")
        for axis in (left, right):
            axis.set_xlabel(f"{field} of {kind}")
            axis.grid(color=FAINT, linewidth=0.5)
        figure.legend(handles=left.get_lines()[:-1], loc="outside lower center", ncols=2)
    return out.getvalue()


def losses(comparison: Comparison) -> bytes | None:
    """Training loss by epoch, one panel per task; None when no trial kept a history."""
    trials = comparison.runs.trials
    kept = {key: rows for key, rows in comparison.runs.histories.items() if len([r for r in rows if "loss" in r]) > 1}
    frame = trials[trials["trial"].isin(list(kept))]
    if frame.empty:
        return None
    tasks, ways, backbones = (_unique(frame[column]) for column in ("task", "adaptation", "backbone"))
    with drawing(comparison, (max(4.5, 2.6 * len(tasks)), 3.2)) as (figure, out):
        axes = figure.subplots(1, len(tasks), squeeze=False)[0]
        for axis, task in zip(axes, tasks, strict=True):
            for _, row in frame[frame["task"] == task].iterrows():
                history = [entry for entry in kept[str(row["trial"])] if "loss" in entry]
                style = ("-", "--", ":", "-.")[backbones.index(row["backbone"]) % 4]
                epochs = [entry.get("epoch", place + 1) for place, entry in enumerate(history)]
                colour = COLOURS[ways.index(row["adaptation"]) % len(COLOURS)]
                axis.plot(epochs, [entry["loss"] for entry in history], color=colour, linestyle=style, linewidth=1.5)
            axis.set_title(task, fontsize=11, fontweight="bold")
            axis.set_xlabel("epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.set_ylim(bottom=0)
            axis.grid(color=FAINT, linewidth=0.5)
        axes[0].set_ylabel("training loss")
        handles = [Line2D([], [], color=COLOURS[i % len(COLOURS)], label=spelled(way)) for i, way in enumerate(ways)]
        handles += [
            Line2D([], [], color=INK, linestyle=("-", "--", ":", "-.")[i % 4], label=b) for i, b in enumerate(backbones)
        ]
        legend_below(figure, handles)
    return out.getvalue()


@contextmanager
def drawing(comparison: Comparison, size: tuple[float, float]) -> Iterator[tuple[Figure, io.BytesIO]]:
    """A figure in inches and the bytes that hold its SVG after the block: no date inside, fixed ids, so equal input, equal bytes."""
    out = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(size[0], size[1] + 0.3), layout="constrained")
        yield figure, out
        runs = comparison.runs
        if runs.miniature:
            figure.suptitle(
                f"MINIATURE: {runs.miniature} ({runs.sweep})", fontsize=8.5, color="#9a3412", x=0.01, ha="left"
            )
        figure.savefig(out, format="svg", metadata={"Date": None})


def legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    """In as many rows as the names need at the figure's width, whose height grows by the rows beyond one."""
    widths = [0.5 + 0.07 * len(str(handle.get_label())) for handle in handles]  # inches, about
    fits = sum(widths) <= figure.get_figwidth()
    columns = len(handles) if fits else max(1, int(figure.get_figwidth() / max(widths)))
    rows = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + 0.22 * (rows - 1))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def _bars(axis: Axes, cell: pd.DataFrame, tasks: Sequence[str], place: int, ways: int) -> None:
    """One adaptation's bars; several seeds stand as their mean with a dot each."""
    width = 0.8 / ways
    for index, task in enumerate(tasks):
        x = index + (place - (ways - 1) / 2) * width
        rows = cell[cell["task"] == task]["gelo"].dropna()
        if rows.empty:
            axis.text(x, 0.02, "no value", rotation=90, ha="center", va="bottom", fontsize=7.5)
            continue
        margins = cell[cell["task"] == task]["margin"].dropna()
        error = float(margins.iloc[0]) if len(rows) == 1 and len(margins) else None
        axis.bar(x, rows.mean(), width * 0.92, color=COLOURS[place % len(COLOURS)], hatch="" if place == 0 else "//", edgecolor="white",
                 linewidth=0, yerr=error, error_kw={"ecolor": INK, "elinewidth": 0.9, "capsize": 2})  # fmt: skip
        if len(rows) > 1:
            axis.scatter([x] * len(rows), rows, s=9, color=INK, zorder=3)
        axis.text(x, rows.max() + (error or 0) + 0.02, f"{rows.mean():.2f}", ha="center", va="bottom", fontsize=8.5,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6}, zorder=4)  # fmt: skip


def measured(comparison: Comparison) -> pd.DataFrame:
    """The trials with gelo, its 95 % margin, general loss (points) and biometric gain (points, + is better; none of a
    task that is measured otherwise), NaN if unknown."""
    general = comparison.general["zero_shot"]
    trials = comparison.runs.trials
    own = trials["trial"].map(comparison.baseline)
    return trials.assign(
        gelo=trials["trial"].map(general.gelo),
        margin=Z95 * trials["trial"].map(general.gelo_error),
        loss=100 * (own.map(general.average) - trials["trial"].map(general.average)),
        gain=[
            comparison.gain(str(trial)) if comparison.factor(str(task)) == 100 else math.nan
            for trial, task in zip(trials["trial"], trials["task"], strict=True)
        ],
    )


def _mark(marker: str, colour: str, label: str, size: float = 7) -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, color=colour, markersize=size, label=label)


def _unique(values: pd.Series) -> list[str]:
    return [str(value) for value in values.unique()]
