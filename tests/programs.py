"""A few lines of Python in a process of their own: memory, imports and what a library remembers are that process's alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def printed_by(program: str, environment: Mapping[str, str] | None = None, limit: float = 300) -> str:
    """What `program` prints, run from the project's folder; where it fails, what it said on its way out stands in the test's failure."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
