"""One `gelo` command after another in a folder of its own, by the command line alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import forked


@dataclass(frozen=True)
class Said:
    """How a command ended, and all that it said; out: on its standard output alone."""

    code: int
    text: str
    out: str

    def refused(self, *parts: str) -> str:
        """A user's mistake: exit code 2, no traceback, no Ray started, each part named. Returns what it said."""
        assert self.code == 2, self.text
        assert "Traceback" not in self.text
        assert "CPUs" not in self.text, "Ray was started"
        for part in parts:
            assert part in self.text, f"{part!r} is missing from:\n{self.text}"
        return self.text


Gelo = Callable[..., Said]


@pytest.fixture
def gelo(tmp_path: Path) -> Gelo:
    """`gelo("run", "mine.yaml")` in `tmp_path`, far from the user's own settings."""

    def call(*arguments: str) -> Said:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GELO_")}
        done = forked.gelo(tmp_path, *arguments, environment=environment | {"COLUMNS": "400"})
        return Said(done.returncode, done.stdout + done.stderr, done.stdout)

    return call
