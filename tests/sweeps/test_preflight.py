"""The check before a sweep, on a user's own sets: what can be trained on, and what must not share the names of metrics."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gelo.models.backbones.registry import resolve
from gelo.models.faults import Fault, UserError
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state.memory import memory_faults, of_machine
from gelo.sweeps.state.preflight import preflight
from gelo.tasks.data.manifest import open_dataset
from gelo.tasks.data.pack import bytes_of, packed
from gelo.tasks.data.records import Record
from gelo.tasks.data.stream import decode_all, works
from gelo.tasks.data.write import write_dataset


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


def test_one_file_of_weights_under_two_activations_is_refused(tmp_path: Path) -> None:
    file = str(tmp_path / "b16.safetensors")
    weights = {"ViT-B/16": file, "ViT-B-16:laion2b_s34b_b88k": file}
    found = faults(tmp_path, backbones=list(weights), weights=weights)
    (fault,) = [fault for fault in found if "activation" in fault.expected]
    assert fault.found == f"one file, {file}, under gelu and quick_gelu"
    apart = {**weights, "ViT-B/16": str(tmp_path / "other.safetensors")}
    assert not [f for f in faults(tmp_path, backbones=list(apart), weights=apart) if "activation" in f.expected]


def test_a_set_without_train_split_is_refused_before_anything_starts(tmp_path: Path) -> None:
    prepared(tmp_path, "tests", "test", ("morph",))
    (fault,) = faults(tmp_path, tasks={"morphs": {"data": "tests"}}, also=["tests"])
    assert (fault.where, fault.found) == ("data: tests", "no train split")


def test_a_set_without_train_split_does_not_keep_a_sweep_from_scoring_the_rest(tmp_path: Path) -> None:
    prepared(tmp_path, "tests", "test", ())
    assert faults(tmp_path, also=["tests"], evaluate=["zero_shot", "probe"]) == []


def test_more_cpus_than_there_are_are_refused_before_anything_starts(tmp_path: Path) -> None:
    """Case 42: this machine's, or those that --cpus grants; a cluster is asked once it is there."""
    here = os.cpu_count() or 1
    (fault,) = faults(tmp_path, resources={"cpus": here + 1})
    assert fault.where == "resources.cpus" and str(here) in fault.found and str(here + 1) in fault.expected
    assert faults(tmp_path, resources={"cpus": here}) == []
    spec = parse_spec({"name": "own", "backbones": ["mini-s"], "resources": {"cpus": 3}}, "own.yaml")
    places = {"storage": str(tmp_path / "out"), "data": str(tmp_path), "cache": str(tmp_path / "cache")}
    assert [fault.found for fault in preflight(spec, Settings(cpus=2, **places))] == ["2 CPUs given with --cpus"]
    assert preflight(spec, Settings(cpus=3, **places)) == []
    assert preflight(spec, Settings(address="10.0.0.1:6379", cpus=2, **places)) == []


def test_a_users_own_files_under_the_name_of_a_set_of_gelos_are_refused(tmp_path: Path) -> None:
    """Case 10: they would enter the averages as the drawn shapes."""
    write_dataset(
        tmp_path / "shapes", name="shapes", version="1", scale="full", classes=("a", "b"), source="photos", licence="none",
        splits={"test": [Record("0", b"", 0)], "train": [Record("1", b"", 0)]},
    )  # fmt: skip
    (fault,) = faults(tmp_path, evaluate=["zero_shot"])
    assert fault.where.endswith("shapes/dataset.json") and fault.found == "the card of a set of real files"


def test_two_sets_whose_metrics_would_have_the_same_names_are_refused(tmp_path: Path) -> None:
    prepared(tmp_path, "mad22", "test", ())
    (fault,) = faults(tmp_path, also=["mad22"])
    assert (fault.where, fault.found) == ("also", "morphs, mad22")
    prepared(tmp_path, "mine", "test", ("morph",))
    assert faults(tmp_path, also=["mine"]) == [], "those of a user's own carry its name"


def test_a_cache_without_room_is_refused_before_anything_is_decoded(
    small_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 images of 64 x 64 more than fit; what is decoded already needs no room."""
    spec = parse_spec(
        {"name": "room", "backbones": ["mini-s"], "evaluate": ["zero_shot"], "datasets": ["shapes"]}, "room.yaml"
    )
    settings = Settings(storage=str(tmp_path / "out"), data=str(small_world / "data"), cache=str(tmp_path / "cache"))
    shapes = open_dataset(small_world / "data" / "shapes")
    need = len(shapes.labels("test")) * 3 * 64 * 64
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("gelo.sweeps.state.disk.shutil.disk_usage", lambda place: usage._replace(free=need - 1))
    (fault,) = preflight(spec, settings)
    assert fault.where == f"--cache {tmp_path / 'cache'}"
    assert f"shapes {need / 1e6:.1f} MB" in fault.expected
    monkeypatch.setattr("gelo.sweeps.state.disk.shutil.disk_usage", lambda place: usage._replace(free=need))
    assert preflight(spec, settings) == []
    monkeypatch.setattr("gelo.sweeps.state.disk.shutil.disk_usage", lambda place: usage._replace(free=0))
    decode_all(works(shapes, "test"), resolve("mini-s").transform, tmp_path / "cache", "local", lambda count: None)
    assert preflight(spec, settings) == []


def test_weights_that_memory_cannot_hold_are_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = resolve("mini-s").weights_path(None).stat().st_size
    tasks = {"faces": {"adaptation": ["full", "lora"]}, "morphs": {}}
    spec = parse_spec({"name": "own", "backbones": ["mini-s"], "tasks": tasks}, "own.yaml")
    least = {1: 1 + 2, 2: 1 + 2 + 2, 8: 1 + 2 + 2 + 1}  # the sweep's own, and what trains at once: full, full and LoRA
    for cpus, files in least.items():
        assert memory_faults(spec, cpus, files * size) == []
        (fault,) = memory_faults(spec, cpus, files * size - 1)
        assert fault.where == "memory" and "at the least" in fault.expected
    monkeypatch.setattr("gelo.sweeps.state.preflight.of_machine", lambda: size)
    assert "memory" in [fault.where for fault in faults(tmp_path, tasks={"faces": {}})]


def test_memory_is_that_of_the_machine() -> None:
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert 0 < of_machine() <= int(meminfo["MemTotal"].split()[0]) * 1024


def test_images_to_train_on_need_the_room_of_their_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of their pixels: ten images of 1,000 bytes; what is packed needs none."""
    records = [Record(str(number), bytes([number]) * 1000, number) for number in range(10)]
    dataset = write_dataset(
        tmp_path / "crops", name="crops", version="1", scale="full", classes=(), splits={"train": records},
        source="a test", licence="none", protocols=("training",),
    )  # fmt: skip
    need = bytes_of(dataset, "train")
    assert 10_000 < need < 10 * 3 * 64 * 64
    usage = shutil.disk_usage(tmp_path)
    asked = {"tasks": {"faces": {"data": "crops"}}, "also": ["crops"]}
    monkeypatch.setattr("gelo.sweeps.state.disk.shutil.disk_usage", lambda place: usage._replace(free=need - 1))
    (fault,) = faults(tmp_path, **asked)
    assert fault.where == f"--cache {tmp_path / 'cache'}" and fault.found == f"{(need - 1) / 1e3:.1f} kB free"
    assert fault.expected == "{0} for images packed for training (crops {0})".format(f"{need / 1e3:.1f} kB")
    monkeypatch.setattr("gelo.sweeps.state.disk.shutil.disk_usage", lambda place: usage._replace(free=need))
    assert faults(tmp_path, **asked) == []
    monkeypatch.setattr("gelo.sweeps.state.disk.shutil.disk_usage", lambda place: usage._replace(free=0))
    packed(dataset, "train", tmp_path / "cache")
    assert faults(tmp_path, **asked) == []
