"""A task on the first few classes of a data set, for a number of steps that does not follow from how many images these have."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from upath import UPath

from gelo.models.backbones.transforms import Transform
from gelo.models.backbones.zoo import load_backbone
from gelo.models.faults import UserError
from gelo.models.training.sampling import Batches
from gelo.models.training.settings import Sampler
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import TrialFolder
from gelo.sweeps.state.preflight import preflight
from gelo.sweeps.state.reads import taught
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.training.part import part_of
from gelo.tasks.training.source import SplitSource

LABELS = [n * 7 % 5 for n in range(60)]
RAW: dict[str, Any] = {"name": "own", "backbones": ["mini-s"], "evaluate": ["zero_shot"]}
TASK: dict[str, Any] = {"adaptation": "full", "batch": 8, "epochs": 2, "warmup_epochs": 1, "augment": "flip"}


def written(root: Path, below: int) -> Dataset:
    """Of 60 images of 5 classes those whose label is below."""

    def records() -> Iterator[Record]:
        for number, label in enumerate(LABELS):
            pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "PNG")
            if label < below:
                yield Record(f"{number}", stream.getvalue(), label, {"subject": f"s{label}"})

    return write_dataset(
        root / "crowd", name="crowd", version="1", scale="miniature", classes=(), splits={"train": records()}, source="a test",
        licence="none", columns=("subject",),
    )  # fmt: skip


def one(**changes: Any) -> Trial:
    spec = parse_spec({**RAW, "tasks": {"faces": {**TASK, "data": "crowd", **changes}}}, "own.yaml")
    return spec.trials()[1]


def test_the_first_classes_are_those_images_and_no_others(tmp_path: Path) -> None:
    whole, few = written(tmp_path / "whole", 5), written(tmp_path / "few", 3)
    transform = Transform(size=32)
    part = part_of(SplitSource(whole, "train", transform, tmp_path / "cache", kind="flip"), 3)
    alone = SplitSource(few, "train", transform, tmp_path / "cache", kind="flip")
    rows = np.array([35, 0, 7, 7])
    np.testing.assert_array_equal(part.labels, alone.labels)
    np.testing.assert_array_equal(part.take(rows), alone.take(rows))
    drawn = [source.take(rows, np.random.default_rng(4), slice(1, 3)) for source in (part, alone)]
    np.testing.assert_array_equal(*drawn)
    assert part.column("subject").tolist() == alone.column("subject").tolist()
    assert part.fingerprint == whole.fingerprint and part.name == "crowd/train"
    assert part_of(alone, None) is alone
    with pytest.raises(UserError, match="at most the 5 that crowd/train has"):
        part_of(SplitSource(whole, "train", transform, tmp_path / "cache"), 6)


def test_training_on_them_ends_on_the_bits_of_a_set_that_has_no_others(tmp_path: Path) -> None:
    base, found = load_backbone("mini-s"), []
    for name, below, classes in (("whole", 5, 3), ("few", 3, None)):
        folder = TrialFolder(UPath(tmp_path / f"{name}-trial"))
        assert train(one(classes=classes), base, written(tmp_path / name, below), tmp_path / "cache", folder)
        found.append([(Path(str(folder.trained)) / f"{part}.safetensors").read_bytes() for part in ("encoder", "head")])
        assert folder.training()["history"][-1]["step"] == 2 * (36 // 8)
    assert found[0] == found[1]
    head = load_file(tmp_path / "whole-trial" / "trained" / "head.safetensors")
    assert 3 in next(iter(head.values())).shape


@pytest.mark.parametrize("sampler", ["shuffled", "class_balanced", "identity_balanced"])
def test_steps_go_round_the_images_as_epochs_would(sampler: Sampler) -> None:
    labels = np.array(LABELS)
    plain = Batches(sampler, labels, 3, 12)
    assert plain.steps == 5
    inner = [plain.at(epoch, step) for epoch in range(4) for step in range(5)]
    for steps in (2, 5, 7):
        other = Batches(sampler, labels, 3, 12, steps=steps)
        assert other.steps == steps
        found = [other.at(epoch, step) for epoch in range(4) for step in range(steps)][:20]
        np.testing.assert_array_equal(found, inner[: len(found)])


def test_a_key_does_not_know_the_fields_until_they_are_used(tmp_path: Path) -> None:
    plain, few, steps = one(), one(classes=3), one(steps_per_epoch=9)
    assert "classes" not in str(plain.canonical()) and "steps_per_epoch" not in str(plain.canonical())
    assert len({plain.key, few.key, steps.key}) == 3
    dataset = written(tmp_path, 5)
    assert few.training is not None and plain.training is not None
    counts = {"crowd": dataset.card.counts()}
    assert taught(few.training, counts, {"crowd": dataset}) == sum(label < 3 for label in LABELS) == 36
    assert taught(plain.training, counts, {}) == 60
    assert taught(few.training, counts, {}) == 3 * 8, (
        "gelo draws as many images of each, whatever another set of that name had"
    )
    other = few.training.model_copy(update={"data": "theirs"})
    assert taught(other, {"theirs": dataset.card.counts()}, {}) is None, "how many each identity has is not known"


def test_more_classes_than_there_are_are_refused_before_anything_starts(tmp_path: Path) -> None:
    spec = parse_spec({**RAW, "tasks": {"faces": {**TASK, "data": "crowd", "classes": [10, 1001]}}}, "own.yaml")
    settings = Settings(storage=str(tmp_path / "out"), data=str(tmp_path / "data"), cache=str(tmp_path / "cache"))
    (fault,) = preflight(spec, settings)
    assert (fault.where, fault.found) == ("data: crowd", "classes 1,001") and "1,000" in fault.expected
