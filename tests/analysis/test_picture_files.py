"""Pictures of what lies beside a trial's results: scores of each image, drift by block."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gelo.analysis.compare import Comparison, compare
from gelo.analysis.pictures.classes import CLASSES, by_class, example
from gelo.analysis.pictures.det import DET
from gelo.analysis.pictures.drift import DRIFT, drifted
from gelo.analysis.runs import read_runs
from gelo.tasks.mini.general import pixels
from gelo.tasks.protocols.tally import per_class
from tests.analysis.sweeps import write_result, write_sweep, write_trial

IMAGES, PAIRS = 240, 200


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The untouched backbone and two seeds on faces, with scores of shapes and of pairs beside their results."""
    storage = tmp_path_factory.mktemp("storage")
    root = write_sweep(storage, backbones=["mini-s"])
    found = {"storage": storage}
    for place, (key, seed) in enumerate((("b", 0), ("f0", 0), ("f1", 1))):
        folder = write_trial(root, key, "mini-s", "faces" if place else "none", "full" if place else "none", seed=seed)
        generator, label = np.random.default_rng(place), np.arange(IMAGES) % 10
        right = generator.random(IMAGES) < (0.6 if place else 0.9) + 0.02 * label * bool(place)
        _beside(
            folder,
            "zero_shot",
            "shapes",
            {"shapes/top1": float(right.mean())},
            {"label": label, "predicted": np.where(right, label, (label + 1) % 10)},
        )
        same = np.arange(PAIRS) % 2 == 0
        scores = generator.normal(np.where(same, 1.0 + place, 0.0), 1)
        columns = {"same": same, "fold": np.arange(PAIRS) // 20, "score": scores}
        _beside(folder, "fr", "pairs", {"pairs/accuracy": 0.7 + 0.1 * place}, columns, interval_unit="pair")
        found[key] = folder
    return found


def _beside(
    folder: Path, suite: str, dataset: str, values: dict[str, float], columns: dict[str, np.ndarray], **notes: str
) -> None:
    write_result(folder, suite, dataset, values, notes=notes, counts={"images": len(next(iter(columns.values())))})
    pq.write_table(pa.table(columns), folder / "results" / suite / f"{dataset}.parquet")


@pytest.fixture(scope="module")
def comparison(folders: dict[str, Path]) -> Comparison:
    return compare(read_runs(folders["storage"], "demo"))


def _trained(comparison: Comparison) -> pd.DataFrame:
    return comparison.runs.trials[comparison.runs.trials["task"] == "faces"]


def test_classes_are_the_means_of_their_images(comparison: Comparison, folders: dict[str, Path]) -> None:
    """Against the table of classes that a sweep writes beside the scores."""
    frame = by_class(comparison, _trained(comparison)).set_index("label")
    written = [
        per_class(pq.read_table(folders[key] / "results" / "zero_shot" / "shapes.parquet"))
        .to_pandas()
        .set_index("label")
        for key in ("b", "f0", "f1")
    ]
    assert list(frame["before"]) == pytest.approx(100 * written[0]["accuracy"])
    assert list(frame["after"]) == pytest.approx(50 * (written[1]["accuracy"] + written[2]["accuracy"]))
    assert list(frame["images"]) == [24] * 10 and set(frame["seeds"]) == {2}
    assert ((frame["after_low"] <= frame["after"]) & (frame["after"] <= frame["after_high"])).all()
    assert frame["name"].iloc[0] != "class 0"


@pytest.mark.slow
def test_the_picture_of_classes_says_the_ends(comparison: Comparison) -> None:
    (picture,) = CLASSES.finished(comparison)
    worst = picture.rows.loc[picture.rows["change"].idxmin()]
    assert f"{worst['name']} of shapes (−{-worst['change']:.1f} points" in picture.alt
    assert picture.svg().count("<image ") >= 10


def test_an_example_is_of_its_class_and_from_the_generator() -> None:
    for label in (0, 7):
        image, own = pixels("shapes", "test", label)
        assert own == label and np.array_equal(example("shapes", label), image)


@pytest.mark.slow
def test_det_of_the_task_with_bands(comparison: Comparison) -> None:
    (picture,) = DET.finished(comparison)
    rows = picture.rows
    assert (
        set(rows["name"]) == {"untouched", "full"} and set(rows["curve"]) == {"pairs"} and set(rows["unit"]) == {"pair"}
    )
    assert ((rows["frr_low"] <= rows["frr"] + 1e-9) & (rows["frr"] <= rows["frr_high"] + 1e-9)).mean() > 0.95
    at = rows[np.isclose(rows["far"], 0.01)].set_index("name")["frr"]
    assert (
        f"the lowest FRR is {100 * at['full']:.1f} % (full), the highest {100 * at['untouched']:.1f} % (untouched)"
        in picture.alt
    )
    assert "resamples by pair" in picture.caption and set(rows.loc[rows["name"] == "full", "seeds"]) == {2}


@pytest.mark.slow
def test_drift_is_read_where_it_is_there(folders: dict[str, Path]) -> None:
    blocks = [{"block": place, "cka": 1 - 0.1 * place, "distance": 0.01 * place} for place in range(4)]
    (folders["f0"] / "trained").mkdir()
    (folders["f1"] / "trained").mkdir()
    (folders["f0"] / "trained" / "drift.json").write_text(
        json.dumps({"looks": [], "blocks": blocks, "images": {"shapes": 24}, "of": "weights"})
    )
    (folders["f1"] / "trained" / "drift.json").write_text("{broken")
    comparison = compare(read_runs(folders["storage"], "demo"))
    frame = drifted(comparison)
    assert frame[["block", "cka", "distance"]].to_dict("records") == blocks and set(frame["trial"]) == {"f0"}
    (picture,) = DRIFT.finished(comparison)
    assert "Mean CKA is lowest at block 3 (0.700), mean weight distance highest at block 3 (0.030)" in picture.alt
