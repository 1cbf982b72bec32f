"""Signals that end a run: Ctrl-C, and what a machine that is taken away sends. A run saves first, whoever asked."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_came: list[int] = []  # libraries turn one KeyboardInterrupt into another, so what came is kept here


def install() -> None:
    """From now on each ending signal raises KeyboardInterrupt. One that was ignored stays so (nohup)."""
    _set(end)


def end(number: int, frame: FrameType | None = None) -> None:
    """End the program for this signal."""
    _came.append(number)
    raise KeyboardInterrupt


def check() -> None:
    """End the program if a signal asked for it and nobody heard: what a handler raises inside a library's callback is lost."""
    if _came:
        raise KeyboardInterrupt


def came() -> bool:
    """Whether an ending signal came, whatever has been made of it."""
    return bool(_came)


def code() -> int:
    """What a shell expects a program to exit with that such a signal has ended."""
    return 128 + (_came[-1] if _came else signal.SIGINT)


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


@contextmanager
def lent() -> Iterator[None]:
    """Inside, a run may set handlers; afterwards those of before stand again, and what came is forgotten: a notebook outlives its runs."""
    before = {number: signal.getsignal(number) for number in ENDING}
    _came.clear()
    install()
    try:
        yield
    finally:
        for number, old in before.items():
            if old is not None:  # of a program around Python, which alone can set it
                signal.signal(number, old)
        _came.clear()


def _set(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in ENDING:
        if number is signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
