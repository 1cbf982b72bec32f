"""What a reader sees: metrics that are no shares, tables of any suite, remedies of a grid told apart, and what of a sweep is a toy."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from gelo.analysis.compare import compare
from gelo.analysis.findings import findings
from gelo.analysis.pagetables import shown_tables
from gelo.analysis.report import write_report
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import Cell, Row, Table, build
from gelo.tasks import results
from gelo.tasks.protocols import unit
from tests.analysis.sweeps import write_result, write_sweep, write_trial

NUMBER = "fr/pairs/accuracy"


def sweep(storage: Path, *counts: int, scale: str = "miniature") -> Path:
    """mini-s untouched, and trained on faces with a remedy at each count."""
    root = write_sweep(storage, backbones=["mini-s"])
    for place, count in enumerate((None, *counts)):
        task, way = ("none", "none") if count is None else ("faces", "full")
        remedy = {"kind": "none"} if count is None else {"kind": "freeze_norm", "count": count, "last": True}
        folder = write_trial(root, f"k{place}", "mini-s", task, way, remedy=remedy)
        write_result(folder, "zero_shot", "shapes", {"shapes/top1": 0.5 + 0.01 * place})
        ends = {"pairs/accuracy": (0.5, 0.75)}
        write_result(folder, "fr", "pairs", {"pairs/accuracy": 0.625 + 0.25 * place}, intervals=ends, scale=scale)
    return root


def test_a_metric_that_is_no_share_is_shown_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "unit", lambda name: "number" if name == NUMBER else unit(name))
    root = sweep(tmp_path, 1)
    write_result(write_trial(root, "p", "mini-s", "faces", "full"), "fr", "pairs", {"pairs/accuracy": 0.875})
    comparison = compare(read_runs(tmp_path, "demo"))
    table = build(comparison)["biometric"]
    cell = table.rows[2].cells["fr_pairs_accuracy"]
    assert (cell.text, cell.change, cell.better, cell.low, cell.high) == ("0.875", 0.25, 0.25, 0.5, 0.75)
    assert table.numbers == {"fr_pairs_accuracy"}
    assert build(comparison)["zero_shot"].rows[2].cells["shapes"].text == "51.00"
    assert comparison.gain("k1") == 0.25, "not in points"
    page = (Path(str(write_report(tmp_path, "demo").path)) / "index.html").read_text()
    assert "fr pairs accuracy #" in page and "are no shares" in page
    assert "<small>+0.25</small>" in page and "95 % interval 0.5 to 0.75" in page and '"0.875","0.5","0.75"' in page
    gain = next(f.text for f in findings(comparison) if "0.62 to 0.88" in f.text)
    assert "points" not in gain and "%" not in gain


def test_any_table_is_on_the_page_and_numbers_have_a_scale_of_their_own() -> None:
    row = Row({"backbone": "mini-s", "trial": "k", "task": "none", "adaptation": "none", "remedy": "none", "seed": "0"}, True, {
        "far_caps_d_prime": Cell("975.3", "", 500.0, 500.0), "far_caps_share": Cell("5.00", "", -2.0, -2.0),
    })  # fmt: skip
    columns = tuple(row.cells)
    own = Table("far", columns, columns, (row,), frozenset({"far_caps_d_prime"}))
    shown = shown_tables({"gelo": Table("gelo", (), (), ()), "far": own, "zero_shot": Table("zero_shot", (), (), ())})
    assert [table["name"] for table in shown] == ["zero_shot", "far", "gelo"]
    assert shown[1]["heads"] == ["far caps d prime #", "far caps share"] and "far.csv" in shown[1]["note"]
    assert [cell["tint"] for cell in shown[1]["rows"][0]["cells"]] == ["b8", "w8"]
    (bare,) = shown_tables({"far": Table("far", columns, (), (row,))})
    assert len(bare["heads"]) == 2, "without a main column all are shown"


def test_the_values_of_a_remedy_are_told_apart_and_a_renamed_tables_csv_goes(tmp_path: Path) -> None:
    folder = sweep(tmp_path, 1, 2, 4) / "report"
    folder.mkdir()
    (folder / "renamed.csv").write_text("trial,backbone,task,adaptation,remedy,seed,old\n")
    (folder / "notes.csv").write_text("trial,what I think of it\n")
    write_report(tmp_path, "demo")
    assert not (folder / "renamed.csv").exists() and (folder / "notes.csv").exists()
    named = [f"freeze_norm(count={count})" for count in (1, 2, 4)]
    page = (folder / "index.html").read_text()
    for name in ("zero_shot", "gelo", "biometric"):
        with (folder / f"{name}.csv").open(newline="") as stream:
            assert [row["remedy"] for row in csv.DictReader(stream)] == ["none", *named]
    assert all(f"mini-s · faces · full · {remedy}</th>" in page for remedy in named)


def test_what_cannot_be_said_says_why(tmp_path: Path) -> None:
    root = sweep(tmp_path, 1)
    order, _, sizes, *_ = findings(compare(read_runs(tmp_path, "demo")))
    assert order.text == "No trial was trained without a remedy."
    assert sizes.text == "This sweep has one backbone."
    write_result(write_trial(root, "k9", "mini-s", "faces", "full"), "fr", "pairs", {"pairs/accuracy": 0.5})
    order, *_ = findings(compare(read_runs(tmp_path, "demo")))
    assert "(k9 incomplete)" in order.text


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        ("miniature", "MINIATURE: toy models and generated toy data. "),
        ("full", "MINIATURE: toy models and generated toy data, but for pairs. "),
    ],
)
def test_a_report_says_what_of_it_is_a_toy(scale: str, told: str, tmp_path: Path) -> None:
    sweep(tmp_path, 1, scale=scale)
    page = (Path(str(write_report(tmp_path, "demo").path)) / "index.html").read_text()
    assert told in page


def test_real_weights_on_real_data_are_no_toy(tmp_path: Path) -> None:
    folder = write_trial(write_sweep(tmp_path), "k", "openai/ViT-B-16", "none")
    write_result(folder, "fr", "pairs", {"pairs/accuracy": 0.5}, scale="full")
    assert read_runs(tmp_path, "demo").miniature == ""
    write_result(folder, "fr", "drawn", {"drawn/accuracy": 0.5})
    assert read_runs(tmp_path, "demo").miniature == "generated toy data, but for pairs"
