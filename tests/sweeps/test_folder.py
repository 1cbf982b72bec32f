"""What lies in a sweep's folder: results that survive damage, specs that may grow but not change."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from gelo.models.faults import UserError
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec, parse_spec
from gelo.sweeps.state.folder import SweepFolder, TrialFolder
from gelo.tasks.results import Result

BASE: dict[str, Any] = {"name": "mine", "backbones": ["mini-s"], "tasks": {"faces": {"adaptation": ["full", "lora"]}}}
SCORES = pa.table({"id": ["a", "b"], "score": [0.25, 0.75]})


def spec(**changes: Any) -> SweepSpec:
    return parse_spec({**BASE, **changes}, "mine.yaml")


def result(value: float = 0.5) -> Result:
    return Result(
        suite="probe", dataset="shapes", protocol="probe", values={"probe/shapes/top1": value}, counts={"images": 2}, protocol_version=1,
        data="d" * 16, vision="v" * 16, text="t" * 16, scale="miniature",
    )  # fmt: skip


@pytest.fixture
def saved(tmp_path: Path) -> SweepFolder:
    folder = SweepFolder(UPath(tmp_path), "mine")
    folder.save(spec(), {"storage": str(tmp_path)}, ["faces"])
    return folder


def test_a_saved_sweep_comes_back(saved: SweepFolder) -> None:
    assert saved.spec() == spec()
    for trial in spec().trials():
        document = json.loads((saved.trial(trial).root / "trial.json").read_bytes())
        assert document["key"] == trial.key == saved.trial(trial).root.name


def test_an_unknown_sweep_is_answered_with_the_nearest(saved: SweepFolder) -> None:
    with pytest.raises(UserError, match="nearest: mine"):
        SweepFolder(saved.storage, "mime").read()
    with pytest.raises(UserError, match="unknown sweep 'any'"):
        SweepFolder(UPath(saved.storage / "nowhere"), "any").read()


def test_a_damaged_sweep_file_is_no_traceback(saved: SweepFolder) -> None:
    whole = json.loads((saved.root / "sweep.json").read_bytes())
    strange = {**whole, "settings": {"colour": "red"}}
    torn = {**whole, "spec": {**whole["spec"], "seeds": "none"}}
    for content, found in (
        ('{"spec": ', "not JSON"), ("[]", "not whole"), ("{}", r"not whole \(spec: missing, settings: missing\)"),
        (json.dumps(strange), "settings.colour"), (json.dumps(torn), "spec.seeds: 'none'"),
    ):  # fmt: skip
        (saved.root / "sweep.json").write_text(content)
        for look in (saved.read, saved.spec):
            with pytest.raises(UserError, match=rf"sweep\.json: .*{found}"):
                look()
    (saved.root / "sweep.json").write_text(json.dumps({**whole, "settings": {}}))
    assert saved.read()["settings"] == asdict(Settings()), "of an older gelo: the defaults"


@pytest.mark.parametrize(
    "grown",
    [
        {"seeds": [0, 1]},
        {"backbones": ["mini-l", "mini-s"]},
        {"tasks": {**BASE["tasks"], "morphs": {}}},
        {"tasks": {"faces": {"adaptation": ["lora", "full"], "epochs": [5, 7]}}},
        {"resources": {"cpus": 2}},
        {},
    ],
)
def test_a_spec_may_grow(saved: SweepFolder, grown: dict[str, Any]) -> None:
    before = {trial.key for trial in saved.spec().trials()}
    saved.save(spec(**grown), {}, [])
    assert before <= {trial.key for trial in saved.spec().trials()}


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"tasks": {"faces": {"adaptation": ["full", "lora"], "epochs": 7}}}, r"training.epochs \d+ -> 7"),
        ({"tasks": {"faces": {"adaptation": ["full", {"lora": {"rank": 4}}]}}}, r"adaptation.rank \d+ -> 4"),
        ({"tasks": {"faces": {"adaptation": ["full"]}}}, "mini-s faces lora seed 0: is missing from the new spec"),
        ({"seeds": [1]}, "seed 0 -> 1"),
        ({"evaluate": ["probe"]}, "zero_shot was taken away"),
    ],
)
def test_a_changed_spec_is_refused_showing_the_difference(
    saved: SweepFolder, changed: dict[str, Any], shown: str
) -> None:
    before = (saved.root / "sweep.json").read_bytes()
    with pytest.raises(UserError, match=shown) as refused:
        saved.save(spec(**changed), {}, [])
    assert all("new name" in fault.remedy for fault in refused.value.faults)
    assert (saved.root / "sweep.json").read_bytes() == before


def test_results_come_back_and_a_damaged_one_counts_as_none(tmp_path: Path) -> None:
    folder = TrialFolder(UPath(tmp_path))
    assert folder.result("probe", "shapes") is None
    folder.save_result(result(), SCORES)
    assert folder.result("probe", "shapes") == result()
    place = tmp_path / "results" / "probe"
    assert pq.read_table(place / "shapes.parquet").equals(SCORES)
    whole = (place / "shapes.json").read_bytes()
    for damage in (b"", whole[: len(whole) // 2], b"[]", b'{"suite": "probe"}'):
        (place / "shapes.json").write_bytes(damage)
        assert folder.result("probe", "shapes") is None
    folder.save_result(result(0.75), SCORES)
    assert folder.result("probe", "shapes") == result(0.75)
    assert sorted(file.name for file in place.iterdir()) == ["shapes.json", "shapes.parquet"]


def test_a_failure_is_kept_until_it_is_taken_back(tmp_path: Path) -> None:
    folder = TrialFolder(UPath(tmp_path))
    assert folder.failure() is None
    folder.set_failure({"error": "loss nan", "kind": "user"})
    assert folder.failure() == {"error": "loss nan", "kind": "user"}
    folder.set_failure(None)
    folder.set_failure(None)
    assert folder.failure() is None


def test_a_trial_without_its_marker_is_not_trained(tmp_path: Path) -> None:
    folder = TrialFolder(UPath(tmp_path))
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "training.json").write_text('{"train_seconds": 1}')
    assert not folder.is_trained()
    assert folder.training() == {}
    (tmp_path / "trained" / "DONE").touch()
    assert folder.is_trained()
    assert folder.training() == {"train_seconds": 1}
