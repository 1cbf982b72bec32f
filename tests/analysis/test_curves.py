"""Forgetting curves from their files: what is there, what contradicts itself, what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from upath import UPath

from gelo.analysis.curves import read_curve, tidy
from gelo.models.faults import Fault
from tests.analysis.curve_files import BASE, GENERAL, START, write_curve


def test_every_value_of_a_curve_is_a_row_named_as_in_mlflow(tmp_path: Path) -> None:
    write_curve(tmp_path, [0.0, 0.2], [1.0, 0.75])
    faults: list[Fault] = []
    curve = read_curve(UPath(tmp_path / "trained"), faults)
    assert curve is not None and not faults
    assert curve.correct is not None and curve.correct.shape == (2, 120) and curve.sets == GENERAL
    frame = tidy({"k": curve})
    assert list(frame.columns) == ["trial", "step", "images", "name", "value", "low", "high", "n"]
    last = frame[frame["step"] == 50].set_index("name")["value"]
    assert last.to_dict() == pytest.approx(
        {"forgetting/task": START + 0.2, "forgetting/general_validation": BASE * 0.75, "forgetting/general_test": 0.6,
         **{f"forgetting/{name}/top1": 0.6 for name in GENERAL}}
    )  # fmt: skip
    assert set(frame["images"]) == {0, 1600} and len(frame) == 12


def test_a_task_without_a_metric_has_no_row(tmp_path: Path) -> None:
    write_curve(tmp_path, [0.0, 0.2], [1.0, 0.75], metric=None)
    curve = read_curve(UPath(tmp_path / "trained"), [])
    assert curve is not None and curve.metric == ""
    assert "forgetting/task" not in set(tidy({"k": curve})["name"])
    assert tidy({}).empty


def test_no_curve_is_no_fault_and_images_may_be_missing(tmp_path: Path) -> None:
    faults: list[Fault] = []
    assert read_curve(UPath(tmp_path / "trained"), faults) is None
    write_curve(tmp_path, [0.0, 0.2], [1.0, 0.75])
    (tmp_path / "trained" / "curve.safetensors").unlink()
    curve = read_curve(UPath(tmp_path / "trained"), faults)
    assert curve is not None and curve.correct is None and not faults


def _points(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        document = json.loads((folder / "curve.json").read_text())
        change(document["points"])
        (folder / "curve.json").write_text(json.dumps(document))

    return damage


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "curve.json").write_text("{"), "not JSON"),
        (lambda folder: (folder / "curve.json").write_text("[1]"), "cannot be read"),
        (_points(lambda points: points.pop(0)), "do not rise from 0"),
        (_points(lambda points: points.clear()), "cannot be read"),
        (_points(lambda points: points[1].update(step=0)), "do not rise from 0"),
        (_points(lambda points: points[1].update(test=71.0)), "71.0 is no share"),
        (_points(lambda points: points[1].update(task=float("nan"))), "is no share"),
    ],
)
def test_a_curve_that_cannot_be_is_a_fault_and_no_curve(
    damage: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    write_curve(tmp_path, [0.0, 0.2], [1.0, 0.75])
    damage(tmp_path / "trained")
    faults: list[Fault] = []
    assert read_curve(UPath(tmp_path / "trained"), faults) is None
    assert len(faults) == 1 and told in str(faults[0]) and "curve.json" in faults[0].where


def test_what_a_look_did_not_find_is_absent_there(tmp_path: Path) -> None:
    """The weights of a run may be no longer finite, and a set may have test images alone."""
    write_curve(tmp_path, [0.0, 0.2, 0.3], [1.0, 0.75, 0.0])
    _points(lambda points: [points[2].pop(name) for name in ("task", "test", "validation")])(tmp_path / "trained")
    _points(lambda points: points[2].update(sets={}))(tmp_path / "trained")
    faults: list[Fault] = []
    curve = read_curve(UPath(tmp_path / "trained"), faults)
    assert curve is not None and not faults and curve.correct is not None
    assert len(tidy({"k": curve})) == 12, "of two looks"


def _tensors(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / "curve.safetensors")
        change(tensors)
        save_file(tensors, folder / "curve.safetensors")

    return damage


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "curve.safetensors").write_bytes(b"no tensors"), "cannot be read"),
        (_tensors(lambda tensors: tensors.pop("set")), "cannot be read"),
        (
            _tensors(lambda tensors: tensors.update(correct=tensors["correct"][:, 1:].copy())),
            "beside 2 points of 120 images",
        ),
        (_tensors(lambda tensors: tensors.update(set=np.zeros(120, np.int16))), "[120, 0, 0] images by set"),
        (_tensors(lambda tensors: tensors.update(correct=1 - tensors["correct"])), "0.6000 off"),
    ],
)
def test_images_that_contradict_the_curve_are_a_fault_and_left_out(
    damage: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    write_curve(tmp_path, [0.0, 0.2], [1.0, 0.75])
    damage(tmp_path / "trained")
    faults: list[Fault] = []
    curve = read_curve(UPath(tmp_path / "trained"), faults)
    assert curve is not None and curve.correct is None
    assert len(faults) == 1 and told in str(faults[0])
