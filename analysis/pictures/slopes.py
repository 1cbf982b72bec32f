"""Before and after by data set: how far each set fell or rose, an adaptation a picture, a panel for each task and backbone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gelo.analysis.compare import Z95, Comparison
from gelo.analysis.finding import groups, spelled
from gelo.analysis.labels import NONE
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import BETTER, SOFT, STROKES, WIDTH, WORSE, Plate, apart, legend_below, panels, short
from gelo.analysis.pictures.measured import cell_name, cells, moved, seeds_of, spread, told, unique
from gelo.analysis.resampling import interval
from gelo.tasks.metricnames import metric_name
from gelo.tasks.protocols import suite_of

SUITES = {"zero_shot": "zero-shot", "probe": "linear probe"}
_MOST = 6  # adaptations that have a picture: a sweep over rates has one each
COLUMNS = [
    "backbone",
    "task",
    "dataset",
    "before",
    "before_low",
    "before_high",
    "after",
    "after_low",
    "after_high",
    "change",
]


def slopes(comparison: Comparison) -> Iterator[Drawn]:
    """Of every suite with an average and every adaptation without a remedy."""
    trials = comparison.runs.trials
    trained = trials[(trials["task"] != NONE) & (trials["remedy_kind"] == NONE)]
    ways = unique(trained["adaptation"])
    for suite, words in SUITES.items():
        for way in ways[:_MOST]:
            frame = changes(comparison, suite, trained[trained["adaptation"] == way])
            if not frame.empty:
                said = f"Of {len(ways)} adaptations the first {_MOST}." if len(ways) > _MOST else ""
                yield Drawn(_drawn(comparison, frame, words), _alt(frame), frame, f"{spelled(way)}, {words}", said)


def changes(comparison: Comparison, suite: str, trials: pd.DataFrame) -> pd.DataFrame:
    """A row a backbone, task and data set: per cent before and after, means over seeds with the ends of their 95 % intervals, and the
    change in points with its own (`change_low`, `change_high`, both sides taken as independent); `clear`: it does not hold 0."""
    general = comparison.general[suite]
    scores = general.scores
    counts = comparison.runs.metrics.query("suite == @suite").drop_duplicates("dataset").set_index("dataset")["counts"]
    found = []
    for (backbone, task), rows in groups(trials, ["backbone", "task"]):
        for name in map(str, scores.columns):
            metric = metric_name(suite, name, suite_of(suite).averaged)
            pairs = {
                str(key): (comparison.baseline[str(key)], float(scores.loc[key, name]))
                for key in rows["trial"]
                if key in comparison.baseline and not math.isnan(scores.loc[key, name])
            }
            before = [100 * float(scores.loc[base, name]) for base, _ in pairs.values()]
            if not pairs or any(math.isnan(value) for value in before):
                continue
            after = [100 * value for _, value in pairs.values()]
            errors = [100 * comparison.error(key, metric) for key in (next(iter(pairs.values()))[0], next(iter(pairs)))]
            error, moves = math.hypot(*errors), [b - a for a, b in zip(before, after, strict=True)]
            low, high = interval(moves, error) if math.isfinite(error) else (math.nan, math.nan)
            found.append(
                {"backbone": backbone, "task": task, "dataset": name, **_before(before[0], errors[0]),
                 **spread("after", after, errors[1]), "change": sum(moves) / len(moves), "change_low": low, "change_high": high,
                 "clear": bool(low > 0 or high < 0), "seeds": len(pairs), "planned": len(rows),
                 "images": _images(str(counts.get(name, "")))}
            )  # fmt: skip
    ends = ["before_low", "before_high", "after_low", "after_high"]
    frame = pd.DataFrame(found, columns=[*COLUMNS, "change_low", "change_high", "clear", "seeds", "planned", "images"])
    return frame.assign(**frame[ends].astype(float).clip(0, 100))


def _images(counts: str) -> str:
    """`240 images` of what a result counted, the ones that were tested."""
    return next((each for each in counts.split(", ") if each.endswith((" images", " test_images"))), "").replace(
        "test_", ""
    )


def _before(value: float, error: float) -> dict[str, float]:
    return {"before": value, "before_low": value - Z95 * error, "before_high": value + Z95 * error}


def _drawn(comparison: Comparison, frame: pd.DataFrame, words: str) -> Plate:
    parts = cells(frame)
    across = 1 if len(parts) == 1 else 2
    tall = max(2.8, 0.8 + 0.2 * max(len(rows) for rows in parts))
    figure = Plate(comparison, (WIDTH, tall * -(-len(parts) // across)))
    for axis, rows in zip(panels(figure, len(parts), across, sharey=True), parts, strict=True):
        for _, row in rows.iterrows():
            _slope(figure, axis, row)
        axis.set_title(cell_name(str(rows["backbone"].iloc[0]), str(rows["task"].iloc[0])))
        axis.set_xlim(-0.12, 1.9 if across == 2 else 1.5)
        axis.set_xticks([0, 1], ["before", "after"])
        axis.tick_params(axis="x", length=0)
    figure.axes[0].set_ylabel(f"{words} accuracy, %")
    figure.draw_without_rendering()  # limits are known from here on
    for axis, rows in zip(figure.axes, parts, strict=False):
        _names(figure, axis, rows, 0.2 / tall)
    handles = [
        Line2D([], [], color=colour, linestyle=stroke, label=label, marker="o", markersize=4)
        for label, colour, stroke in (
            ("fell", WORSE, STROKES[0]), ("rose", BETTER, STROKES[0]), ("interval of the change holds 0", SOFT, STROKES[2]),
        )
    ]  # fmt: skip
    legend_below(figure, handles)
    return figure


def _look(row: pd.Series) -> tuple[str, object]:
    if not row["clear"]:
        return SOFT, STROKES[2]
    return (WORSE if row["change"] < 0 else BETTER), STROKES[0]


def _slope(figure: Plate, axis: Axes, row: pd.Series) -> None:
    colour, stroke = _look(row)
    name, sides = row["dataset"], (("before", 0.0), ("after", 1.0))
    for side, place in sides:
        if not math.isnan(row[f"{side}_low"]):
            ends = [row[f"{side}_low"], row[f"{side}_high"]]
            figure.tell(axis.plot([place] * 2, ends, color=colour, linewidth=3.5, alpha=0.22, zorder=1)[0], name)
    line = axis.plot(
        [0, 1],
        [row["before"], row["after"]],
        color=colour,
        linestyle=stroke,
        linewidth=1.5,
        marker="o",
        markersize=4,
        zorder=2,
    )[0]
    figure.tell(line, name, tip_of(row))


def _names(figure: Plate, axis: Axes, rows: pd.DataFrame, tall: float) -> None:
    """Each set's name and change at the end of its line, apart from the others."""
    places = apart([(1.0, float(value)) for value in rows["after"]], axis, tall * 0.92)
    for (_, row), (_, up) in zip(rows.iterrows(), places, strict=True):
        colour = _look(row)[0]
        figure.tell(axis.plot([1.03, 1.1], [row["after"], up], color=colour, linewidth=0.5)[0], row["dataset"])
        label = f"{short(row['dataset'], 18)} {moved(row['change'])}"
        figure.tell(axis.text(1.12, up, label, fontsize=8, va="center", color="#22272e"), row["dataset"])


def tip_of(row: pd.Series) -> str:
    """What a slope says."""
    before = told(row["before"], row["before_low"], row["before_high"], 1)
    after = told(row["after"], row["after_low"], row["after_high"], 1)
    images = f"; {row['images']}" if row["images"] else ""
    change = f"{moved(row['change'])} points"
    if not math.isnan(row["change_low"]):
        change += f" ({moved(row['change_low'])} to {moved(row['change_high'])})"
    return (
        f"{row['dataset']}, {cell_name(row['backbone'], row['task'])}: {before} % before, {after} % after, {change}; "
        f"{seeds_of(row['seeds'], row['planned'])}{images}"
    )


def _alt(frame: pd.DataFrame) -> str:
    worst, best = frame.loc[frame["change"].idxmin()], frame.loc[frame["change"].idxmax()]
    ends = [
        f"{row['dataset']} ({cell_name(row['backbone'], row['task'])}: {moved(row['change'])} points, to {row['after']:.1f} %)"
        for row in (worst, best)
    ]
    fell = int((frame["clear"] & (frame["change"] < 0)).sum())
    rose = int((frame["clear"] & (frame["change"] > 0)).sum())
    return f"Of {len(frame)} slopes {fell} clearly fall and {rose} clearly rise. Lowest change: {ends[0]}; highest: {ends[1]}."


SLOPES = Picture(
    "slopes",
    "Before and after, by data set",
    "Accuracy on each general data set before and after fine-tuning without a remedy; means over seeds, bars are 95 % intervals. A line is "
    "coloured where the interval of its change does not hold 0, each set looked at alone and both sides taken as independent, which errs "
    "on the wide side.",
    slopes,
)
