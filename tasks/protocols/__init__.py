"""Protocols: features or scores in, a `Result` and a table of what was scored out. Arrays only, no torch, no Ray.

This is their registry: those of `FILES`, then those that other distributions register under the entry point group `gelo.protocols`, each
naming a `Protocol` or several. They are read when they are first asked for, so that naming one costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import NamedTuple

from gelo.models.faults import Fault, UserError, unknown
from gelo.tasks.metricnames import parse_metric
from gelo.tasks.protocols.base import Better, Metric, Protocol, ScoresFile, Suite

# One line a file of this folder, in the order of the report; each ends in `PROTOCOLS`.
FILES = (
    "zeroshot",
    "probe",
    "knn",
    "few_shot",
    "verification",
    "templates",
    "identification",
    "morph",
    "spoof",
)
GROUP = "gelo.protocols"


class _Registry(Mapping[str, Protocol]):
    """The protocols by name, in order. Raises UserError, when first asked, for a registered one that cannot be used."""

    def __getitem__(self, name: str) -> Protocol:
        return _loaded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_loaded())

    def __len__(self) -> int:
        return len(_loaded())


PROTOCOLS: Mapping[str, Protocol] = _Registry()


@cache
def _loaded() -> dict[str, Protocol]:
    found: dict[str, Protocol] = {}
    for file in FILES:
        found |= {protocol.name: protocol for protocol in import_module(f"{__name__}.{file}").PROTOCOLS}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (_maker(point), point.name)):
        where = f"protocol {point.name} of {_maker(point)}"
        for protocol in _registered(point, where):
            if fault := _clash(protocol, found, where):
                raise UserError("protocols", fault)
            found[protocol.name] = protocol
    return found


def _maker(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "?"


def _registered(point: EntryPoint, where: str) -> tuple[Protocol, ...]:
    """What an entry point names. Raises UserError: whoever installed it should hear of it, whatever it raises."""
    remedy = f"mend or uninstall {_maker(point)}"
    try:
        given = point.load()
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        raise UserError("protocols", Fault(where, found, f"{point.value} to be imported", remedy)) from error
    several = tuple(given) if isinstance(given, tuple | list) else (given,)
    if not several or not all(isinstance(protocol, Protocol) for protocol in several):
        raise UserError("protocols", Fault(where, repr(given)[:80], "a Protocol, or a tuple of them", remedy))
    return several


def _clash(new: Protocol, known: Mapping[str, Protocol], where: str) -> Fault | None:
    """What contradicts the protocols that are there already."""
    if new.name in known or new.name == "training":
        return Fault(where, f"the name {new.name!r}", "a name of its own", "rename it")
    if new.like and new.like not in known:
        return unknown(f"{where}: like", new.like, known, "protocol")
    if new.asked in {old.group for old in known.values()} or new.group in {old.asked for old in known.values()}:
        return Fault(where, f"asked as {new.asked!r}, of the group {new.group!r}", "a name is one or the other")
    old_suites = _joined(known.values())
    for suite in new.suites:
        old = old_suites.get(suite.name)
        if old is not None and replace(old, metrics=()) != replace(suite, metrics=()):
            return Fault(
                f"{where}: suite {suite.name}", "told otherwise than by another protocol", "one meaning a suite"
            )
        if suite.averaged and suite.table in {each.table for each in old_suites.values() if each.name != suite.name} - {
            ""
        }:
            return Fault(
                f"{where}: suite {suite.name}", f"the table {suite.table!r}", "a table of its own, as it is averaged"
            )
        if suite.before and suite.before not in {*old_suites, *(each.name for each in new.suites)}:
            return unknown(f"{where}: suite {suite.name}, before", suite.before, old_suites, "suite")
    return None


def _joined(protocols: Iterable[Protocol]) -> dict[str, Suite]:
    found: dict[str, Suite] = {}
    for protocol in protocols:
        for suite in protocol.suites:
            more = (*suite.metrics, *(protocol.file.metrics if protocol.file else ()))
            before = found.get(suite.name, replace(suite, metrics=()))
            found[suite.name] = replace(before, metrics=(*before.metrics, *more))
    return found


@cache
def suites() -> Mapping[str, Suite]:
    """Every suite by name, in the order of the report; the metrics of protocols that share one are joined."""
    return _joined(PROTOCOLS.values())


def averaged() -> tuple[str, ...]:
    """The suites with a mean over their data sets, and a share kept after training."""
    return tuple(suite.name for suite in suites().values() if suite.averaged)


def suite_of(name: str) -> Suite:
    """Raises ValueError for a suite that no protocol gives: the nearest is named."""
    if name not in suites():
        raise ValueError(f"no protocol gives the suite {name!r}; {unknown('suite', name, suites(), 'suite').remedy}")
    return suites()[name]


@cache
def better(name: str) -> Better | None:
    """Which way the metric of this full name is better; None for a spread, which has no better side.

    Raises ValueError for a name, a suite or a leaf that no protocol declares: there is no direction to assume.
    """
    suite, _, leaf = parse_metric(name)
    try:
        return suite_of(suite).metric(leaf).better
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def direction(name: str) -> int:
    """`better` as a sign: +1 higher, -1 lower, 0 neither. Raises ValueError as it does."""
    return {"higher": 1, "lower": -1, None: 0}[better(name)]


def protocols_of(suite: str) -> tuple[Protocol, ...]:
    """The protocols that give results of a suite."""
    return tuple(each for each in PROTOCOLS.values() if suite in (own.name for own in each.suites))


def protocol_of(suite: str) -> Protocol:
    """The first of them. Raises ValueError for an unknown suite."""
    suite_of(suite)
    return protocols_of(suite)[0]


@cache
def asked() -> Mapping[str, tuple[str, ...]]:
    """What a spec's `evaluate` may say -> the protocols that it asks for."""
    names = dict.fromkeys(protocol.asked for protocol in PROTOCOLS.values())
    return {name: tuple(each.name for each in PROTOCOLS.values() if each.asked == name) for name in names}


@cache
def groups() -> Mapping[str, tuple[str, ...]]:
    """Wider names of `gelo evaluate --suite` -> the names in them."""
    names = dict.fromkeys(protocol.group for protocol in PROTOCOLS.values() if protocol.group)
    return {
        name: tuple(dict.fromkeys(each.asked for each in PROTOCOLS.values() if each.group == name)) for name in names
    }


@cache
def widened(names: tuple[str, ...]) -> tuple[str, ...]:
    """A data set's protocols with all that are scored wherever one of them is, in order; `training`, which is none, stands first."""
    wide = {*names}
    for protocol in PROTOCOLS.values():  # one is like another that stands before it
        if protocol.like in wide:
            wide.add(protocol.name)
    return (*(name for name in names if name not in PROTOCOLS), *(name for name in PROTOCOLS if name in wide))


class Main(NamedTuple):
    """A column that the report shows at first sight. part: a data set, an attack or a domain, `*` any."""

    suite: str
    part: str
    metric: Metric


@cache
def main_columns(table: str) -> tuple[Main, ...]:
    """Those of a table of the report, in order."""
    return tuple(
        Main(suite.name, part, metric)
        for suite in suites().values()
        if suite.table == table
        for metric in suite.metrics
        for part in metric.main
    )


def score_files() -> Mapping[str, ScoresFile]:
    """The protocols that read a file of scores, by name."""
    return {name: protocol.file for name, protocol in PROTOCOLS.items() if protocol.file is not None}
