"""What `gelo status` says, against folders whose journals were written by hand, and against sums done by hand."""

from __future__ import annotations

import io
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from upath import UPath

from gelo.models.durable import publish_folder
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.journal import Attempt, Attempts
from gelo.sweeps.state.lease import leading
from gelo.sweeps.state.progress import Hours, Progress, Resume, StageProgress, TrialProgress, _eta, _state, progress
from gelo.sweeps.state.record import DriverRun, DriverRuns, StageRow
from gelo.sweeps.terminal import standing

NOW = 1_700_000_000.0
SPEC = {
    "name": "mine",
    "backbones": ["mini-s"],
    "tasks": {"morphs": {"adaptation": ["lora", "full"], "lr_backbone": [1e-4, 1e-5]}, "faces": {"remedy": {"wise": {"alpha": 0.5}}}},
    "datasets": ["digits"],
    "evaluate": ["zero_shot"],
}  # fmt: skip
PAGE = Path(__file__).parents[2] / "docs" / "watching.md"


def at(first: int, last: int, start: float, end: float | None, seen: float, **more: object) -> Attempt:
    """Times count from NOW; a step takes what is left of it after 10 s."""
    return Attempt(
        started=NOW + start, began=NOW + start + 10, seen=NOW + seen, ended=None if end is None else NOW + end,
        from_step=first, to_step=last, steps=100, batch=16, **more,
    )  # type: ignore[arg-type] # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[SweepFolder]:
    """Trainings: one done after two kills, one that runs, one that failed, one that waits, one stopped before its first checkpoint."""
    folder = SweepFolder(UPath(tmp_path), "mine")
    folder.save(parse_spec(SPEC, ""), {"data": str(tmp_path / "data")}, [])
    trained, runs, failed, _, source, _ = folder.spec().trials()[1:]

    def note(key: str, *attempts: Attempt) -> None:
        (folder.root / "trials" / key / "attempts.json").write_text(Attempts(attempts=list(attempts)).model_dump_json())

    twice = {"cpus": 4, "gpus": 2, "ranks": 2}
    note(
        trained.key,
        at(0, 50, -9000, None, -8490, **twice),
        at(40, 60, -8000, None, -7790, **twice),
        at(40, 100, -7000, -6390, -6390, how="trained", **twice),
    )
    with publish_folder(folder.trial(trained).trained) as place:
        (place / "training.json").write_text("{}")
    note(runs.key, at(30, 60, -310, None, -1))
    (folder.trial(runs).checkpoints / "epoch-0001").mkdir(parents=True)
    (folder.trial(runs).checkpoints / "epoch-0001" / "DONE").write_text("")
    note(failed.key, at(0, 5, -500, -400, -400, how="failed"))
    folder.trial(failed).set_failure({"kind": "out of memory", "error": "CUDA out of memory\nand more"})
    note(source.key, at(0, 20, -5000, -4000, -4000, how="stopped"))
    (folder.root / "driver.json").write_text(
        DriverRuns(
            runs=[
                DriverRun(started=NOW - 9000, seen=NOW - 8000),
                DriverRun(
                    started=NOW - 400, seen=NOW - 2, host=socket.gethostname(), pid=42, stage="train",
                    stages=[StageRow(title="train", unit="trials", total=5, done=1, failed=1, seconds=300)],
                ),
            ]
        ).model_dump_json()
    )  # fmt: skip
    with leading(folder.root, "mine"):
        yield folder


def test_hours_pace_and_what_is_left(folder: SweepFolder) -> None:
    found = progress(folder, "gelo resume mine", NOW)
    _, trained, runs, failed, _, source, merged = found.trials
    assert (
        found.state == "running"
        and f"process {os.getpid()} on" in found.holder
        and found.stage == "train"
        and found.starts == 2
    )
    assert (trained.starts, trained.resumed, trained.steps_repeated) == (3, 2, 10 + 20)
    # 510 + 210 + 610 s on two GPUs and four CPUs; steps take 10 s: 10 and 20 of them were done again
    seconds = {"cpu": 4 * 1330, "gpu": 2 * 1330, "cpu_repeated": 4 * 300, "gpu_repeated": 2 * 300}
    assert trained.hours.model_dump() == pytest.approx({name: held / 3600 for name, held in seconds.items()})
    assert runs.running and not trained.running and not merged.running
    assert (runs.step, runs.steps, runs.state) == (60, 100, "half-trained")
    assert runs.images_per_second == found.images_per_second == pytest.approx(16 * 30 / 299)
    assert (source.state, source.step) == ("waiting", 20)
    assert found.hours.cpu == pytest.approx(trained.hours.cpu + (309 + 100 + 1000) / 3600)
    paces = [600 / 60 * 100, 299 / 30 * 100, 90 / 5 * 100, 990 / 20 * 100]  # s of each whole training so far
    # its own 40 steps, one that waits, 80 % of the source, 95 % of the one that failed and is tried again
    left = 40 * 299 / 30 + sum(paces) / 4 * (1 + 0.8 + 0.95)
    assert found.eta_seconds == pytest.approx(left)
    assert failed.state == "failed" and failed.note == "CUDA out of memory"


def test_what_resume_would_do(folder: SweepFolder) -> None:
    found = progress(folder, "gelo resume mine --storage s3://b/c", NOW)
    expected = sum(trial.expected for trial in found.trials)
    told = {"train": 2, "go_on": 1, "again": 1, "score": expected}
    assert found.resume == Resume(command="gelo resume mine --storage s3://b/c", **told)
    assert expected == len(found.trials)


def test_states_of_a_sweep_that_nobody_runs(tmp_path: Path) -> None:
    folder = SweepFolder(UPath(tmp_path), "mine")
    folder.save(parse_spec(SPEC, ""), {"data": str(tmp_path / "data")}, [])
    assert progress(folder, "r", NOW).state == "new"
    for how, said in (("running", "killed"), ("stopped", "stopped"), ("failed", "failed"), ("ended", "failed")):
        run = DriverRun(started=NOW - 9000, seen=NOW - 8000, how=how, stage="train")  # type: ignore[arg-type]
        (folder.root / "driver.json").write_text(DriverRuns(runs=[run]).model_dump_json())
        found = progress(folder, "r", NOW)
        assert (found.state, found.stage, found.eta_seconds, found.holder) == (said, "", None, "")


def test_the_terminal_says_it_and_watching_ends_with_the_sweep(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [progress(folder, "gelo resume mine", NOW), progress(folder, "gelo resume mine", NOW)]
    looks.append(looks[0].model_copy(update={"state": "stopped", "holder": "", "eta_seconds": None}))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    for terminal in (False, True):
        out, left = io.StringIO(), iter(looks)
        console = Console(file=out, force_terminal=terminal, width=300)
        standing.watch(lambda left=left: next(left), console, 5)  # type: ignore[misc]
        said = out.getvalue()
        assert next(left, None) is None
        for words in (
            "trains 60 %",
            "were done twice",
            "3 trainings went on from a checkpoint",
            "try 1 that failed again",
        ):
            assert words in said, said
        if not terminal:
            assert said.count("training on 2 images/s") == 2, "once while it ran, once at the end"


def test_every_name_of_the_document_is_on_the_page(folder: SweepFolder) -> None:
    page = PAGE.read_text()
    for model in (Progress, TrialProgress, StageProgress, Hours, Resume):
        for name in model.model_fields:
            assert f"`{name}`" in page, f"{model.__name__}.{name}"
    document = json.loads(progress(folder, "r", NOW).model_dump_json())
    assert document["format"] == 2 and Progress.model_validate(document).trials[1].starts == 3


def test_a_search_whose_trials_are_complete_or_cut_is_complete() -> None:
    runs = [DriverRun(started=NOW, seen=NOW, ended=NOW, how="ended")]
    assert _state("", {"complete": 5, "cut": 4}, 9, runs) == "complete"
    assert _state("", {"complete": 5, "cut": 3, "failed": 1}, 9, runs) == "failed"


def test_what_has_no_pace_yet_or_failed_and_is_tried_again_is_waited_for() -> None:
    """One runs at 1 s a step; one has started and made no step, one failed: each takes as long as the others, one after the other here."""
    made = {"a": [at(0, 50, 0, None, 60)], "b": [at(0, 0, 0, None, 10)], "c": [at(0, 100, 0, 110, 110, how="trained")]}
    rows = [
        ("a", "waiting", True, 50),
        ("b", "waiting", True, 0),
        ("c", "complete", False, 100),
        ("d", "failed", False, 50),
    ]
    trainings = [
        TrialProgress(
            key=key, label=key, state=state, results=0, expected=0, note="", running=running, step=step, steps=100
        )
        for key, state, running, step in rows
    ]
    failed = at(0, 50, -900, -840, -840, how="failed")
    for since, tried_again in ((NOW, 50), (NOW - 950, 0)):  # by this run it failed for good
        assert _eta(trainings, made | {"d": [failed]}, [], "train", since) == pytest.approx(50 + 100 + tried_again)
