"""Protocols of other distributions: their entry points are read, and what contradicts a protocol that is there already is refused.

An entry point of the group `gelo.protocols` names a `Protocol`, or a tuple of them, as `package.module:PROTOCOLS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from gelo.models.faults import Fault, UserError, unknown
from gelo.tasks.protocols.base import Protocol, joined

GROUP = "gelo.protocols"
_PREFIXES = (
    "gelo",
    "train",
    "forgetting",
    "gain",
    "trials",
    "mean",
)  # what names of metrics begin with that no protocol gives


def registered() -> Iterator[tuple[str, Protocol]]:
    """(where it is from, protocol), by distribution and name. Raises UserError for one that cannot be read, with what it said."""
    for point in sorted(entry_points(group=GROUP), key=lambda point: (_maker(point), point.name)):
        where = f"protocol {point.name} of {_maker(point)}"
        yield from ((where, protocol) for protocol in _given(point, where))


def _maker(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "?"


def _given(point: EntryPoint, where: str) -> tuple[Protocol, ...]:
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


def clash(new: Protocol, known: Mapping[str, Protocol], where: str) -> Fault | None:
    """What contradicts the protocols that are there already, or what else names mean."""
    groups, asked = {old.group for old in known.values()} - {""}, {old.asked for old in known.values()}
    own, theirs = {suite.name: suite for suite in new.suites}, joined(known.values())
    if new.name in {*known, "training"}:
        return Fault(where, f"the name {new.name!r}, which is there", "a name of its own", "rename it")
    if new.asked in groups or new.group in asked:
        return Fault(where, f"asked as {new.asked!r}, of the group {new.group!r}", "a name that is one or the other")
    if new.like and new.like not in known:
        return unknown(f"{where}: like", new.like, known, "protocol")
    if twice := sorted(own.keys() & {*theirs, *_PREFIXES}):
        # a result is a file by its suite and data set: of two protocols it would be one
        return Fault(where, f"the suite {twice[0]!r}, which is there", "a suite of its own", "rename it")
    if strays := [suite.before for suite in new.suites if suite.before and suite.before not in {*theirs, *own}]:
        return unknown(f"{where}: before", strays[0], {*theirs, *own}, "suite")
    tables = {suite.table for suite in theirs.values()} - {""}
    if full := [suite.table for suite in new.suites if suite.averaged and suite.table in tables]:
        return Fault(
            where, f"the table {full[0]!r}, which is there", "a table of its own for what is averaged", "rename it"
        )
    return None
