"""`tasks: {imported: ...}`: an imported encoder is a trial whose key knows what it is and not where it lies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from gelo.models.adapt import Imported
from gelo.models.durable import publish_folder
from gelo.models.faults import Fault, UserError
from gelo.sweeps.exchange.brought import bring_in
from gelo.sweeps.spec.sweep import SweepSpec, parse_spec
from gelo.sweeps.state.changes import refuse_change
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.status import standing
from gelo.tasks.ledger.trial import Trial

FACES = {"faces": {"adaptation": ["full", "lora"]}}


def made(place: Path, fingerprint: str = "0" * 16, **changes: Any) -> Path:
    """A folder of `gelo import`; its tensors are of no matter here."""
    spec = Imported(name=place.name, method="madation", fingerprint=fingerprint, preprocess="morph", rank=2, gamma=2.0)
    said = {"backbone": "mini-s", "task": "morphs", "collection": "paper", "adaptation": spec, **changes}
    with publish_folder(place) as folder:
        with publish_folder(folder / "trained") as trained:
            (trained / "training.json").write_text(json.dumps({"vision": "1" * 16, "detector": "2" * 16}))
            (trained / "encoder.safetensors").write_bytes(b"tensors")
        (folder / "trial.json").write_text(json.dumps(Trial.model_validate(said).document()))
    return place


def parsed(imported: Any, **more: Any) -> SweepSpec:
    return parse_spec({"name": "mine", "backbones": ["mini-s"], "tasks": {"imported": imported}, **more}, "mine.yaml")


def faults(imported: Any, **more: Any) -> tuple[Fault, ...]:
    with pytest.raises(UserError) as refused:
        parsed(imported, **more)
    return refused.value.faults


def test_it_stands_beside_the_others_and_changes_no_key(tmp_path: Path) -> None:
    plain = parse_spec({"name": "mine", "backbones": ["mini-s"], "tasks": FACES}, "mine.yaml")
    spec = parse_spec(
        {"name": "mine", "backbones": ["mini-s"], "tasks": {"imported": {"mad": str(made(tmp_path / "a"))}, **FACES}},
        "mine.yaml",
    )
    trials = spec.trials()
    assert [t.key for t in trials if not isinstance(t.adaptation, Imported)] == [t.key for t in plain.trials()]
    (trial,) = (t for t in trials if isinstance(t.adaptation, Imported))
    assert (trial.task, trial.collection, trial.training) == ("morphs", "miniature", None)
    assert trial.tuned and not trial.trains and not trial.made_of and trial.preprocess == "morph"
    assert Trial.labels(trials)[trial.key] == "mini-s morphs imported mad"
    assert str(tmp_path) not in json.dumps(trial.document()) + json.dumps(trial.flat())
    refuse_change(plain, spec)  # a sweep may take one in


def test_the_key_is_that_of_the_tensors_wherever_they_lie(tmp_path: Path) -> None:
    def key(imported: Any) -> str:
        return parsed(imported).trials()[-1].key

    first = key({"mad": {"path": str(made(tmp_path / "a")), "task": "morphs"}})
    assert key({"renamed": str(made(tmp_path / "b"))}) == first
    assert key({"mad": str(made(tmp_path / "c", "f" * 16))}) != first


def test_a_sweep_that_was_saved_needs_the_folder_no_more(tmp_path: Path) -> None:
    spec = parsed({"mad": str(made(tmp_path / "a"))})
    folder = SweepFolder(UPath(tmp_path / "out"), "mine")
    folder.save(spec, {"data": str(tmp_path / "data")}, [], [])
    bring_in(spec.trials(), folder)
    shutil.rmtree(tmp_path / "a")
    again = folder.spec()
    assert [t.key for t in again.trials()] == [t.key for t in spec.trials()]
    bring_in(again.trials(), folder)
    trained = Path(str(folder.trial(again.trials()[-1]).trained))
    assert (trained / "encoder.safetensors").read_bytes() == b"tensors" and folder.trial(
        again.trials()[-1]
    ).is_trained()
    assert {row["label"]: row["state"] for row in standing(folder)}["mini-s morphs imported mad"] == "trained"
    with pytest.raises(UserError, match=r"a/trained: missing; expected the encoder mad"):
        bring_in(again.trials(), SweepFolder(UPath(tmp_path / "out"), "other"))


def test_another_encoder_at_the_same_place_is_refused(tmp_path: Path) -> None:
    spec = parsed({"mad": str(made(tmp_path / "a"))})
    shutil.rmtree(tmp_path / "a")
    made(tmp_path / "a", "f" * 16)
    with pytest.raises(
        UserError, match=r"tasks.imported.mad.path: another encoder \(f{16}\); expected 0{16}; .*new name"
    ):
        spec.trials()


def test_every_entry_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    here = str(made(tmp_path / "a"))
    (tmp_path / "odd" / "trained").mkdir(parents=True)
    (tmp_path / "odd" / "trial.json").write_text("[1")
    (tmp_path / "odd" / "trained" / "DONE").touch()
    trained_here = made(tmp_path / "lora", adaptation={"kind": "lora"})
    given = {
        "gone": str(tmp_path / "gone"), "key": {"pth": here}, "a b": here, "number": 3, "task": {"path": here, "task": "faces"},
        "odd": str(tmp_path / "odd"), "own": str(trained_here), "empty": {"path": ""}, "good": here,
    }  # fmt: skip
    found = {fault.where.split(":")[0]: fault for fault in faults(given)}
    assert found.keys() == {
        f"tasks.imported.{name}"
        for name in ("gone.path", "key.pth", "a b", "number", "task.task", "odd.path", "own.path", "empty.path")
    }
    assert found["tasks.imported.key.pth"].remedy == "nearest: path"
    assert found["tasks.imported.task.task"].expected == "morphs, which it was trained for"
    assert "a trial that was trained here" in found["tasks.imported.own.path"].found


@pytest.mark.parametrize("given", [[], {}, "a", 3])
def test_what_is_no_mapping_of_names_is_told(given: Any) -> None:
    (fault,) = faults(given)
    assert fault.where == "tasks.imported" and "{NAME: {path: DIR}}" in fault.expected


def test_its_backbone_is_one_of_the_sweeps(tmp_path: Path) -> None:
    (fault,) = faults({"mad": str(made(tmp_path / "a"))}, backbones=["mini-l"])
    assert fault.found == "a tower of mini-s" and fault.remedy == "add it to backbones"


def test_nobody_can_train_one() -> None:
    with pytest.raises(UserError, match=r"tasks.faces.adaptation: unknown adaptation 'imported'"):
        parse_spec(
            {"name": "mine", "backbones": ["mini-s"], "tasks": {"faces": {"adaptation": "imported"}}}, "mine.yaml"
        )
