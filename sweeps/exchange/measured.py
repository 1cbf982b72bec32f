"""What a sweep has measured of one of its trials, beside its own baseline: only what is there, and only of the weights of now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.sweeps.stages.embed import Subject, pairs_of, subject_of
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.tracking.summary import average, mean_of
from gelo.tasks.ledger.retention import retention
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.metricnames import metric_name
from gelo.tasks.protocols import averaged, better, suites
from gelo.tasks.results import Result
from gelo.tasks.training import TASKS


@dataclass(frozen=True)
class Row:
    """One quantity of the trial (after) and of its untouched backbone (before), fractions in [0, 1]; None where it is not there.

    gelo: after / before, of an average over general sets. low, high: 95 % interval of `after`. better: "higher", "lower" or "".
    """

    metric: str
    before: float | None
    after: float
    gelo: float | None = None
    low: float | None = None
    high: float | None = None
    better: str = "higher"


@dataclass(frozen=True)
class Measured:
    """kept: averages over general sets with the share that was kept; gained: what the task is measured by; scale: "miniature" where any of
    it is of miniature data; remarks: what a reader of the numbers has to know; why: in words, where nothing is there."""

    kept: tuple[Row, ...] = ()
    gained: tuple[Row, ...] = ()
    scale: str = ""
    remarks: tuple[str, ...] = ()
    why: str = ""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measured(trial: Trial, sweep: SweepFolder | None, base: Encoder, weights: str | None) -> Measured:
    """Of a trial of `sweep`, whose base weights are loaded; of none where the trial was copied out of its sweep."""
    if sweep is None or not sweep.exists():
        return Measured(why="it stands in no sweep here")
    spec = sweep.spec()
    try:
        pairs = pairs_of(spec, Path(sweep.read()["settings"]["data"]))
    except UserError as error:
        return Measured(why=f"the data sets of its sweep are not here ({error.faults[0]})")
    subject = subject_of(trial, sweep.trial(trial), base, weights)
    untouched = next((each for each in spec.trials() if each.backbone == trial.backbone and each.task == "none"), None)
    before = None if untouched is None else subject_of(untouched, sweep.trial(untouched), base, weights)
    own = _current(subject)
    if own is None or (before is not None and _current(before) is None):
        return Measured(why=f"its results are of other weights; gelo resume {sweep.name} scores them again")
    if not own:
        return Measured(why=f"nothing was scored yet; gelo resume {sweep.name} goes on")
    reference = None if before is None or untouched == trial else before
    kept, gained = tuple(_kept(subject, reference, pairs)), tuple(_gained(subject, reference, own))
    scale = "miniature" if any(result.scale == "miniature" for result in own) else "full"
    return Measured(kept, gained, scale, tuple(_remarks(own)), "" if kept or gained else "no average of it is whole")


def _current(subject: Subject) -> list[Result] | None:
    """All results of the trial; None where one is of other weights than are there now."""
    results = subject.folder.results()
    of_now = {subject.ref.vision, subject.detector.vision}
    return results if all(result.vision in of_now for result in results) else None


def _kept(subject: Subject, before: Subject | None, pairs: Sequence[tuple[str, str]]) -> Iterator[Row]:
    for suite in averaged():
        after = average(subject, suite, pairs)
        was = None if before is None else average(before, suite, pairs)
        if after.value is not None:
            name = metric_name(suite, mean_of(subject, suite, pairs), suites()[suite].averaged)
            share = None if was is None else retention(after, was).value
            yield Row(name, None if was is None else was.value, after.value, share)


def _gained(subject: Subject, before: Subject | None, own: Sequence[Result]) -> Iterator[Row]:
    """Metric by metric; the averages are the report's matter."""
    trial = subject.trial
    gain = TASKS[trial.task].gain.get(trial.collection) if trial.task in TASKS else None
    if gain is None:
        return
    was = {n: value for result in (before.folder.results() if before else ()) for n, value in result.values.items()}
    for after, first in zip(gain.after, gain.before, strict=True):
        for result in own:
            if after in result.values:
                low, high = result.intervals.get(after, (None, None))
                value = result.values[after]
                yield Row(after, was.get(first), value, None, low, high, better(after) or "")


def _remarks(results: Sequence[Result]) -> Iterator[str]:
    partial = sorted({result.dataset for result in results if result.partial})
    if partial:
        yield f"not all official images were there: {', '.join(partial)}"
    leaks: dict[str, list[str]] = {}
    for result in results:
        for text in filter(None, (result.leak, f"not checked: {result.unchecked}" if result.unchecked else "")):
            leaks.setdefault(text, []).append(f"{result.suite}/{result.dataset}")
    for text, places in leaks.items():
        yield f"images that were learnt from and are scored, {', '.join(places)}: {text}"
