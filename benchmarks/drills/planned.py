"""10,000 planned trials: how long from spec to plan, and to see where a sweep of them stands: `python -m benchmarks.drills.planned`.

No training. The folder is that of a finished sweep, every file of which is there; it is scanned as `gelo status` and a resume do, on this
machine, and at an S3-speaking server behind a door that answers each request 20 ms later.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from upath import UPath

from benchmarks.door import Door, rclone, s3
from benchmarks.line import note
from gelo.models.durable import publish_folder
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec, parse_spec
from gelo.sweeps.stages.run import led
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.terminal.progress import Display
from gelo.tasks.ledger.owed import owed
from gelo.tasks.results import Result

PAIRS = [("shapes", "zero_shot")]
TABLE = pa.table({"id": ["a", "b"], "score": [0.25, 0.75]})
AIMS = {"plan": 10.0, "scan": 20.0, "scan_s3": 60.0}  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--s3-trials", type=int, help="another number for the server; moto holds all in memory")
    parser.add_argument("--rclone", action="store_true", help="`rclone serve s3` in place of moto")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        spec = spec_of(asked.trials)
        trials = spec.trials()
        for trial in trials:
            assert trial.key
        seconds = {"plan": time.perf_counter() - began}
        note(f"{len(trials):,} trials planned in {seconds['plan']:.1f} s")
        storage = UPath(scratch) / "all" / "many"
        finished(spec, storage)
        seconds["scan"] = scan(spec, str(storage))
        note(f"scanned here in {seconds['scan']:.1f} s")
        few = asked.s3_trials or asked.trials
        own = spec_of(few)
        if few != asked.trials:
            storage = UPath(scratch) / "few" / "many"
            finished(own, storage)
        bucket = Path(str(storage))
        with rclone(bucket.parent) if asked.rclone else s3(many=bucket) as door:
            seconds["scan_s3_anew"], seconds["scan_s3"], requests = _elsewhere(door, own)
            note(f"{few:,} scanned at a server in {seconds['scan_s3']:.1f} s, {requests} requests")
            note(f"before, without what a run leaves there: {seconds['scan_s3_anew']:.1f} s")
    print(json.dumps({
        "drill": "planned", "trials": len(trials), "trials at the server": few, "requests": requests,
        "seconds": {name: round(value, 2) for name, value in seconds.items()}, "aims": AIMS,
    }))  # fmt: skip


def spec_of(trials: int) -> SweepSpec:
    """A grid of 100 rates over as many seeds as it takes."""
    rates = [round(1e-6 * 1.05**number, 12) for number in range(100)]
    faces = {"adaptation": "lora", "lr_backbone": rates}
    seeds = list(range(max(1, trials // len(rates))))
    return parse_spec({"name": "many", "backbones": ["mini-s"], "tasks": {"faces": faces}, "seeds": seeds}, "many.yaml")


def finished(spec: SweepSpec, storage: UPath) -> None:
    """Every file that a finished sweep has on storage, small ones in place of the weights."""
    folder = SweepFolder(storage, spec.name)
    folder.save(spec, asdict(Settings(storage=str(storage))), ["faces"], ["shapes"])
    for number, trial in enumerate(spec.trials()):
        place = folder.trial(trial)
        if trial.trains:
            with publish_folder(place.trained, summed=True) as made:
                (made / "encoder.safetensors").write_bytes(b"weights")
                (made / "head.safetensors").write_bytes(b"head")
                told = {"vision": "v", "history": [{"epoch": 1, "loss": 1.5}], "train_seconds": 2.0}
                (made / "training.json").write_text(json.dumps(told))
        for suite, name, protocol in owed(PAIRS, trial.task):
            result = Result(
                suite=suite, dataset=name, protocol=protocol, values={f"{suite}/{name}/top1": 0.5 + number / 1e6}, counts={"images": 300},
                protocol_version=1, scale="miniature",
            )  # fmt: skip
            place.save_result(result, TABLE)


def scan(spec: SweepSpec, storage: str) -> float:
    """Seconds to know of each trial whether it is trained, failed, and which results it has: what a driver asks before it works."""
    settings = Settings(storage=storage)
    began = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere, led(spec.name, settings, Display(Console(file=nowhere))):
        folder = SweepFolder(settings.place(), spec.name)
        for trial in spec.trials():
            place = folder.trial(trial)
            assert place.is_trained() == trial.trains and place.failure() is None
            place.training()
            assert all(place.result(suite, name) for suite, name, _ in owed(PAIRS, trial.task))
    return time.perf_counter() - began


def _elsewhere(door: Door, spec: SweepSpec) -> tuple[float, float, int]:
    """(seconds of a first scan, of another, requests of that) where each request takes 20 ms longer."""
    os.environ |= door.environment
    door.slow = 0.02
    anew = scan(spec, "s3://many")  # as after a kill; it leaves `.scan`
    door.counted()
    return anew, scan(spec, "s3://many"), len(door.counted())


if __name__ == "__main__":
    main()
