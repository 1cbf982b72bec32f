"""`gelo evaluate` on several sets: one that cannot be scored, or not by every protocol, costs no other number."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from gelo.models.faults import Fault, UserError
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.stages.single import evaluate_one
from gelo.sweeps.terminal.progress import Display
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.results import Result

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 40), "blue": (30, 60, 220), "black": (10, 10, 10)}
ALL = ("zero_shot", "probe", "probe_train", "knn", "few_shot")


def picture(rgb: tuple[int, int, int], step: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), tuple(max(0, value - 4 * step) for value in rgb)).save(stream, "PNG")
    return stream.getvalue()


def colours(
    data: Path,
    name: str,
    *,
    lacking: Mapping[str, Sequence[str]] | None = None,
    splits: Sequence[str] = ("train", "test"),
    damaged: str = "",
    classes: Sequence[str] = tuple(COLOURS),
    **more: Any,
) -> Dataset:
    """Plain colours. lacking: by split, colours without an image; damaged: the id of an image that cannot be read."""
    made: dict[str, list[Record]] = {split: [] for split in splits}
    for split in splits:
        for label, (colour, rgb) in enumerate(COLOURS.items()):
            for step in range(4 if label < len(classes) and colour not in (lacking or {}).get(split, ()) else 0):
                key, image = f"{split}/{colour}{step}", picture(rgb, step + 5 * (split == "test"))
                made[split].append(Record(key, image[: len(image) // 2] if key == damaged else image, label))
    return write_dataset(
        data / name, name=name, version="1", scale="full", classes=classes, splits=made, source="a test", licence="none",
        **more,
    )  # fmt: skip


def scored(
    tmp_path: Path, *names: str, suites: Sequence[str] = ALL, **more: Any
) -> tuple[dict[str, Result], list[Fault]]:
    settings = Settings(
        storage=str(tmp_path / "out"), data=str(tmp_path / "data"), cache=str(tmp_path / "cache"), **more
    )
    results, _, faults = evaluate_one(
        "mini-s", tuple(suites), None, None, settings, Display(Console(file=io.StringIO())), names
    )
    return {f"{result.suite}/{result.dataset}": result for result in results}, faults


def values(results: Mapping[str, Result]) -> dict[str, float]:
    return {name: value for result in results.values() for name, value in result.values.items()}


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, float]:
    """The numbers of a whole set that is scored by itself."""
    colours(tmp_path / "data", "whole")
    results, faults = scored(tmp_path, "whole")
    assert not faults and values(results)["zero_shot/whole/top1"] >= 0.75, "mini-s knows its colours"
    return values(results)


@pytest.mark.slow
def test_a_class_that_train_lacks_costs_what_is_learnt_from_train_and_nothing_else(
    tmp_path: Path, alone: dict[str, float]
) -> None:
    """Case 12: alone, the other way round, and both beside a whole set."""
    colours(tmp_path / "data", "mine", lacking={"train": ["blue"]})
    colours(tmp_path / "data", "reverse", lacking={"test": ["blue"]})
    results, faults = scored(tmp_path, "mine", "reverse", "whole")
    assert not faults
    assert results["zero_shot/mine"].values["zero_shot/mine/top1"] == alone["zero_shot/whole/top1"]
    for suite in ALL[1:]:
        lost = results[f"{suite}/mine"]
        assert not lost.values and set(lost.absent), suite
        assert all(
            reason.endswith("4 test images of 1 class that train lacks: blue") for reason in lost.absent.values()
        )
        assert results[f"{suite}/reverse"].values, suite
    found = values(results)
    assert {name: found[name] for name in alone} == alone


def test_a_single_class_is_no_measurement_of_any_kind(tmp_path: Path) -> None:
    """Case 20."""
    colours(tmp_path / "data", "one", classes=("red",))
    results, faults = scored(tmp_path, "one")
    assert not faults and not values(results)
    reasons = {reason for result in results.values() for reason in result.absent.values()}
    assert reasons == {
        "1 class, at least 2 needed",
        "linear probe: 1 class in training, at least 2 needed",
        "k-NN: 1 class in training, at least 2 needed",
        "few-shot probe: 1 class in training, at least 2 needed",
    }


@pytest.mark.slow
def test_what_the_card_says_is_undefined_is_not_asked(tmp_path: Path, alone: dict[str, float]) -> None:
    colours(tmp_path / "data", "numbers", undefined={"zero_shot": "labels are whole numbers without names"})
    results, faults = scored(tmp_path, "numbers")
    assert not faults
    said = {
        f"zero_shot/numbers/{leaf}": "labels are whole numbers without names"
        for leaf in ("top1", "mean_per_class", "top5")
    }
    assert results["zero_shot/numbers"].absent == said
    assert values(results)["probe/numbers/top1"] == alone["probe/whole/top1"]
    assert len(list((tmp_path / "cache" / "text").glob("*/*.npy"))) == 1, "those of the whole set"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("red", "green", "blue " * 30, "black"), "cut by the tokenizer, which takes 24 tokens: 'blue blue"),
        (("red", "green", "Green", "black"), "2 classes become the same tokens as another: 'green' = 'Green'"),
        (("red", "green", "green", "black"), "several classes have one text: 'green'"),
    ],
)
def test_texts_that_cannot_be_asked_cost_the_zero_shot_number_alone(
    tmp_path: Path, alone: dict[str, float], classes: tuple[str, ...], said: str
) -> None:
    colours(tmp_path / "data", "texts", classes=classes)
    results, faults = scored(tmp_path, "texts")
    assert not faults
    assert not results["zero_shot/texts"].values
    assert all(said in reason for reason in results["zero_shot/texts"].absent.values())
    assert values(results)["probe/texts/top1"] == alone["probe/whole/top1"]


def test_a_split_that_is_not_there_costs_what_needs_it(tmp_path: Path) -> None:
    colours(tmp_path / "data", "tests", splits=("test",))
    results, faults = scored(tmp_path, "tests")
    assert not faults and "zero_shot/tests/top1" in values(results)
    assert results["probe/tests"].absent == {"probe/tests/top1": "tests has no train split"}
    colours(tmp_path / "data", "trains", splits=("train",))
    results, faults = scored(tmp_path, "trains")
    assert not faults and not values(results)
    assert results["zero_shot/trains"].absent["zero_shot/trains/top1"] == "trains has no test split"


@pytest.mark.slow
def test_an_unreadable_image_costs_what_reads_its_split(tmp_path: Path, alone: dict[str, float]) -> None:
    colours(tmp_path / "data", "torn", damaged="train/blue2")
    colours(tmp_path / "data", "worse", damaged="test/blue2")
    results, faults = scored(tmp_path, "torn", "worse", "whole", "gone")
    found = values(results)
    assert {name: found[name] for name in alone} == alone
    assert {name for name in results if "whole" not in name} == {"zero_shot/torn"}, "it reads the test split alone"
    assert [fault.where for fault in faults if "unreadable" in fault.found] == [
        "torn/train id 'train/blue2'",
        "worse/test id 'test/blue2'",
    ]
    assert len(faults) == 3 and any("unknown data set 'gone'" in fault.found for fault in faults)


def test_a_damaged_shard_costs_its_own_set(tmp_path: Path, alone: dict[str, float]) -> None:
    shard = colours(tmp_path / "data", "cut").root / "test-00000.parquet"
    flipped = colours(tmp_path / "data", "flipped").root / "train-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-50])
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    results, faults = scored(tmp_path, "cut", "flipped", "whole")
    assert values(results) == alone
    assert [(fault.where, "truncated" in fault.found, "SHA-256" in fault.found) for fault in faults] == [
        (str(shard), True, False),
        (str(flipped), False, True),
    ]


def test_features_that_are_no_numbers_cost_their_own_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from gelo.tasks.data import embed

    colours(tmp_path / "data", "mine")
    colours(tmp_path / "data", "whole")

    def spoilt(encoder: Any, dataset: Dataset, split: str, cache: Path, *more: Any) -> Any:
        found = embed.features(encoder, dataset, split, cache, *more)
        return np.where(np.isfinite(found), np.nan, found) if (dataset.name, split) == ("mine", "train") else found

    monkeypatch.setattr("gelo.sweeps.stages.score.features", spoilt)
    results, faults = scored(tmp_path, "mine", "whole", suites=("zero_shot", "probe"))
    assert set(results) == {"zero_shot/mine", "zero_shot/whole", "probe/whole"}
    (fault,) = faults
    assert fault.where == "probe on mine, mini-s untouched: train features" and "16 not finite" in fault.found


def test_nothing_at_all_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown data set 'gone'"):
        scored(tmp_path, "gone")
    colours(tmp_path / "data", "torn", splits=("test",), damaged="test/red0")
    with pytest.raises(UserError, match="unreadable image"):
        scored(tmp_path, "torn", suites=("zero_shot",))
    colours(tmp_path / "data", "first")
    (tmp_path / "data" / "first").rename(tmp_path / "data" / "second")
    with pytest.raises(UserError, match="the card of 'first'"):
        scored(tmp_path, "second")


def test_a_renamed_set_never_lends_its_number_to_another(tmp_path: Path, alone: dict[str, float]) -> None:
    """Case 23: what is there under its own name is scored, the other is named."""
    (tmp_path / "data" / "whole").rename(tmp_path / "data" / "moved")
    colours(tmp_path / "data", "whole", lacking={"test": ["red"]})
    results, faults = scored(tmp_path, "whole", "moved", suites=("zero_shot",))
    assert set(results) == {"zero_shot/whole"} and results["zero_shot/whole"].counts["images"] == 12
    assert [fault.found for fault in faults] == ["the card of 'whole'"]


def test_a_set_that_no_suite_scores_is_named_beside_the_others(tmp_path: Path) -> None:
    colours(tmp_path / "data", "whole")
    colours(tmp_path / "data", "crops", protocols=("training",))
    results, faults = scored(tmp_path, "whole", "crops", suites=("zero_shot",))
    assert set(results) == {"zero_shot/whole"}
    assert [fault.found for fault in faults] == ["crops: a set to train on, not to score"]
    with pytest.raises(UserError, match="--collection: given with --dataset"):
        settings = Settings(data=str(tmp_path / "data"), cache=str(tmp_path / "cache"))
        evaluate_one(
            "mini-s", ("zero_shot",), None, "miniature", settings, Display(Console(file=io.StringIO())), ("whole",)
        )


def test_robustness_is_made_once_from_features_of_attacked_images(tmp_path: Path) -> None:
    colours(tmp_path / "data", "mine")
    results, faults = scored(tmp_path, "mine", suites=("zero_shot", "robust"))
    assert not faults
    clean = results["zero_shot/mine"].values["zero_shot/mine/top1"]
    found = results["robust/mine"]
    assert found.values["robust/mine/top1_clean"] == clean, "all 16 images are attacked"
    assert 0 <= found.values["robust/mine/top1"] <= clean and found.counts["images"] == 16
    (made,) = (tmp_path / "cache" / "embeddings").rglob("*attacked*.npy")
    before = made.stat().st_mtime_ns
    again, faults = scored(tmp_path, "mine", suites=("robust",))
    assert not faults and again["robust/mine"] == found and made.stat().st_mtime_ns == before


def test_robustness_where_texts_cannot_be_asked_is_absent_and_attacks_nothing(tmp_path: Path) -> None:
    colours(tmp_path / "data", "same", classes=("red", "green", "green", "black"))
    colours(tmp_path / "data", "trains", splits=("train",))
    results, faults = scored(tmp_path, "same", "trains", suites=("robust",))
    assert not faults and not values(results)
    leaves = ("top1", "top1_clean")
    assert results["robust/same"].absent == {
        f"robust/same/{e}": "several classes have one text: 'green'" for e in leaves
    }
    assert results["robust/trains"].absent == {f"robust/trains/{e}": "trains has no test split" for e in leaves}
    assert not list((tmp_path / "cache").rglob("*attacked*"))


def test_few_shot_episodes_of_a_set(tmp_path: Path) -> None:
    colours(tmp_path / "data", "mine")
    results, faults = scored(tmp_path, "mine", suites=("few_shot_episodes",))
    assert not faults and results["few_shot_episodes/mine"].values["few_shot_episodes/mine/top1"] > 0.75
    assert results["few_shot_episodes/mine"].counts["episodes"] == 600
