"""A trial that is looked at while it trains: its files, its numbers in MLflow, and what is refused before it starts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from upath import UPath

from gelo.models.adapt import Full, Lora
from gelo.models.backbones.zoo import load_backbone
from gelo.models.faults import Fault, UserError
from gelo.models.remedies import Bench, Budget, NoRemedy, RemedySpec, Wise
from gelo.models.training.world import World
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.stages.finish import finish
from gelo.sweeps.stages.train import train
from gelo.sweeps.stages.watch import eye_of, validated
from gelo.sweeps.state.folder import SweepFolder, TrialFolder
from gelo.sweeps.state.origins import refuse_others
from gelo.sweeps.state.preflight import preflight
from gelo.sweeps.tracking.summary import WHOLE, metrics_of
from gelo.sweeps.tracking.tracker import Tracker
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.trial import Training, Trial
from gelo.tasks.ledger.watched import decided_by
from gelo.tasks.mini.worlds import WORLDS
from gelo.tasks.mini.worlds.canvas import encode, generator, quantise
from gelo.tasks.training import TASKS
from tests.sweeps.test_summary import subject

COLOURS = WORLDS["colours"]
IMAGES, BATCH, EPOCHS = 32, 8, 2
STEPS = EPOCHS * IMAGES // BATCH
LABELS = {"train": lambda n: n % 2, "val": lambda n: n % 2, "test": lambda n: n % len(COLOURS.classes)}


def pictures(name: str, split: str, count: int, labels: Callable[[int], int]) -> Iterator[Record]:
    for index in range(count):
        picture = COLOURS.draw(generator(name, split, index), labels(index), False).image
        yield Record(f"{split}/{index}", encode(quantise(picture)), labels(index))


class House:
    """An encoder, a task's images with a val split, and two general sets."""

    def __init__(self, root: Path) -> None:
        torch.set_num_threads(1)
        self.root, self.base, self.cache = root, load_backbone("mini-s"), root / "cache"
        self.sets: dict[str, Dataset] = {}
        self.write("attacks", ("attack", "bona fide"), {"train": IMAGES, "val": 24}, lambda n: n % 2)
        for name in ("one", "two"):
            self.write(name, COLOURS.classes, {"train": 20, "test": 20}, lambda n: n % len(COLOURS.classes))

    def write(self, name: str, classes: tuple[str, ...], splits: dict[str, int], labels: Callable[[int], int]) -> None:
        self.sets[name] = write_dataset(
            self.root / f"{len(list(self.root.iterdir()))}" / name, name=name, version="1", scale="miniature", classes=classes,
            source="a test", licence="none", splits={split: pictures(name, split, n, labels) for split, n in splits.items()},
        )  # fmt: skip

    def find(self, name: str) -> Dataset:
        if name not in self.sets:
            raise UserError("data", Fault(name, "missing", "a prepared data set"))
        return self.sets[name]

    def train(
        self, wanted: Trial, folder: Path, *, watched: bool = True, sets: tuple[str, ...] = ("one", "two"), **more: Any
    ) -> bool:
        look = partial(eye_of, wanted, self.base, sets, self.find, self.cache) if watched else None
        return train(wanted, self.base, self.sets["attacks"], self.cache, TrialFolder(UPath(folder)), look=look, **more)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


def trial(remedy: RemedySpec | None = None, adaptation: Any = None, **changes: Any) -> Trial:
    settings = {
        "data": "attacks", "epochs": EPOCHS, "batch": BATCH, "lr_backbone": 1e-3, "lr_head": 1e-2, "weight_decay": 0.05, "clip": 5.0,
        "schedule": "constant", "warmup_epochs": 0, "sampler": "shuffled", "augment": "flip", "watch": {"points": 4, "images": 20},
    }  # fmt: skip
    return Trial(
        backbone="mini-s", task="morphs", collection="miniature", adaptation=adaptation or Lora(rank=4, dropout=0.25),
        remedy=remedy or NoRemedy(), head=TASKS["morphs"].head, training=Training.model_validate(settings | changes), seed=3,
    )  # fmt: skip


def after(step: int) -> Callable[[], bool]:
    left = [step]

    def asked() -> bool:
        left[0] -= 1
        return left[0] <= 0

    return asked


def curve_of(folder: Path) -> dict[str, Any]:
    curve: dict[str, Any] = json.loads((folder / "trained" / "curve.json").read_text())
    return curve


def test_a_curve_is_written_whose_looks_change_no_bit(house: House, tmp_path: Path) -> None:
    assert house.train(trial(), tmp_path / "with") and house.train(trial(), tmp_path / "without", watched=False)
    for name in ("encoder.safetensors", "head.safetensors"):
        assert (tmp_path / "with" / "trained" / name).read_bytes() == (
            tmp_path / "without" / "trained" / name
        ).read_bytes()
    assert not (tmp_path / "without" / "trained" / "curve.json").exists()
    curve = curve_of(tmp_path / "with")
    assert curve["task"] == {"metric": "mad/validation/one_minus_eer", "data": "attacks/val", "images": 20}
    assert curve["general"] == {
        "validation": {"sets": {"one": 10, "two": 10}, "split": {"one": "train", "two": "train"}},
        "test": {"sets": {"one": 10, "two": 10}},
    }
    assert [(point["step"], point["images"]) for point in curve["points"]] == [(s, 8 * s) for s in (0, 2, 4, 6, 8)]
    assert all(point.keys() == {"step", "images", "task", "validation", "test", "sets"} for point in curve["points"])
    found = load_file(tmp_path / "with" / "trained" / "curve.safetensors")
    assert found["correct"].shape == (5, 20) and found["correct"].dtype == np.uint8
    assert found["set"].dtype == np.int16 and found["set"].tolist() == [0] * 10 + [1] * 10
    for right, point in zip(found["correct"], curve["points"], strict=True):
        assert right[:10].mean() == point["sets"]["one"] and right.mean() == pytest.approx(point["test"])
    made = TrialFolder(UPath(tmp_path / "with")).training()
    assert made["watched"].keys() == {"one/train", "one/test", "two/train", "two/test", "attacks/val"}
    assert made["watch_seconds"] > 0 and "decided_by" not in made and made["not_watched"] == {}


@pytest.mark.parametrize("remedy", [None, Budget(share=0.5)], ids=["none", "budget"])
def test_interrupted_it_has_the_same_curve(remedy: RemedySpec | None, house: House, tmp_path: Path) -> None:
    wanted = trial(remedy, Full(), lr_backbone=3e-3)
    assert house.train(wanted, tmp_path / "whole")
    for call in (1, 2):
        assert not house.train(wanted, tmp_path / "left", should_stop=after(3 - call))
        torch.manual_seed(call)
    assert house.train(wanted, tmp_path / "left")
    one, two = (curve_of(tmp_path / name) for name in ("whole", "left"))
    assert one == two
    for name in ("encoder.safetensors", "head.safetensors", "curve.safetensors"):
        assert (tmp_path / "whole" / "trained" / name).read_bytes() == (
            tmp_path / "left" / "trained" / name
        ).read_bytes()
    if remedy is not None:
        shares = [point["validation"] for point in one["points"]]
        assert len(shares) < 5 and shares[-1] < 0.5 * shares[0] <= shares[-2], "it ended early"
        assert one["points"][-1]["step"] == 4


def test_what_cannot_be_looked_at_is_absent_and_said(house: House, tmp_path: Path) -> None:
    wanted = trial(watch={"points": 1, "images": 10, "validation": "nowhere/val"})
    assert house.train(wanted, tmp_path, sets=("one", "lost"))
    curve = curve_of(tmp_path)
    assert curve["task"] is None and all("task" not in point for point in curve["points"])
    assert curve["general"]["test"]["sets"] == {"one": 10}
    lacking = TrialFolder(UPath(tmp_path)).training()["not_watched"]
    assert lacking.keys() == {"lost", "morphs"} and "nowhere: missing" in lacking["morphs"]


def test_who_has_nothing_to_look_at_or_does_not_want_to_has_no_watch(house: House) -> None:
    def found(wanted: Trial, *sets: str) -> int:
        return eye_of(wanted, house.base, sets, house.find, house.cache, 64, World()).watch.points

    assert found(trial(watch={"points": 0}), "one") == 0 == found(trial(watch={"validation": "lost"}))
    assert found(trial(watch={"validation": "lost", "points": 3}), "one") == 3 == found(trial(watch={"points": 3}))


def test_a_half_trained_trial_with_a_budget_does_not_go_on_from_other_images_to_decide_by(
    house: House, tmp_path: Path
) -> None:
    wanted = trial(Budget(share=0.01))
    assert not house.train(wanted, tmp_path / "trial", should_stop=after(3))
    with pytest.raises(UserError, match="images that the remedy decides by: made from"):
        house.train(wanted, tmp_path / "trial", sets=("one",))
    assert house.train(wanted, tmp_path / "trial")
    assert len(TrialFolder(UPath(tmp_path / "trial")).training()["decided_by"]) == 16
    plain = trial()
    assert not house.train(plain, tmp_path / "plain", should_stop=after(3))
    assert house.train(plain, tmp_path / "plain", sets=("one",)), "nothing else depends on them"
    assert [point["step"] for point in curve_of(tmp_path / "plain")["points"]] == [4, 6, 8], (
        "points of other sets stay behind"
    )


def test_a_trained_trial_with_a_budget_is_refused_once_its_images_to_decide_by_are_others(
    house: House, tmp_path: Path
) -> None:
    folder, wanted, pairs = SweepFolder(UPath(tmp_path), "s"), trial(Budget()), [("one", "zero_shot"), ("two", "probe")]
    place = Path(str(folder.trial(wanted).trained))
    place.mkdir(parents=True)
    (place / "DONE").touch()
    now = decided_by(wanted, pairs, house.sets)
    assert now.keys() == {"watched one/val", "watched one/train"} and decided_by(trial(), pairs, house.sets) == {}
    for watched, refused in ((house.sets["one"].fingerprint, False), ("old", True)):
        (place / "training.json").write_text(json.dumps({"watched": {"one/train": watched}}))
        with pytest.raises(UserError, match="watched one/train old; expected") if refused else nullcontext():
            refuse_others(folder, [wanted], {}, lambda each: now)


class Asking(Wise):
    """Keeps what it was scored at."""

    def finish(self, tower: Any, bench: Bench) -> Any:
        return tower.with_weights(dict(tower.weights), tuned=bench.score(tower), worse=bench.score(tower))


def test_what_finishes_a_tower_may_ask_for_the_tasks_validation_metric(house: House, tmp_path: Path) -> None:
    source = trial(watch={"points": 1, "images": 24})
    merged = source.model_copy(update={"remedy": Asking()})
    folders = {source.key: TrialFolder(UPath(tmp_path / "source")), merged.key: TrialFolder(UPath(tmp_path / "merged"))}
    assert house.train(source, tmp_path / "source")
    score = validated(merged, house.base, house.find)
    finish(merged, house.base, lambda each: folders[each.key], validated=score)
    notes = json.loads((tmp_path / "merged" / "trained" / "tower.json").read_text())["notes"]
    assert notes["tuned"] == curve_of(tmp_path / "source")["points"][-1]["task"], (
        "all 24 images, as the last look saw them"
    )
    assert not (tmp_path / "merged" / "trained" / "curve.json").exists(), "nobody looked"
    without = validated(trial(watch={"validation": "lost"}), house.base, lambda name: house.sets["one"])
    with pytest.raises(LookupError, match="no validation metric"):
        without(None, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(("alpha", "like"), [(0.0, 0), (1.0, -1)])
def test_what_is_made_after_training_is_looked_at_by_the_images_of_its_source(
    alpha: float, like: int, house: House, tmp_path: Path
) -> None:
    """The base and the tuned weights are worth what the source's first and last look found, image by image."""
    source = trial()
    merged = source.model_copy(update={"remedy": Wise(alpha=alpha)})
    folders = {each.key: TrialFolder(UPath(tmp_path / name)) for each, name in ((source, "source"), (merged, "merged"))}
    assert house.train(source, tmp_path / "source")

    def made(sets: tuple[str, ...]) -> None:
        look = partial(eye_of, merged, house.base, sets, house.find, house.cache)
        finish(merged, house.base, lambda each: folders[each.key], look=look)

    made(("one", "two"))
    before, after = curve_of(tmp_path / "source"), curve_of(tmp_path / "merged")
    assert after["points"][0] == before["points"][0] and len(after["points"]) == 2
    end = before["points"][-1]
    general = {name: before["points"][like][name] for name in ("validation", "test", "sets")}
    assert after["points"][1].items() >= {"step": end["step"], "images": end["images"], **general}.items()
    assert (after["points"][1]["task"] == end["task"]) or alpha == 0, (
        "of the base the trained head tells something else"
    )
    assert {name: after[name] for name in ("task", "general")} == {name: before[name] for name in ("task", "general")}
    one, two = (load_file(tmp_path / name / "trained" / "curve.safetensors") for name in ("source", "merged"))
    assert np.array_equal(two["correct"], one["correct"][[0, like]]) and np.array_equal(two["set"], one["set"])
    shutil.rmtree(tmp_path / "merged" / "trained")
    made(("one",))
    assert folders[merged.key].is_trained() and not (tmp_path / "merged" / "trained" / "curve.json").exists(), (
        "other images are no curve beside the source's"
    )


@pytest.mark.slow
def test_mlflow_has_each_point_once(house: House, tmp_path: Path) -> None:
    from dataclasses import replace

    from mlflow import MlflowClient

    wanted = trial()
    folder = tmp_path / "trial"
    assert house.train(wanted, folder)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker, client = Tracker(uri, "looked"), MlflowClient(tracking_uri=uri)
    run = tracker.ensure_trial(tracker.ensure_sweep("looked", "{}"), wanted.key, wanted.flat())
    of, base = replace(subject(folder), trial=wanted), subject(tmp_path / "base")
    metrics = metrics_of(of, base, [])
    looks = [metric for metric in metrics if metric.name.startswith("forgetting/")]
    tracker.log(run, looks[:7], WHOLE)  # then it was killed
    tracker.log(run, metrics, WHOLE)
    assert tracker.log(run, metrics, WHOLE) == 0
    names = {f"forgetting/{name}" for name in ("task", "general_validation", "general_test", "one/top1", "two/top1")}
    assert {metric.name for metric in looks} == names
    points = curve_of(folder)["points"]
    for name, column in (("general_validation", "validation"), ("general_test", "test"), ("task", "task")):
        history = [(entry.step, entry.value) for entry in client.get_metric_history(run, f"forgetting/{name}")]
        assert sorted(history) == [(point["step"], point[column]) for point in points] and len(history) == 5
    shown = client.get_run(run).data.metrics
    assert {name: shown[f"forgetting/{name}/top1"] for name in ("one", "two")} == points[-1]["sets"]


def faults(root: Path, **fields: Any) -> list[Fault]:
    spec = parse_spec(
        {"name": "s", "backbones": ["mini-s"], "tasks": {"faces": fields.pop("faces", {})}, **fields}, "s.yaml"
    )
    return preflight(spec, Settings(storage=str(root / "out"), data=str(root / "data"), cache=str(root / "cache")))


def test_what_a_budget_lacks_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"watch.points: 0 with budget, which decides by what is looked at; expected at least 1"
    ):
        faults(tmp_path, faces={"remedy": ["none", ["budget", "l2sp"]], "watch": {"points": 0}})
    (fault,) = faults(tmp_path, faces={"remedy": "budget"}, evaluate=["biometric"])
    assert fault.where == "evaluate" and "no zero-shot set with validation images" in fault.found
    (fault,) = faults(tmp_path, faces={"remedy": "budget"}, datasets=["shapes_shifted"])
    assert "no zero-shot set with validation images" in fault.found
    assert not faults(tmp_path, faces={"remedy": "budget"})


def test_validation_images_that_are_not_there_are_told_before_anything_starts(tmp_path: Path) -> None:
    asked = {"watch": {"validation": "mine/val"}}
    (fault,) = faults(tmp_path, faces=asked, also=["shapes"])
    assert fault.found == "unknown data set 'mine'"
    write_dataset(
        tmp_path / "data" / "mine", name="mine", version="1", scale="full", classes=(), source="a test", licence="none",
        splits={"train": pictures("mine", "train", 2, lambda n: n)},
    )  # fmt: skip
    (fault,) = faults(tmp_path, faces=asked)
    assert (fault.where, fault.found, fault.expected) == ("watch.validation: mine", "no val split", "one of train")


def test_a_greedy_soup_without_validation_images_is_refused_before_anything_starts(tmp_path: Path) -> None:
    write_dataset(
        tmp_path / "data" / "mine", name="mine", version="1", scale="full", classes=(), source="a test", licence="none",
        protocols=("training",),
        splits={"train": pictures("mine", "train", 2, lambda n: n)},
    )  # fmt: skip
    soup = {"soup": {"seeds": [0, 1], "rule": "greedy"}}
    (fault,) = faults(tmp_path, faces={"data": "mine", "remedy": soup}, seeds=[0, 1], also=["mine"])
    assert "no validation images of faces on mine" in fault.found and "watch.validation" in fault.expected
    assert not faults(
        tmp_path, faces={"data": "mine", "remedy": {"soup": {"seeds": [0, 1]}}}, seeds=[0, 1], also=["mine"]
    )
    assert not faults(tmp_path, faces={"remedy": soup}, seeds=[0, 1])


def test_settings_of_the_looks_are_a_grid_and_wrong_ones_are_told() -> None:
    def points(**watch: Any) -> list[int]:
        spec = parse_spec({"name": "s", "backbones": ["mini-s"], "tasks": {"faces": {"watch": watch}}}, "s.yaml")
        return [each.training.watch.points for each in spec.trials() if each.training]

    assert points(points=[0, 3]) == [0, 3] and points() == [5]
    with pytest.raises(UserError) as caught:
        points(pointz=1, images=-1, validation="a/test")
    assert {fault.where for fault in caught.value.faults} == {
        "tasks.faces.watch.pointz", "tasks.faces.watch.images", "tasks.faces.watch.validation",
    }  # fmt: skip
