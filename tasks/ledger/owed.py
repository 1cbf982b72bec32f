"""Which results a trial owes, for everyone who asks: what scores, what counts, what is logged, what is concluded from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gelo.tasks.protocols import PROTOCOLS
from gelo.tasks.training import TASKS


def suites_of(protocol: str, task: str) -> tuple[str, ...]:
    """The suites that a protocol yields for an encoder trained on `task` ("none": untouched): that of a trained head only where the head
    was trained for it."""
    declared, trained_for = PROTOCOLS[protocol], TASKS.get(task)
    headed = trained_for is not None and trained_for.suite == declared.detector
    return (*declared.untrained, declared.detector) if headed else declared.untrained


def owed(pairs: Iterable[tuple[str, str]], task: str) -> Iterator[tuple[str, str, str]]:
    """(suite, data set, protocol) of every result that a trial of `task` owes to a sweep that scores these (data set, protocol) pairs."""
    for name, protocol in pairs:
        for suite in suites_of(protocol, task):
            yield suite, name, protocol
