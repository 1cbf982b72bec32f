"""The headline table as CSV and page: rows, order, intervals beside, costs, and the picture of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from gelo.analysis.compare import compare
from gelo.analysis.contenders import contenders
from gelo.analysis.gaintable import gain_table
from gelo.analysis.memory import memory_of, predicted
from gelo.analysis.report import Report, write_report
from gelo.analysis.runs import read_runs
from gelo.sweeps.spec.sweep import load_spec
from gelo.sweeps.state.memory import plan_of
from tests.analysis.curve_files import mitigation, write_curve, write_scores
from tests.analysis.sweeps import demo, write_sweep, write_trial

APPROACHES = ("none", "l2sp", "zscl", "budget")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Report:
    storage = tmp_path_factory.mktemp("storage")
    mitigation(storage, seeds=(0, 1), backbones=("mini-s",), approaches=APPROACHES)
    return write_report(storage, "mitigation")


def rows(report: Report) -> list[dict[str, str]]:
    with (report.path / "equal_gain.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_row_an_approach_the_best_at_90_per_cent_first(written: Report) -> None:
    table = rows(written)
    assert [row["remedy"] for row in table] == [
        "none",
        "zscl",
        "l2sp(strength=1)",
        "budget",
        "soup",
        "wise(4 settings)",
    ]
    assert table[0]["trial"] == "none1-00 none1-01" and table[0]["seed"] == "0, 1"
    kept = [float(row["kept_at_90"]) for row in table[1:3]]
    assert kept == sorted(kept, reverse=True) and table[3]["kept_at_90"] == ""
    for name in ("gain", "kept_zero_shot", "kept_probe", "kept_at_90", "area", "hypervolume"):
        low, value, high = (float(table[1][column]) for column in (f"{name}_low", name, f"{name}_high"))
        assert low < value < high
    assert float(table[1]["gain"]) == pytest.approx(29.4, abs=0.5)
    assert float(table[1]["kept_zero_shot"]) == pytest.approx(0.91, abs=0.03)
    assert table[5]["gain"] == "" and table[5]["kept_at_80"] != ""


def test_a_merge_costs_the_trainings_that_it_is_made_of(written: Report) -> None:
    by = {row["remedy"]: row for row in rows(written)}
    assert by["none"]["train_seconds"] == "42.0"
    assert by["soup"]["train_seconds"] == "84.0", "of both seeds"


def test_a_gain_over_two_versions_is_absent_and_says_so(tmp_path: Path) -> None:
    root = mitigation(tmp_path, seeds=(0, 1), backbones=("mini-s",), approaches=("none", "zscl"))
    path = root / "trials" / "zscl1-01" / "results" / "fr" / "pairs.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"protocol_version": 7}))
    comparison = compare(read_runs(tmp_path, "mitigation"))
    cells = {row.identity["remedy"]: row.cells["gain"] for row in gain_table(comparison, contenders(comparison)).rows}
    assert (cells["zscl"].text, cells["zscl"].reason) == ("", "1 of 2 seeds: scored by versions 1 and 7 of fr")
    assert cells["none"].text


def test_the_page_has_table_picture_and_reasons(written: Report) -> None:
    page = (written.path / "index.html").read_text()
    assert page.index("At equal gain") < page.index("Zero-shot accuracy (miniature)")
    assert "<small>±0." in page and "kept at 90 %" in page and "memory GB" in page
    assert "What is kept over what was gained" in page and '<figure id="equal_gain"' in page
    assert "one of 2 seeds reaches 6" in page
    assert "at 90 % of the best gain: without a remedy full keeps" in page
    assert any("at 90 % of the best gain" in finding.text for finding in written.main)


def test_equal_files_give_equal_bytes(tmp_path: Path, written: Report) -> None:
    mitigation(tmp_path, seeds=(0, 1), backbones=("mini-s",), approaches=APPROACHES)
    other = write_report(tmp_path, "mitigation")
    for name in ("equal_gain.csv", "index.html"):
        assert (other.path / name).read_bytes() == (written.path / name).read_bytes()


def test_a_broken_curve_is_a_fault_on_the_page_and_the_rest_is_there(tmp_path: Path) -> None:
    root = mitigation(tmp_path, seeds=(0,), backbones=("mini-s",), approaches=("none", "l2sp", "zscl"))
    (root / "trials" / "zscl1-00" / "trained" / "curve.json").write_text("{")
    report = write_report(tmp_path, "mitigation")
    assert any("zscl1-00" in fault and "curve.json" in fault for fault in report.faults)
    by = {row["remedy"]: row for row in rows(report)}
    assert by["zscl"]["kept_at_90"] == "" and by["zscl"]["kept_zero_shot"] != "" and by["none"]["kept_at_90"] != ""


def test_without_curves_there_is_no_such_table(tmp_path: Path) -> None:
    demo(tmp_path, wise=True)
    report = write_report(tmp_path, "demo")
    assert not (report.path / "equal_gain.csv").exists()


def test_memory_is_that_which_plan_predicts(tmp_path: Path) -> None:
    spec, expected = load_spec("demo"), {}
    root = write_sweep(tmp_path, "memory", backbones=["mini-l"], resources=spec.resources.model_dump())
    write_scores(write_trial(root, "base", "mini-l", "none"), 0.0, 1.0)
    trials = {
        trial.adaptation.kind: trial for trial in spec.trials() if trial.task == "faces" and trial.backbone == "mini-l"
    }
    for trial in trials.values():
        plan = plan_of(trial, spec.resources, 50)
        assert plan is not None
        training = {"head_parameters": 50 * plan.size.dim, "ranks": [1]}
        assert predicted(trial.document(), training, spec.resources.model_dump()) == plan.footprint().peak
        treated = {**trial.document(), "remedy": {"kind": "ewc"}}
        assert predicted(treated, training, {}) is None, "what a remedy holds is in no prediction"
        folder = root / "trials" / trial.key
        folder.mkdir(parents=True)
        (folder / "trial.json").write_text(json.dumps(trial.document()))
        (folder / "trained").mkdir()
        (folder / "trained" / "training.json").write_text(json.dumps({**training, "source": trial.key}))
        write_curve(folder, [0.0, 0.3], [1.0, 0.8])
        write_scores(folder, 0.3, 0.8)
        expected[trial.key] = f"{plan.footprint().peak / 1e9:.2f}"
    assert {row["trial"]: row["memory_gb"] for row in rows(write_report(tmp_path, "memory"))} == expected
    assert len(set(expected.values())) == 2, "full fine-tuning needs more than LoRA"
    assert predicted({**trials["full"].document(), "backbone": "unheard-of"}, {"ranks": [1]}, {}) is None
    assert memory_of(treated, {**training, "peak_bytes": 3_000_000}, {}) == 3e6, (
        "what was measured counts, whatever the remedy"
    )
    assert memory_of(treated, {**training, "peak_bytes": "much"}, {}) is None
