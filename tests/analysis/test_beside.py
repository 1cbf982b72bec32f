"""The paper's own tables, made anew by the code that makes ours, and ours beside them: what is matched, what is said of the rest."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from gelo.analysis.beside import beside
from gelo.analysis.cells import Table
from gelo.analysis.compare import Comparison, compare
from gelo.analysis.printed import sheets
from gelo.analysis.published import TABLES, TASK_OF, as_runs, counterparts, published
from gelo.analysis.report import write_report
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import build
from gelo.models.faults import UserError
from gelo.tasks.data.catalogue import ENTRIES, datasets_for
from gelo.tasks.protocols import metric_of
from tests.analysis.sweeps import demo, write_result, write_sweep, write_trial

# (table, row, column) -> (printed, what its own sets give): the one figure of the paper that its other figures do not
OFF = {("zero_shot", "FRoundation ViT-B/16", "average"): ("41.97", "41.98")}
B16, TRIALS = "ViT-B/16", {"base": "none", "mine": "faces", "detector": "morphs"}
APPROACH = {"base": "CLIP", "mine": "FRoundation", "detector": "MADation"}
MORE = {"base": 1.0, "mine": -2.0, "detector": 0.5}  # points of ours above theirs, in every column


# theirs


@pytest.mark.parametrize("name", TABLES)
def test_the_papers_table_is_made_by_the_code_that_makes_ours(name: Any) -> None:
    """Every cell to its printed digits, averages and GELO from the sets; then as it is printed."""
    comparison = compare(as_runs())
    printed = published(name).set_index(published(name)["approach"] + " " + published(name)["backbone"])
    table = build(comparison)[name]
    rows = {row.identity["trial"]: row for row in table.rows}
    assert list(printed.index.sort_values()) == sorted(rows) and len(rows) == 8
    metrics = {column: place.metric.replace("/", "_") for column, place in counterparts(name).items()}
    own = metrics if name == "biometric" else {column: column for column in (*metrics, "average", "gelo")}
    assert set(own.values()) == set(table.columns), "no column more and none less"
    off = {}
    for trial, row in rows.items():
        for column, ours in own.items():
            number = printed.at[trial, column]
            digits = 3 if column == "gelo" else 2
            text = "" if number != number else f"{number:.{digits}f}"
            if row.cells[ours].text != text:
                off[name, trial, column] = (text, row.cells[ours].text)
    assert off == {place: both for place, both in OFF.items() if place[0] == name}
    (sheet,) = sheets(comparison.runs, {name: table})
    assert sum(len(block) for block in sheet.blocks) == 8 and [len(block) for block in sheet.blocks] == [4, 4]
    first = sheet.blocks[0][0]
    shown = dict(zip(sheet.heads, (entry.text for entry in first.entries), strict=True))
    column, head = ("lfw", "fr lfw accuracy") if name == "biometric" else ("dtd", "dtd")
    assert first.names[:2] == (B16, "untouched") and shown[head] == f"{printed.at[f'CLIP {B16}', column]:.2f}"
    assert not any(entry.bold for block in sheet.blocks for line in block for entry in line.entries), "no interval"


@pytest.mark.parametrize("name", TABLES)
def test_every_published_column_is_a_declared_metric_of_a_set_that_is_scored_so(name: Any) -> None:
    places = counterparts(name)
    assert list(places) == [
        column for column in published(name) if column not in ("approach", "backbone", "average", "gelo")
    ]
    for place in places.values():
        assert metric_of(place.metric) and place.dataset in ENTRIES
        protocols = {"zero_shot": "zero_shot", "probe": "probe", "mad": "morph", "pad": "spoof"}
        suite = place.metric.split("/")[0]
        expected = protocols.get(suite) or ("templates" if place.dataset.startswith("ijb") else "verification")
        assert expected in ENTRIES[place.dataset].protocols
    if name != "biometric":
        asked = {"zero_shot": "zero_shot", "linear_probe": "probe"}[name]
        assert set(places) == {entry.name for entry in datasets_for("paper", asked)}, (
            "the paper's collection, all of it"
        )


# ours


def full(storage: Path, *, without: tuple[str, ...] = (), **more: Any) -> Comparison:
    """A baseline, a trial on faces and one on morphs of a ViT-B/16, each number so many points (`MORE`) off the published one."""
    root = write_sweep(storage, "study", collection="paper", backbones=[B16])
    for key, task in TRIALS.items():
        folder = write_trial(root, key, B16, task, "none" if task == "none" else "lora", training={"train_seconds": 1})
        for name in TABLES:
            row = published(name).set_index(["approach", "backbone"]).loc[APPROACH[key], B16]
            results: dict[tuple[str, str], dict[str, float]] = {}
            for column, place in counterparts(name).items():
                if column in without or place.headed not in ("", task):
                    continue
                suite, part, leaf = place.metric.split("/")
                results.setdefault((suite, place.dataset), {})[f"{part}/{leaf}"] = (row[column] + MORE[key]) / 100
            for (suite, dataset), values in results.items():
                write_result(folder, suite, dataset, values, scale="full")
    for folder, suite, dataset, changes in more.get("changed", ()):
        path = root / "trials" / folder / "results" / suite / f"{dataset}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return compare(read_runs(storage, "study"))


def by_label(table: Table) -> dict[str, dict[str, Any]]:
    return {row.identity["trial"] or row.identity["adaptation"]: dict(row.cells) for row in table.rows}


def test_ours_stand_below_theirs_with_the_difference(tmp_path: Path) -> None:
    tables = beside(full(tmp_path))
    assert list(tables) == ["published_zero_shot", "published_linear_probe", "published_biometric"]
    zero_shot = by_label(tables["published_zero_shot"])
    assert list(zero_shot) == [
        "CLIP, published", "base", "FRoundation, published", "mine", "MADation, published", "detector", "FoundPAD, published",
    ]  # fmt: skip
    theirs = zero_shot["FRoundation, published"]
    assert (theirs["food101"].text, theirs["average"].text, theirs["gelo"].text) == ("57.50", "41.97", "0.688")
    mine = zero_shot["mine"]
    assert (mine["food101"].text, mine["food101_difference"].text) == ("55.50", "-2.00")
    assert mine["average"].text == "39.98" and mine["average_difference"].text == "-1.99"  # from 41.9786, printed 41.97
    assert mine["gelo"].value == pytest.approx((41.9786 - 2) / (60.9764 + 1), abs=1e-4)
    assert mine["gelo_difference"].text == f"{mine['gelo'].value - 0.688:+.3f}"
    assert (zero_shot["base"]["gelo"].text, zero_shot["base"]["gelo"].reason) == ("", "")
    biometric = by_label(tables["published_biometric"])
    assert (biometric["detector"]["mad_eer"].text, biometric["detector"]["mad_eer_difference"].text) == (
        "12.39",
        "+0.50",
    )
    for row in ("base", "mine"):
        cell = biometric[row]["mad_eer"]
        assert cell.text == "" and "does not say how it scored a model without a trained morphing" in cell.reason
    assert biometric["CLIP, published"]["mad_eer"].text == "23.59", "theirs is said all the same"


def test_a_set_that_is_missing_leaves_a_mean_over_those_that_both_have(tmp_path: Path) -> None:
    tables = beside(full(tmp_path, without=("sun397",)))
    rows = by_label(tables["published_zero_shot"])
    assert (
        rows["mine"]["sun397"].reason == "sun397 is not scored here"
        and rows["CLIP, published"]["sun397"].text == "63.75"
    )
    assert "average" not in rows["mine"]
    theirs = published("zero_shot").set_index(["approach", "backbone"]).drop(columns=["average", "gelo", "sun397"])
    mean = theirs.loc[("FRoundation", B16)].mean()
    assert rows["FRoundation, published"]["average_13"].text == f"{mean:.2f}"
    assert rows["FRoundation, published"]["gelo_13"].text == f"{mean / theirs.loc[('CLIP', B16)].mean():.3f}"
    assert rows["mine"]["average_13"].value == pytest.approx(mean - 2)


def test_one_set_of_one_trial_missing_or_of_another_version_leaves_it_no_mean(tmp_path: Path) -> None:
    absent = {"values": {}, "intervals": {}, "absent": {"zero_shot/dtd/top1": "one class alone"}}
    rows = by_label(beside(full(tmp_path / "a", changed=[("mine", "zero_shot", "dtd", absent)]))["published_zero_shot"])
    assert (rows["mine"]["dtd"].text, rows["mine"]["dtd"].reason) == ("", "one class alone")
    assert (rows["mine"]["average"].text, rows["mine"]["average"].reason) == ("", "no accuracy for dtd")
    assert rows["detector"]["average"].text
    other = [("mine", "zero_shot", "dtd", {"protocol_version": 3})]
    rows = by_label(beside(full(tmp_path / "b", changed=other))["published_zero_shot"])
    assert (
        rows["mine"]["gelo"].reason == "scored by versions 1 and 3 of the protocol" and not rows["mine"]["average"].text
    )


def test_a_partial_set_says_so_and_generated_data_stand_nowhere(tmp_path: Path) -> None:
    changed: list[tuple[str, str, str, dict[str, object]]]
    changed = [(key, "zero_shot", "dtd", {"partial": True}) for key in TRIALS]
    changed += [("detector", "mad", "mad22", {"scale": "miniature"})]
    tables = beside(full(tmp_path, changed=changed))
    assert "dtd (partial)" in tables["published_zero_shot"].main and "dtd" not in tables["published_zero_shot"].main
    assert by_label(tables["published_biometric"])["detector"]["mad_eer"].text == ""


def test_the_miniature_is_refused_with_the_reason(tmp_path: Path) -> None:
    demo(tmp_path)
    with pytest.raises(
        UserError, match=r"toy models and generated toy data; expected full-size backbones \(ViT-B/16, ViT-L/14\)"
    ):
        beside(compare(read_runs(tmp_path, "demo")))
    with pytest.raises(UserError, match="gelo run paper"):
        write_report(tmp_path, "demo", published=True)
    assert not (tmp_path / "demo" / "report").exists(), "nothing is half written"


def test_a_full_backbone_on_toy_data_or_no_paper_set_is_refused_too(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, "odd", backbones=[B16, "ViT-H-14"])
    write_result(write_trial(root, "b", B16, "none"), "zero_shot", "shapes", {"shapes/top1": 0.5})
    write_result(
        write_trial(root, "c", "ViT-H-14", "none"), "zero_shot", "food101", {"food101/top1": 0.5}, scale="full"
    )
    with pytest.raises(UserError, match="published odd"):
        beside(compare(read_runs(tmp_path, "odd")))


@pytest.mark.slow
def test_the_report_has_them_on_the_page_and_as_files_where_it_is_asked(tmp_path: Path) -> None:
    comparison = full(tmp_path)
    folder = Path(str(write_report(tmp_path, "study", published=True).path))
    names = [f"published_{name}" for name in TABLES]
    assert [name for name in names if not (folder / f"{name}.csv").is_file()] == []
    with (folder / "published_zero_shot.csv").open() as stream:
        rows = {row["trial"] or row["adaptation"]: row for row in csv.DictReader(stream)}
    assert rows["mine"]["food101_difference"] == "-2.00" and rows["CLIP, published"]["food101"] == "88.22"
    page = (folder / "index.html").read_text()
    assert "Beside the published: zero-shot accuracy" in page and "FRoundation, published" in page and "−2.00" in page
    assert all(approach in page for approach in TASK_OF)
    write_report(tmp_path, "study")
    assert not list(folder.glob("published_*")) and "Beside the published" not in (folder / "index.html").read_text()
    (first, *_) = sheets(comparison.runs, beside(comparison), behind="difference")
    lines = {line.names[2]: line for block in first.blocks for line in block}
    assert lines["LoRA"].entries[0].behind in ("−2.00", "+0.50") and lines["CLIP, published"].entries[0].behind == ""
