"""DET and ROC of each curve of a task, before and after, with bands over what the protocol takes as independent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.special import ndtri

from gelo.analysis.compare import Comparison
from gelo.analysis.finding import groups, spelled
from gelo.analysis.labels import NONE
from gelo.analysis.pictures.bands import DRAWS, Sample, Vector, band, samples
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import FAINT, INK, WIDTH, Look, Plate, legend_below, looks, panels, short
from gelo.analysis.pictures.measured import cell_name, told
from gelo.analysis.scores import result_of, scores_of
from gelo.tasks.protocols import suite_of
from gelo.tasks.training import TASKS

UNTOUCHED = "untouched"
COLUMNS = [
    "backbone",
    "task",
    "curve",
    "name",
    "far",
    "frr",
    "frr_low",
    "frr_high",
    "unit",
    "genuine",
    "impostor",
    "seeds",
]
_MOST_SCORES, _MOST_REMEDIES = 2_000_000, 24
_TICKS = np.array([0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99])
_READ = (0.001, 0.01, 0.1)  # FARs at which a curve says its FRR
_LOOSEST, _POINTS = 0.6, 60


@dataclass(frozen=True)
class Series:
    """One line of every panel. suites: where its scores are, the first that is there; trials: a seed each; banded: with a band."""

    name: str
    trials: tuple[str, ...]
    suites: tuple[str, ...]
    banded: bool


def det(comparison: Comparison) -> Iterator[Drawn]:
    """A picture for each backbone and task: left DET on probit axes, right ROC, a row for each curve of its results."""
    trials = comparison.runs.trials
    for (task, backbone), rows in groups(trials[trials["task"] != NONE], ["task", "backbone"]):
        if task not in TASKS or comparison.runs.folder is None:
            continue
        series, left_out = _series(comparison, task, rows)
        frame = rates(comparison, backbone, task, series)
        if not frame.empty and frame["name"].nunique() > 1:
            note = f"Of the remedies {left_out} are left out." if left_out else ""
            units = sorted(set(frame.loc[frame["unit"] != "", "unit"]))
            without = sorted(set(frame.loc[(frame["unit"] == "") & frame["name"].isin(_banded(series)), "curve"]))
            bands = (
                f"Bands: 2.5 to 97.5 % of {DRAWS} resamples by {' and '.join(units)}; seeds are averaged."
                if units
                else ""
            )
            lacking = (
                f"No band where the scores do not name what is resampled: {', '.join(without)}." if without else ""
            )
            said = " ".join(filter(None, (bands, lacking, note)))
            yield Drawn(_drawn(comparison, frame, series), _alt(frame), frame, cell_name(backbone, task), said)


def rates(comparison: Comparison, backbone: str, task: str, series: list[Series]) -> pd.DataFrame:
    """A row a curve, series and FAR: FRR (BPCER) as the mean over seeds, with the ends of its band, NaN where there is none."""
    metrics = comparison.runs.metrics
    found: list[pd.DataFrame] = []
    for each in series:
        own = metrics[metrics["trial"].isin(each.trials)]
        suite = next((name for name in each.suites if (own["suite"] == name).any()), "")
        for dataset in dict.fromkeys(own.loc[own["suite"] == suite, "dataset"]):
            for part, of in _by_part(comparison, each, suite, str(dataset)).items():
                found.append(_rates(each, backbone, task, part, of))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def _rates(each: Series, backbone: str, task: str, part: str, of: list[Sample]) -> pd.DataFrame:
    far = _grid(min(len(one.impostor) for one in of))
    bare = of if each.banded else [Sample(one.part, one.genuine, one.impostor) for one in of]
    frr, low, high = band(bare, far)
    values = {"far": far, "frr": frr, "frr_low": low, "frr_high": high}
    same = {"backbone": backbone, "task": task, "curve": part, "name": each.name, "unit": bare[0].unit}
    counts = {"genuine": len(of[0].genuine), "impostor": len(of[0].impostor), "seeds": len(of)}
    return pd.DataFrame(values).assign(**same, **counts)[COLUMNS]


def _by_part(comparison: Comparison, each: Series, suite: str, dataset: str) -> dict[str, list[Sample]]:
    """The samples of all seeds by curve; none of a result of more than `_MOST_SCORES` scores."""
    found: dict[str, list[Sample]] = {}
    for trial in each.trials:
        result = result_of(comparison.runs, trial, suite, dataset)
        if result is None or sum(result.counts.values()) > _MOST_SCORES:
            continue
        table = scores_of(comparison.runs, trial, suite, dataset)
        for sample in samples(result, table) if table is not None else ():
            found.setdefault(sample.part if sample.part == dataset else f"{dataset}, {sample.part}", []).append(sample)
    return found


def _series(comparison: Comparison, task: str, rows: pd.DataFrame) -> tuple[list[Series], int]:
    """The untouched backbone, what was trained without a remedy, and up to so many remedies; how many of these are left out."""
    own = TASKS[task].suite
    before = suite_of(own).before or own
    bases = tuple(dict.fromkeys(comparison.baseline[key] for key in rows["trial"] if key in comparison.baseline))
    found, remedies = [Series(UNTOUCHED, bases, (before,), True)], []
    for (way, remedy), each in groups(rows, ["adaptation", "remedy"]):
        keys = tuple(each["trial"])
        if remedy == NONE:
            found.append(Series(spelled(way), keys, (own,), True))
        else:
            remedies.append(Series(f"{spelled(way)} + {remedy}", keys, (own,), False))
    return [*found, *remedies[:_MOST_REMEDIES]], max(0, len(remedies) - _MOST_REMEDIES)


def _banded(series: list[Series]) -> list[str]:
    return [each.name for each in series if each.banded]


def _grid(impostors: int) -> Vector:
    """FARs evenly apart on a probit axis, from half of what one impostor is worth; with those that are read."""
    lowest = max(0.5 / impostors, 1e-6)
    steps = np.linspace(float(ndtri(lowest)), float(ndtri(_LOOSEST)), _POINTS)
    within = [far for far in _READ if far * impostors >= 1]
    cumulative = np.array([0.5 * (1 + math.erf(step / math.sqrt(2))) for step in steps])
    return np.unique(np.concatenate([cumulative, within]))


def _drawn(comparison: Comparison, frame: pd.DataFrame, series: list[Series]) -> Plate:
    curves, named = list(dict.fromkeys(frame["curve"])), looks(_banded(series))
    figure = Plate(comparison, (WIDTH, 2.75 * len(curves)))
    axes = panels(figure, 2 * len(curves), 2)
    for place, curve in enumerate(curves):
        rows, pair = frame[frame["curve"] == curve], axes[2 * place : 2 * place + 2]
        for axis, probit in zip(pair, (True, False), strict=True):
            for name, of in rows.groupby("name", sort=False):
                _curve(figure, axis, of, named.get(str(name)), probit=probit)
            _axes(axis, rows, probit=probit)
        pair[0].set_title(short(curve, 30), loc="left")
    handles = [Line2D([], [], color=_colour(name, own), linestyle=own.stroke, linewidth=2, marker=own.marker, markersize=5,
                      label=short(name)) for name, own in named.items()]  # fmt: skip
    if frame["name"].nunique() > len(named):
        handles.append(Line2D([], [], color=FAINT, linewidth=1.2, label="a remedy each"))
    legend_below(figure, handles)
    return figure


def _colour(name: str, own: Look | None) -> str:
    return FAINT if own is None else INK if name == UNTOUCHED else own.colour


def _curve(figure: Plate, axis: Axes, rows: pd.DataFrame, own: Look | None, *, probit: bool) -> None:
    """One line, its band, and marks at the FARs that are read."""
    name, first = str(rows["name"].iloc[0]), rows.iloc[0]
    floor = 0.5 / first["genuine"]

    def up(values: pd.Series, ends: bool = False) -> Vector:
        """On the axis; ends: nothing where no miss is left, which a normal deviate does not hold."""
        shares = values.to_numpy(float)
        placed = ndtri(np.clip(shares, floor, 1 - floor)) if probit else 1 - shares
        return np.where(shares > 0, placed, np.nan) if probit and ends else placed

    x = ndtri(rows["far"].to_numpy()) if probit else rows["far"].to_numpy()
    colour, stroke = _colour(name, own), "-" if own is None else own.stroke
    width = 0.9 if own is None else 1.7
    counts = (
        f"{first['genuine']:,} against {first['impostor']:,}, {first['seeds']} seed{'s' if first['seeds'] != 1 else ''}"
    )
    line = axis.plot(
        x, up(rows["frr"], ends=True), color=colour, linestyle=stroke, linewidth=width, zorder=2 if own else 1
    )[0]
    figure.tell(line, name, f"{name}, {first['curve']}: {counts}")
    if rows["frr_low"].notna().all():
        area = axis.fill_between(x, up(rows["frr_low"]), up(rows["frr_high"]), color=colour, alpha=0.16, linewidth=0)
        figure.tell(area, name)
    for place, (_, row) in enumerate(rows.iterrows()):
        if own is not None and any(math.isclose(row["far"], far) for far in _READ):
            dot = axis.plot(
                x[place], up(rows["frr"], ends=True)[place], color=colour, marker=own.marker, markersize=5, zorder=3
            )[0]
            frr = told(100 * row["frr"], 100 * row["frr_low"], 100 * row["frr_high"], 1)
            figure.tell(dot, name, f"{name}, {row['curve']}: FRR {frr} % at FAR {100 * row['far']:g} %; {counts}")


def _axes(axis: Axes, rows: pd.DataFrame, *, probit: bool) -> None:
    lowest = float(rows["far"].min())
    if probit:
        low, high = axis.get_ylim()
        for which, start, end in ((axis.xaxis, ndtri(lowest), ndtri(_LOOSEST)), (axis.yaxis, low, high)):
            shown = [tick for tick in _TICKS if start <= ndtri(tick) <= end]
            which.set_ticks(ndtri(shown), [f"{100 * tick:g}" for tick in shown])
        axis.set_xlim(ndtri(lowest), ndtri(_LOOSEST))
        axis.set_ylim(low, high)
        axis.set_ylabel("FRR (BPCER), %")
    else:
        axis.set_xscale("log")
        axis.set_xlim(lowest, _LOOSEST)
        axis.set_xticks([far for far in (1e-4, 1e-3, 1e-2, 1e-1) if far >= lowest], minor=False)
        axis.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
        axis.set_ylim(-0.02, 1.02)
        axis.set_ylabel("TAR, share accepted")
    axis.minorticks_off()
    axis.set_xlabel("FAR (APCER), %")
    axis.grid()


def _alt(frame: pd.DataFrame) -> str:
    """At the strictest FAR that is read of the first curve."""
    curve = frame["curve"].iloc[0]
    rows = frame[
        (frame["curve"] == curve) & frame["far"].map(lambda far: any(math.isclose(far, each) for each in _READ))
    ]
    start = f"{frame['name'].nunique()} lines in {frame['curve'].nunique()} pairs of panels."
    if rows.empty:
        return start
    shared = rows.groupby("far")["name"].nunique()
    far = float(shared[shared == shared.max()].index.min())
    at = rows[rows["far"] == far]
    low, high = at.loc[at["frr"].idxmin()], at.loc[at["frr"].idxmax()]
    ends = [f"{100 * row['frr']:.1f} % ({row['name']})" for row in (low, high)]
    return f"{start} On {curve} at a FAR of {100 * far:g} % the lowest FRR is {ends[0]}, the highest {ends[1]}."


DET = Picture(
    "det",
    "Detection errors",
    "Left DET on normal deviates, right ROC: misses over false acceptances, of the untouched backbone and after fine-tuning. The lines "
    "begin at half of what one impostor is worth, and end where nothing is missed. Grey: a remedy each.",
    det,
)
