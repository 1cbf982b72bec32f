"""Something done now, every so often while a block runs, and once more at its end: heartbeats, and what others may watch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from upath import UPath

from gelo.models.durable import is_local
from gelo.models.faults import UserError

_NEAR, _FAR = (
    5.0,
    30.0,
)  # seconds between two writes to a folder of this machine, and to an object store, which is paid by the request
_LAST = 10.0  # seconds that the end of a block waits for an act that goes on


def pause_of(place: UPath) -> float:
    """Seconds between two writes to this place."""
    return _NEAR if is_local(place) else _FAR


@contextmanager
def beaten(act: Callable[[], object], every: float) -> Iterator[None]:
    """act() in a thread of its own: what is away stops nobody, nor is a lease that was lost its to tell, so an OSError or UserError of it
    is forgotten, and at the end it is waited for `_LAST` seconds at most."""
    over = threading.Event()

    def once() -> None:
        with suppress(OSError, UserError):
            act()

    def go() -> None:
        once()
        while not over.wait(every):
            once()

    thread = threading.Thread(target=go, daemon=True, name="beat")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_LAST)
        if not thread.is_alive():
            last = threading.Thread(target=once, daemon=True, name="last beat")
            last.start()
            last.join(_LAST)
