"""What one process does of a trial: the trial from its folder, the encoder and the images from their files, the training.

Every rank of a trial calls `work` with the same config; nothing but gradients and decisions goes from one to another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from upath import UPath

from gelo.models.encoder import Encoder
from gelo.models.training.world import World
from gelo.models.untrusted import read_json
from gelo.sweeps.stages.train import sources_of, train
from gelo.sweeps.stages.watch import eye_of
from gelo.sweeps.state.folder import TrialFolder
from gelo.sweeps.state.lease import follow
from gelo.sweeps.state.logs import logged
from gelo.tasks.data.catalogue import locate
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import described


def folder_of(config: dict[str, Any]) -> TrialFolder:
    """The folder of the trial that a Tune config names; written to only while the driver that made the config leads the sweep."""
    follow(UPath(config["root"]), config.get("lead"))
    return TrialFolder(UPath(config["root"]) / "trials" / config["key"])


def work(
    config: dict[str, Any],
    world: World,
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[dict[str, Any]], None] = lambda row: None,
    noted: Callable[[int, int, int], None] = lambda step, steps, batch: None,
    judge: Callable[[Sequence[Mapping[str, Any]], int], bool] = lambda points, steps: False,
) -> bool:
    """Train the trial as this rank; see `gelo.sweeps.stages.train.train`. What a peer prints goes to a log of its own; rank 0's is its
    caller's matter, who says more of the trial."""
    if world.rank:
        with logged(folder_of(config).root, world.rank, f"rank {world.rank} of {world.size}"):
            return _work(config, world, should_stop, report, noted, judge)
    return _work(config, world, should_stop, report, noted, judge)


def _work(
    config: dict[str, Any],
    world: World,
    should_stop: Callable[[], bool],
    report: Callable[[dict[str, Any]], None],
    noted: Callable[[int, int, int], None],
    judge: Callable[[Sequence[Mapping[str, Any]], int], bool],
) -> bool:
    torch.set_num_threads(config["cpus"])
    folder = folder_of(config)
    trial = described(read_json(folder.root / "trial.json"), str(folder.root))
    assert trial.training is not None
    base = base_of(trial.backbone, config["weights"].get(trial.backbone), "cuda" if config["gpus"] else "cpu")
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
        judge=judge,
        checkpoint_minutes=config["minutes"],
        world=world,
        look=partial(eye_of, trial, base, config.get("general", ()), find, cache),
        noted=noted,
    )


@lru_cache(maxsize=4)
def base_of(backbone: str, weights: str | None, device: str) -> Encoder:
    """One backbone a process, for every trial that a reused actor runs."""
    from gelo.models.backbones.zoo import load_backbone

    return load_backbone(backbone, Path(weights) if weights else None, device=device)
