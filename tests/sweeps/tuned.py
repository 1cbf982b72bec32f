"""Trials as a sweep trains them, on a cluster that a test has: without data to check, pack or score."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from gelo.models.adapt import Lora
from gelo.models.durable import publish_bytes
from gelo.models.heads import CosFace
from gelo.sweeps.engine.limits import meter_of
from gelo.sweeps.engine.orders import StopFlag
from gelo.sweeps.engine.tune import train_all
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.terminal.progress import Display
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.trial import Training, Trial

IMAGES, BATCH, EPOCHS = 68, 16, 16


def tell_ray() -> None:
    """It reads how to authenticate when it is imported, which may have been for another test."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def spots(root: Path) -> Path:
    """The data set `spots` in `root`: 68 images of 4 classes."""
    rng = np.random.default_rng(0)

    def records() -> Iterator[Record]:
        for index in range(IMAGES):
            pixels = rng.integers(0, 160, (64, 64, 3), dtype=np.uint8)
            pixels[:, :, index % 3] += np.uint8(20 * (index % 4))
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "PNG")
            yield Record(f"s{index}", stream.getvalue(), index % 4)

    write_dataset(
        root / "spots", name="spots", version="1", scale="miniature", classes=(), splits={"train": records()},
        source="a test", licence="Apache-2.0", protocols=("training",),
    )  # fmt: skip
    return root


def trial(**changes: Any) -> Trial:
    settings = {
        "data": "spots", "epochs": EPOCHS, "batch": BATCH, "lr_backbone": 3e-4, "lr_head": 1e-3, "weight_decay": 0.05,
        "clip": 5.0, "schedule": "cosine", "warmup_epochs": 1, "sampler": "shuffled", "augment": "flip",
    }  # fmt: skip
    return Trial(
        backbone="mini-s", task="faces", collection="miniature", adaptation=Lora(rank=4), head=CosFace(),
        training=Training.model_validate(settings | changes), seed=3,
    )  # fmt: skip


@dataclass
class Tuned:
    """Trials as a sweep trains them."""

    folder: SweepFolder
    data: Path
    said: io.StringIO = field(default_factory=io.StringIO)

    def train(
        self, trials: list[Trial], resources: Resources, shares: Mapping[str, float] = {}
    ) -> dict[str, dict[str, Any]]:
        for each in trials:
            publish_bytes(self.folder.trial(each).root / "trial.json", json.dumps(each.document()).encode())
        given = {"data": str(self.data), "cache": str(self.data / "cache"), "weights": {}}
        display = Display(Console(file=self.said, width=200))
        self.stop, self.meter = StopFlag(), meter_of(resources, trials, self.folder, time.monotonic())
        with display.stage("train", len(trials), "trials") as stage:
            labels = Trial.labels(trials)
            return train_all(trials, labels, self.folder, resources, given, self.stop, stage, self.meter, shares)

    def weights(self, of: Trial) -> dict[str, torch.Tensor]:
        place = Path(str(self.folder.trial(of).trained))
        return {**load_file(place / "encoder.safetensors"), **load_file(place / "head.safetensors")}
