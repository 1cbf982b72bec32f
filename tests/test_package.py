"""What an installation holds: every folder of the packages is in pyproject.toml, and a wheel works beside a user's own `models/`."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_folder_is_packaged() -> None:
    """Data folders too: a list that lacks one makes a wheel without weights, and says nothing."""
    tracked = subprocess.run(
        ["git", "ls-files", "models", "tasks", "sweeps", "analysis"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    folders = {Path(file).parent for file in tracked.split()}
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(["gelo", *(f"gelo.{'.'.join(folder.parts)}" for folder in folders)])
