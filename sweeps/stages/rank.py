"""What one process does of a trial: the trial from its folder, the encoder and the images from their files, the training.

Every rank of a trial calls `work` with the same config; nothing but gradients and decisions goes from one to another.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from upath import UPath

from gelo.models.encoder import Encoder
from gelo.models.training.world import World
from gelo.sweeps.stages.train import sources_of, train
from gelo.sweeps.stages.watch import eye_of
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.catalogue import locate
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial


def folder_of(config: dict[str, Any]) -> TrialFolder:
    """The folder of the trial that a Tune config names."""
    return TrialFolder(UPath(config["root"]) / "trials" / config["key"])


def work(
    config: dict[str, Any],
    world: World,
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[dict[str, float]], None] = lambda row: None,
) -> bool:
    """Train the trial as this rank; see `gelo.sweeps.stages.train.train`."""
    torch.set_num_threads(config["cpus"])
    folder = folder_of(config)
    document = json.loads((folder.root / "trial.json").read_text())
    trial = Trial.model_validate({name: value for name, value in document.items() if name in Trial.model_fields})
    assert trial.training is not None
    base = _base(trial.backbone, config["weights"].get(trial.backbone), "cuda" if config["gpus"] else "cpu")
    data, cache = Path(config["data"]), Path(config["cache"])

    def find(name: str) -> Dataset:
        return locate(name, data)

    return train(
        trial,
        base,
        locate(trial.training.data, data),
        cache,
        folder,
        sources=sources_of(trial, find, base.transform, cache),
        should_stop=should_stop,
        report=report,
        checkpoint_minutes=config["minutes"],
        world=world,
        look=partial(eye_of, trial, base, config.get("general", ()), find, cache),
    )


@lru_cache(maxsize=4)
def _base(backbone: str, weights: str | None, device: str) -> Encoder:
    """One backbone a process, for every trial that a reused actor runs."""
    from gelo.models.backbones.zoo import load_backbone

    return load_backbone(backbone, Path(weights) if weights else None, device=device)
