"""A trial that a scheduler cut is in no number of a report, and said to be cut; so is what is made of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from upath import UPath

from gelo.analysis.compare import compare
from gelo.analysis.folders import read_trial
from gelo.analysis.headline import headline
from gelo.analysis.report import write_report
from gelo.analysis.runs import read_runs
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state.cuts import set_cut
from gelo.sweeps.state.folder import SweepFolder
from gelo.tasks.ledger.cuts import FILE, Cut
from tests.analysis.sweeps import demo

CUT = Cut(by="asha", metric="gain", look=2, step=120, steps=400)
TOLD = "cut at step 120 of 400 (asha, by gain at look 2)"


def _cut_one(root: Path) -> str:
    """The first trained trial as a scheduler leaves it; its key."""
    folder = min(path.parent for path in root.glob("trials/*/trained") if not path.parent.name.startswith("b"))
    shutil.rmtree(folder / "trained")
    shutil.rmtree(folder / "results")
    (folder / FILE).write_text(CUT.model_dump_json())
    return folder.name


def test_no_number_is_of_a_cut_trial_and_the_others_stay(tmp_path: Path) -> None:
    whole = compare(read_runs(demo(tmp_path / "a").parent, "demo"))
    root = demo(tmp_path / "b")
    key = _cut_one(root)
    runs = read_runs(root.parent, "demo")
    cut = compare(runs)
    assert cut.status[key].state == "cut" and cut.status[key].reasons[0] == TOLD
    for suite, general in cut.general.items():
        assert general.average.isna()[key] and general.gelo.isna()[key]
        others = [trial for trial in general.gelo.index if trial != key]
        assert general.gelo[others].equals(whole.general[suite].gelo[others])
        if len(general.scores.columns):
            assert general.why[key].startswith("the trial cut; ")
    values, before = headline(cut), headline(whole)
    assert (values["trials/cut"], values["trials/complete"]) == (1, before["trials/complete"] - 1)
    assert "trials/cut" not in before
    page = (write_report(root.parent, "demo").path / "index.html").read_text()
    assert TOLD in page and "--finish KEY" in page and "the trial cut" in page


def test_one_that_is_to_be_finished_or_is_finished_is_cut_no_more(tmp_path: Path) -> None:
    root = demo(tmp_path)
    key = _cut_one(root)
    (root / "trials" / key / FILE).write_text(CUT.model_copy(update={"go_on": True}).model_dump_json())
    assert compare(read_runs(tmp_path, "demo")).status[key].state == "incomplete"
    finished = next(path.parent for path in sorted(root.glob("trials/*/trained")))
    (finished / FILE).write_text(CUT.model_dump_json())
    assert compare(read_runs(tmp_path, "demo")).status[finished.name].state == "complete"


@pytest.mark.parametrize("content", ["{}", "[1]", "{"])
def test_a_damaged_file_is_a_fault_of_the_report(tmp_path: Path, content: str) -> None:
    root = demo(tmp_path)
    key = _cut_one(root)
    (root / "trials" / key / FILE).write_text(content)
    runs = read_runs(tmp_path, "demo")
    assert [FILE in str(fault) for fault in runs.faults] == [True]
    assert compare(runs).status[key].state == "incomplete"


def test_what_is_made_of_a_cut_trial_is_cut_with_it(tmp_path: Path) -> None:
    tasks = {"morphs": {"remedy": ["none", {"wise": {"alpha": 0.5}}]}}
    spec = parse_spec({"name": "mine", "backbones": ["mini-s"], "tasks": tasks}, "mine.yaml")
    folder = SweepFolder(UPath(tmp_path), "mine")
    folder.save(spec, {"storage": str(tmp_path)}, [])
    source, merged = (trial for trial in spec.trials() if trial.training is not None)
    set_cut(folder.trial(source), CUT)
    rows = [read_trial(folder.trial(trial).root, [], {}) for trial in (source, merged)]
    assert [row is not None and row["cut"] for row in rows] == [TOLD, TOLD]
    document = json.loads((folder.trial(merged).root / "trial.json").read_bytes())
    (folder.trial(merged).root / "trial.json").write_text(json.dumps({**document, "remedy": {"kind": "of tomorrow"}}))
    row = read_trial(folder.trial(merged).root, [], {})
    assert row is not None and row["cut"] == ""  # what it is made of is not known here
