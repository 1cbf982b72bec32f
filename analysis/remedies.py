"""Which remedy buys the most back: what it keeps and gains beside fine-tuning without one, with intervals for as many comparisons."""

from __future__ import annotations

import math

import pandas as pd
from scipy.special import ndtri

from gelo.analysis.compare import Comparison
from gelo.analysis.contenders import contenders
from gelo.analysis.finding import Finding, Verdict, groups, signed, spelled
from gelo.analysis.kept import Kept
from gelo.analysis.labels import NONE
from gelo.analysis.orders import orders
from gelo.analysis.winner import Contest, Won, below, contests, told
from gelo.models.words import counted

_NAMED = 3  # of those that are not told apart from the first
TITLE = "Which remedy buys the most back?"


def remedies(comparison: Comparison) -> list[Finding]:
    """One finding, or none for a sweep without a remedy.

    Where forgetting curves were kept, at equal gain (`winner`). Elsewhere by where the trials ended: of each backbone, task and seed the
    trial without a remedy that keeps most is the reference. A remedy is a candidate when it gained no less, and stands first when it keeps
    most of the candidates. All intervals hold together (Bonferroni). What is kept is compared on the same test images where scores by image
    are there (`kept`); where they are not, and what is gained, is taken as independent, which errs on the careful side.
    """
    frame = _measured(comparison)
    frame = frame[frame["task"] != NONE]
    if (frame["remedy_kind"] == NONE).all():
        return []
    kept = Kept(comparison)
    over = orders(kept, frame)
    held = contests(contenders(comparison))
    if any(isinstance(each, Contest) for each in held.values()):
        won = told(held)
        verdict: Verdict = "measured" if won.stands else "cannot be said"
        return [Finding(TITLE, verdict, won.text + over, won.number, won.interval, won.test)]
    unequal = "".join(f" Not at equal gain: {each}" for each in held.values())
    known = frame.dropna(subset=["gelo", "gain"])
    pairs = [
        (cell, rows[rows["remedy_kind"] == NONE], rows[rows["remedy_kind"] != NONE])
        for cell, rows in groups(known, ["backbone", "task", "seed"])
    ]
    pairs = [(cell, plain, treated) for cell, plain, treated in pairs if len(plain) and len(treated)]
    compared = sum(len(treated) for _, _, treated in pairs)
    if not compared:
        return [Finding(TITLE, "cannot be said", f"No remedy is complete beside a trial without one.{unequal}{over}")]
    z = float(ndtri(1 - 0.025 / compared))
    points = {cell[1]: " points" if comparison.factor(cell[1]) == 100 else "" for cell, _, _ in pairs}
    said = [_cell(kept, ", ".join(cell[:2]), plain, treated, z, points[cell[1]]) for cell, plain, treated in pairs]
    together = f" for {counted(compared, 'comparison')} together" if compared > 1 else ""
    text = (
        f"{' '.join(each.text for each in said)} 95 % intervals{together}, from the test images alone.{unequal}{over}"
    )
    first = max(said, key=lambda each: (each.stands, bool(each.number)))
    images = (
        "paired bootstrap of the test images" if _paired(kept, known) else "data sets' intervals, taken as independent"
    )
    test = f"{images}, seeds apart; Bonferroni over {counted(compared, 'comparison')}"
    return [Finding(TITLE, "measured" if first.stands else "cannot be said", text, first.number, first.interval, test)]


def _paired(kept: Kept, known: pd.DataFrame) -> bool:
    return all(kept.draws(str(trial)) is not None for trial in known["trial"])


def _cell(kept: Kept, where: str, plain: pd.DataFrame, treated: pd.DataFrame, z: float, points: str) -> Won:
    """Whether a remedy stands out of the noise, and what is said of one backbone and task."""
    reference = plain.sort_values(["gelo", "name"]).iloc[-1]
    highest = "stands highest," if len(plain) > 1 else "keeps"
    beside = (
        f"without a remedy {reference['name']} {highest} {reference['gelo']:.3f} at {signed(reference['gain'])}{points}"
    )
    candidates = treated[treated["gain"] >= reference["gain"]].sort_values(["gelo", "name"])
    if candidates.empty:
        return Won(False, f"{where}: {beside}; every remedy gives up some of that gain.")
    best = candidates.iloc[-1]
    more, gained = _between(kept, best, reference, "gelo", z), _between(kept, best, reference, "gain", z)
    others = candidates.iloc[:-1]
    level = [row["name"] for _, row in others.iterrows() if not _between(kept, best, row, "gelo", z)[1] > 0]
    stands = "keeps most" if more[1] > 0 and not level else "stands highest"
    number, interval = signed(more[0], 3), "" if math.isnan(more[1]) else _told(more, 3).partition(", ")[2]
    text = (
        f"{where}: {beside}; of the remedies that gained no less, {best['name']} {stands}, {best['gelo']:.3f} "
        f"({_told(more, 3)}) at {signed(best['gain'])} ({_told(gained, 1)})"
    )
    if not more[1] > 0:
        return Won(False, f"{text}: {below(*more[1:])}.", number, interval)
    if not level:
        alone = ", more than every other" if len(others) else ""
        return Won(True, f"{text}{alone}.", number, interval)
    rest = f" and {len(level) - _NAMED} others" if len(level) > _NAMED else ""
    return Won(True, f"{text}; not told apart from {', '.join(level[-_NAMED:][::-1])}{rest}.", number, interval)


def _between(kept: Kept, one: pd.Series, other: pd.Series, column: str, z: float) -> tuple[float, float, float]:
    """(difference, low, high) of two trials; NaN ends where an error is not known."""
    difference = float(one[column] - other[column])
    error = kept.error_between(str(one["trial"]), str(other["trial"])) if column == "gelo" else None
    margin = z * (
        math.hypot(float(one[f"{column}_error"]), float(other[f"{column}_error"])) if error is None else error
    )
    return difference, difference - margin, difference + margin


def _told(interval: tuple[float, float, float], digits: int) -> str:
    if math.isnan(interval[1]):
        return f"{signed(interval[0], digits)}, noise not known"
    return f"{signed(interval[0], digits)}, {signed(interval[1], digits)} to {signed(interval[2], digits)}"


def _measured(comparison: Comparison) -> pd.DataFrame:
    """Trials with what they keep and gain, and the errors of both that their baseline does not share."""
    trials, general = comparison.runs.trials, comparison.general["zero_shot"]
    own = trials["trial"].map(comparison.baseline)
    before = own.map(general.average)
    names = [
        spelled(row["adaptation"]) + ("" if row["remedy_kind"] == NONE else f" + {row['remedy']}")
        for _, row in trials.iterrows()
    ]
    return trials.assign(
        name=names,
        gelo=trials["trial"].map(general.gelo),
        gelo_error=trials["trial"].map(general.average_error) / before,
        gain=[comparison.gain(str(trial)) for trial in trials["trial"]],
        gain_error=[comparison.gain_error(str(trial), both=False) for trial in trials["trial"]],
    )
