"""Forgetting curves by step: what was kept and what was gained while training went on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gelo.analysis.compare import Comparison
from gelo.analysis.contenders import contenders
from gelo.analysis.curves import Curve
from gelo.analysis.finding import groups
from gelo.analysis.labels import NONE
from gelo.analysis.paths import Contender
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import (
    DASHES,
    INK,
    STROKES,
    WIDTH,
    Look,
    Plate,
    legend_below,
    lettered,
    looks,
    panels,
    short,
)
from gelo.analysis.pictures.measured import cell_name, named, seeds_of, told, unique
from gelo.analysis.resampling import error_of, interval, resampled

COLUMNS = [
    "backbone",
    "task",
    "name",
    "remedy",
    "step",
    "images",
    "kept",
    "kept_low",
    "kept_high",
    "gain",
    "seeds",
    "planned",
]
_SIDES = {"kept": "zero-shot accuracy kept", "gain": "gain on validation, points"}


def steps(comparison: Comparison) -> Iterator[Drawn]:
    """A picture for each backbone and task that kept curves; of an approach with several settings the one that validation data chose."""
    frame = by_step(comparison)
    for (task, backbone), rows in groups(frame, ["task", "backbone"]):
        sides = [side for side in _SIDES if rows[side].notna().any()]
        figure = Plate(comparison, (WIDTH, 3.4 * len(sides)))
        names = looks(rows["name"])
        for axis, side in zip(panels(figure, len(sides), 1, sharex=True), sides, strict=True):
            for name, each in names.items():
                _line(figure, axis, rows[rows["name"] == name].dropna(subset=[side]), side, each)
            axis.axhline(1 if side == "kept" else 0, color=INK, linewidth=0.9, linestyle=DASHES, zorder=1)
            axis.set_ylabel(_SIDES[side])
            axis.grid()
        figure.axes[-1].set_xlabel("training step")
        figure.draw_without_rendering()
        for axis, side in zip(figure.axes, sides, strict=True):
            _letters(figure, axis, rows, side, names)
        plain = set(rows.loc[rows["remedy"] == NONE, "name"])
        handles = [
            Line2D([], [], color=each.colour, marker=each.marker, markersize=4, linestyle=_stroke(each, name in plain),
                   label=short(f"{each.letter}  {name}"))
            for name, each in names.items()
        ]  # fmt: skip
        legend_below(figure, handles, handlelength=3)
        yield Drawn(figure, _alt(rows), rows.reset_index(drop=True), cell_name(backbone, task))


def by_step(comparison: Comparison) -> pd.DataFrame:
    """A row a point: mean over the seeds that were looked at at that step; kept with the ends of its 95 % interval over seeds and test
    images, gain of the task's validation metric in points (NaN where it has none)."""
    found = []
    for each in contenders(comparison):
        curves = {
            seed: comparison.runs.curves[key] for seed, key in each.trials.items() if key in comparison.runs.curves
        }
        if curves and not each.merged:
            found += _points(each, list(curves.values()))
    return pd.DataFrame(found, columns=COLUMNS)


def _points(each: Contender, curves: Sequence[Curve]) -> list[dict[str, object]]:
    shared = sorted(set.intersection(*(set(map(int, curve.points["step"])) for curve in curves)))
    usable = [curve for curve in curves if curve.points["test"].iloc[0] > 0]
    draws = [None if (found := resampled(curve)) is None else found / found[:, :1] for curve in usable]
    least = max(
        (1 / (curve.points["test"].iloc[0] * max(1, sum(curve.sets.values()))) for curve in usable), default=0.0
    )
    rows: list[dict[str, object]] = []
    for step in shared if usable else []:
        places = [int(np.flatnonzero(curve.points["step"] == step)[0]) for curve in usable]
        points = [curve.points.iloc[place] for curve, place in zip(usable, places, strict=True)]
        kept = [
            float(point["test"] / curve.points["test"].iloc[0]) for point, curve in zip(points, usable, strict=True)
        ]
        gain = [
            100 * float(point["task"] - curve.points["task"].iloc[0])
            for point, curve in zip(points, usable, strict=True)
        ]
        known = {
            seed: drawn[:, place]
            for seed, (drawn, place) in enumerate(zip(draws, places, strict=True))
            if drawn is not None
        }
        if any(math.isnan(value) for value in kept):
            continue
        ends = (math.nan, math.nan)
        if len(known) == len(usable) and step > 0:
            ends = interval(kept, *error_of(known, least))
        rows.append(
            {"backbone": each.backbone, "task": each.task, "name": named(each.adaptation, each.kind), "remedy": each.remedy, "step": step,
             "images": int(points[0]["images"]), "kept": float(np.mean(kept)), "kept_low": ends[0], "kept_high": ends[1],
             "gain": float(np.mean(gain)), "seeds": len(usable), "planned": len(each.trials)}
        )  # fmt: skip
    return rows


def _line(figure: Plate, axis: Axes, rows: pd.DataFrame, side: str, each: Look) -> None:
    if rows.empty:
        return
    name, plain = rows["name"].iloc[0], bool((rows["remedy"] == NONE).all())
    line = axis.plot(
        rows["step"], rows[side], color=each.colour, linewidth=1.4, linestyle=_stroke(each, plain), zorder=2
    )[0]
    figure.tell(line, name)
    for _, row in rows.iterrows():
        dot = axis.plot(row["step"], row[side], color=each.colour, marker=each.marker, markersize=3.5, zorder=3)[0]
        figure.tell(dot, name, tip_of(row))


def _letters(figure: Plate, axis: Axes, rows: pd.DataFrame, side: str, names: dict[str, Look]) -> None:
    """An approach's letter behind its last point."""
    last = rows.dropna(subset=[side]).groupby("name", sort=False).last()
    points = [(float(row["step"]), float(row[side])) for _, row in last.iterrows()]
    lettered(figure, axis, points, [str(name) for name in last.index], names)


def _stroke(each: Look, plain: bool) -> Any:
    return STROKES[1] if plain else each.stroke


def tip_of(row: pd.Series) -> str:
    """What a point says."""
    gain = "" if math.isnan(row["gain"]) else f", gain {row['gain']:.1f} points on validation"
    kept = told(row["kept"], row["kept_low"], row["kept_high"], 3)
    return f"{row['name']}, step {row['step']}: kept {kept}{gain}; {row['images']:,} images seen, {seeds_of(row['seeds'], row['planned'])}"


def _alt(rows: pd.DataFrame) -> str:
    last = rows.groupby("name", sort=False).last()
    most, least, count = last["kept"].idxmax(), last["kept"].idxmin(), len(unique(rows["name"]))
    return (
        f"{count} curves over {rows['step'].nunique()} steps. At its last step {most} keeps most zero-shot accuracy "
        f"({last.loc[most, 'kept']:.3f}), {least} least ({last.loc[least, 'kept']:.3f})."
    )


STEPS = Picture(
    "forgetting_steps",
    "Forgetting while training",
    "Zero-shot accuracy kept and gain on the task's validation metric by training step; means over seeds. Of an approach with several "
    "settings the one that validation data chose. Dashes: without a remedy. Each point's interval stands in its tip and in the table.",
    steps,
)
