"""What a remedy may be shown: nothing that is scored, no test split, no image of one under another name; whatever the remedy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field
from rich.console import Console

from gelo.models.faults import Fault, UserError
from gelo.models.remedies import REMEDIES
from gelo.models.remedies.reference import OnReference
from gelo.models.remedies.stack import Stack
from gelo.sweeps.spec.folders import name_of
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.shown import refused, shown_of
from gelo.sweeps.spec.sweep import SweepSpec, parse_spec
from gelo.sweeps.stages.data import _build
from gelo.sweeps.stages.waves import Sweep
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.preflight import preflight
from gelo.sweeps.state.reads import needed_datasets
from gelo.sweeps.terminal.progress import Display
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.spool import Spool
from gelo.tasks.data.manifest import Dataset, open_dataset
from tests.sweeps.test_leaks import made, picture

ON_REFERENCE = [spec for spec in REMEDIES if "reference" in spec.model_construct().data()]


def spec(remedy: Any, **changes: Any) -> dict[str, Any]:
    tasks = {"faces": {"adaptation": "full", "remedy": remedy}}
    return {"name": "own", "backbones": ["mini-s"], "tasks": tasks, "evaluate": ["zero_shot"], **changes}


def told(remedy: Any, **changes: Any) -> list[Fault]:
    with pytest.raises(UserError) as caught:
        parse_spec(spec(remedy, **changes), "own.yaml")
    return list(caught.value.faults)


@pytest.mark.parametrize("kind", [member.model_fields["kind"].default for member in ON_REFERENCE])
def test_every_remedy_that_wants_images_is_refused_what_is_scored(kind: str) -> None:
    assert not [f for f in _parsed(kind) if "reference" in f.where]
    (fault,) = told({kind: {"reference": "shapes/train"}})
    assert (fault.where, fault.found) == (
        f"tasks.faces.remedy.{kind}.reference",
        "shapes/train: of shapes, a data set that this sweep scores",
    )
    assert "reference/train" in fault.remedy and "`without: [shapes]`" in fault.remedy


def _parsed(remedy: Any) -> list[Fault]:
    try:
        parse_spec(spec(remedy), "own.yaml")
    except UserError as error:
        return list(error.faults)
    return []


def test_every_fault_is_told_at_once_within_stacks_too() -> None:
    remedy = [
        {"replay": {"reference": "shapes/test"}}, {"retrieval": {"reference": "spoofs/dev"}},
        [{"ewc": {"reference": "digits"}}, "wise"], {"replay": {"reference": ["reference/test", "flags/val"]}},
    ]  # fmt: skip
    found = {(fault.where.split(".")[3], fault.found) for fault in told(remedy)}
    assert found == {
        ("replay", "shapes/test: a split test, which is scored, of shapes, a data set that this sweep scores"),
        ("retrieval", "spoofs/dev: a split dev, which is scored"),
        ("ewc", "digits/train: of digits, a data set that this sweep scores"),
        ("replay", "reference/test: a split test, which is scored"),
        ("replay", "flags/val: of flags, a data set that this sweep scores"),
    }


def test_what_the_sweep_does_not_score_may_be_shown() -> None:
    parse_spec(spec({"replay": {"reference": "shapes/train"}}, without=["shapes"]), "own.yaml")
    parse_spec(spec({"replay": {"reference": "shapes/train"}}, datasets=["flags"]), "own.yaml")
    parse_spec(spec({"replay": {"reference": "spoofs/train"}}), "own.yaml")  # zero_shot does not score it
    assert told({"replay": {"reference": "spoofs/train"}}, evaluate=["biometric"])


def test_what_the_task_trains_on_may_be_shown_to_its_remedy() -> None:
    raw = spec({"replay": {"reference": "morphs"}}, evaluate=["biometric"])
    parse_spec({**raw, "tasks": {"morphs": raw["tasks"]["faces"]}}, "own.yaml")
    assert told({"replay": {"reference": "morphs"}}, evaluate=["biometric"]), "of faces it is another matter"


def test_what_is_drawn_for_the_miniature_is_no_reference_for_real_weights() -> None:
    (fault,) = told("replay", collection="paper", backbones=["ViT-B/16"])
    assert fault.found == "reference/train: drawn for the miniature alone" and "imagenet/train" in fault.remedy
    parse_spec(
        spec({"replay": {"reference": "imagenet/train"}}, collection="paper", backbones=["ViT-B/16"]), "own.yaml"
    )


def test_a_strangers_remedy_is_refused_by_what_its_data_says() -> None:
    class Two(OnReference):
        kind: Literal["two"] = "two"
        other: str = Field(default="flags/train")

        def data(self) -> dict[str, str]:
            return {**super().data(), "other": self.other}

    trials = parse_spec(spec("none"), "own.yaml").trials()
    shown = shown_of(
        [trials[1].model_copy(update={"remedy": Stack.model_construct(remedies=(Two(), Two(other="a/val")))})]
    )
    assert [(each.where, each.place) for each in shown] == [
        ("tasks.faces.remedy.two.reference", "reference/train"),
        ("tasks.faces.remedy.two.other", "flags/train"),
        ("tasks.faces.remedy.two.other", "a/val"),
    ]
    assert [fault.where for fault in refused(shown, {"flags"}, "miniature")] == ["tasks.faces.remedy.two.other"]


def saved(remedy: Any, data: Path, **changes: Any) -> tuple[SweepSpec, Settings]:
    """A sweep as it is read from its folder, which nothing has checked."""
    settings = Settings(storage=str(data / "out"), data=str(data), cache=str(data / "cache"))
    return SweepSpec.model_validate(spec(remedy, **changes)), settings


def test_a_saved_sweep_is_refused_too_and_splits_that_are_not_there(tmp_path: Path) -> None:
    made(tmp_path, "own", train=[(1, 0), (2, 1)], test=[(3, 0)])
    remedy = [{"replay": {"reference": place}} for place in ("shapes/train", "own/val", "own/train", "gone/train")]
    found = {fault.where: fault for fault in preflight(*saved(remedy, tmp_path))}
    assert len(found) == 2, "one place in the file, and what is not prepared"
    faults = {fault.found: fault for fault in preflight(*saved(remedy, tmp_path))}
    assert faults.keys() == {
        "shapes/train: of shapes, a data set that this sweep scores",
        "own has no split val",
        "own/train: 2 images",
        "unknown data set 'gone'",
    }
    assert faults["own has no split val"].remedy == "name own/train"
    assert faults["own/train: 2 images"].expected == "at least the 16 of a batch"


def test_a_set_under_also_that_is_scored_is_refused(tmp_path: Path) -> None:
    made(tmp_path, "own", train=[(n, n % 2) for n in range(16)], test=[(30, 0), (31, 1)])
    asked = {"replay": {"reference": "own/train"}}
    assert preflight(*saved(asked, tmp_path)) == []
    (fault,) = preflight(*saved(asked, tmp_path, also=["own"]))
    assert fault.found == "own/train: of own, a data set that this sweep scores"


def overlapping(data: Path) -> Dataset:
    """A set of a user's own of which two images are scored under another name."""
    made(data, "scored", test=[(0, 0), (40, 1), (41, 0), (1, 1)], train=[(50, 0), (51, 1)])
    return made(data, "own", train=[(n, n % 2) for n in range(16)])


def test_images_that_are_scored_under_another_name_are_refused_before_anything_starts(tmp_path: Path) -> None:
    overlapping(tmp_path)
    (fault,) = preflight(*saved([{"replay": {"reference": "own/train"}}, "wise"], tmp_path, also=["scored"]))
    assert fault.where == "tasks.faces.remedy.replay.reference"
    assert fault.found.startswith(
        "2 of 4 images of scored/test stand in own/train too, byte for byte: test/0 = train/0"
    )
    assert preflight(*saved([{"replay": {"reference": "own/train"}}, "wise"], tmp_path)) == [], "nothing scores it"


def test_they_are_refused_before_training_where_the_scored_set_is_made_only_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = overlapping(tmp_path)
    asked, settings = saved({"replay": {"reference": "own/train"}}, tmp_path, also=["scored"])
    folder = SweepFolder(settings.place(), "own")
    outbox = Outbox(Spool(folder.root / "tracking"), settings.tracking, "own")
    sweep = Sweep(asked, settings, folder, Display(Console()), outbox, asked.trials())
    sweep.pairs, sweep.cache = [("scored", "zero_shot")], tmp_path / "cache"
    data = {"own": own, "scored": made(tmp_path / "now", "scored", test=[(3, 1), (90, 0)])}
    monkeypatch.setattr("gelo.sweeps.stages.waves.opened", lambda *given: (data, []))
    monkeypatch.setattr(Sweep, "_trouble", lambda self, faults: None)
    with pytest.raises(UserError, match="1 of 2 images of scored/test stands in own/train too"):
        sweep._opened()
    data["scored"] = made(tmp_path / "else", "scored", test=[(91, 1), (90, 0)])
    assert sweep._opened() == data


def photos(folder: Path, *classes: str, of: int = 9) -> Path:
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(of):
            (folder / name / f"{number}.png").write_bytes(picture(100 * label + number))
    return folder


def test_a_folder_becomes_a_data_set_that_is_named_by_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photos(tmp_path / "my photos", "cats", "dogs")
    monkeypatch.chdir(tmp_path)
    first = parse_spec(spec([["l2sp", {"replay": {"reference": "./my photos"}}]]), "own.yaml")
    ((name, place),) = first.folders.items()
    assert name == name_of(folder) and re.fullmatch("my_photos_[0-9a-f]{12}", name) and place == str(folder)
    (trial,) = (trial for trial in first.trials() if trial.training)
    assert trial.remedy.data() == {"1.reference": f"{name}/train"}
    moved = folder.rename(tmp_path / "elsewhere") / "../elsewhere"
    assert name_of(moved)[-12:] == name[-12:], "the same images mean the same wherever they lie"
    again = parse_spec(json.loads(first.model_dump_json()), "saved")
    assert again == first, "as it is saved it needs no folder to be read again"
    (moved / "cats" / "0.png").write_bytes(b"another")
    assert name_of(moved)[-12:] != name[-12:]


@pytest.mark.parametrize("inside", ["", "train"])
def test_a_folder_is_checked_before_anything_starts_and_prepared_with_all_others(tmp_path: Path, inside: str) -> None:
    photos(tmp_path / "photos" / inside, "cats", "dogs")
    asked = parse_spec(spec({"replay": {"reference": str(tmp_path / "photos")}}), "own.yaml")
    settings = Settings(storage=str(tmp_path / "out"), data=str(tmp_path / "data"), cache=str(tmp_path / "cache"))
    assert preflight(asked, settings) == []
    ((name, folder),) = asked.folders.items()
    assert needed_datasets(asked, tmp_path / "data")[1] == name
    _build(name, settings.data, folder)
    dataset = open_dataset(tmp_path / "data" / name)
    assert dataset.card.counts() == {"train": 18} and dataset.card.classes == ("cats", "dogs")
    assert preflight(asked, settings) == []


def test_a_folder_that_cannot_be_prepared_is_told_with_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "1.png").write_bytes(picture(1))
    places = [str(tmp_path / "flat"), "~/nowhere/at/all", "./gone"]
    with pytest.raises(UserError) as caught:
        parse_spec(spec([{"replay": {"reference": place}} for place in places]), "own.yaml")
    assert [fault.found for fault in caught.value.faults] == [
        "~/nowhere/at/all: no such folder",
        "./gone: no such folder",
    ]
    assert {fault.where for fault in caught.value.faults} == {"tasks.faces.remedy.replay.reference"}
    asked = parse_spec(spec({"replay": {"reference": places[0]}}), "own.yaml")
    settings = Settings(storage=str(tmp_path / "out"), data=str(tmp_path / "data"), cache=str(tmp_path / "cache"))
    *_, last = preflight(asked, settings)
    assert last.remedy == f"gelo prepare NAME --from {places[0]} --reader READER, then `NAME/train` in the sweep"
    monkeypatch.chdir(tmp_path)
    bare = parse_spec(spec({"replay": {"reference": "flat"}}), "own.yaml")
    assert preflight(bare, settings)[-1].remedy.endswith("; the folder here is ./flat")
    photos(tmp_path / "flat", "cats")
    ((name, folder),) = asked.folders.items()
    with pytest.raises(UserError, match="other images"):
        _build(name, settings.data, folder)
