"""Bad input through the command line: one clear message that names the place and what to do, exit code 2, nothing started."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from upath import UPath

from gelo.models.backbones.registry import BACKBONES
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import load_spec, parse_spec
from gelo.sweeps.state.folder import SweepFolder
from gelo.tasks.data.catalogue import datasets_for
from gelo.tasks.data.manifest import CARD
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from tests.e2e.conftest import Gelo

pytestmark = pytest.mark.slow

MINE: dict[str, Any] = {"name": "mine", "backbones": ["mini-s"], "evaluate": ["zero_shot"]}


@pytest.fixture
def spec(tmp_path: Path) -> Any:
    def write(**changes: Any) -> str:
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**MINE, **changes}))
        return "mine.yaml"

    return write


def grey(root: Path, name: str, *, damaged: bool = False) -> Path:
    """A data set of grey images in place of a general one, the third of each split unreadable where `damaged`."""
    stream = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 128, np.uint8)).save(stream, "PNG")
    images = [stream.getvalue()] * 5
    if damaged:
        images[2] = stream.getvalue()[:40]
    splits = {s: [Record(f"{s}-{n}", data, n % 2) for n, data in enumerate(images)] for s in ("train", "test")}
    return write_dataset(
        root / name, name=name, version="1", scale="miniature", classes=("a", "b"), splits=splits, source="a test",
        licence="Apache-2.0",
    ).root  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """out/data with a grey set under each name that the probe suite reads, digits aside: no test waits for real ones."""
    for entry in datasets_for("miniature", "probe"):
        if entry.name != "digits":
            grey(tmp_path / "out" / "data", entry.name)
    return tmp_path / "out" / "data"


def test_an_unknown_key(gelo: Gelo, spec: Any, tmp_path: Path) -> None:
    gelo("run", spec(backbone=["mini-s"])).refused(
        "mine.yaml", "1 fault", "unknown key 'backbone'", "nearest: backbones"
    )
    assert not (tmp_path / "out").exists(), "nothing was started"


def test_several_faults_are_all_listed(gelo: Gelo, spec: Any, tmp_path: Path) -> None:
    tasks = {"face": {}, "morphs": {"adaptation": {"lora": {"rank": -4}}, "data": "morfs"}}
    gelo("run", spec(tasks=tasks, backbones=["mini-x"], evaluate=["prob"])).refused(
        "5 faults", "nearest: faces", "tasks.morphs.adaptation.lora.rank", "-4", "nearest: morphs", "mini-x", "nearest: probe"
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_an_empty_grid(gelo: Gelo, spec: Any) -> None:
    gelo("run", spec(tasks={"faces": {"adaptation": []}})).refused("tasks.faces.adaptation", "at least one value")


def test_an_unknown_sweep_and_a_file_that_is_not_yaml(gelo: Gelo, tmp_path: Path) -> None:
    gelo("run", "dem").refused("unknown preset or YAML file 'dem'", "nearest: demo")
    (tmp_path / "odd.yaml").write_text("a: [")
    gelo("run", "odd.yaml").refused("odd.yaml", "not YAML")


def test_weights_that_are_missing_truncated_or_not_weights(gelo: Gelo, spec: Any, tmp_path: Path) -> None:
    packaged = BACKBONES["mini-l"].file
    assert packaged is not None
    weights = {"mini-s": "gone.safetensors", "mini-l": "cut.safetensors", "ViT-B/16": "odd.safetensors"}
    (tmp_path / "cut.safetensors").write_bytes(packaged.read_bytes()[:-1000])
    (tmp_path / "odd.safetensors").write_bytes(b"no weights at all")
    said = gelo("run", spec(backbones=list(weights), weights=weights))
    lines = said.refused("3 faults").splitlines()
    for file, flaw in (("gone", "missing"), ("cut", "truncated?"), ("odd", "not safetensors")):
        assert any(f"{file}.safetensors" in line and flaw in line for line in lines), said.text


def test_a_truncated_shard_and_a_missing_one_are_both_named(gelo: Gelo, spec: Any, tmp_path: Path) -> None:
    digits = grey(tmp_path / "out" / "data", "digits")
    test, train = digits / "test-00000.parquet", digits / "train-00000.parquet"
    test.write_bytes(test.read_bytes()[:-50])
    train.unlink()
    gelo("run", spec()).refused(
        "2 faults", test.name, "truncated?", train.name, "missing", "prepare the data set again"
    )


def test_a_shard_with_a_wrong_schema(gelo: Gelo, spec: Any, tmp_path: Path) -> None:
    digits = grey(tmp_path / "out" / "data", "digits")
    shard = digits / "test-00000.parquet"
    table = pq.read_table(shard)
    pq.write_table(table.rename_columns(["id", "image", "class", *table.column_names[3:]]), shard)
    card = json.loads((digits / CARD).read_text())
    card["splits"]["test"][0]["bytes"] = shard.stat().st_size
    (digits / CARD).write_text(json.dumps(card))
    gelo("run", spec()).refused(shard.name, "'class'", "'label'")


def test_a_wrong_hash(gelo: Gelo, data: Path) -> None:
    digits = grey(data, "digits")
    shard = digits / "test-00000.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    gelo("evaluate", "mini-s", "--suite", "probe").refused(shard.name, "SHA-256 differs from dataset.json")


def test_a_corrupt_image_is_named_by_its_id(gelo: Gelo, data: Path, tmp_path: Path) -> None:
    grey(data, "digits", damaged=True)
    said = gelo("evaluate", "mini-s", "--suite", "probe")
    said.refused("2 faults", "digits/train id 'train-2'", "digits/test id 'test-2'", "unreadable image")
    assert "probe/digits" not in said.text, "nothing was scored without it"
    assert "probe/signs/top1" in said.text, "the others are scored"


def test_a_report_before_anything_ran_and_a_resume_of_an_unknown_name(gelo: Gelo, tmp_path: Path) -> None:
    gelo("report", "demo").refused("unknown sweep 'demo'")
    SweepFolder(UPath(tmp_path / "out"), "mine").save(parse_spec(MINE, ""), {}, [])
    for command in ("report", "resume", "status"):
        gelo(command, "mime").refused("unknown sweep 'mime'", "nearest: mine")


def test_a_changed_spec_under_a_used_name_shows_the_difference(gelo: Gelo, spec: Any, tmp_path: Path) -> None:
    before = spec(tasks={"faces": {"adaptation": ["full", "lora"], "epochs": 2}})
    folder = SweepFolder(Settings(storage=str(tmp_path / "out")).place(), "mine")
    folder.save(load_spec(str(tmp_path / before)), {}, [])
    saved = (folder.root / "sweep.json").read_bytes()
    gelo("run", spec(tasks={"faces": {"adaptation": ["full", "lora"], "epochs": 3}})).refused(
        "sweep mine was run with another spec", "2 faults", "training.epochs 2 -> 3", "give the sweep a new name"
    )
    assert (folder.root / "sweep.json").read_bytes() == saved
    grown = spec(tasks={"faces": {"adaptation": ["full", "lora"], "epochs": [2, 3]}})
    folder.save(load_spec(str(tmp_path / grown)), {}, [])
    assert len(folder.spec().trials()) == 1 + 4


def test_places_that_cannot_be_written(gelo: Gelo, spec: Any, tmp_path: Path) -> None:
    """Below a regular file and in /proc, where even root may not write."""
    (tmp_path / "file").write_text("")
    said = gelo("run", spec(), "--storage", "/proc/gelo", "--cache", "file/c", "--data", "file/d")
    said.refused(
        "--storage /proc/gelo", "--cache file/c", "--data file/d", "Not a directory", "choose another --storage"
    )


def test_tracking_that_cannot_be_used(gelo: Gelo, spec: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    gelo("run", spec(), "--tracking", "sqlite:///file/mlflow.db").refused("file")


def test_unknown_commands_options_and_values(gelo: Gelo) -> None:
    gelo("rum").refused("No such command", "rum")
    gelo("run", "demo", "--storag", "x").refused("No such option", "--storag")
    gelo("run", "demo", "--cpus", "0").refused("--cpus")
    gelo("run").refused("Missing argument")
    gelo("run", "demo", "--set", "seed=1").refused("unknown key 'seed'", "nearest: seeds")


def test_evaluate_tells_of_weights_before_it_makes_data(gelo: Gelo, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    gelo("evaluate", "mini-s", "--weights", "cut.safetensors", "--suite", "zero_shot").refused("cut.safetensors")
    assert not (tmp_path / "out" / "data" / "shapes").exists()


def test_evaluate_names_all_that_is_unknown(gelo: Gelo) -> None:
    gelo("evaluate", "mini-x", "--suite", "genral", "--collection", "papers").refused(
        "3 faults", "nearest: general", "nearest: mini-s", "nearest: paper"
    )


def test_doctor_lists_what_the_paper_needs_and_this_machine_lacks(gelo: Gelo, tmp_path: Path) -> None:
    said = gelo("doctor", "paper", "--json")
    assert said.code == 2
    lacks = json.loads(said.out)["lacks"]
    where = " ".join(fault["where"] for fault in lacks)
    for name in ("ViT-B-16.safetensors", "ViT-L-14.safetensors", "imagenet_v2", "ijbc", "ms1mv2", "cifar10", "mad22"):
        assert name in where
    assert all(fault["expected"] and fault["remedy"] for fault in lacks)
    fine = gelo("doctor", "demo")
    assert fine.code == 0
    assert "everything is here" in fine.text


def test_help_answers_in_a_moment(gelo: Gelo) -> None:
    """The quickest of three: other work on the machine only adds."""
    took = []
    for _ in range(3):
        started = time.perf_counter()
        said = gelo("--help")
        took.append(time.perf_counter() - started)
        assert said.code == 0
        for command in ("run", "resume", "status", "evaluate", "report", "doctor", "ui"):
            assert command in said.text
    assert min(took) < 1
