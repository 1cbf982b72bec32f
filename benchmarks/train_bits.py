"""Does training end on the same bits when it is done again, and when it is interrupted and continued? On a GPU where there is one.

ours: pairs of encoders and heads that are equal, byte for byte; theirs: pairs made. Full fine-tuning, LoRA with dropout and L2-SP, each
trained twice and once more with an interruption in every epoch. The details say what the deterministic kernels cost.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from upath import UPath

from benchmarks.line import finish, note
from gelo.models.adapt import Full, Lora
from gelo.models.backbones.zoo import load_backbone
from gelo.models.heads import Binary, CosFace
from gelo.models.remedies import L2SP
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.trial import Training, Trial
from tests.tasks.pictures import encode

TRIALS: dict[str, dict[str, Any]] = {
    "full": {"adaptation": Full(), "head": CosFace()},
    "lora with dropout": {"adaptation": Lora(rank=8, dropout=0.25), "head": Binary()},
    "full with L2-SP": {"adaptation": Full(), "head": Binary(), "remedy": L2SP(strength=0.1)},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    images, batch, epochs = (64, 16, 2) if smoke else (2_048, 128, 3)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    base = load_backbone("mini-s" if smoke else "mini-l", device=device)
    settings = Training(
        data="noise", epochs=epochs, batch=batch, lr_backbone=1e-4, lr_head=1e-2, weight_decay=0.05, clip=5.0, schedule="cosine",
        warmup_epochs=1, sampler="shuffled", augment="flip",
    )  # fmt: skip
    common = {"backbone": base.name, "task": "morphs", "collection": "miniature", "training": settings, "seed": 7}
    equal = made = 0
    seconds: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        dataset = noise(place, images)

        def trained(name: str, number: int, stops: bool = False, sure: bool = True) -> tuple[bytes, ...]:
            trial = Trial.model_validate(common | TRIALS[name])
            trial = trial.model_copy(update={"training": settings.model_copy(update={"deterministic": sure})})
            folder = TrialFolder(UPath(place) / f"{name} {number}")
            while not train(
                trial, base, dataset, place / "cache", folder, should_stop=every(3) if stops else lambda: False
            ):
                pass
            return tuple(
                (Path(str(folder.trained)) / f"{part}.safetensors").read_bytes() for part in ("encoder", "head")
            )

        for name in TRIALS:
            first = trained(name, 1)
            started = time.perf_counter()
            again = trained(name, 2)
            seconds[name] = {"deterministic": round(time.perf_counter() - started, 2)}
            stopped = trained(name, 3, stops=True)
            found = [first == again, first == stopped]
            equal, made = equal + sum(found), made + len(found)
            note(f"{name} on {device}: again {found[0]}, interrupted {found[1]}")
        if device == "cuda":
            for name in TRIALS:
                started = time.perf_counter()
                free = trained(name, 4, sure=False)
                seconds[name]["as torch likes"] = round(time.perf_counter() - started, 2)
                seconds[name]["same bits then"] = float(free == trained(name, 5, sure=False))
    detail = {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "backbone": base.name,
        "seconds": seconds,
    }
    finish("train_bits", [float(equal)], [float(made)], "pairs of trainings with the same bits", "= 1", detail)


def every(steps: int) -> Callable[[], bool]:
    """A request to stop that comes after so many questions; the loop asks twice where it is told to stop."""
    left = [steps]

    def asked() -> bool:
        left[0] -= 1
        return left[0] <= 0

    return asked


def noise(place: Path, images: int) -> Dataset:
    """Random pictures of two classes."""
    rng = np.random.default_rng(0)
    records = (
        Record(str(n), encode(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), "PNG"), n % 2) for n in range(images)
    )
    return write_dataset(
        place / "noise", name="noise", version="1", scale="miniature", classes=("attack", "bona fide"),
        splits={"train": records}, source="a benchmark", licence="Apache-2.0",
    )  # fmt: skip


if __name__ == "__main__":
    main()
