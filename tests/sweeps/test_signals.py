"""Signals that end a run, in a process of their own: what a library swallows is heard at the next tick, and the exit code says which."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import io, os, signal, sys
from rich.console import Console
from gelo.sweeps.engine import signals
from gelo.sweeps.terminal.progress import Display

class Callback:
    def __del__(self):  # what is raised in here is lost
        os.kill(os.getpid(), signal.{name})
        sum(range(10**6))

signals.install()
display = Display(Console(file=io.StringIO()))
try:
    with display.stage("embed", 3, "images") as stage:
        stage.tick()
        Callback()
        print("went on")
        stage.tick()
        print("unheard")
except KeyboardInterrupt:
    sys.exit(signals.code())
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_that_a_callback_swallowed_ends_the_next_tick(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{name}", name)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 128 + signal.Signals[name], done.stderr
    assert done.stdout == "went on\n"
