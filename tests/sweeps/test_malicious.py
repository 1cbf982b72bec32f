"""Hostile files in a sweep's storage and among data sets: no code of theirs runs, nothing outside is read, and one clear error is told."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from upath import UPath

from gelo.models.durable import publish_folder
from gelo.models.faults import Fault, UserError
from gelo.models.tower import Tower
from gelo.models.trained import load_tower
from gelo.models.training import checkpoint
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.spec.yamlfile import parse_yaml
from gelo.sweeps.stages.watch import read_curve
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.status import standing
from gelo.tasks.data import bounded
from gelo.tasks.data.catalogue import locate, named
from gelo.tasks.data.manifest import CARD, open_dataset
from gelo.tasks.ledger.trial import described
from tests.tasks.test_manifest import write

SPEC = {"name": "mine", "backbones": ["mini-s"], "tasks": {"morphs": {"adaptation": "lora"}}, "evaluate": ["zero_shot"]}
DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000


class Payload:
    """A pickle of it makes a file where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (open, (str(self.mark), "w"))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "code ran"


@pytest.fixture
def hostile(mark: Path) -> list[bytes]:
    """A pickle, a torch archive of one, JSON too deep, JSON of another kind, a number beyond counting, bytes."""
    stream = mark.with_name("archive.pt")
    torch.save({"x": Payload(mark)}, stream)
    whole = [pickle.dumps(Payload(mark)), stream.read_bytes(), DEEP, b"[1, 2]", b'{"format": 1e999}', b"\0" * 100, b""]
    pickle.loads(whole[0])
    assert mark.exists(), "the payload works"
    mark.unlink()
    return whole


def fails(call: Callable[[], object], *errors: type[Exception]) -> Exception:
    with pytest.raises((UserError, *errors)) as caught:
        call()
    text = str(caught.value)
    assert "Traceback" not in text and len(text) < 2000
    return caught.value


def test_files_of_a_sweep_run_nothing(tmp_path: Path, hostile: list[bytes], mark: Path) -> None:
    folder = SweepFolder(UPath(tmp_path / "out"), "mine")
    folder.save(parse_spec(SPEC, ""), {"data": str(tmp_path / "data")}, [])
    trial = folder.spec().trials()[1]
    place = folder.trial(trial)
    with publish_folder(place.trained) as trained:
        Tower({"encoder": {"w": torch.ones(1)}}).save(trained)
        (trained / "training.json").write_text("{}")
        (trained / "curve.json").write_text('{"points": []}')
    for data in hostile:
        for file, reads in {
            "sweep.json": [folder.read, folder.spec],
            "bases.json": [folder.bases],
            f"trials/{trial.key}/trained/training.json": [place.training],
            f"trials/{trial.key}/trained/curve.json": [place.curve],
        }.items():
            path = tmp_path / "out" / "mine" / file
            before = path.read_bytes() if path.exists() else None
            path.write_bytes(data)
            for read in reads:
                if data != b'{"format": 1e999}' or not file.endswith("training.json"):
                    fails(read)
            path.write_bytes(before) if before is not None else path.unlink()
        for file in (place.root / "failure.json", place.root / "results" / "zero_shot" / "digits.json"):
            file.parent.mkdir(exist_ok=True, parents=True)
            file.write_bytes(data)
        for file in (place.root / "attempts.json", folder.root / "driver.json"):
            file.write_bytes(data)
        assert place.failure() is None and place.result("zero_shot", "digits") is None and place.results() == []
        assert {row["state"] for row in standing(folder)} <= {"waiting", "trained"}
    assert not mark.exists()


def test_a_tower_and_a_curve_run_nothing(tmp_path: Path, hostile: list[bytes], mark: Path) -> None:
    Tower({"encoder": {"w": torch.ones(1)}}).save(tmp_path)
    whole = (tmp_path / "encoder.safetensors").read_bytes()
    for data in hostile:
        (tmp_path / "encoder.safetensors").write_bytes(data)
        fails(lambda: load_tower(tmp_path))
        (tmp_path / "encoder.safetensors").write_bytes(whole)
        if data != b'{"format": 1e999}':  # says nothing of a tower
            (tmp_path / "tower.json").write_bytes(data)
            fails(lambda: load_tower(tmp_path))
            (tmp_path / "tower.json").unlink()
            (tmp_path / "curve.json").write_bytes(data)
            fails(lambda: read_curve(tmp_path))
    for group in ("../encoder", "/etc/passwd", "a/b", ""):
        (tmp_path / "tower.json").write_text(json.dumps({"build": [{"group": group, "spec": {}}], "notes": {}}))
        fails(lambda: load_tower(tmp_path))
    for build in ([{"group": "x"}], "x", [[]], [{"group": "x", "spec": {"kind": "os.system"}}]):
        (tmp_path / "tower.json").write_text(json.dumps({"build": build, "notes": {}}))
        fails(lambda: load_tower(tmp_path))
    assert not mark.exists()


def test_a_checkpoint_runs_nothing(tmp_path: Path, hostile: list[bytes], mark: Path) -> None:
    state = checkpoint.TrainingState(step=3, tensors={"adapted": {"w": torch.ones(2)}})
    checkpoint.save(tmp_path / "epoch-0001", state)
    for name in ("state.json", "tensors.safetensors"):
        path = tmp_path / "epoch-0001" / name
        whole = path.read_bytes()
        for data in hostile:
            path.write_bytes(data)
            fails(lambda: checkpoint.load(tmp_path / "epoch-0001"))
        path.write_bytes(whole)
    path = tmp_path / "epoch-0001" / "state.json"
    for part in ({"dict": 3}, {"tensor": "../x"}, {"exec": "1"}, {"dict": [[1]]}, {}, {"a": 1, "b": 2}):
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "tensors": part}))
        fails(lambda: checkpoint.load(tmp_path / "epoch-0001"))
    assert not mark.exists()


def test_a_trial_that_describes_nothing_is_one_error() -> None:
    for document in ({}, {"backbone": 3}, {"backbone": "mini-s", "task": "x", "adaptation": {"kind": "os.system"}}):
        fails(lambda document=document: described(document, "trial.json"))


def test_a_sweep_is_found_under_its_own_name_alone(tmp_path: Path) -> None:
    folder = SweepFolder(UPath(tmp_path), "mine")
    folder.save(parse_spec(SPEC, ""), {}, [])
    (tmp_path / "mine").rename(tmp_path / "other")
    assert "the sweep 'mine'" in str(fails(SweepFolder(UPath(tmp_path), "other").read))
    for name in ("../other", "other/../other", "/etc", ".", "..", "other\0"):
        fails(SweepFolder(UPath(tmp_path), name).read)
    document = json.loads((tmp_path / "other" / "sweep.json").read_bytes())
    document["spec"]["name"] = "../../etc"
    (tmp_path / "other" / "sweep.json").write_text(json.dumps(document))
    fails(SweepFolder(UPath(tmp_path), "other").read)


def test_cards_lead_nowhere_else(tmp_path: Path, hostile: list[bytes], mark: Path) -> None:
    dataset = write(tmp_path / "data" / "mine")
    card = json.loads((dataset.root / CARD).read_bytes())
    (tmp_path / "outside.parquet").write_bytes((dataset.root / card["splits"]["test"][0]["file"]).read_bytes())

    def changed(change: Callable[[dict], object]) -> UserError:
        document = json.loads(json.dumps(card))
        change(document)
        (dataset.root / CARD).write_text(json.dumps(document))
        error = fails(lambda: open_dataset(dataset.root))
        assert isinstance(error, UserError)
        return error

    for file in ("../../outside.parquet", str(tmp_path / "outside.parquet"), "a/../../x", "..", "", "x\0y"):
        assert "plain name" in str(changed(lambda c, file=file: c["splits"]["test"][0].update(file=file)))
        assert "plain name" in str(changed(lambda c, file=file: c["tables"]["pairs"].update(file=file)))
    for split in ("../../../x", "/x", ".."):
        assert "plain name" in str(changed(lambda c, split=split: c["splits"].update({split: []})))
    for data in hostile:
        (dataset.root / CARD).write_bytes(data)
        fails(lambda: open_dataset(dataset.root))
    for name in ("../data/mine", "/etc", "..", "mine/../mine", "mine\0", str(dataset.root)):
        for find in (locate, named):
            assert "plain name" in str(fails(lambda find=find, name=name: find(name, tmp_path / "data")))
    assert not mark.exists()


def test_a_table_that_becomes_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some kilobytes that are 160 MB."""
    table = pa.table({"x": np.zeros(20_000_000, np.int64)})
    pq.write_table(table, tmp_path / "bomb", use_dictionary=False, compression="zstd")
    assert (tmp_path / "bomb").stat().st_size < 200_000
    dataset = write(tmp_path / "mine")
    monkeypatch.setattr(bounded, "MOST_BYTES", 10_000_000)
    with pytest.raises(pa.ArrowInvalid, match="unpacks to"):
        bounded.parquet(tmp_path / "bomb", whole=True)
    monkeypatch.setattr(bounded, "MOST_ROWS", 4)
    error = fails(lambda: open_dataset(dataset.root))
    assert isinstance(error, UserError) and all(isinstance(f, Fault) and "unpacks to" in f.found for f in error.faults)


def test_gzip_that_becomes_too_large_is_not_unpacked() -> None:
    import gzip

    data = gzip.compress(bytes(5_000_000))
    assert bounded.gunzipped(data) == bytes(5_000_000)
    with pytest.raises(OSError, match="unpacks to more than 1,000,000 bytes"):
        bounded.gunzipped(data, 1_000_000)
    with pytest.raises((OSError, EOFError)):
        bounded.gunzipped(data[:-10])


def test_yaml_that_becomes_too_large_is_refused() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    each = "m{n}: &m{n} {{<<: *m{p}, b{n}: [{many}]}}\n"
    merges = "m0: &m0 {a: 1}\n"
    merges += "".join(each.format(n=n, p=n - 1, many=", ".join([f"*m{n - 1}"] * 9)) for n in range(1, 9))
    for text, said in (
        (laughs, "more than 50,000 values"),
        (merges, "more than 50,000 values"),
        ("&a [*a]", "more than 50,000 values"),
        ("[" * 200 + "]" * 200, "nested"),
        ("[" * 100_000, "nested too deeply"),
        ("a: " + "x" * 2_000_000, "letters, more than"),
        ("!!python/object/apply:os.system ['touch x']", "not YAML"),
    ):
        assert said in str(fails(lambda text=text: parse_yaml(text, "s.yaml", "s")))
    assert parse_yaml("a: &a [1, 2]\nb: [*a, *a]", "s.yaml", "s") == {"a": [1, 2], "b": [[1, 2], [1, 2]]}
