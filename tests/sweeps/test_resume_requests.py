"""What a resume that has nothing to do asks of S3, counted at a real server: what the driver reads of a finished sweep, and its report.

The sweep's files are those that a finished one has; Ray, MLflow and the encoders, which ask storage for nothing, are left out.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console
from upath import UPath

from benchmarks.drills import planned
from gelo.analysis.report import write_report
from gelo.models.durable import fetched
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec, parse_spec
from gelo.sweeps.stages.run import led
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.origins import refuse_others
from gelo.sweeps.terminal.progress import Display
from gelo.tasks.ledger.owed import owed
from gelo.tasks.ledger.trial import Trial
from tests.s3 import Door

PAIRS = planned.PAIRS


def finished(storage: UPath, seeds: int) -> tuple[SweepSpec, Settings]:
    """A sweep of `seeds` trained trials and the baseline, on a folder of this machine: every file that one has on storage."""
    spec = parse_spec(
        {"name": "mine", "backbones": ["mini-s"], "tasks": {"faces": {"adaptation": "lora"}}, "seeds": list(range(seeds))}, "mine.yaml"
    )  # fmt: skip
    settings = Settings(storage=str(storage))
    planned.finished(spec, storage)
    return spec, settings


def nothing_left(spec: SweepSpec, settings: Settings) -> None:
    """As `gelo resume` does, in its order, where all is done."""
    folder = SweepFolder(UPath(settings.storage), "mine")
    folder.read()
    with led("mine", settings, Display(Console(file=open(os.devnull, "w")))):  # noqa: PTH123
        folder = SweepFolder(settings.place(), "mine")
        folder.save(spec, asdict(settings), ["faces"], ["shapes"])
        trials = spec.trials()
        refuse_others(folder, trials, Trial.labels(trials), lambda trial: {})
        for trial in trials:
            place = folder.trial(trial)
            assert place.is_trained() == trial.trains and place.failure() is None
            place.training(), place.curve()
            assert all(place.result(suite, name) for suite, name, _ in owed(PAIRS, trial.task))
            assert len(place.results()) == len(list(owed(PAIRS, trial.task)))
        report = write_report(folder.storage, "mine", None)
        with fetched(report.path) as local:
            assert (local / "index.html").stat().st_size > 1000


@pytest.mark.slow
def test_a_resume_with_nothing_to_do_asks_little(
    door: Door, bucket: UPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = 40
    spec, settings = finished(UPath(tmp_path), seeds)
    bucket.fs.put(str(tmp_path / "mine"), (bucket / "mine").path, recursive=True)
    settings = Settings(**{**asdict(settings), "storage": str(bucket)})
    nothing_left(spec, settings)
    door.counted()
    nothing_left(spec, settings)
    said = door.counted()
    pages = 1 + len(list((bucket / "mine").fs.find((bucket / "mine").path))) // 1000
    door.counted()
    assert len(said) <= 10 + len(spec.trials()) / 100, "\n".join(" ".join(each) for each in said)
    print(f"{len(said)} requests of {len(spec.trials())} trials, {pages} of them pages of the listing")
    assert not [each for each in said if each[0] == "PUT" and "/.lease/" not in each[1]], "and writes nothing"
