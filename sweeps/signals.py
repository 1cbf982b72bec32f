"""Signals that end a run: Ctrl-C, and what a machine that is taken away sends. A run saves first, whoever asked."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """Raised where a signal ends the program; code: what a shell expects the program to exit with."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


def install() -> None:
    """From now on each ending signal raises `Ended`. One that was ignored stays so (nohup)."""
    _set(_raise)


@contextmanager
def handled(handler: Callable[[int], None]) -> Iterator[None]:
    """Inside, `handler` gets the number of each ending signal."""
    before = {number: signal.getsignal(number) for number in ENDING}
    _set(lambda number, frame: handler(number))
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _set(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in ENDING:
        if number is signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Ended(number)
