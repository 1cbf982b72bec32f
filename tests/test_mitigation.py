"""The tables of docs.mitigation on sweeps whose answer is known: the numbers of the report's own files, and what a closed form says."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pytest
from scipy import stats

from docs import mitigation
from gelo.analysis.compare import compare
from gelo.analysis.report import write_report
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import Cell, Row
from tests.analysis.curve_files import mitigation as written
from tests.analysis.sweeps import write_result, write_sweep, write_trial


def test_the_tables_are_the_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    written(tmp_path, seeds=(0, 1), backbones=("mini-s",), approaches=("none", "l2sp", "zscl"))
    monkeypatch.setattr(mitigation, "PICTURES", tmp_path / "pictures")
    assert mitigation.main(["--storage", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    folder = write_report(tmp_path, "mitigation").path
    with (Path(str(folder)) / "equal_gain.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) >= 5
    for row in rows:
        (line,) = re.findall(rf"^\| {re.escape(row['remedy'])} \| (.*) \|$", said, re.MULTILINE)
        cells = [cell.split(" ") for cell in line.split(" | ")]
        for name, cell in zip(mitigation.COLUMNS, cells, strict=True):
            assert cell[0] == (row[name] or "–")
            if len(cell) > 1:
                low, high = float(cell[1].strip("(")), float(cell[3].strip(")"))
                assert (low, high) == pytest.approx((float(row[f"{name}_low"]), float(row[f"{name}_high"])), abs=6e-3)
    assert (tmp_path / "pictures" / "mitigation.svg").read_bytes().startswith(b"<?xml")


def _row(remedy: str, gain: float, kept: float, low: float) -> Row:
    cells = {"gain": Cell(f"{gain:.2f}"), "kept_zero_shot": Cell(f"{kept:.3f}", low=low, high=1.0)}
    return Row({"remedy": remedy}, remedy == "none", cells)


def test_what_a_remedy_should_do_is_said_of_those_that_do() -> None:
    none, good, unsure = _row("none", 10, 0.9, 0.89), _row("a", 9.0, 0.96, 0.951), _row("b", 9.5, 0.95, 0.94)
    dear, poor = _row("c", 8.99, 0.99, 0.98), _row("d", 11, 0.949, 0.94)
    assert mitigation.affordable([none, good, unsure, dear, poor]) == (
        "0.95 or more at no more than 1 point of gain lost: a, b; with the whole interval of what is kept above it: a."
    )
    assert mitigation.affordable([none, dear, poor]).startswith("no remedy keeps 0.95")
    assert mitigation.affordable([none, unsure]).endswith("b; none with its whole interval above it.")


def test_a_setting_is_told_with_its_interval_over_seeds_and_images(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, "rates", backbones=["mini-s"], evaluated=["shapes"], evaluate=["zero_shot"])

    def scored(folder: Path, accuracy: float) -> None:
        ends = {"shapes/top1": (accuracy - 0.02, accuracy + 0.02)}
        write_result(folder, "zero_shot", "shapes", {"shapes/top1": accuracy}, intervals=ends)

    scored(write_trial(root, "base", "mini-s", "none"), 0.8)
    for place, rate in enumerate((1e-5, 1e-4, 1e-3)):
        for seed in (0, 1, 2):
            folder = write_trial(
                root,
                f"{place}{seed}",
                "mini-s",
                "faces",
                "full",
                seed=seed,
                settings={"lr_backbone": rate, "epochs": 5},
            )
            scored(folder, 0.8 - 0.1 * place - 0.01 * seed)
    lines = list(mitigation.told(compare(read_runs(tmp_path, "rates"))))
    assert lines[2] == "10 of 10 trials complete."
    assert lines[4] == "| lr_backbone | 1e-05 | 0.0001 | 0.001 |"
    first = lines[6].split(" | ")[1]
    kept = [(0.8 - 0.01 * seed) / 0.8 for seed in (0, 1, 2)]
    mean, low, high = (float(found) for found in re.findall(r"\d\.\d+", first))
    assert mean == pytest.approx(sum(kept) / 3, abs=6e-4)
    seeds = stats.t.ppf(0.975, 2) * 0.0125 / math.sqrt(3)
    images = 0.02 / 0.8 * math.sqrt(1 + mean**2)  # before and after, taken as independent
    assert high - mean == pytest.approx(math.hypot(seeds, images), rel=0.03) == pytest.approx(mean - low, rel=0.05)


def test_no_sweep_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert mitigation.main(["--storage", str(tmp_path)]) == 2
    assert "mitigation" in capsys.readouterr().err
