"""What stands against each other at equal gain: for each backbone and task every approach (adaptation and kind of remedy), as paths of
(gain, kept) points, a path a seed, with the setting of it that validation data chose.

Decisions. A trained approach's path is its forgetting curve. A merge has none, and what keeps an average of weights has one of other
weights than it keeps: the ends of its trials are its points, by rising gain, behind the untouched backbone. Where a merge's end was watched
too, its place is on validation data like that of any other; else gain and kept are those of its results, gain over the largest of the
backbone and task, and none of its settings is chosen: only test data could.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from gelo.analysis.compare import Comparison
from gelo.analysis.curves import Curve
from gelo.analysis.equal_gain import HEADLINE, Vector
from gelo.analysis.finding import groups
from gelo.analysis.kept import Kept
from gelo.analysis.labels import NONE
from gelo.analysis.paths import Contender, Path
from gelo.analysis.resampling import DRAWS, normal, resampled

UNWATCHED = "no forgetting curve was kept"


def contenders(comparison: Comparison) -> list[Contender]:
    """Of every backbone and task that has a forgetting curve, in the order of the tables; [] for a sweep without curves."""
    trained = comparison.runs.trials[comparison.runs.trials["task"] != NONE]
    kept = Kept(comparison)
    cells = [_Cell(comparison, kept, rows) for _, rows in groups(trained, ["backbone", "task"])]
    return [contender for cell in cells if cell.curves for contender in cell.contenders()]


class _Cell:
    """The trials of one backbone and task."""

    def __init__(self, comparison: Comparison, kept: Kept, rows: pd.DataFrame) -> None:
        self.comparison, self.kept, self.rows, keys = comparison, kept, rows, [str(key) for key in rows["trial"]]
        self.curves = {key: curve for key in keys if (curve := comparison.runs.curves.get(key)) is not None}
        self.gains = {key: comparison.gain(key) for key in keys}
        settings = [each["trial"].tolist() for _, each in groups(rows, ["adaptation", "remedy"])]
        self.best = max((best for each in settings if (best := self._watched(each)) is not None), default=math.nan)
        tested = [float(np.mean([self.gains[key] for key in each])) for each in settings]
        self.best_tested = max((gain for gain in tested if not math.isnan(gain)), default=math.nan)

    def _watched(self, keys: Sequence[str]) -> float | None:
        """The largest validation gain of a setting at one look, as the mean over its seeds: that of one seed would be chosen for its noise.
        None where a seed was not looked at."""
        curves = [curve for key in keys if (curve := self.curves.get(key)) is not None and curve.metric]
        if not curves or len(curves) < len(keys):
            return None
        looks = min(len(curve.points) for curve in curves)
        means = np.mean([_gained(curve)[:looks] for curve in curves], axis=0)
        return float(np.nanmax(np.append(means, 0.0)))

    def contenders(self) -> Iterator[Contender]:
        for (adaptation, kind), rows in groups(self.rows, ["adaptation", "remedy_kind"]):
            ends = any(len(sources) for sources in rows["sources"]) or not rows["curved"].all()
            yield self._ends(adaptation, kind, rows) if ends else self._trained(adaptation, kind, rows)

    def _trained(self, adaptation: str, kind: str, rows: pd.DataFrame) -> Contender:
        """One whose trials train: of its settings the one that keeps most validation accuracy at `HEADLINE` of the best gain, of those all
        of whose seeds reach it; where none does, the one that gains most on the validation metric."""
        settings = []
        for (remedy,), each in groups(rows, ["remedy"]):
            paths = self._paths(each)
            why = self._lacking(each, each["seed"].isin(list(paths)).tolist(), "seeds")
            settings.append(Contender(*_place(each), adaptation, kind, remedy, _by_seed(each), False, paths, why=why))
        chosen = max(settings, key=_standing)
        return replace(chosen, everything=_together([setting.paths for setting in settings]))

    def _ends(self, adaptation: str, kind: str, rows: pd.DataFrame) -> Contender:
        """One that no curve leads to: the ends of its trials."""
        whose = " ".join((*_place(rows), adaptation, kind))
        ends = {
            str(row["trial"]): self._end(str(row["trial"]), bool(row["curved"]), whose) for _, row in rows.iterrows()
        }
        paths = {}
        for seed, each in rows.groupby("seed", sort=True):
            known = sorted((end for key in each["trial"] if (end := ends[str(key)])), key=lambda end: end.gain[0])
            if known:
                start = Path(np.zeros(1), np.ones(1), np.ones((DRAWS, 1)), np.ones(1))
                for end in known:
                    start = start.also(end)
                paths[int(str(seed))] = start
        settings = {remedy: each for (remedy,), each in groups(rows, ["remedy"])}
        standing = {
            remedy: _end_standing([ends[str(key)] for key in each["trial"]]) for remedy, each in settings.items()
        }
        why = self._lacking(rows, [ends[str(key)] is not None for key in rows["trial"]], "trials")
        if len(settings) == 1:
            best = next(iter(settings))
        elif all(standing.values()):
            best = max(settings, key=lambda remedy: standing[remedy] or (False, 0.0))
        else:
            told = f"{kind}({len(settings)} settings)"
            return Contender(*_place(rows), adaptation, kind, told, {}, True, paths, paths, why)
        return Contender(*_place(rows), adaptation, kind, best, _by_seed(settings[best]), True, paths, paths, why)

    def _paths(self, rows: pd.DataFrame) -> dict[int, Path]:
        found = {}
        for _, row in rows.iterrows():
            curve = self.curves.get(str(row["trial"]))
            if curve is not None and self._speaks(curve):
                found[int(row["seed"])] = self._path(curve)
        return found

    def _path(self, curve: Curve) -> Path:
        """Over the points that have both numbers: a tower whose weights are no longer finite has none."""
        whole = curve.points[["task", "test"]].notna().all(axis=1).to_numpy()
        points, drawn = curve.points[whole], resampled(curve)
        test, validation = points["test"].to_numpy(), points["validation"].to_numpy()
        draws = np.full((DRAWS, len(points)), np.nan) if drawn is None else drawn[:, whole] / drawn[:, :1]
        chosen = None if np.isnan(validation).any() or validation[0] <= 0 else validation / validation[0]
        least = 1 / (test[0] * max(1, sum(curve.sets.values())))
        return Path(_gained(curve)[whole] / self.best, test / test[0], draws, chosen, least)

    def _end(self, key: str, curved: bool, whose: str) -> Path | None:
        """The one point of a trial; None where nothing of it is known. curved: its own curve, if it has one, ends there. whose: the
        approach; where scores by image are not kept its points are taken to err alike, and independently of those of another."""
        curve = self.curves.get(key) if curved else None
        if curve is not None and self._speaks(curve):
            path = self._path(curve)
            chosen = None if path.chosen is None else path.chosen[-1:]
            return Path(path.gain[-1:], path.kept[-1:], path.draws[:, -1:], chosen, path.least)
        general = self.comparison.general["zero_shot"]
        gain, kept, error = self.gains[key], float(general.gelo[key]), float(general.gelo_error[key])
        if math.isnan(gain) or math.isnan(kept) or not self.best_tested > 0:
            return None
        drawn = self.kept.draws(key)
        draws, least = (kept + error * normal(whose), 0.0) if drawn is None else (drawn, self.kept.least([key]))
        return Path(np.array([gain / self.best_tested]), np.array([kept]), draws[:, None], None, least)

    def _speaks(self, curve: Curve) -> bool:
        first = curve.points.iloc[0]
        return bool(curve.metric and self.best > 0 and first["test"] > 0 and not math.isnan(first["task"]))

    def _lacking(self, rows: pd.DataFrame, known: Sequence[bool], what: str) -> str:
        """Why those of the trials that are not known are not, "" where all are."""
        lacking = rows[[not each for each in known]]
        if lacking.empty:
            return ""
        why = self._why(lacking)
        return why if len(rows) == 1 or len(lacking) == len(rows) else f"{len(lacking)} of {len(rows)} {what}: {why}"

    def _why(self, rows: pd.DataFrame) -> str:
        """Why these trials have nothing to show."""
        if not rows["trained"].all():
            return "not trained"
        if not any(curve.metric for curve in self.curves.values()):
            return "the task has no validation metric here, so no gain to be equal in"
        if not self.best > 0:
            return "no trial of this backbone gained on the task's validation metric"
        if any(len(sources) for sources in rows["sources"]) or not rows["curved"].all():
            return "no curve leads to what is kept, and results of its task and of the general sets are missing"
        watched = all(str(key) in self.curves for key in rows["trial"])
        return "the untouched backbone has no value on its curve" if watched else UNWATCHED


def _gained(curve: Curve) -> Vector:
    task: Vector = curve.points["task"].to_numpy(float)
    return task - task[0]


def _place(rows: pd.DataFrame) -> tuple[str, str]:
    return str(rows["backbone"].iloc[0]), str(rows["task"].iloc[0])


def _by_seed(rows: pd.DataFrame) -> dict[int, str]:
    return {int(row["seed"]): str(row["trial"]) for _, row in rows.iterrows()}


def _standing(setting: Contender) -> tuple[bool, bool, float]:
    """By which settings are ordered: validation data alone. First those whose every seed is there and reaches `HEADLINE`, by what they
    keep there."""
    kept = setting.kept_on_validation(HEADLINE)
    if kept >= 0:
        return not setting.why, True, kept
    return (
        not setting.why,
        False,
        float(np.mean([path.gain.max() for path in setting.paths.values()])) if setting.paths else -1.0,
    )


def _end_standing(ends: list[Path | None]) -> tuple[bool, float] | None:
    """The same of a merge's setting, whose seeds have a point each; None unless all of them were watched."""
    known = [end for end in ends if end is not None]
    if not known or any(end.chosen is None for end in known):
        return None
    gain = float(np.mean([end.gain[0] for end in known]))
    kept = float(np.mean([end.chosen[0] for end in known if end.chosen is not None]))
    return (True, kept) if gain >= HEADLINE else (False, gain)


def _together(paths: Sequence[Mapping[int, Path]]) -> dict[int, Path]:
    together: dict[int, Path] = {}
    for each in paths:
        for seed, path in each.items():
            together[seed] = together[seed].also(path) if seed in together else path
    return together
