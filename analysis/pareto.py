"""The picture of equal gain: zero-shot accuracy kept over gain, a curve and a mark for each approach, and the front of all points drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gelo.analysis.compare import Comparison
from gelo.analysis.contenders import contenders
from gelo.analysis.equal_gain import HEADLINE, Vector, front
from gelo.analysis.finding import spelled
from gelo.analysis.labels import NONE
from gelo.analysis.paths import Contender
from gelo.analysis.plots import COLOURS, FAINT, INK, drawing

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SPAN = 0.1  # of what is kept, at the least: where nothing was lost, noise shall not fill the panel
Drawn = tuple[Contender, Vector, Vector]  # with its gain and kept, point by point
_ONES = 2  # up to so many panels stand below each other, in full width


def pareto(comparison: Comparison) -> bytes | None:
    """A panel for each backbone and task, one colour and letter an approach in all of them; None where no curve was kept."""
    found = [each for each in contenders(comparison) if each.paths]
    tasks, cells = [each.task for each in found], list(dict.fromkeys((each.backbone, each.task) for each in found))
    if not cells:
        return None
    cells.sort(key=lambda cell: tasks.index(cell[1]))  # the backbones of a task beside each other
    names = list(dict.fromkeys(_name(each) for each in found))
    across = 1 if len(cells) <= _ONES else 2
    down, columns = -(-len(cells) // across), 3
    rows = -(-(len(names) + 2) // columns)
    with drawing(comparison, (8.2 if across == 1 else 9.6, 4.3 * down + 0.2 * rows)) as (figure, out):
        axes = figure.subplots(down, across, squeeze=False, sharey=True)
        panels = [
            (axis, _drawn([each for each in found if (each.backbone, each.task) == cell]))
            for axis, cell in zip(axes.flat, cells, strict=False)
        ]
        for (axis, drawn), cell in zip(panels, cells, strict=True):
            _lines(axis, drawn, names)
            axis.set_title(", ".join(cell), fontsize=11, fontweight="bold")
        low, high = axes[0, 0].get_ylim()  # of all panels: once all is drawn
        if high - low < _SPAN:
            axes[0, 0].set_ylim((low + high - _SPAN) / 2, (low + high + _SPAN) / 2)
        for axis, drawn in panels:
            _letters(axis, drawn, names)
        for axis in axes.flat[len(cells) :]:
            axis.set_visible(False)
        for axis in axes[:, 0]:
            axis.set_ylabel("zero-shot accuracy kept")
        looks = {_name(each): _line(names, each) for each in found}
        handles: list[Artist] = [
            Line2D([], [], label=f"{_LETTERS[place % len(_LETTERS)]}   {name}", **looks[name])
            for place, name in enumerate(names)
        ]
        handles.append(Line2D([], [], color=INK, linewidth=5, alpha=0.25, label="front of the points drawn"))
        handles.append(
            Line2D([], [], color=INK, linewidth=0.8, linestyle=":", label=f"{100 * HEADLINE:.0f} % of the best gain")
        )
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9, handlelength=3)
    return out.getvalue()


def _drawn(members: Sequence[Contender]) -> list[Drawn]:
    return [(each, *_mean(each)) for each in members]


def _lines(axis: Axes, drawn: Sequence[Drawn], names: Sequence[str]) -> None:
    """Every point of an approach, and the front of all."""
    gain, kept = (np.concatenate([item[place] for item in drawn]) for place in (1, 2))
    best = front(gain, kept)
    order = np.argsort(gain[best])
    x, y = gain[best][order], kept[best][order]
    axis.step([min(0.0, x[0]), *x], [y[0], *y], where="pre", color=INK, linewidth=5, alpha=0.25, zorder=1)
    axis.axvline(HEADLINE, color=INK, linewidth=0.8, linestyle=":", zorder=1)
    axis.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for each, x, y in drawn:
        axis.plot(x, y, marker=".", markersize=5, alpha=0.9, zorder=2, **_line(names, each))
    axis.margins(0.05)
    axis.set_xlabel("gain, share of the best validation gain")
    axis.grid(color=FAINT, linewidth=0.5)


def _letters(axis: Axes, drawn: Sequence[Drawn], names: Sequence[str]) -> None:
    """An approach's letter where it ends."""
    places = _apart([(float(item[1][-1]), float(item[2][-1])) for item in drawn], axis)
    for (each, *_), (across, up) in zip(drawn, places, strict=True):
        colour, place = _line(names, each)["color"], names.index(_name(each))
        round_it = {"boxstyle": "circle,pad=0.16", "facecolor": "white", "edgecolor": colour}
        letter = _LETTERS[place % len(_LETTERS)]
        axis.text(
            across, up, letter, size=8, weight="bold", color=colour, ha="center", va="center", bbox=round_it, zorder=4
        )


def _line(names: Sequence[str], each: Contender) -> dict[str, Any]:
    """Colour, and a stroke that tells: dashed without a remedy, dotted between ends that no curve leads to, dash and dot where the colours
    begin again."""
    place = names.index(_name(each))
    again = "-" if place < len(COLOURS) else "-."
    stroke = (0, (5, 2)) if each.kind == NONE else (0, (1, 1.2)) if each.merged else again
    return {"color": COLOURS[place % len(COLOURS)], "linewidth": 1.5, "linestyle": stroke}


def _apart(ends: Sequence[tuple[float, float]], axis: Axes) -> list[tuple[float, float]]:
    """Where the letters of the ends stand: pushed up and down from each other until none covers another, by what the axis shows."""
    (low, high), (left, right) = axis.get_ylim(), axis.get_xlim()
    tall, wide = 0.052 * (high - low), 0.045 * (right - left)
    places = [list(end) for end in ends]
    for _ in range(200):
        moved = False
        for one in range(len(places)):
            for other in range(one):
                across, up = (places[one][k] - places[other][k] for k in (0, 1))
                if abs(across) < wide and abs(up) < tall:
                    shift = (tall - abs(up)) / 2 + 1e-6
                    sign = math.copysign(1.0, up) if up else 1.0
                    places[one][1] += sign * shift
                    places[other][1] -= sign * shift
                    moved = True
        if not moved:
            break
    return [(x, y) for x, y in places]


def _mean(each: Contender) -> tuple[Vector, Vector]:
    """Gain and kept: the mean over seeds point by point, where they have as many; else the first seed."""
    paths = [each.paths[seed] for seed in sorted(each.paths)]
    if len({len(path.gain) for path in paths}) > 1:
        paths = paths[:1]
    return np.mean([path.gain for path in paths], axis=0), np.mean([path.kept for path in paths], axis=0)


def _name(each: Contender) -> str:
    return spelled(each.adaptation) + ("" if each.kind == NONE else f" + {each.kind}")
