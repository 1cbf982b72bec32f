"""The table `prediction` of sweeps whose early distance tells what is kept, and of such that say nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from gelo.analysis.compare import Comparison, compare
from gelo.analysis.pagetables import shown_tables
from gelo.analysis.prediction import early, prediction_table
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import Row, Table, to_csv
from tests.analysis.drift_files import drifted


def compared(root: Path) -> Comparison:
    return compare(read_runs(root.parent, root.name))


def rows(table: Table | None) -> dict[str, Row]:
    assert table is not None
    return {row.name: row for row in table.rows}


@pytest.fixture(scope="module")
def two_tasks(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compared(drifted(tmp_path_factory.mktemp("two"), ("faces", "morphs"), 6, noise=0.004))


def test_a_distance_that_falls_with_what_is_kept_foretells_it_on_the_task_left_out(two_tasks: Comparison) -> None:
    found = rows(prediction_table(two_tasks))
    cells = found["weight distance"].cells
    assert {name: cells[name].text for name in ("measure", "trials", "approaches", "tasks", "per_cent_of_steps")} == {
        "measure": "weight distance", "trials": "36", "approaches": "12", "tasks": "2", "per_cent_of_steps": "25",
    }  # fmt: skip
    frame = early(two_tasks)
    expected = [spearmanr(of["distance"], of["kept"]).statistic for _, of in frame.groupby("task")]
    assert float(cells["rho"].text) == pytest.approx(sum(expected) / 2, abs=0.005) and expected[0] < -0.9
    low, high = cells["rho"].low, cells["rho"].high
    assert low is not None and high is not None and -1 <= low < float(cells["rho"].text) < high < -0.8
    assert cells["rho_low"].text == f"{low:+.2f}" and cells["rho_high"].text == f"{high:+.2f}"
    assert float(cells["within"].text) == -float(cells["rho"].text) and float(cells["left_out"].text) > 0.9
    assert float(cells["error"].text) < 0.05 < float(found["mean of the task"].cells["error"].text)


def test_what_is_drawn_foretells_nothing_and_its_interval_says_so(two_tasks: Comparison) -> None:
    cells = rows(prediction_table(two_tasks))["kept early"].cells
    assert cells["rho"].low is not None and cells["rho"].high is not None and cells["rho"].low < 0 < cells["rho"].high


def test_the_mean_of_the_task_ranks_nothing_within_it(two_tasks: Comparison) -> None:
    row = rows(prediction_table(two_tasks))["mean of the task"]
    assert (
        row.baseline
        and row.cells["rho"].text == row.cells["within"].text == ""
        and "ranks none" in row.cells["rho"].reason
    )
    frame = early(two_tasks)
    mean = frame.groupby("task")["kept"].transform("mean")
    assert row.cells["left_out"].text == f"{spearmanr(mean, frame['kept']).statistic:+.2f}"


def test_of_one_task_alone_remedies_are_left_out(tmp_path: Path) -> None:
    found = rows(prediction_table(compared(drifted(tmp_path, ("faces",), 12, seeds=2))))
    cells = found["weight distance"].cells
    assert cells["within"].text == "" and "one task alone" in cells["within"].reason
    assert float(cells["rho"].text) == -1 and float(cells["left_out"].text) == 1
    mean = found["mean of the task"].cells
    assert mean["left_out"].text == "" and float(mean["error"].text) > 0.05


def test_of_too_few_approaches_nothing_is_said(tmp_path: Path) -> None:
    for row in rows(prediction_table(compared(drifted(tmp_path, ("faces",), 4)))).values():
        assert row.cells["rho"].text == "" and row.cells["rho"].reason == "cannot be said of 4 approaches: 10 at least"


def test_a_sweep_that_kept_no_drift_has_no_such_table(tmp_path: Path) -> None:
    root = drifted(tmp_path, ("faces",), 3, seeds=1)
    for path in root.glob("trials/*/trained/drift.json"):
        path.unlink()
    assert prediction_table(compared(root)) is None


def test_the_page_and_the_csv_show_it(two_tasks: Comparison) -> None:
    table = prediction_table(two_tasks)
    assert table is not None
    (shown,) = shown_tables({"prediction": table, "gelo": table})[:1]
    assert [row["label"] for row in shown["rows"]][:2] == ["kept early", "weight distance"]
    head, *lines = to_csv(table).decode().splitlines()
    assert head.startswith("trial,backbone,task,adaptation,remedy,seed,measure,trials,") and len(lines) == 7
    assert not any("nan" in line for line in lines)


@pytest.mark.parametrize("wrong", [{"looks": []}, {"blocks": [{"block": 1}]}, {"images": 3}, {"looks": [{"step": 4}]}])
def test_a_file_that_cannot_be_what_it_says_is_a_fault(wrong: dict[str, object], tmp_path: Path) -> None:
    root = drifted(tmp_path, ("faces",), 2, seeds=1)
    path = next(iter(root.glob("trials/faces0-0/trained/drift.json")))
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    runs = read_runs(root.parent, root.name)
    if wrong == {"looks": []}:
        assert not runs.faults and not len(runs.drifts["faces0-0"].looks), "a trial that was made after training"
        return
    (fault,) = runs.faults
    assert fault.where == str(path) and "how far a tower went" in fault.expected and "faces0-0" not in runs.drifts
