"""What settings gained and kept on test images, as measures with draws that all of them share, so that two are compared pair by pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from upath import UPath

from gelo.analysis.candidates import Candidate
from gelo.analysis.compare import Comparison
from gelo.analysis.resampling import DRAWS, Measure, Vector, error_of, interval
from gelo.analysis.scored import Scored, alike, drawn, scored
from gelo.models.faults import UserError
from gelo.models.untrusted import read_model
from gelo.tasks.metricnames import metric_name
from gelo.tasks.protocols import direction, suites
from gelo.tasks.results import Result

SUITE = "zero_shot"
_UNKNOWN = np.full(DRAWS, np.nan)


@dataclass(frozen=True)
class Figure:
    """A number on test images: the mean over seeds with its 95 % interval, whose ends are None where no noise is known; by: each seed's.
    over: what the interval is of, in words. why: why there is no value."""

    value: float | None
    low: float | None = None
    high: float | None = None
    by: Mapping[int, float] | None = None
    over: str = ""
    why: str = ""


NO_FIGURE = Figure(None)


class Tests:
    """The test results of a sweep's trials and what is kept beside them. root: the sweep's folder."""

    def __init__(self, comparison: Comparison, root: UPath) -> None:
        self.comparison, self.root = comparison, root
        rows = comparison.runs.metrics.drop_duplicates(["trial", "metric"])
        self._rows: dict[tuple[str, str], pd.Series] = {
            (row["trial"], row["metric"]): row for _, row in rows.iterrows()
        }

    def gains(self, candidates: Sequence[Candidate]) -> list[Measure | str]:
        """What each gained on its task, in points, + is better; the reason where a seed has none. Of one backbone and task."""
        task = candidates[0].task
        of, factor = self.comparison.measures(task), self.comparison.factor(task)
        sign = factor * (direction(of.after[0]) if of.after else 1)
        values = [{seed: self.comparison.gain(key) for seed, key in each.trials.items()} for each in candidates]
        after, units = self._means([key for each in candidates for key in each.trials.values()], of.after)
        bases = list(
            dict.fromkeys(self.comparison.baseline.get(key, "") for each in candidates for key in each.trials.values())
        )
        before, _ = self._means(bases, of.before)
        draws = {key: sign * (rows - before[self.comparison.baseline.get(key, "")]) for key, rows in after.items()}
        why = "its task or its baseline has no result"
        return _measures(candidates, values, draws, factor / max(1, units), dict.fromkeys(draws, why))

    def kept(self, candidates: Sequence[Candidate]) -> list[Measure | str]:
        """The share of zero-shot accuracy that each kept; the reason where a seed has none."""
        general = self.comparison.general[SUITE]
        names = [metric_name(SUITE, str(name), suites()[SUITE].averaged) for name in general.scores.columns]
        keys = [key for each in candidates for key in each.trials.values()]
        own = {key: self.comparison.baseline.get(key, "") for key in keys}
        drawn_of, units = self._means([*keys, *dict.fromkeys(own.values())], tuple(names))
        values = [{seed: float(general.gelo[key]) for seed, key in each.trials.items()} for each in candidates]
        draws = {key: drawn_of[key] / drawn_of[own[key]] for key in keys}
        base = [float(general.average[key]) for key in dict.fromkeys(own.values()) if key in general.average]
        least = 1 / (min(base) * units) if units and base and min(base) > 0 else 0.0
        return _measures(candidates, values, draws, least, {key: general.why.get(key, "no result yet") for key in keys})

    def _means(self, keys: Sequence[str], metrics: Sequence[str]) -> tuple[dict[str, Vector], int]:
        """(by trial the mean of the metrics on each resample, NaN where it cannot be drawn again; how many units there are in all)."""
        total, units = {key: np.zeros(DRAWS) for key in dict.fromkeys(keys)}, 0
        for metric in metrics:
            known: dict[str, Scored] = {}
            for key in total:
                try:
                    known[key] = self.scored(key, metric)
                except LookupError:
                    total[key] = _UNKNOWN
            if known and not alike(list(known.values())):
                total |= dict.fromkeys(known, _UNKNOWN)
            elif known:
                units += len(next(iter(known.values())).names)
                for key, rows in zip(known, drawn(list(known.values())), strict=True):
                    total[key] = total[key] + rows / len(metrics)
        return (total if metrics else dict.fromkeys(total, _UNKNOWN)), units

    def scored(self, key: str, metric: str) -> Scored:
        """Raises LookupError with the reason."""
        row = self._rows.get((key, metric))
        if row is None:
            raise LookupError("no result")
        folder = self.root / "trials" / key
        try:
            result = read_model(folder / "results" / row["suite"] / f"{row['dataset']}.json", Result)
        except (UserError, OSError) as error:
            raise LookupError(f"its result cannot be read ({type(error).__name__})") from None
        return scored(folder, result, metric)


def figure(found: Measure | str, error: float) -> Figure:
    """error: the standard error of the images where they cannot be drawn again."""
    if isinstance(found, str):
        return Figure(None, why=found)
    drawn_again, own = error_of(found.draws, found.least)
    paired = not math.isnan(drawn_again)
    low, high = interval(list(found.values.values()), *((drawn_again, own) if paired else (error, 0.0)))
    seeds = f" and {len(found.values)} seeds" if len(found.values) > 1 else " alone (one seed)"
    if math.isnan(low):
        return Figure(
            found.value, by=found.values, over="nothing that is known: no scores are kept, and no interval of a seed"
        )
    images = "the test images (paired with the untouched backbone)" if paired else "the test images"
    return Figure(found.value, low, high, found.values, f"{images}{seeds}")


def _measures(
    candidates: Sequence[Candidate],
    values: Sequence[Mapping[int, float]],
    draws: Mapping[str, Vector],
    least: float,
    why: Mapping[str, str],
) -> list[Measure | str]:
    found: list[Measure | str] = []
    for each, own in zip(candidates, values, strict=True):
        lacking = [seed for seed, value in own.items() if math.isnan(value)]
        if lacking:
            reason = why.get(each.trials[lacking[0]], "no result yet")
            found.append(reason if len(own) == 1 else f"{len(lacking)} of {len(own)} seeds: {reason}")
        else:
            found.append(Measure(own, {seed: draws[key] for seed, key in each.trials.items()}, least))
    return found
