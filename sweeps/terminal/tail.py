"""Logs on a terminal, as they are and as they grow."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console

from gelo.sweeps.state.beat import pause_of
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.reading import Named
from gelo.sweeps.state.running import holder
from gelo.sweeps.terminal.listing import say


def tail(folder: SweepFolder, logs: Sequence[Named], console: Console, *, follow: bool) -> None:
    """Every log, and where asked what is added until nobody runs the sweep. Of several, each line says whose it is."""
    shown = dict.fromkeys(logs, b"")
    while True:
        runs = bool(follow and holder(folder))
        for log in logs:
            now = log.read()
            _print(_added(shown[log], now), f"{log.name} " if len(logs) > 1 else "", console)
            shown[log] = now
        if not runs:
            return
        time.sleep(min(2.0, pause_of(folder.root)))


def _added(before: bytes, now: bytes) -> bytes:
    """What `now` has after what was shown; of a log whose oldest lines went, after the last line shown."""
    if now.startswith(before):
        return now[len(before) :]
    last = before[before.rstrip(b"\n").rfind(b"\n") + 1 :]
    place = now.rfind(last)
    return now[place + len(last) :] if place >= 0 else now


def _print(data: bytes, before: str, console: Console) -> None:
    for line in data.decode("utf-8", "replace").splitlines():
        clean = "".join(sign for sign in line if sign.isprintable() or sign == "\t")  # no commands to a terminal
        say(console, before + clean)
