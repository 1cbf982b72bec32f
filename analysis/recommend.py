"""Which trial to take: of each backbone and task the setting that is best under a constraint by validation images, and its figures on test
images.

Choosing and telling are kept apart: validation images choose, test images tell what the choice is worth, so the figures are not the higher
for having been chosen by. The runners-up are those that meet the constraint too. Each is compared with the chosen one on the same test
images and seeds (`winner.Contest`); all intervals hold together (Bonferroni over all comparisons of the answers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from upath import UPath

from gelo.analysis.candidates import Candidate, Cell, cells
from gelo.analysis.compare import Comparison
from gelo.analysis.resampling import Measure
from gelo.analysis.tested import NO_FIGURE, SUITE, Figure, Tests, figure
from gelo.analysis.winner import Contest
from gelo.models.faults import Fault, UserError

Told = Literal["not told apart", "less", "more", "not compared"]
_DIGITS = 9


def above(value: float, limit: float) -> float:
    """value - limit, and 0 where only the float makes a difference: 0.9 - 0.8 is no tenth."""
    return round(value - limit, _DIGITS)


@dataclass(frozen=True)
class Constraint:
    """keep: the share of zero-shot accuracy that must remain, and then most gain is wanted; gain: the points that must be gained, and then
    most kept is wanted. One of the two is None."""

    keep: float | None = None
    gain: float | None = None

    def __post_init__(self) -> None:
        given = [name for name, value in vars(self).items() if value is not None]
        if len(given) != 1:
            found = "neither --keep nor --gain" if not given else "--keep and --gain"
            raise UserError(
                "recommend", Fault("the constraint", found, "one of them", "such as --keep 0.95 or --gain 10")
            )
        if self.keep is not None and not 0 < self.keep <= 1:
            raise UserError(
                "recommend", Fault("--keep", f"{self.keep:g}", "a share above 0, at most 1", "such as 0.95")
            )
        if self.gain is not None and not (0 < self.gain <= 100):
            raise UserError("recommend", Fault("--gain", f"{self.gain:g}", "points above 0, at most 100", "such as 10"))

    def held(self, gain: float, kept: float) -> float:
        """By how much the constrained one is above what was asked; below 0: not met."""
        return above(kept, self.keep) if self.keep is not None else above(gain, self.gain or 0.0)

    def wanted(self, gain: float, kept: float) -> float:
        """The one of which most is wanted."""
        return gain if self.keep is not None else kept

    def order(self, gain: float, kept: float) -> tuple[bool, float, float]:
        """Best last: those that meet it by what is wanted, then by the other; those that do not by how near they are."""
        held = self.held(gain, kept)
        return (True, self.wanted(gain, kept), held) if held >= 0 else (False, held, self.wanted(gain, kept))


@dataclass(frozen=True)
class Runner:
    """One that meets the constraint too. difference, low, high: chosen minus it on test images, in the wanted one's unit; None where that
    is not known. told: what the interval says of it beside the chosen one; why: why it was not compared."""

    candidate: Candidate
    told: Told
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Answer:
    """Of one backbone and task. chosen: the setting, None where none meets the constraint, and then `nearest`, None where nothing can be
    chosen at all. seed: the one of its trials to take. meeting: how many settings meet it, of those in `cell`. gain, kept: on test
    images. alike: those whose validation figures are the same to the last digit."""

    cell: Cell
    chosen: Candidate | None = None
    nearest: Candidate | None = None
    seed: int = 0
    meeting: int = 0
    gain: Figure = NO_FIGURE
    kept: Figure = NO_FIGURE
    runners: tuple[Runner, ...] = ()
    alike: tuple[str, ...] = ()

    @property
    def trial(self) -> str:
        """The key of the trial to take; "" for none."""
        return self.chosen.trials[self.seed] if self.chosen is not None else ""


@dataclass(frozen=True)
class Advice:
    """The answers, best first: by what is wanted on validation images, then those without one. comparisons: over which all intervals of
    runners-up hold together. points: by task, whether its test metric is a share, so that its gain is in points as on validation images."""

    sweep: str
    constraint: Constraint
    answers: tuple[Answer, ...]
    comparisons: int
    miniature: str
    points: dict[str, bool]

    @property
    def met(self) -> bool:
        return any(answer.chosen is not None for answer in self.answers)


def recommend(
    comparison: Comparison, root: UPath, constraint: Constraint, task: str | None = None, backbone: str | None = None
) -> Advice:
    """root: the sweep's folder, where per-image scores lie. Raises UserError for a name that the sweep has not, and where nothing was kept
    by which a trial could be chosen."""
    tests = Tests(comparison, root)
    ranked = [(cell, _ranked(cell, constraint)) for cell in cells(comparison, task, backbone)]
    comparisons = sum(max(0, len(_meeting(each, constraint)) - 1) for _, each in ranked)
    answers = [_answer(cell, each, constraint, tests, comparisons) for cell, each in ranked]
    answers.sort(key=lambda answer: _standing(answer, constraint), reverse=True)
    points = {cell.task: comparison.factor(cell.task) == 100 for cell, _ in ranked}
    return Advice(comparison.runs.sweep, constraint, tuple(answers), comparisons, comparison.runs.miniature, points)


def _ranked(cell: Cell, constraint: Constraint) -> list[Candidate]:
    """Best first; of two that are alike in all the one whose name comes first."""
    named = sorted(cell.candidates, key=lambda each: each.name)
    return sorted(named, key=lambda each: constraint.order(each.gain, each.share), reverse=True)


def _meeting(ranked: Sequence[Candidate], constraint: Constraint) -> list[Candidate]:
    return [each for each in ranked if constraint.held(each.gain, each.share) >= 0]


def _standing(answer: Answer, constraint: Constraint) -> tuple[int, float]:
    best = answer.chosen or answer.nearest
    if best is None:
        return 0, 0.0
    return (
        (2, constraint.wanted(best.gain, best.share)) if answer.chosen else (1, constraint.held(best.gain, best.share))
    )


def _answer(cell: Cell, ranked: list[Candidate], constraint: Constraint, tests: Tests, comparisons: int) -> Answer:
    meeting = _meeting(ranked, constraint)
    if not meeting:
        return Answer(cell, nearest=ranked[0] if ranked else None)
    chosen = meeting[0]
    seed = max(sorted(chosen.trials), key=lambda each: constraint.order(chosen.gains[each], chosen.kept[each]))
    measures = (tests.gains if constraint.keep is not None else tests.kept)(meeting)
    other = (tests.kept if constraint.keep is not None else tests.gains)([chosen])[0]
    gain, kept = (measures[0], other) if constraint.keep is not None else (other, measures[0])
    keys, general = list(chosen.trials.values()), tests.comparison.general[SUITE]
    errors = (
        sum(tests.comparison.gain_error(key) for key in keys) / len(keys),
        sum(float(general.gelo_error[key]) for key in keys) / len(keys),
    )
    alike = tuple(each.name for each in meeting[1:] if (each.gain, each.share) == (chosen.gain, chosen.share))
    return Answer(
        cell, chosen, None, seed, len(meeting), figure(gain, errors[0]), figure(kept, errors[1]),
        _runners(cell, meeting, measures, comparisons), alike,
    )  # fmt: skip


def _runners(
    cell: Cell, meeting: Sequence[Candidate], measures: Sequence[Measure | str], comparisons: int
) -> tuple[Runner, ...]:
    """Every other one that meets the constraint, beside the first."""
    first = measures[0]
    known = [place for place, each in enumerate(measures) if _beside(each, first)]
    contest = Contest(
        cell.where, 1.0, tuple(meeting[place].name for place in known),
        tuple(each for place in known if isinstance(each := measures[place], Measure)), (),
    )  # fmt: skip
    runners = []
    for place, (candidate, measure) in enumerate(zip(meeting, measures, strict=True)):
        if not place:
            continue
        if place not in known or 0 not in known:
            why = (
                measure if isinstance(measure, str) else first if isinstance(first, str) else "trained with other seeds"
            )
            runners.append(Runner(candidate, "not compared", why=why))
            continue
        middle, low, high = contest.difference(0, known.index(place), 0.05 / comparisons)
        if math.isnan(low):
            runners.append(Runner(candidate, "not compared", middle, why="no scores are kept on the same test images"))
            continue
        told: Told = "less" if low > 0 else "more" if high < 0 else "not told apart"
        runners.append(Runner(candidate, told, middle, low, high))
    return tuple(runners)


def _beside(one: Measure | str, first: Measure | str) -> bool:
    """Whether the two can be compared seed by seed."""
    return isinstance(one, Measure) and isinstance(first, Measure) and set(one.values) == set(first.values)
