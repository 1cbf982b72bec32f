"""The check before a sweep, on a user's own sets: what can be trained on, and what must not share the names of metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.faults import Fault, UserError
from sweeps.preflight import preflight
from sweeps.settings import Settings
from sweeps.spec import parse_spec
from tasks.manifest import write_dataset
from tasks.records import Record


def prepared(data: Path, name: str, split: str, protocols: tuple[str, ...]) -> None:
    columns = {"attack": "warp"}
    write_dataset(
        data / name, name=name, version="1", scale="full", classes=("attack", "bona fide"), columns=("attack",),
        splits={split: [Record("0", b"", 0, columns)]}, source="a test", licence="none", protocols=protocols,
    )  # fmt: skip


def faults(data: Path, **changes: Any) -> list[Fault]:
    spec = parse_spec({"name": "own", "backbones": ["mini-s"], "evaluate": ["biometric"], **changes}, "own.yaml")
    return preflight(spec, Settings(storage=str(data / "out"), data=str(data), cache=str(data / "cache")))


def test_a_set_of_ones_own_can_be_trained_on_when_it_is_named_under_also(tmp_path: Path) -> None:
    prepared(tmp_path, "crops", "train", ("training",))
    tasks = {"faces": {"data": "crops"}}
    with pytest.raises(UserError, match=r"unknown data set 'crops'.* a set of your own that `also` names"):
        faults(tmp_path, tasks=tasks)
    assert faults(tmp_path, tasks=tasks, also=["crops"]) == []


def test_a_set_without_train_split_is_refused_before_anything_starts(tmp_path: Path) -> None:
    prepared(tmp_path, "tests", "test", ("morph",))
    (fault,) = faults(tmp_path, tasks={"morphs": {"data": "tests"}}, also=["tests"])
    assert (fault.where, fault.found) == ("data: tests", "no train split")


def test_two_sets_whose_metrics_would_have_the_same_names_are_refused(tmp_path: Path) -> None:
    prepared(tmp_path, "mad22", "test", ())
    (fault,) = faults(tmp_path, also=["mad22"])
    assert (fault.where, fault.found) == ("also", "morphs, mad22")
    prepared(tmp_path, "mine", "test", ("morph",))
    assert faults(tmp_path, also=["mine"]) == [], "those of a user's own carry its name"
