"""What `gelo clean` takes for litter, in folders made by hand, and what it never touches."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import fsspec
import pytest
from upath import UPath

from gelo.models.faults import UserError
from gelo.sweeps.cli import app
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state.cleaning import cache_litter, half_made, litter_of, remove
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.holder import Files, Holder
from gelo.sweeps.state.lease import leading
from gelo.sweeps.state.record import DriverRun, DriverRuns
from gelo.tasks.data.cache import drop, entries, using

SPEC = {
    "name": "mine",
    "backbones": ["mini-s"],
    "tasks": {
        "morphs": {"adaptation": "lora", "remedy": ["none", {"wise": {"alpha": 0.5}}]},
        "faces": {"adaptation": "lora"},
    },
}


def put(folder: UPath, *files: str) -> None:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)


def sweep(place: UPath) -> tuple[SweepFolder, str, str]:
    """A sweep with one trained and one half-trained trial, and litter of every kind."""
    folder = SweepFolder(place, "mine")
    folder.save(parse_spec(SPEC, ""), {"data": str(place / "nowhere")}, [])
    trained, half = [trial.key for trial in folder.spec().trials() if trial.trains]
    root = folder.root / "trials"
    put(
        root / trained,
        "trained/encoder.safetensors",
        "trained/DONE",
        "results/zero_shot/shapes.json",
        "logs/rank-0.log",
    )
    put(root / trained, "checkpoints/epoch-0001/state.json", "checkpoints/epoch-0001/DONE")
    put(root / trained, "results/zero_shot/.partial-shapes.json-12345678")
    for number in range(4):
        put(root / half, f"checkpoints/epoch-000{number}/state.json", f"checkpoints/epoch-000{number}/DONE")
    put(root / half, "checkpoints/epoch-0009/state.json", "checkpoints/.partial-epoch-0005-1234/state.json")
    put(root / half, "trained/encoder.safetensors")
    put(root / "0123456789ab", "trial.json", "trained/encoder.safetensors", "trained/DONE")
    put(folder.root, "report/index.html", "bases.json", ".tune/mine/experiment.json")
    return folder, trained, half


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_litter_goes_and_nothing_else(kind: str, tmp_path: Path) -> None:
    place = UPath(tmp_path) if kind == "local" else UPath(f"memory://{tmp_path.name}")
    folder, trained, half = sweep(place)
    found = {str(each.path.relative_to(folder.root)): (each.kind, each.bytes) for each in litter_of(folder)}
    assert found == {
        ".tune": ("scratch", 100),
        f"trials/{trained}/checkpoints/epoch-0001": ("checkpoint", 200),
        f"trials/{trained}/results/zero_shot/.partial-shapes.json-12345678": ("half-written", 100),
        f"trials/{half}/checkpoints/epoch-0000": ("checkpoint", 200),
        f"trials/{half}/checkpoints/epoch-0001": ("checkpoint", 200),
        f"trials/{half}/checkpoints/epoch-0009": ("half-written", 100),
        f"trials/{half}/checkpoints/.partial-epoch-0005-1234": ("half-written", 100),
        f"trials/{half}/trained": ("half-written", 100),
        "trials/0123456789ab": ("orphan", 300),
    }
    before = set(folder.root.fs.find(folder.root.path))
    remove(litter_of(folder))
    after = set(folder.root.fs.find(folder.root.path))
    gone = {path for path in before if any(f"/mine/{each}" in path for each in found)}
    assert after == before - gone and len(gone) == 14
    assert litter_of(folder) == []


def test_a_sweep_that_runs_is_left_alone(tmp_path: Path) -> None:
    folder, *_ = sweep(UPath(tmp_path))
    with leading(folder.root, "mine"), pytest.raises(UserError, match=f"run by process {os.getpid()} on"):
        litter_of(folder)
    assert litter_of(folder)
    now = time.time()
    other = Holder(9, "owner", "elsewhere", 7, "2026-01-01T00:00:00+00:00", node="elsewhere", began="1")
    assert Files(folder.root).create(other)
    for seen, runs in ((now, True), (now - 600, False)):
        run = DriverRun(started=now - 900, seen=seen, host="elsewhere", pid=7)
        (tmp_path / "mine" / "driver.json").write_text(DriverRuns(runs=[run]).model_dump_json())
        if runs:
            with pytest.raises(UserError, match="process 7 on elsewhere"):
                litter_of(folder)
        else:
            os.utime(folder.root / ".lease" / "00000009.json", (now - 600, now - 600))
            assert litter_of(folder)


def test_other_keys_than_those_of_the_spec_are_no_litter(tmp_path: Path) -> None:
    """Of a gelo that counts keys in another way: all trials would be orphans."""
    folder = SweepFolder(UPath(tmp_path), "mine")
    folder.save(parse_spec(SPEC, ""), {}, [])
    for trial in list((tmp_path / "mine" / "trials").iterdir()):
        trial.rename(trial.with_name(f"old-{trial.name}"))
    with pytest.raises(UserError, match="clean it with the gelo that ran it"):
        litter_of(folder)


def test_links_lead_nobody_out(tmp_path: Path) -> None:
    folder, *_ = sweep(UPath(tmp_path / "storage"))
    put(UPath(tmp_path), "mine/precious", "other/precious")
    (tmp_path / "storage" / "mine" / "trials" / "0123456789ab" / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "storage" / "mine" / "trials" / "abcdefabcdef").symlink_to(tmp_path / "other")
    (tmp_path / "storage" / "mine" / ".partial-x").symlink_to(tmp_path / "other")
    remove(litter_of(folder))
    assert (tmp_path / "mine" / "precious").exists() and (tmp_path / "other" / "precious").exists()
    assert not (tmp_path / "storage" / "mine" / "trials" / "0123456789ab").exists()


def test_the_cache_loses_what_nothing_names(tmp_path: Path) -> None:
    folder, trained, _ = sweep(UPath(tmp_path / "storage"))
    (folder.root / "bases.json").write_text(json.dumps({"mini-s": {"vision": "base", "text": "t", "file": "f"}}))
    (folder.root / "trials" / trained / "trained" / "training.json").write_text(
        json.dumps({"vision": "tuned", "detector": "seen", "data": "learnt"})
    )
    cache = UPath(tmp_path / "cache")
    kept = ["embeddings/base/learnt", "embeddings/tuned/learnt", "embeddings/seen/learnt", "packs/stored/learnt"]
    stale = ["embeddings/gone/learnt", "embeddings/base/gone", "decoded/any/gone", "packs/stored/gone"]
    put(cache, *(f"{each}/test/00000.npy" for each in [*kept, *stale]))
    put(cache, "text/t/prompts.npy", "text/other/prompts.npy")
    stale.append("text/other/prompts.npy")
    (tmp_path / "data").mkdir()
    found = cache_litter(tmp_path / "cache", tmp_path / "data", [folder])
    assert {entry.path.relative_to(tmp_path / "cache").as_posix() for entry, _ in found} == set(stale)
    with using(tmp_path / "cache", None), pytest.raises(UserError, match="in use"):
        drop(tmp_path / "cache", [entry for entry, _ in found])
    drop(tmp_path / "cache", [entry for entry, _ in found])
    assert {e.path.relative_to(tmp_path / "cache").as_posix() for e in entries(tmp_path / "cache")} == {
        *kept,
        "text/t/prompts.npy",
    }


def test_a_data_set_in_the_making_is_left_alone(tmp_path: Path) -> None:
    import os

    put(UPath(tmp_path), ".partial-new/x", ".partial-old/x", "done/x")
    os.utime(tmp_path / ".partial-old", (1, 1))
    assert [each.path.name for each in half_made(tmp_path)] == [".partial-old"]


def test_the_command_says_first_and_removes_when_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    folder, trained, _ = sweep(UPath(tmp_path / "out"))
    (folder.root / "bases.json").write_text("{}")
    (folder.root / "trials" / trained / "trained" / "training.json").write_text("{}")
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    for words in (["clean", "mine"], ["clean", "--all"]):
        said = CliRunner().invoke(app, words)
        assert said.exit_code == 0 and "to remove them add --yes" in said.output, said.output
        assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before
    said = CliRunner().invoke(app, ["clean", "mine", "--yes"])
    assert "9 things removed" in said.output
    assert "nothing to clean" in CliRunner().invoke(app, ["clean", "mine"]).output
    for words in (["clean"], ["clean", "mine", "--all"]):
        assert isinstance(CliRunner().invoke(app, words).exception, UserError)


def teardown_module() -> None:
    fsspec.filesystem("memory").store.clear()


def test_a_driver_elsewhere_is_judged_by_the_stores_clock(tmp_path: Path) -> None:
    """Its own clock is a minute behind: what it wrote this second would look as if it had been killed."""
    folder, _, _ = sweep(UPath(tmp_path))
    put(folder.root, "driver.json")
    runs = [DriverRun(started=time.time() - 600, seen=time.time() - 300, host="far", pid=7)]
    (folder.root / "driver.json").write_text(DriverRuns(runs=runs).model_dump_json())
    Files(folder.root).write(Holder(1, "owner", "far", 7, "2026-01-01T00:00:00+00:00", "another machine", "1"))
    with pytest.raises(UserError, match="run by process 7 on far"):
        litter_of(folder)
    os.utime(folder.root / ".lease" / "00000001.json", (time.time() - 900, time.time() - 900))
    assert litter_of(folder)
