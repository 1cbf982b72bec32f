"""Protocols of other distributions: what contradicts a protocol that is there already is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gelo.models.faults import Fault, unknown
from gelo.models.registered import strange
from gelo.tasks.metricnames import is_piece
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


def clash(new: Any, known: Mapping[str, Protocol], where: str) -> Fault | None:
    """What contradicts the protocols that are there already, or what else names mean."""
    if not isinstance(new, Protocol):
        return strange(new, where, "a Protocol, or a tuple of them")
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
    closed = {
        "gelo",
        *(suite.table for suite in theirs.values() if suite.averaged),
    }  # each is one suite's, or the summary
    if odd := [
        suite.table for suite in new.suites if suite.table and (suite.table in closed or not is_piece(suite.table))
    ]:
        return Fault(where, f"the table {odd[0]!r}", "'biometric', or a name of its own as files have it", "rename it")
    if full := [suite.table for suite in new.suites if suite.averaged and suite.table in tables]:
        return Fault(
            where, f"the table {full[0]!r}, which is there", "a table of its own for what is averaged", "rename it"
        )
    return None
