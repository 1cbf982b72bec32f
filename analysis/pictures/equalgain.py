"""The picture of equal gain: zero-shot accuracy kept over gain, a curve and a mark for each approach, and the front of all points drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gelo.analysis.compare import Comparison
from gelo.analysis.contenders import contenders
from gelo.analysis.equal_gain import HEADLINE, Vector, front
from gelo.analysis.labels import NONE
from gelo.analysis.paths import Contender
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import (
    DASHES,
    FAINT,
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
)  # fmt: skip
from gelo.analysis.pictures.measured import cell_name, named

_SPAN = 0.1  # of what is kept, at the least: where nothing was lost, noise shall not fill the panel
Way = tuple[Contender, Vector, Vector]  # with its gain and kept, point by point
COLUMNS = ["backbone", "task", "name", "remedy", "point", "gain", "kept", "seeds", "front"]


def pareto(comparison: Comparison) -> Iterator[Drawn]:
    """A panel for each backbone and task, one colour and letter an approach in all of them; nothing where no curve was kept."""
    found = [each for each in contenders(comparison) if each.paths]
    tasks, cells = [each.task for each in found], list(dict.fromkeys((each.backbone, each.task) for each in found))
    if not cells:
        return
    cells.sort(key=lambda cell: tasks.index(cell[1]))  # the backbones of a task beside each other
    names = looks(_name(each) for each in found)
    figure = Plate(comparison, (WIDTH, 4.1 * len(cells)))
    axes = panels(figure, len(cells), 1, sharey=True)
    ways = [_drawn([each for each in found if (each.backbone, each.task) == cell]) for cell in cells]
    for axis, drawn, cell in zip(axes, ways, cells, strict=True):
        _lines(figure, axis, drawn, names)
        axis.set_title(cell_name(*cell))
        axis.set_ylabel("zero-shot accuracy kept")
    low, high = axes[0].get_ylim()  # of all panels: once all is drawn
    if high - low < _SPAN:
        axes[0].set_ylim((low + high - _SPAN) / 2, (low + high + _SPAN) / 2)
    for axis, drawn in zip(axes, ways, strict=True):
        ends = [(float(gain[-1]), float(kept[-1])) for _, gain, kept in drawn]
        lettered(figure, axis, ends, [_name(each) for each, *_ in drawn], names)
    strokes = {_name(each): _line(names, each) for each in found}
    handles: list[Artist] = [
        Line2D([], [], label=short(f"{names[name].letter}  {name}"), marker=names[name].marker, markersize=4, **stroke)
        for name, stroke in strokes.items()
    ]
    handles.append(Line2D([], [], color=INK, linewidth=5, alpha=0.25, label="front of the points drawn"))
    handles.append(
        Line2D([], [], color=INK, linewidth=0.8, linestyle=":", label=f"{100 * HEADLINE:.0f} % of the best gain")
    )
    legend_below(figure, handles, handlelength=3)
    rows = pd.concat([_rows(drawn) for drawn in ways], ignore_index=True)
    yield Drawn(figure, _alt(rows), rows)


def _drawn(members: Sequence[Contender]) -> list[Way]:
    return [(each, *_mean(each)) for each in members]


def _lines(figure: Plate, axis: Axes, drawn: Sequence[Way], names: Mapping[str, Look]) -> None:
    """Every point of an approach, and the front of all."""
    gain, kept = (np.concatenate([item[place] for item in drawn]) for place in (1, 2))
    best = front(gain, kept)
    order = np.argsort(gain[best])
    x, y = gain[best][order], kept[best][order]
    axis.step([min(0.0, x[0]), *x], [y[0], *y], where="pre", color=INK, linewidth=5, alpha=0.25, zorder=1)
    axis.axvline(HEADLINE, color=INK, linewidth=0.8, linestyle=":", zorder=1)
    axis.axhline(1, color=INK, linewidth=0.8, linestyle=DASHES, zorder=1)
    for each, x, y in drawn:
        name, own = _name(each), names[_name(each)]
        figure.tell(axis.plot(x, y, alpha=0.9, zorder=2, **_line(names, each))[0], name)
        for place, (gained, left) in enumerate(zip(x, y, strict=True)):
            dot = axis.plot(gained, left, marker=own.marker, markersize=3.5, color=own.colour, zorder=3)[0]
            tip = f"{name}, point {place}: {100 * gained:.0f} % of the best gain, kept {left:.3f}; {len(each.paths)} seeds"
            figure.tell(dot, name, tip)
    axis.margins(0.05)
    axis.set_xlabel("gain, share of the best validation gain")
    axis.grid(color=FAINT, linewidth=0.5)


def _line(names: Mapping[str, Look], each: Contender) -> dict[str, Any]:
    """Colour, and a stroke that tells: dashed without a remedy, dotted between ends that no curve leads to."""
    own = names[_name(each)]
    stroke = STROKES[1] if each.kind == NONE else STROKES[2] if each.merged else own.stroke
    return {"color": own.colour, "linewidth": 1.5, "linestyle": stroke}


def _rows(drawn: Sequence[Way]) -> pd.DataFrame:
    """A row a point, in the order of the points."""
    gain, kept = (np.concatenate([way[place] for way in drawn]) for place in (1, 2))
    best = iter(front(gain, kept).tolist())
    rows = [
        (each.backbone, each.task, _name(each), each.remedy, point, float(x), float(y), len(each.paths), next(best))
        for each, gains, keeps in drawn
        for point, (x, y) in enumerate(zip(gains, keeps, strict=True))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _alt(rows: pd.DataFrame) -> str:
    last = rows.groupby(["backbone", "task", "name"], sort=False).last().reset_index()
    most, least = last.loc[last["kept"].idxmax()], last.loc[last["kept"].idxmin()]
    told = [
        f"{each['name']} ({cell_name(each['backbone'], each['task'])}: {each['kept']:.3f})" for each in (most, least)
    ]
    return (
        f"{len(last)} curves from gain 0, kept 1. At its end {told[0]} keeps most zero-shot accuracy, {told[1]} least."
    )


def _mean(each: Contender) -> tuple[Vector, Vector]:
    """Gain and kept: the mean over seeds point by point, where they have as many; else the first seed."""
    paths = [each.paths[seed] for seed in sorted(each.paths)]
    if len({len(path.gain) for path in paths}) > 1:
        paths = paths[:1]
    return np.mean([path.gain for path in paths], axis=0), np.mean([path.kept for path in paths], axis=0)


def _name(each: Contender) -> str:
    return named(each.adaptation, each.kind)


EQUAL_GAIN = Picture(
    "equal_gain",
    "What is kept at equal gain",
    "What is kept over what was gained: from the untouched backbone at gain 0, kept 1, to the end at the letter. Up and right is better. "
    "Dashed: without a remedy; dotted: between ends that no curve leads to. Mean over seeds.",
    pareto,
)
