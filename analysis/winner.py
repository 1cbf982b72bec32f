"""Which remedy keeps most at equal gain: the winner of each backbone and task, or the tie that the noise leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gelo.analysis.contrasts import MARGIN
from gelo.analysis.equal_gain import HEADLINE, LEVELS
from gelo.analysis.finding import signed
from gelo.analysis.labels import NONE
from gelo.analysis.paths import Contender
from gelo.analysis.resampling import Measure, Noise, error_of, spanned
from gelo.models.words import counted

NAMED = 3  # of those that are not told apart from the first
_DOWN = [level for level in sorted(LEVELS, reverse=True) if level <= HEADLINE]


@dataclass(frozen=True)
class Contest:
    """The approaches of one backbone and task that have a value at `level`, the first the one without a remedy that stands for all of
    those; short: the names of those that have none."""

    where: str
    level: float
    names: tuple[str, ...]
    measures: tuple[Measure, ...]
    short: tuple[str, ...]

    @property
    def seeds(self) -> list[int]:
        """Those that every one of them has."""
        return sorted(set.intersection(*(set(measure.values) for measure in self.measures)))

    def value(self, place: int) -> float:
        """The mean of one of them over those seeds."""
        return float(np.mean([self.measures[place].values[seed] for seed in self.seeds]))

    def difference(self, one: int, other: int, outside: float) -> tuple[float, float, float]:
        """(difference, low, high) of two of them, `outside` the two-sided share that the interval leaves out.

        On the same seeds and the same resamples of the test images. What is left of the seeds' spread when approaches and seeds have had
        their means is pooled over all approaches (randomised blocks), since two or three seeds say too little of one pair. Where the two
        spread by more than that, their own spread counts, at the freedom of all: an approach that varies more than the others would stand
        out by chance. One seed: the images alone. NaN for the ends where no seed is shared.
        """
        first, second, seeds = self.measures[one], self.measures[other], self.seeds
        if not seeds:
            return first.value - second.value, math.nan, math.nan
        draws = {seed: first.draws[seed] - second.draws[seed] for seed in seeds}
        error, own = error_of(draws, max(first.least, second.least))
        noise = Noise.of([first.values[seed] - second.values[seed] for seed in seeds], error, own)
        freedom = (len(self.measures) - 1) * (len(seeds) - 1)
        if freedom:
            table = np.array([[measure.values[seed] for seed in seeds] for measure in self.measures])
            left = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
            pooled = 2 * float((left**2).sum()) / freedom / len(seeds)
            noise = noise._replace(spread=max(noise.spread, pooled), freedom=freedom)
        return self.value(one) - self.value(other), *spanned(self.value(one) - self.value(other), noise, outside)


def contests(found: Sequence[Contender]) -> dict[tuple[str, str], Contest | str]:
    """By (backbone, task), those with a remedy; why not, where none can be held."""
    cells: dict[tuple[str, str], list[Contender]] = {}
    for each in found:
        cells.setdefault((each.backbone, each.task), []).append(each)
    return {
        cell: _contest(", ".join(cell), members)
        for cell, members in cells.items()
        if any(each.kind != NONE for each in members)
    }


@dataclass(frozen=True, slots=True)
class Won:
    """What is said of all contests. stands: whether a remedy stands out in any. number, interval: how much more the first of the contest
    that is told first keeps than none, one that stands out before others; test: what decided."""

    stands: bool
    text: str
    number: str = ""
    interval: str = ""
    test: str = ""


def told(held: Mapping[tuple[str, str], Contest | str]) -> Won:
    """Whether a remedy stands out anywhere, and what is said of all.

    In each contest every approach is compared with the one without a remedy and with the first. All intervals hold together (Bonferroni),
    and a first that is found among k this way needs k - 1 comparisons, as if it had been named before (Hsu 1981).
    """
    fought = [each for each in held.values() if isinstance(each, Contest)]
    compared = sum(2 * (len(each.names) - 1) for each in fought)
    pieces = [each if isinstance(each, str) else _told(each, 0.05 / compared) for each in held.values()]
    sentences = [piece if isinstance(piece, str) else piece.text for piece in pieces]
    if not fought:
        return Won(False, " ".join(sentences))
    together = f" for {counted(compared, 'comparison')} together" if compared > 1 else ""
    fewest = min(len(each.seeds) for each in fought)
    noise = f"the test images and {fewest} seeds" if fewest > 1 else "the test images alone (one seed)"
    sentences.append(f"95 % intervals{together}, from {noise}.")
    first = max((piece for piece in pieces if isinstance(piece, Won)), key=lambda piece: piece.stands)
    test = f"paired bootstrap, {noise}; Bonferroni over {counted(compared, 'comparison')}"
    return Won(first.stands, " ".join(sentences), first.number, first.interval, test)


def _contest(where: str, members: Sequence[Contender]) -> Contest | str:
    plain, treated = [each for each in members if each.kind == NONE], [each for each in members if each.kind != NONE]
    for level in _DOWN:
        references = [each for each in plain if isinstance(each.kept_at(level), Measure)]
        known = [(each, kept) for each in treated if isinstance(kept := each.kept_at(level), Measure)]
        if references and known:
            reference = max(references, key=lambda each: (each.kept_on_validation(level), each.name))
            first = reference.kept_at(level)
            assert isinstance(first, Measure)
            if not set.intersection(set(first.values), *(set(kept.values) for _, kept in known)):
                return f"{where}: fine-tuning without a remedy and with one share no seed."
            measures = (first, *(kept for _, kept in known))
            reached = [reference, *(each for each, _ in known)]
            short = [each for each in treated if not any(each is other for other in reached)]
            alone = len({each.adaptation for each in members}) == 1  # then it needs no word with every name
            names, others = (
                tuple(each.remedy if alone and each.kind != NONE else each.name for each in those)
                for those in (reached, short)
            )
            return Contest(where, level, names, measures, others)
    why = next((f"; {each.why}" for each in members if each.why), "")
    least = f"{100 * min(_DOWN):.0f} %"
    return f"{where}: fine-tuning without a remedy and with one do not both reach {least} of the best gain{why}."


def _told(contest: Contest, outside: float) -> Won:
    names = contest.names
    order = sorted(range(1, len(names)), key=lambda place: (contest.value(place), names[place]))
    best = order[-1]
    lower = " (the highest that is reached with and without a remedy)" if contest.level < HEADLINE else ""
    gap = contest.difference(best, 0, outside)
    level = [names[place] for place in order[:-1] if not contest.difference(best, place, outside)[1] > 0]
    stands = "keeps most" if gap[1] > 0 and not level else "stands highest"
    many = f"of {len(order)} remedies that reach it {names[best]} {stands}, "
    among = many if len(order) > 1 else f"{names[best]} keeps "
    text = (
        f"{contest.where}, at {100 * contest.level:.0f} % of the best gain{lower}: without a remedy {names[0]} keeps "
        f"{contest.value(0):.3f}; {among}{contest.value(best):.3f}"
    )
    number, interval = signed(gap[0], 3), "" if math.isnan(gap[1]) else f"{signed(gap[1], 3)} to {signed(gap[2], 3)}"
    text += f" ({number}{f', {interval}' if interval else ''})"
    short = f" Without a value there: {_listed(contest.short)}." if contest.short else ""
    if not gap[1] > 0:
        return Won(False, f"{text}: {below(*gap[1:])}.{short}", number, interval)
    others = (
        f"; not told apart from {_listed(level[::-1])}" if level else ", more than every other" if order[1:] else ""
    )
    return Won(True, f"{text}{others}.{short}", number, interval)


def below(low: float, high: float) -> str:
    """What a remedy's difference from none is whose interval does not stand above 0. All intervals hold together, so
    one inside the margin shows that too."""
    if math.isnan(low):
        return "noise not known"
    if high < 0:
        return "less than without"
    return (
        f"as much as without, within ±{100 * MARGIN:.0f} point"
        if low > -MARGIN and high < MARGIN
        else "within the noise"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {counted(len(names) - NAMED, 'other')}" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
