"""Every benchmark at toy size, so that none rots: it runs, checks both sides against each other, and ends with its one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import HELPERS, page

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.name not in HELPERS)
KEYS = {"name", "ours", "theirs", "unit", "ratio", "aim", "rounds", "machine", "versions", "detail"}


@pytest.mark.parametrize("name", NAMES)
def test_smoke(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--smoke"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    line = json.loads(done.stdout.strip().splitlines()[-1])
    assert set(line) == KEYS
    assert line["name"] == name
    assert line["ratio"] == pytest.approx(line["ours"] / line["theirs"], rel=0.05)
    assert f"| {name} | {line['ours']} |" in page([line])
