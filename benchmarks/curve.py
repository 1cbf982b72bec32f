"""A trial that is looked at as it is by default, six times, against the same trial without: the same bits, a little more time."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from upath import UPath

from benchmarks.line import finish, note
from benchmarks.train_bits import noise
from gelo.models.adapt import AdaptationSpec, Full, Lora
from gelo.models.backbones.zoo import load_backbone
from gelo.sweeps.stages.train import train
from gelo.sweeps.stages.watch import eye_of
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.catalogue import datasets_for, locate
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Training, Trial
from gelo.tasks.training import TASKS

WAYS: dict[str, AdaptationSpec] = {"full": Full(), "lora": Lora(rank=16, alpha=16.0, rslora=True)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--task", default="faces", choices=sorted(TASKS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rounds, base = 1 if asked.smoke else 5, load_backbone("mini-s")
    sets = [entry.name for entry in datasets_for("miniature", "zero_shot")]
    sets = sets[:2] if asked.smoke else sets
    seconds: dict[str, dict[str, list[float]]] = {way: {"ours": [], "theirs": []} for way in WAYS}
    looks: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        find = partial(locate, data=place / "data", build=True)
        for name in (*sets, f"{asked.task}_val", *([] if asked.smoke else [asked.task])):
            find(name)
        own = noise(place, 64) if asked.smoke else find(asked.task)

        def opened(name: str) -> Dataset:
            return own if name == asked.task else find(name)

        for number in range(0 if asked.smoke else -1, rounds):
            for way, adaptation in WAYS.items():
                trial = trial_of(asked.task, adaptation, asked.smoke)
                look = partial(eye_of, trial, base, sets, opened, place / "cache")
                ends = {}
                for side in sorted(("ours", "theirs"), reverse=number % 2 == 1):
                    folder = TrialFolder(UPath(place / f"{way} {number} {side}"))
                    started = time.perf_counter()
                    train(trial, base, own, place / "cache", folder, look=look if side == "ours" else None)
                    if number >= 0:
                        seconds[way][side].append(time.perf_counter() - started)
                    ends[side] = (folder.trained / "encoder.safetensors").read_bytes()
                    if side == "ours":
                        made = folder.training()
                        looks[way] = {
                            "points": len(folder.curve()),
                            "share": made["watch_seconds"] / made["train_seconds"],
                        }
                assert ends["ours"] == ends["theirs"], f"{way}: looking changed a bit"
                told = " / ".join(f"{values[-1]:.2f}" for values in seconds[way].values() if values)
                note(f"round {number + 1}, {way}: {told} s, the same bits, {looks[way]}")
    ratios = {way: _ratio(of) for way, of in seconds.items()}
    worse = max(ratios, key=lambda way: ratios[way])
    detail = {
        "ratio": {way: round(ratio, 4) for way, ratio in ratios.items()},
        "looks": {way: {name: round(value, 4) for name, value in of.items()} for way, of in looks.items()},
        "same_bits": True, "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    finish("curve", seconds[worse]["ours"], seconds[worse]["theirs"], f"s a trial ({worse})", "<= 1.05", detail)


def trial_of(task: str, adaptation: AdaptationSpec, smoke: bool) -> Trial:
    """The task's own, in miniature."""
    of = TASKS[task]
    fields = {
        **of.defaults["miniature"],
        "data": of.data["miniature"],
        **({"epochs": 1, "warmup_epochs": 0} if smoke else {}),
    }
    return Trial(
        backbone="mini-s",
        task=task,
        collection="miniature",
        adaptation=adaptation,
        head=of.head,
        training=Training.model_validate(fields),
    )


def _ratio(sides: dict[str, list[float]]) -> float:
    return statistics.median(sides["ours"]) / statistics.median(sides["theirs"])


if __name__ == "__main__":
    main()
