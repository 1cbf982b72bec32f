"""What all pictures share: style, colours and marks, a figure that knows what its marks say, the legend, letters that do not cover each
other."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gelo.analysis.compare import Comparison

# Okabe and Ito's colours, told apart with every common colour blindness; markers, letters and strokes say the same once more.
COLOURS = (  # six that are told apart by everybody, then more
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00",
    "#7A4B00", "#6A3D9A", "#8C8C00", "#E31A1C", "#1B5E20", "#555555", "#00BFA5", "#F781BF",
)  # fmt: skip
WORSE, BETTER = "#D55E00", "#0072B2"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h", "*", "<", ">")
STROKES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 2, 1, 2)))
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
INK, SOFT, FAINT = "#22272e", "#6b7280", "#c9ced6"
WIDTH = 6.0  # inches: at 390 pixels the text is still read
DASHES: Any = (0, (4, 3))  # of the untouched backbone
MOST = 72  # characters of a name in a legend
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 10, "text.parse_math": False,
    "svg.hashsalt": "gelo", "svg.fonttype": "path", "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "hatch.linewidth": 0.6, "figure.facecolor": "white", "legend.frameon": False, "legend.fontsize": 9, "axes.titlesize": 10.5,
    "axes.titleweight": "bold", "grid.color": FAINT, "grid.linewidth": 0.5,
}  # fmt: skip
_Artist = TypeVar("_Artist", bound=Artist)


@dataclass(frozen=True, slots=True)
class Look:
    """How one of several is drawn: no two of the first 84 have the same colour and mark, of 52 the same letter."""

    colour: str
    marker: str
    letter: str
    stroke: Any


class Plate(Figure):
    """A figure, `size` in inches, with the label of the miniature where it is one. told: what an artist says, by its id in the SVG: the
    series it belongs to and its tip, each "" for none."""

    def __init__(self, comparison: Comparison, size: tuple[float, float]) -> None:
        super().__init__(figsize=(size[0], size[1] + 0.3), layout="constrained")
        self.told: dict[str, tuple[str, str]] = {}
        runs = comparison.runs
        if runs.miniature:
            label = textwrap.wrap(f"MINIATURE: {runs.miniature} ({runs.sweep})", int(17 * size[0]))
            self.suptitle("\n".join(label), fontsize=8.5, color="#9a3412", x=0.01, ha="left")
            self.set_figheight(self.get_figheight() + 0.15 * (len(label) - 1))

    def settle(self) -> None:
        """Lay out what is drawn once, so that no file is laid out anew."""
        self.draw_without_rendering()
        self.set_layout_engine("none")

    def tell(self, artist: _Artist, series: str = "", tip: str = "") -> _Artist:
        """The artist, which from now on belongs to a series and says its tip where somebody points at it."""
        name = f"mark{len(self.told) + 1}"
        artist.set_gid(name)
        self.told[name] = (series, tip)
        return artist


def look(place: int) -> Look:
    """Of the series at a place, from 0."""
    stroke = STROKES[0] if place < len(COLOURS) else STROKES[3]  # dashes and dots have meanings of their own
    return Look(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)], LETTERS[place % len(LETTERS)], stroke)


def looks(names: Iterable[str]) -> dict[str, Look]:
    """By name, each once, in the order in which they come."""
    return {name: look(place) for place, name in enumerate(dict.fromkeys(names))}


def short(name: object, most: int = MOST) -> str:
    """A name for a legend: cut in its middle where it is long, and never one that matplotlib would leave out."""
    text = str(name)
    text = text if len(text) <= most else f"{text[: most - most // 3 - 1]}…{text[-(most // 3) :]}"
    return f" {text}" if text.startswith("_") else text


def mark(marker: str, colour: str, label: str, **more: Any) -> Line2D:
    """A legend's entry for a mark."""
    return Line2D([], [], linestyle="", marker=marker, color=colour, label=short(label), **more)


def legend_below(figure: Figure, handles: Sequence[Artist], **more: Any) -> None:
    """In as many rows as the names need at the figure's width, whose height grows by the rows beyond one."""
    if not handles:
        return
    widths = [0.6 + 0.068 * len(str(handle.get_label())) for handle in handles]  # inches, about
    fits = sum(widths) <= figure.get_figwidth()
    columns = len(handles) if fits else max(1, int(figure.get_figwidth() / max(widths)))
    rows = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + 0.2 * rows)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, **more)


def panels(figure: Figure, count: int, across: int, **more: Any) -> list[Axes]:
    """So many axes in rows of `across`, in reading order; a last row that is short leaves its places empty."""
    axes = figure.subplots(-(-count // across), across, squeeze=False, **more)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return list(axes.flat[:count])


def view(axis: Axes, which: str, points: Sequence[float], ends: Sequence[float]) -> None:
    """Limits of an axis ("x" or "y") that hold all points, and of the intervals' ends those that are not far out: one wide interval shall
    not press all points together. It then leaves the panel."""
    low, high = min(points), max(points)
    room = 0.35 * max(high - low, 1e-9)
    within = [end for end in ends if low - room <= end <= high + room]
    low, high = min([low, *within]), max([high, *within])
    margin = 0.06 * (high - low) or 0.02 * max(abs(high), 1.0)
    (axis.set_xlim if which == "x" else axis.set_ylim)(low - margin, high + margin)


def lettered(
    figure: Plate, axis: Axes, points: Sequence[tuple[float, float]], names: Sequence[str], looks: Mapping[str, Look]
) -> None:
    """Each point's letter to its right, with a thread where it had to move, and room for all of them on the axis."""
    (low, high), (left, right) = axis.get_ylim(), axis.get_xlim()
    spec = axis.get_subplotspec()
    beside = (
        0.028 * (1 if spec is None else spec.get_gridspec().ncols) * (right - left)
    )  # in a narrow panel marks are wide
    start = [(x + beside, y) for x, y in points]
    ends = apart(start, axis, 0.047, beside / (right - left))
    room, heights = 0.03 * (high - low), [y for _, y in ends]
    axis.set_ylim(min([low, *(y - room for y in heights)]), max([high, *(y + room for y in heights)]))
    axis.set_xlim(left, max([right, *(x + 0.7 * beside for x, _ in ends)]))
    for name, point, (_, before), (x, y) in zip(names, points, start, ends, strict=True):
        colour = looks[name].colour
        if abs(y - before) > 0.015 * (high - low):
            thread = axis.plot([point[0], x], [point[1], y], color=colour, linewidth=0.5, zorder=2)[0]
            figure.tell(thread, name)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.2, "alpha": 0.5}
        style: dict[str, Any] = {
            "fontsize": 8.5,
            "fontweight": "bold",
            "color": INK,
            "ha": "center",
            "va": "center",
            "zorder": 4,
        }
        figure.tell(axis.text(x, y, looks[name].letter, bbox=box, **style), name)


def apart(
    ends: Sequence[tuple[float, float]], axis: Axes, tall: float = 0.052, wide: float = 0.045
) -> list[tuple[float, float]]:
    """Where letters at these points of the data stand: pushed up and down from each other until none covers another. tall, wide: of one
    letter, as shares of what the axis shows."""
    (low, high), (left, right) = axis.get_ylim(), axis.get_xlim()
    high_one, wide_one = tall * (high - low), wide * (right - left)
    places = [list(end) for end in ends]
    for _ in range(200):
        moved = False
        for one in range(len(places)):
            for other in range(one):
                across, up = (places[one][k] - places[other][k] for k in (0, 1))
                if abs(across) < abs(wide_one) and abs(up) < abs(high_one):
                    shift = (abs(high_one) - abs(up)) / 2 + 1e-6 * abs(high - low)
                    sign = math.copysign(1.0, up) if up else 1.0
                    places[one][1] += sign * shift
                    places[other][1] -= sign * shift
                    moved = True
        if not moved:
            break
    return [(x, y) for x, y in places]
