"""The tidy frame against the files that it is of, read by hand, and its intervals against SciPy's binomial distribution."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from gelo.analysis.frame import COLUMNS, CURVE_COLUMNS, curve_rows, joined, result_rows
from gelo.analysis.runs import Runs, read_runs
from gelo.tasks.results import UNIT, Result
from tests.analysis.curve_files import GENERAL, METRIC, mitigation
from tests.analysis.sweeps import write_result, write_sweep, write_trial

WISE = {"kind": "wise", "alpha": 0.5}
STACK = {"kind": "stack", "remedies": [{"kind": "distill", "strength": 1.0}, {"kind": "wise", "alpha": 0.8}]}


def sweep(storage: Path, name: str, *, version: int = 1, remedy: object = WISE, settings: object = None) -> Runs:
    """An untouched backbone and a trial, with results of an image, a pair and a subject as unit, and one of an older gelo."""
    root = write_sweep(storage, name, backbones=["mini-s"])
    base = write_trial(root, f"{name}0", "mini-s", "none")
    way = {"kind": "lora", "rank": 8, "targets": ["q", "v"]}
    trial = write_trial(root, f"{name}1", "mini-s", "faces", way, remedy=remedy, settings=settings, training={})
    for place, folder in enumerate((base, trial)):
        low = {"shapes/top1": (0.4, 0.7)}
        image = {UNIT: "image"}
        counts = {"images": 240, "classes": 10, "classes_shown": 10}
        write_result(
            folder, "zero_shot", "shapes", {"shapes/top1": 0.5 + place / 8}, intervals=low, notes=image, counts=counts,
            absent={"shapes/top5": "4 classes, more than 5 needed"},
        )  # fmt: skip
        counts = {"images": 90, "genuine": 30, "impostor": 40, "folds": 10}
        write_result(
            folder, "fr", "pairs", {"pairs/accuracy": 0.7}, intervals={"pairs/accuracy": (0.6, 0.8)}, counts=counts,
            notes={UNIT: "pair"},
        )  # fmt: skip
        write_result(folder, "probe", "shapes", {"shapes/top1": 0.6}, intervals=low, counts={"test_images": 7})
    for path in (root / "trials").glob("*/results/*/*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"protocol_version": version}))
    return read_runs(storage, name)


def test_a_row_says_what_its_file_says_and_what_is_independent_in_its_interval(tmp_path: Path) -> None:
    frame = result_rows(sweep(tmp_path, "one"), {"one0": "untouched", "one1": "trained"})
    assert list(frame.columns[: len(COLUMNS)]) == COLUMNS
    rows = frame[frame["trial"] == "one1"].set_index("metric")
    assert rows["unit"].to_dict() == {
        "zero_shot/shapes/top1": "image", "zero_shot/shapes/top5": "", "fr/pairs/accuracy": "pair", "probe/shapes/top1": "",
    }  # fmt: skip
    assert rows.loc["zero_shot/shapes/top1", ["value", "low", "high", "n"]].tolist() == [0.625, 0.4, 0.7, 240]
    assert rows.loc["fr/pairs/accuracy", "n"] == 70, "pairs, and neither images nor folds"
    assert rows.loc["probe/shapes/top1", "n"] == 7
    assert rows.loc["zero_shot/shapes/top5", "reason"] == "4 classes, more than 5 needed"
    assert np.isnan(rows.loc["zero_shot/shapes/top5", "value"])
    assert set(frame["label"]) == {"untouched", "trained"}


def test_the_fields_of_a_trial_are_columns_and_empty_where_it_has_none(tmp_path: Path) -> None:
    frame = result_rows(sweep(tmp_path, "one", settings={"epochs": 3, "deterministic": True, "per_identity": None}), {})
    first = frame.groupby("trial").first()
    told = {
        "adaptation.rank": 8.0, "adaptation.targets": "q+v", "remedy.alpha": 0.5, "training.epochs": 3.0, "training.deterministic": "True",
    }  # fmt: skip
    assert first.loc["one1", list(told)].to_dict() == told
    assert "training.per_identity" not in frame and first.loc["one0", list(told)].isna().all()
    assert (first.loc["one1", "remedy_kind"], first.loc["one0", "remedy_kind"]) == ("wise", "none")


def test_sweeps_are_joined_and_versions_stay_apart(tmp_path: Path) -> None:
    both = joined(
        [
            result_rows(sweep(tmp_path, "old", version=4), {}),
            result_rows(sweep(tmp_path, "new", version=5, remedy=STACK, settings={"epochs": "many"}), {}),
        ]
    )
    assert both.groupby("sweep")["protocol_version"].unique().map(list).to_dict() == {"old": [4], "new": [5]}
    assert len(both) == 16 and list(both.columns[: len(COLUMNS)]) == COLUMNS
    assert both["remedy.alpha"].dropna().unique() == [0.5] and both["remedy.distill.strength"].dropna().unique() == [
        1.0
    ]
    stream = io.BytesIO()
    both.to_parquet(stream)
    back = pd.read_parquet(stream)
    assert back.to_json(orient="records") == both.to_json(orient="records")


def test_a_field_that_is_a_number_here_and_a_word_there_is_one_type(tmp_path: Path) -> None:
    frames = [
        result_rows(sweep(tmp_path, name, settings={"warmup": warmup}), {})
        for name, warmup in (("a", 3), ("b", "none"))
    ]
    both = joined(frames)
    assert set(both["training.warmup"].dropna()) == {"3", "none"}
    both.to_parquet(tmp_path / "both.parquet")


def test_curves_are_rows_by_true_step_with_the_interval_of_a_rate(tmp_path: Path) -> None:
    mitigation(tmp_path, seeds=(0,), backbones=("mini-s",), approaches=("none", "lwf"))
    runs = read_runs(tmp_path, "mitigation")
    frame = curve_rows(runs, {})
    assert list(frame.columns[: len(CURVE_COLUMNS)]) == CURVE_COLUMNS
    assert set(frame["trial"]) == set(runs.curves) and len(runs.curves) == 2
    assert frame["step"].unique().tolist() == [0, 50, 100, 150, 200]
    own = frame[frame["trial"] == "none1-00"]
    assert own.groupby("step").size().eq(3 + len(GENERAL)).all()
    task = own[own["metric"] == "forgetting/task"]
    assert set(task["measures"]) == {METRIC} and task["low"].isna().all() and set(task["unit"]) == {""}
    curve = runs.curves["none1-00"]
    for row in own[own["dataset"] == "shapes"].itertuples():
        size = GENERAL["shapes"]
        right = round(row.value * size)
        assert right == pytest.approx(row.value * size) and row.n == size and row.unit == "image"
        for end, tail in ((row.low, 1), (row.high, -1)):
            if 0 < end < 1:  # mid-P: half of what was seen and all that is more extreme
                more = binom.sf(right, size, end) if tail == 1 else binom.cdf(right - 1, size, end)
                assert more + binom.pmf(right, size, end) / 2 == pytest.approx(0.025, abs=1e-9)
    means = own[own["metric"] == "forgetting/general_test"]
    assert means["value"].tolist() == curve.points["test"].tolist() and (means["n"] == sum(GENERAL.values())).all()
    assert ((means["low"] < means["value"]) & (means["value"] < means["high"])).all()


def test_a_unit_without_an_interval_is_none_and_a_count_that_nobody_declares_is_no_n() -> None:
    told = {"protocol": "p", "protocol_version": 1, "scale": "full", "dataset": "d", "notes": {UNIT: "image"}}
    bare = Result(
        suite="few_shot", values={"few_shot/d/top1_1_shots": 0.5}, counts={"test_images": 9, "draws": 5}, **told
    )
    assert (bare.unit, bare.n) == ("", 9)
    grouped = Result(suite="worst_group", values={"worst_group/d/top1": 0.5}, counts={"images": 9}, **told)
    assert grouped.n is None
    morphs = {"bona_fide": 3, "attack_warp": 4, "attack_blend": 5, "others": 6}
    assert Result(suite="mad", values={"mad/mean/eer": 0.5}, counts=morphs, **told).n == 12
