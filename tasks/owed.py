"""Which results a trial owes, for everyone who asks: what scores, what counts, what is logged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gelo.tasks.catalogue import Protocol
from gelo.tasks.suites import WIRING
from gelo.tasks.training import TASKS


def suites_of(protocol: Protocol, task: str) -> tuple[str, ...]:
    """The suites that a protocol yields for an encoder trained on `task` ("none": untouched): that of a trained head only where the head
    was trained for it."""
    wiring, trained_for = WIRING[protocol], TASKS.get(task)
    headed = trained_for is not None and trained_for.suite == wiring.detector
    return (*wiring.suites, wiring.detector) if headed else wiring.suites


def owed(pairs: Iterable[tuple[str, Protocol]], task: str) -> Iterator[tuple[str, str, Protocol]]:
    """(suite, data set, protocol) of every result that a trial of `task` owes to a sweep that scores these (data set, protocol) pairs."""
    for name, protocol in pairs:
        for suite in suites_of(protocol, task):
            yield suite, name, protocol
