"""Protocols: features or scores in, a `Result` and a table of what was scored out. Arrays only, no torch, no Ray.

This is their registry: those of `FILES`, then those that other distributions register under the entry point group `gelo.protocols`, each
naming a `Protocol` or several. They are read when they are first asked for, so that naming one costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import NamedTuple

from gelo.models.faults import unknown
from gelo.models.registered import Registry, admitted
from gelo.tasks.metricnames import parse_metric
from gelo.tasks.protocols.base import Better, Metric, Protocol, ScoresFile, Suite, Unit, joined
from gelo.tasks.protocols.registered import GROUP, clash

# One line a file of this folder, in the order of the report; each ends in `PROTOCOLS`.
FILES = (
    "zeroshot",
    "probe",
    "knn",
    "few_shot",
    "few_shot_episodes",
    "robust",
    "worst_group",
    "verification",
    "templates",
    "identification",
    "morph",
    "spoof",
)


def _own() -> dict[str, Protocol]:
    own = [protocol for file in FILES for protocol in import_module(f"{__name__}.{file}").PROTOCOLS]
    return {protocol.name: protocol for protocol in own}


PROTOCOLS: Mapping[str, Protocol] = Registry(_own, lambda own: admitted(GROUP, own, lambda each: each.name, clash))


@cache
def suites() -> Mapping[str, Suite]:
    """Every suite by name, in the order of the report; the metrics of protocols that share one are joined."""
    return joined(PROTOCOLS.values())


def averaged() -> tuple[str, ...]:
    """The suites with a mean over their data sets, and a share kept after training."""
    return tuple(suite.name for suite in suites().values() if suite.averaged)


def suite_of(name: str) -> Suite:
    """Raises ValueError for a suite that no protocol gives: the nearest is named."""
    if name not in suites():
        raise ValueError(f"no protocol gives the suite {name!r}; {unknown('suite', name, suites(), 'suite').remedy}")
    return suites()[name]


@cache
def metric_of(name: str) -> Metric:
    """What is declared of the metric of this full name. Raises ValueError for a name, a suite or a leaf that no protocol declares."""
    suite, _, leaf = parse_metric(name)
    try:
        return suite_of(suite).metric(leaf)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def better(name: str) -> Better | None:
    """Which way the metric of this full name is better; None for a spread, which has no better side.

    Raises ValueError as `metric_of` does: there is no direction to assume.
    """
    return metric_of(name).better


def unit(name: str) -> Unit:
    """Whether the metric of this full name is a share, shown in per cent, or another number. Raises ValueError as `metric_of` does."""
    return metric_of(name).unit


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
