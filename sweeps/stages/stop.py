"""Ending a run on a signal: the running trials save first."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from gelo.sweeps.engine.orders import StopFlag
from gelo.sweeps.engine.signals import end, handled
from gelo.sweeps.terminal.progress import Display


class Interrupts(StopFlag):
    """The stop flag with the ending signals on it. graceful: training saves first; a second signal, or one elsewhere, ends at once."""

    graceful = True
    number = 0


@contextmanager
def stops_on_signals(display: Display) -> Iterator[Interrupts]:
    stop = Interrupts()

    def on_signal(number: int) -> None:
        if stop.is_set or not stop.graceful:
            end(number)
        stop.number = number
        stop.set()
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        display.say(f"{name}: the running trials save a checkpoint; once more to stop at once")

    with handled(on_signal):
        yield stop
