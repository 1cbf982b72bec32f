"""What a protocol says of itself: every file here ends in its `Protocol`, and every table that names protocols follows from these objects.

Data only: no array, no torch, no Ray. Terms: ISO/IEC 2382-37, 19795-1 and 30107-3, as in docs/protocols.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

from gelo.tasks.metricnames import is_piece

if TYPE_CHECKING:
    import pyarrow as pa

    from gelo.tasks.data.manifest import Dataset
    from gelo.tasks.protocols.attack import Attack
    from gelo.tasks.protocols.curves import Part
    from gelo.tasks.protocols.tally import Context
    from gelo.tasks.results import Result
    from gelo.tasks.scorefiles.scorefile import ScoreFile
    from gelo.tasks.scoring import Scored, Scoring

Better = Literal["higher", "lower"]
Unit = Literal["share", "number"]
# features of an image as it is, mirrored, as it is but before the projection, and as an attack leaves it (of the images that it chooses)
View = Literal["image", "flip", "trunk", "attacked"]
Reads = tuple[tuple[str, tuple[View, ...]], ...]  # splits in order, each with its views

_HOLE = re.compile(r"\\\{\w+\\\}")  # `{rate}` after re.escape


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, or a family of them, by the last piece of its name.

    leaf: `tar_at_far_{rate}`; what stands for `{rate}` is letters, digits, `.` and `-`. better: which way is better, None for a spread,
    which has no better side. at: what stands for `{rate}` in those that every result of the protocol has, valued or absent; empty for
    one that only some have. main: the parts (`*` any) whose column a reader of the report sees at first sight. help: what it is. unit: a
    share lies in [0, 1] and is shown in per cent; any other number (a distance, a count) is shown as it is.
    """

    leaf: str
    better: Better | None
    at: tuple[object, ...] = ()
    main: tuple[str, ...] = ()
    help: str = ""
    unit: Unit = "share"

    @property
    def leaves(self) -> tuple[str, ...]:
        """Those that every result has, spelled out: `tar_at_far_1e-3`, `tar_at_far_1e-4`."""
        if "{" not in self.leaf:
            return (self.leaf,)
        return tuple(re.sub(r"\{\w+\}", str(value), self.leaf) for value in self.at)

    def matches(self, leaf: str) -> bool:
        """Whether a leaf is this metric or one of this family."""
        return _pattern(self.leaf).fullmatch(leaf) is not None

    @property
    def family(self) -> str:
        """The leaf up to what varies, such as `tar_at_far_`: a heading for all of them."""
        return self.leaf.partition("{")[0]


@cache
def _pattern(leaf: str) -> re.Pattern[str]:
    return re.compile(_HOLE.sub(r"[A-Za-z0-9.\-]+", re.escape(leaf)))


def leaves_of(metrics: Iterable[Metric]) -> tuple[str, ...]:
    """The leaves that every result has, each once, in order."""
    return tuple(dict.fromkeys(leaf for metric in metrics for leaf in metric.leaves))


@dataclass(frozen=True, slots=True)
class Suite:
    """What stands first in a metric's name. Two protocols may give results of one suite, on different data sets (`fr`).

    table: of the report, and its CSV, that shows it: gelo's own `biometric`, one of a name of its own, "" for none. before: the suite
    whose value of the untouched backbone it is set against, "" for its own. trained: given only by a head that the trial trained for it.
    averaged: the leaf whose mean over all data sets is reported, with the share kept after training (GELO); "" where sets are not
    averaged. parts: what the middle of its names is where that is no data set (`attack`, `domain`); each data set then has a `mean` over
    them. compared: which of a result's counts say how much was compared in all, `attack_*` those that begin so; () where none does.
    """

    name: str
    table: str
    metrics: tuple[Metric, ...]
    before: str = ""
    trained: bool = False
    averaged: str = ""
    parts: str = ""
    compared: tuple[str, ...] = ()

    def metric(self, leaf: str) -> Metric:
        """The metric of a leaf. Raises ValueError for one that no protocol declares."""
        found = next((metric for metric in self.metrics if metric.matches(leaf)), None)
        if found is None:
            declared = ", ".join(dict.fromkeys(metric.leaf for metric in self.metrics))
            raise ValueError(f"no direction is known of {leaf!r}: {self.name} declares {declared}")
        return found


@dataclass(frozen=True, slots=True)
class ScoresFile:
    """A protocol's file of scores made elsewhere (`gelo evaluate --scores`): what it may hold and how it is measured.

    columns: optional ones, beside `score` or `distance`, and `label`. measure: the result of a checked file; it may add to the notes.
    pairs: rows are comparisons, so that a distance is never below 0. metrics: those that only a file gives.
    """

    columns: tuple[str, ...]
    measure: Callable[[ScoreFile, dict[str, str], Context], Result]
    pairs: bool = False
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol: what it is called, reads and gives, and the functions that give it. Raises ValueError for one that contradicts itself.

    asked: the name under which a spec's `evaluate` and `gelo evaluate --suite` ask for it; several may share one. group: a wider name of
    `--suite`, "" for none; what is averaged in a group has its place in every report, asked for or not. version: raised by hand when a
    number changes; a result of another version is scored anew. says: what a result says of it. suites: in the order of the report.
    reads: splits with the views of their features; optional: splits that are read where they are there. prompted: asks the text tower;
    what a trained head gives asks nothing. learns: fits something on the train split. like: it is scored on every set that this
    protocol is scored on, so that no table of sets need name it. source: where its definition comes from. attack: what the view `attacked`
    is of, against the text prompts; None where it is not read.

    score: a `Scoring` to a result of each suite that it holds enough for (text prompts, a trained head), each with its table of what was
    scored. Raises UserError for features or tables that cannot be scored. curve: a result and its table to the error curves
    behind it. file: its file of scores, None where there is no such form.
    """

    name: str
    asked: str
    version: int
    says: str
    suites: tuple[Suite, ...]
    reads: Reads
    score: Callable[[Scoring], list[Scored]]
    help: str = ""
    source: str = ""
    optional: tuple[str, ...] = ()
    prompted: bool = False
    learns: bool = False
    like: str = ""
    group: str = ""
    curve: Callable[[Result, pa.Table], Iterator[Part]] | None = None
    file: ScoresFile | None = None
    attack: Attack | None = None

    def __post_init__(self) -> None:
        wrong = [name for name in (self.name, self.asked, *(suite.name for suite in self.suites)) if not is_piece(name)]
        if wrong:
            raise ValueError(f"protocol {self.name!r}: {wrong[0]!r} is no name that a metric can carry")
        if not any(not suite.trained for suite in self.suites) or sum(suite.trained for suite in self.suites) > 1:
            raise ValueError(f"protocol {self.name}: a suite that any encoder has, and at most one of a trained head")
        for suite in self.suites:
            if suite.averaged and suite.metric(suite.averaged).unit != "share":
                raise ValueError(f"protocol {self.name}: {suite.averaged} is averaged, and so a share")
        if missing := set(self.optional) - {split for split, _ in self.reads}:
            raise ValueError(f"protocol {self.name}: optional {', '.join(missing)} is not read")
        reads_attacked = any("attacked" in views for _, views in self.reads)
        if reads_attacked != (self.attack is not None) or (reads_attacked and not self.prompted):
            raise ValueError(f"protocol {self.name}: the view attacked, an attack and prompts go together")

    @property
    def untrained(self) -> tuple[str, ...]:
        """The suites that any encoder has."""
        return tuple(suite.name for suite in self.suites if not suite.trained)

    @property
    def detector(self) -> str:
        """The suite that a head trained for it adds; "" for none."""
        return next((suite.name for suite in self.suites if suite.trained), "")

    @property
    def leaves(self) -> tuple[str, ...]:
        """The headline metrics: every result has them, valued or absent."""
        return leaves_of(metric for suite in self.suites for metric in suite.metrics)

    @property
    def meant(self) -> bool:
        """Whether its headline metrics are of the mean over parts (attacks, domains), not of the data set."""
        return any(suite.parts for suite in self.suites)

    def reads_of(self, dataset: Dataset) -> list[tuple[str, tuple[View, ...]]]:
        """`reads` without the optional splits that this data set lacks."""
        return [(s, views) for s, views in self.reads if s in dataset.card.splits or s not in self.optional]


def joined(protocols: Iterable[Protocol]) -> dict[str, Suite]:
    """Their suites by name, in order; the metrics of protocols that share one, and of their files of scores, stand together."""
    found: dict[str, Suite] = {}
    for protocol in protocols:
        for suite in protocol.suites:
            more = (*suite.metrics, *(protocol.file.metrics if protocol.file else ()))
            before = found.get(suite.name, replace(suite, metrics=()))
            found[suite.name] = replace(before, metrics=(*before.metrics, *more))
    return found
