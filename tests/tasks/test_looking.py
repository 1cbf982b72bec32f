"""What is looked at while a trial trains: which images, how many of them, and what a tower is worth on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

from gelo.models.adapt import Full, Lora, adapt
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import Binary, CosFace
from gelo.models.tower import ENCODER, Tower
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.trial import Looks, Training, Trial
from gelo.tasks.ledger.watched import general_sets, images_of, named_validation, unvalidated, validation_of
from gelo.tasks.mini.worlds import WORLDS
from gelo.tasks.mini.worlds.canvas import encode, generator, quantise
from gelo.tasks.training import TASKS
from gelo.tasks.training.looking import Looking, Own, general, own_images
from gelo.tasks.training.shown import features, shown

COLOURS = WORLDS["colours"]


def trial(
    task: str = "faces", adaptation: Any = None, backbone: str = "mini-s", collection: Any = "miniature", **changes: Any
) -> Trial:
    fields = TASKS[task].defaults[collection] | {"data": TASKS[task].data[collection]} | changes
    return Trial(
        backbone=backbone, task=task, collection=collection, adaptation=adaptation or Full(), head=TASKS[task].head,
        training=Training.model_validate(fields),
    )  # fmt: skip


def drawn(root: Path, name: str, splits: dict[str, int], broken: str = "") -> Dataset:
    """A general set of colours under its own prompts."""

    def records(split: str, count: int) -> Any:
        for index in range(count):
            label = index % len(COLOURS.classes)
            image = encode(quantise(COLOURS.draw(generator(name, split, index), label, False).image))
            yield Record(f"{split}/{index}", b"no image" if split == broken and not index else image, label)

    return write_dataset(
        root / name, name=name, version="1", scale="miniature", classes=COLOURS.classes, source="a test", licence="none",
        splits={split: records(split, count) for split, count in splits.items()},
    )  # fmt: skip


@pytest.fixture(scope="module")
def base() -> Encoder:
    torch.set_num_threads(1)
    return load_backbone("mini-s")


@pytest.mark.parametrize(("adaptation", "cost"), [(Full(), 3), (Lora(rank=4), 2)], ids=["full", "lora"])
@pytest.mark.parametrize("points", [1, 5, 12])
def test_by_default_all_looks_cost_at_most_a_twentyfifth_of_the_training(
    adaptation: Any, cost: int, points: int
) -> None:
    trained = 5 * 37 * 32
    found = images_of(trial(adaptation=adaptation, watch={"points": points}), trained)
    spent, allowed = (points + 1) * 3 * found, 0.04 * trained * cost
    assert spent <= allowed < spent + (points + 1) * 3, "the most that stays within it"


def test_a_short_training_is_looked_at_by_a_few_images_and_a_long_one_by_no_more_than_a_bound() -> None:
    assert images_of(trial(), 100) == 8 and images_of(trial(), 10**9) == 666
    assert images_of(trial(watch={"images": 40}), 10**9) == 40
    assert images_of(trial(backbone="RN50:openai", collection="paper"), 10_000) == int(0.04 * 10_000 * 2 / 6 / 3)


def test_what_the_task_is_chosen_by_is_named_or_gelos_own_or_a_val_split() -> None:
    def none(name: str) -> list[str]:
        return ["train", "test"]

    assert named_validation(trial("morphs")) == ("morphs_val", "val")
    assert named_validation(trial(watch={"validation": "mine"})) == ("mine", "val")
    assert validation_of(trial(watch={"validation": "mine/dev"}), none) == ("mine", "dev")
    own = trial(data="crops")
    assert named_validation(own) is None and validation_of(own, none) is None
    assert validation_of(own, lambda name: ["train", "val"] if name == "crops" else []) == ("crops", "val")
    with pytest.raises(ValueError, match="what is chosen by test images"):
        Looks(validation="mine/test")
    assert general_sets([("a", "zero_shot"), ("a", "probe"), ("b", "verification")]) == ["a"]


def test_a_field_that_joined_changes_no_key() -> None:
    assert trial().key == trial(watch={"points": 5, "images": 0}).key != trial(watch={"points": 4}).key


def test_who_has_nothing_to_choose_by_is_told_once(tmp_path: Path) -> None:
    crops = drawn(tmp_path, "crops", {"train": 4})
    trials = [trial(data="crops"), trial(data="crops", epochs=2), trial(data="crops", watch={"points": 0}), trial()]
    (told,) = unvalidated(trials, {"crops": crops, "faces": crops})
    assert told.startswith("faces on crops: nothing to choose by") and "no `val` split" in told


def test_a_text_tower_that_trains_is_asked_itself(base: Encoder, tmp_path: Path) -> None:
    """As `encode_texts` of that encoder says, whose prompts mean other classes than the base's."""
    own = drawn(tmp_path, "own", {"test": 60})
    looking = Looking(base, general(base, [own], 60, tmp_path / "cache", {}), None)
    both = adapt(base.visual, Full(towers="both"), 0, base.text)
    assert looking(both.publish(), {}).test == looking(Tower({ENCODER: base.visual_state()}), {}).test
    generator = torch.Generator().manual_seed(3)
    both.load({n: t + 0.05 * torch.randn(t.shape, generator=generator) for n, t in both.state().items()})
    tower = both.publish()
    encoder, (each,) = tower.encoder(base), looking.sets.values()
    texts = np.stack([encoder.encode_texts(prompts).astype(np.float64) for prompts in each.prompts])
    texts = (texts / np.linalg.norm(texts, axis=2, keepdims=True)).mean(1)
    images = encoder.encode_images(each.test.pixels).astype(np.float64)
    told = (images @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T).argmax(1)
    assert looking(tower, {}).test == accuracy_score(each.test.labels, told)
    apart = Tower({ENCODER: tower.weights})
    assert looking(apart, {}).test != looking(tower, {}).test


def test_a_tower_is_worth_its_top1_by_the_prompts_of_each_set(base: Encoder, tmp_path: Path) -> None:
    """Every image of two sets, against features and prompts multiplied by hand."""
    sets = [drawn(tmp_path, "b", {"train": 20, "test": 30}), drawn(tmp_path, "a", {"val": 24, "train": 3, "test": 25})]
    only_test = drawn(tmp_path, "c", {"test": 22})
    looking = Looking(base, general(base, [*sets, only_test], 100, tmp_path / "cache", {}), None)
    drawn_by = torch.Generator().manual_seed(0)
    weights = {n: t + 0.04 * torch.randn(t.shape, generator=drawn_by) for n, t in base.visual_state().items()}
    seen, encoder = looking(Tower({ENCODER: weights}), {}), base.with_visual(weights)
    texts = [base.encode_texts([f"a photo of a {name}."])[0] for name in COLOURS.classes]

    def right(dataset: Dataset, split: str) -> float:
        numbers = np.arange(dataset.card.counts()[split])
        images = shown(dataset, split, numbers, base.transform)
        cosines = [
            [float(f @ t / np.linalg.norm(f) / np.linalg.norm(t)) for t in texts]
            for f in encoder.encode_images(images.pixels)
        ]
        return float(accuracy_score(dataset.labels(split), np.argmax(cosines, axis=1)))

    tested = {dataset.name: right(dataset, "test") for dataset in (*sets, only_test)}
    assert seen.sets == pytest.approx(tested) and len(set(tested.values())) > 1
    assert seen.test == pytest.approx(sum(tested.values()) / 3)
    assert seen.validation == pytest.approx((right(sets[1], "val") + right(sets[0], "train")) / 2), "val before train"
    assert seen.task is None
    assert seen.correct is not None and looking.numbers().tolist() == [0] * 25 + [1] * 30 + [2] * 22
    for place, name in enumerate("abc"):
        assert seen.correct[looking.numbers() == place].mean() == pytest.approx(tested[name])


def test_images_are_shared_out_evenly_and_the_fewer_are_the_beginning_of_the_more(
    base: Encoder, tmp_path: Path
) -> None:
    sets = [drawn(tmp_path, name, {"train": 40, "test": 40}) for name in ("a", "b")] + [
        drawn(tmp_path, "c", {"test": 5})
    ]
    few, many = (general(base, sets, images, tmp_path / "cache", {}) for images in (12, 30))
    assert [len(few[name].test.labels) for name in "abc"] == [4, 4, 4]
    assert [len(many[name].test.labels) for name in "abc"] == [10, 10, 5]
    assert len(few["a"].validation.labels) == 6 and few["c"].validation is None  # type: ignore[union-attr]
    assert np.array_equal(many["a"].test.pixels[:4], few["a"].test.pixels)
    assert not np.array_equal(few["a"].test.pixels, few["b"].test.pixels)
    looking = Looking(base, few, None)
    assert looking.about() == {
        "task": None,
        "general": {
            "validation": {"sets": {"a": 6, "b": 6}, "split": {"a": "train", "b": "train"}},
            "test": {"sets": {"a": 4, "b": 4, "c": 4}},
        },
    }
    kinds = ("test", "validation", "own")
    assert len({looking.of(*kinds), looking.of("validation"), Looking(base, many, None).of(*kinds)}) == 3


def test_a_set_that_cannot_be_read_or_asked_is_left_out_and_said(base: Encoder, tmp_path: Path) -> None:
    whole = drawn(tmp_path, "whole", {"train": 20, "test": 20})
    broken = drawn(tmp_path, "broken", {"train": 20, "test": 20}, broken="test")
    same = write_dataset(
        tmp_path / "same", name="same", version="1", scale="full", classes=("cat", "cat"), source="a test", licence="none",
        splits={"test": [Record("0", b"", 0)]},
    )  # fmt: skip
    lacking: dict[str, str] = {}
    assert list(general(base, [whole, broken, same], 60, tmp_path / "cache", lacking)) == ["whole"]
    assert "broken/test id 'test/0'" in lacking["broken"] and "several classes have one text" in lacking["same"]


def test_a_tower_that_is_not_finite_is_worth_nothing_that_could_be_said(base: Encoder, tmp_path: Path) -> None:
    dataset = drawn(tmp_path, "a", {"train": 24, "test": 20})
    own = Own(
        shown(dataset, "train", np.arange(24), base.transform), base.transform, TASKS["faces"].validation, CosFace()
    )  # type: ignore[arg-type]
    looking = Looking(base, general(base, [dataset], 20, tmp_path / "cache", {}), own)
    sound = Tower({ENCODER: base.visual_state()})
    assert looking(sound, {}).numbers().keys() == {"task", "validation", "test", "sets"}
    seen = looking(Tower({ENCODER: {n: t * torch.nan for n, t in base.visual_state().items()}}), {})
    assert seen.numbers() == {"sets": {}} and seen.correct is not None and not seen.correct.any()


def test_identities_that_are_trained_on_are_not_chosen_by(base: Encoder, tmp_path: Path) -> None:
    def records(labels: list[int], split: str) -> list[Record]:
        image = encode(quantise(COLOURS.draw(generator("x"), 0, False).image))
        return [Record(f"{split}{place}", image, label) for place, label in enumerate(labels)]

    splits = {
        "train": records([0, 1, 2, 3], "train"),
        "val": records([3, 3, *np.repeat(range(4, 9), 3).tolist()], "val"),
    }
    faces = write_dataset(
        tmp_path / "faces", name="faces", version="1", scale="full", classes=(), source="a test", licence="none", splits=splits,
    )  # fmt: skip
    validation = TASKS["faces"].validation
    assert validation is not None
    chosen = own_images(faces, "val", validation, 50, base.transform, faces)
    assert set(chosen.labels.tolist()) == {4, 5, 6, 7, 8}
    other = drawn(tmp_path, "other", {"train": 4})
    assert 3 in own_images(faces, "val", validation, 50, base.transform, other).labels, (
        "another set's numbers are others"
    )
    with pytest.raises(UserError, match="none to choose by"):
        own_images(faces, "train", validation, 50, base.transform, faces)


def test_a_detector_is_shown_what_its_tests_show(base: Encoder, tmp_path: Path) -> None:
    dataset = drawn(tmp_path, "a", {"train": 40})
    labels = (dataset.labels("train") % 2).astype(np.int64)
    images = shown(dataset, "train", np.arange(40), base.transform)
    validation, transform = TASKS["morphs"].validation, base.transform.model_copy(update={"mean": (0.5, 0.5, 0.5)})
    assert validation is not None
    own = Own(type(images)("a", "train", "f", images.pixels, labels), transform, validation, Binary())
    head = Binary().start(base.dim, 2, 0)
    found = features(base.with_transform(transform), images.pixels)
    weight = {name: tensor.numpy() for name, tensor in head.items()}
    assert own.score(base, head) == validation.score(found, labels, (weight["weight"], weight["bias"]))  # type: ignore[arg-type]
