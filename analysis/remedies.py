"""Which remedy buys the most back: what it keeps and gains beside fine-tuning without one, with intervals for as many comparisons."""

from __future__ import annotations

import math

import pandas as pd
from scipy.special import ndtri

from gelo.analysis.compare import Comparison
from gelo.analysis.contenders import contenders
from gelo.analysis.finding import Finding, groups, signed, spelled
from gelo.analysis.labels import NONE
from gelo.analysis.winner import Contest, contests, told
from gelo.models.words import counted

_NAMED = 3  # of those that are not told apart from the first
TITLE = "Which remedy buys the most back?"


def remedies(comparison: Comparison) -> list[Finding]:
    """One finding, or none for a sweep without a remedy.

    Where forgetting curves were kept, at equal gain (`winner`). Elsewhere by where the trials ended: of each backbone, task and seed the
    trial without a remedy that keeps most is the reference. A remedy is a candidate when it gained no less, and stands first when it keeps
    most of the candidates. All intervals hold together (Bonferroni). The test images are the same on both sides, but are taken as
    independent: this errs on the careful side.
    """
    frame = _measured(comparison)
    frame = frame[frame["task"] != NONE]
    if (frame["remedy_kind"] == NONE).all():
        return []
    held = contests(contenders(comparison))
    if any(isinstance(each, Contest) for each in held.values()):
        won, text = told(held)
        return [Finding(TITLE, "measured" if won else "cannot be said", text)]
    unequal = "".join(f" Not at equal gain: {each}" for each in held.values())
    known = frame.dropna(subset=["gelo", "gain"])
    pairs = [
        (cell, rows[rows["remedy_kind"] == NONE], rows[rows["remedy_kind"] != NONE])
        for cell, rows in groups(known, ["backbone", "task", "seed"])
    ]
    pairs = [(cell, plain, treated) for cell, plain, treated in pairs if len(plain) and len(treated)]
    compared = sum(len(treated) for _, _, treated in pairs)
    if not compared:
        return [Finding(TITLE, "cannot be said", f"No remedy is complete beside a trial without one.{unequal}")]
    z = float(ndtri(1 - 0.025 / compared))
    points = {cell[1]: " points" if comparison.factor(cell[1]) == 100 else "" for cell, _, _ in pairs}
    said = [_cell(", ".join(cell[:2]), plain, treated, z, points[cell[1]]) for cell, plain, treated in pairs]
    together = f" for {counted(compared, 'comparison')} together" if compared > 1 else ""
    text = f"{' '.join(text for _, text in said)} 95 % intervals{together}, from the test images alone.{unequal}"
    return [Finding(TITLE, "measured" if any(found for found, _ in said) else "cannot be said", text)]


def _cell(where: str, plain: pd.DataFrame, treated: pd.DataFrame, z: float, points: str) -> tuple[bool, str]:
    """Whether a remedy stands out of the noise, and what is said of one backbone and task."""
    reference = plain.sort_values(["gelo", "name"]).iloc[-1]
    beside = f"without a remedy {reference['name']} keeps most, {reference['gelo']:.3f} at {signed(reference['gain'])}{points}"
    candidates = treated[treated["gain"] >= reference["gain"]].sort_values(["gelo", "name"])
    if candidates.empty:
        return False, f"{where}: {beside}; every remedy gives up some of that gain."
    best = candidates.iloc[-1]
    kept, gained = _between(best, reference, "gelo", z), _between(best, reference, "gain", z)
    text = (
        f"{where}: {beside}; of the remedies that gained no less, {best['name']} keeps most, {best['gelo']:.3f} "
        f"({_told(kept, 3)}) at {signed(best['gain'])} ({_told(gained, 1)})"
    )
    if not kept[1] > 0:
        return False, f"{text}: within the noise."
    others = candidates.iloc[:-1]
    level = [row["name"] for _, row in others.iterrows() if not _between(best, row, "gelo", z)[1] > 0]
    if not level:
        return True, f"{text}, more than every other."
    more = f" and {len(level) - _NAMED} others" if len(level) > _NAMED else ""
    return True, f"{text}; not told apart from {', '.join(level[-_NAMED:][::-1])}{more}."


def _between(one: pd.Series, other: pd.Series, column: str, z: float) -> tuple[float, float, float]:
    """(difference, low, high) of two trials; NaN ends where an error is not known."""
    difference = float(one[column] - other[column])
    margin = z * math.hypot(float(one[f"{column}_error"]), float(other[f"{column}_error"]))
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
        gain_error=[comparison.gain_error(str(trial)) for trial in trials["trial"]],
    )
