"""Terminals of 40 columns, and readers that stop early: what is printed fits, and nothing breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.tasks.prepare.plain import tree

WIDTH = 40
COMMANDS = (
    ("prepare", "mine", "--from", "a_rather_long_name_of_a_folder", "--reader", "folder", "--replace"),
    ("prepare", "--list"),
    ("show", "mine"),
    ("evaluate", "mini-s", "--dataset", "mine", "--suite", "general"),
    ("evaluate", "--scores", "scores.csv", "--protocol", "morph"),
    ("cache",),
    ("doctor",),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("narrow")
    tree(place / "a_rather_long_name_of_a_folder", {"train": 2, "test": 2})
    rows = [f"{n / 40},{n % 2},{'warp' if n % 4 == 0 else 'blend'}" for n in range(40)]
    (place / "scores.csv").write_text(
        "\n".join(
            ["score,label,attack", *(row if row.split(",")[1] == "0" else row.rpartition(",")[0] + "," for row in rows)]
        )
    )
    return place


def gelo(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GELO_")}
    return subprocess.run(
        [sys.executable, "-m", "sweeps", *words], cwd=place, env=environment | {"COLUMNS": str(WIDTH)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def test_every_line_fits(place: Path) -> None:
    for words in COMMANDS:
        done = gelo(place, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        wide = [line for line in done.stdout.splitlines() if cell_len(line) > WIDTH]
        assert not wide, f"{words}\n" + "\n".join(wide)
        assert "…" not in done.stdout, f"{words}: cut off\n{done.stdout}"


@pytest.mark.parametrize("words", [("prepare", "--list"), ("show", "shapes", "--json"), ("doctor",)])
def test_a_reader_that_stops_early_is_no_fault(place: Path, words: tuple[str, ...]) -> None:
    command = f"{sys.executable} -m sweeps {' '.join(words)} | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=place, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr, done.stderr
    assert len(done.stdout.splitlines()) == 1
