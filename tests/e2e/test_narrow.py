"""Terminals of 40 columns, and readers that stop early: what is printed fits, and nothing breaks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from gelo.tasks.data.catalogue import datasets_for
from tests import forked
from tests.e2e.test_one_set import colours
from tests.tasks.prepare.plain import tree

pytestmark = pytest.mark.slow

WIDTH = 40
FOLDER = "a_rather_long_name_of_a_folder"
COMMANDS = (  # each with its exit code
    (("prepare", "mine", "--from", FOLDER, "--reader", "folder", "--dry-run"), 0),
    (("prepare", "mine", "--from", FOLDER, "--reader", "folder", "--replace"), 0),
    (("prepare", "--list"), 0),
    (("show", "mine", "--near-duplicates", "--preview"), 0),
    (("show", "a_set_that_nobody_prepared"), 2),
    (("evaluate", "mini-s", "--dataset", "mine", "--suite", "general"), 0),
    (("evaluate", "mini-s", "--dataset", "mine", "--dataset", "another"), 2),
    (("evaluate", "--scores", "scores.csv", "--protocol", "morph"), 0),
    (("run", "small.yaml"), 0),
    (("status", "small"), 0),
    (("status", "another"), 2),
    (("plan", "small.yaml"), 0),
    (("ls",), 0),
    (("recommend", "small"), 2),
    (("compare", "small", "another"), 2),
    (("results", "small", "--to", "numbers.csv"), 0),
    (("logs", "driver", "small"), 0),
    (("clean", "small"), 0),
    (("clean", "--all"), 0),
    (("report", "small"), 0),
    (("cache",), 0),
    (("cache", "--limit", "0"), 0),
    (("doctor",), 0),
    (("doctor", "demo"), 0),
    (("doctor", "paper"), 2),
)
LEAKING = [words for words, _ in COMMANDS if {"--replace", "--preview", "general"} & set(words)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("narrow")
    tree(place / FOLDER, {"train": 2, "test": 2})
    shutil.copy(place / FOLDER / "train" / "red" / "red0.png", place / FOLDER / "test" / "red" / "again.png")
    (place / "small.yaml").write_text("name: small\nbackbones: [mini-s]\nevaluate: [zero_shot]\n")
    rows = [f"{n / 40},{n % 2},{'warp' if n % 4 == 0 else 'blend'}" for n in range(40)]
    (place / "scores.csv").write_text(
        "\n".join(
            ["score,label,attack", *(row if row.split(",")[1] == "0" else row.rpartition(",")[0] + "," for row in rows)]
        )
    )
    return place


def gelo(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GELO_")}
    return forked.gelo(place, *words, environment=environment | {"COLUMNS": str(WIDTH)})


def test_every_line_fits(place: Path) -> None:
    """Not one line is wider than the terminal, so that it breaks no number; and a leak is told in all of it."""
    for shade, entry in enumerate(datasets_for("miniature", "zero_shot")):  # plain colours, not worth drawing well
        colours(place / "out" / "data", entry.name, scale="miniature", shade=shade)
    for words, code in COMMANDS:
        done = gelo(place, *words)
        said = done.stdout + (done.stderr if words[0] != "run" else "")  # Ray has lines of its own
        assert done.returncode == code, said
        wide = [line for line in said.splitlines() if cell_len(line) > WIDTH]
        assert not wide, f"{words}\n" + "\n".join(wide)
        assert "…" not in said, f"{words}: cut off\n{said}"
        if words in LEAKING:
            assert "WARNING" in said and "1 of 13 images of test stands in train too" in " ".join(said.split())


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("words", ["prepare --list", "show shapes --json", "doctor", "doctor paper", "show another"])
def test_a_reader_that_stops_early_is_no_fault(place: Path, words: str, merged: bool) -> None:
    """Of what is said, and where `merged` of the faults too."""
    shell = " 2>&1 | head -1" if merged else " 2>said.txt | head -1; cat said.txt >&2"
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m gelo {words}{shell}"],
        cwd=place, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr, done.stderr
    assert len(done.stdout.splitlines()) <= 1 and "Traceback" not in done.stdout
