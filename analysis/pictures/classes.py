"""Gains and losses by class: which classes of the general sets a fine-tuning cost, with an image of the miniature's generator."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from gelo.analysis.compare import Comparison
from gelo.analysis.finding import groups, spelled
from gelo.analysis.labels import NONE
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import BETTER, FAINT, INK, SOFT, WIDTH, WORSE, Plate, legend_below, mark, short
from gelo.analysis.pictures.measured import cell_name, moved, seeds_of
from gelo.analysis.scores import scores_of
from gelo.tasks.metrics.intervals import rate_interval
from gelo.tasks.mini.general import DRAWN, digit_pixels, digit_split, pixels
from gelo.tasks.mini.worlds import WORLDS
from gelo.tasks.mini.worlds.numerals import CLASSES as DIGITS

SUITE = "zero_shot"
LOST, GAINED = 10, 4  # classes that are shown
_MOST = 4  # adaptations that have a picture
COLUMNS = [
    "backbone",
    "task",
    "adaptation",
    "dataset",
    "label",
    "name",
    "images",
    "before",
    "after",
    "change",
    "seeds",
    "planned",
]


def classes(comparison: Comparison) -> Iterator[Drawn]:
    """For each backbone, task and adaptation without a remedy the classes that lost most and gained most."""
    trials = comparison.runs.trials
    trained = trials[(trials["task"] != NONE) & (trials["remedy_kind"] == NONE)]
    for (task, backbone), cell in groups(trained, ["task", "backbone"]):
        for (way,), rows in list(groups(cell, ["adaptation"]))[:_MOST]:
            frame = by_class(comparison, rows)
            shown = _chosen(frame)
            if not shown.empty:
                figure = _drawn(comparison, shown)
                said = f"{len(shown)} of {len(frame)} classes."
                yield Drawn(figure, _alt(frame), frame, f"{cell_name(backbone, task)}, {spelled(way)}", said)


def by_class(comparison: Comparison, trials: pd.DataFrame) -> pd.DataFrame:
    """A row a class of a data set, from the scores of each image: per cent right before and after (mean over seeds), with the ends of the
    95 % interval of each side over the images (mid-P, as of one seed), change in points."""
    found = []
    for dataset in comparison.general[SUITE].scores.columns:
        sides: list[tuple[pd.Series, pd.Series, pd.Series]] = []
        for key in trials["trial"]:
            after = _right(comparison, str(key), str(dataset))
            before = _right(comparison, comparison.baseline.get(str(key), ""), str(dataset))
            if after is not None and before is not None and after.index.equals(before.index):
                sides.append((before["mean"], after["mean"], after["size"]))
        if not sides:
            continue
        before, after = (pd.concat([side[place] for side in sides], axis=1).mean(axis=1) for place in (0, 1))
        images = sides[0][2]
        for label in before.index:
            ends = [
                rate_interval(min(1.0, float(rate[label])) * int(images[label]), int(images[label]))
                for rate in (before, after)
            ]
            found.append(
                {"backbone": trials["backbone"].iloc[0], "task": trials["task"].iloc[0], "adaptation": trials["adaptation"].iloc[0],
                 "dataset": str(dataset), "label": int(label), "name": class_name(comparison, str(dataset), int(label)),
                 "images": int(images[label]), "before": 100 * float(before[label]), "after": 100 * float(after[label]),
                 "change": 100 * float(after[label] - before[label]), "seeds": len(sides), "planned": len(trials),
                 **{f"{side}_{end}": 100 * getattr(each, end) for side, each in zip(("before", "after"), ends, strict=True)
                    for end in ("low", "high")}}
            )  # fmt: skip
    ends_of = ["before_low", "before_high", "after_low", "after_high"]
    return pd.DataFrame(found, columns=[*COLUMNS, *ends_of])


def class_name(comparison: Comparison, dataset: str, label: int) -> str:
    """As the miniature calls it; `class 3` of any other data set, whose names no result holds."""
    known = _names(dataset) if _generated(comparison, dataset) else ()
    return known[label] if label < len(known) else f"class {label}"


def _right(comparison: Comparison, trial: str, dataset: str) -> pd.DataFrame | None:
    """By label the share of its images that were told right (mean) and how many there are (size)."""
    table = scores_of(comparison.runs, trial, SUITE, dataset) if trial else None
    if table is None or not {"label", "predicted"} <= set(table.column_names) or table["predicted"].null_count:
        return None
    frame = table.select(["label", "predicted"]).to_pandas()
    return (frame["label"] == frame["predicted"]).groupby(frame["label"]).agg(["mean", "size"])


def _chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """The classes that lost most and, apart from them, gained most, by change."""
    order = frame.sort_values(["change", "dataset", "label"], kind="stable")
    lost, gained = order[order["change"] < 0].head(LOST), order[order["change"] > 0].tail(GAINED)
    return pd.concat([lost, gained])


def _drawn(comparison: Comparison, frame: pd.DataFrame) -> Plate:
    figure = Plate(comparison, (WIDTH, 0.9 + 0.42 * len(frame)))
    axis = figure.subplots()
    for place, (_, row) in enumerate(frame.iterrows()):
        _one(figure, axis, row, place)
        if _generated(comparison, row["dataset"]):
            picture = example(row["dataset"], int(row["label"]))
            box = AnnotationBbox(OffsetImage(picture, zoom=0.36), (0, place), xybox=(-20, 0), xycoords=("axes fraction", "data"),
                                 boxcoords="offset points", frameon=False, box_alignment=(0.5, 0.5))  # fmt: skip
            axis.add_artist(box)
    labels = [f"{short(row['name'], 22)}\n{short(row['dataset'], 22)}" for _, row in frame.iterrows()]
    axis.set_yticks(range(len(frame)), labels, fontsize=8)
    axis.tick_params(axis="y", length=0, pad=36)
    axis.set_ylim(len(frame) - 0.4, -0.6)
    axis.set_xlim(-3, 103)
    axis.set_xlabel("zero-shot accuracy on the class, %")
    axis.grid(axis="x")
    line = Line2D([], [], color=SOFT, linewidth=4, alpha=0.3, label="95 % over the class's images")
    handles = [
        mark("o", INK, "before", markerfacecolor="white"), mark("v", WORSE, "after, fell"), mark("^", BETTER, "after, rose"),
    ]  # fmt: skip
    legend_below(figure, [*handles, line])
    return figure


def _one(figure: Plate, axis: Axes, row: pd.Series, place: int) -> None:
    series, fell = str(row["dataset"]), row["change"] < 0
    colour = WORSE if fell else BETTER
    for side, off, tone in (("before", -0.12, SOFT), ("after", 0.12, colour)):
        line = axis.plot(
            [row[f"{side}_low"], row[f"{side}_high"]], [place + off] * 2, color=tone, linewidth=4, alpha=0.3
        )[0]
        figure.tell(line, series)
    figure.tell(axis.plot([row["before"], row["after"]], [place] * 2, color=FAINT, linewidth=1.4, zorder=2)[0], series)
    look: dict[str, Any] = {"linestyle": "", "markersize": 6.5, "zorder": 3}
    before = axis.plot(row["before"], place, marker="o", color=INK, markerfacecolor="white", **look)[0]
    after = axis.plot(row["after"], place, marker="v" if fell else "^", color=colour, **look)[0]
    for dot, side in ((before, "before"), (after, "after")):
        ends = f"{row[f'{side}_low']:.1f} to {row[f'{side}_high']:.1f}"
        change = f", {moved(row['change'])} points" if side == "after" else ""
        tip = f"{row['name']} ({row['dataset']}): {row[side]:.1f} % ({ends}) {side}{change}; {row['images']} images"
        figure.tell(dot, series, f"{tip}, {seeds_of(row['seeds'], row['planned'])}")


def _generated(comparison: Comparison, dataset: str) -> bool:
    """Whether it is a set that the miniature draws, so that a picture of it may be shown."""
    rows = comparison.runs.metrics
    scale = rows.loc[(rows["dataset"] == dataset) & (rows["suite"] == SUITE), "scale"]
    return dataset in {*DRAWN, "shapes_shifted", "digits"} and bool((scale == "miniature").all())


def _names(dataset: str) -> tuple[str, ...]:
    if dataset == "digits":
        return DIGITS
    return WORLDS["shapes" if dataset == "shapes_shifted" else dataset].classes


@lru_cache(maxsize=128)
def example(dataset: str, label: int) -> npt.NDArray[np.uint8]:
    """The first test image of a class of a miniature general set, uint8 (64, 64, 3), as its generator draws it; no other set has one."""
    if dataset == "digits":
        rows = digit_split()["test"]
        return next(image for image, own in map(digit_pixels, map(int, rows)) if own == label)
    return pixels(dataset, "test", label)[0]


def _alt(frame: pd.DataFrame) -> str:
    worst, best = frame.loc[frame["change"].idxmin()], frame.loc[frame["change"].idxmax()]
    ends = [
        f"{row['name']} of {row['dataset']} ({moved(row['change'])} points, to {row['after']:.1f} %)"
        for row in (worst, best)
    ]
    fell, rose = int((frame["change"] < 0).sum()), int((frame["change"] > 0).sum())
    return f"Of {len(frame)} classes {fell} fell and {rose} rose. Lowest change: {ends[0]}; highest: {ends[1]}."


CLASSES = Picture(
    "classes",
    "Gains and losses by class",
    f"Zero-shot accuracy on single classes before and after fine-tuning without a remedy: the {LOST} that lost most and the {GAINED} that "
    "gained most. They are the ends of many, so that by chance alone they lie apart. Images are the miniature's own, from its generator.",
    classes,
)
