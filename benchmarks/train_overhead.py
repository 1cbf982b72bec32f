"""A whole gelo trial against the same steps in a bare PyTorch loop that knows nothing of gelo: what the house costs.

ours: `gelo.sweeps.stages.train.train` from the prepared data set to the published folder: order, batches, sums, checkpoints, fingerprints.
theirs: forward, loss, backward, clipping and AdamW on tensors that lie ready. Both train mini-s with CosFace on the same images in the same
order, fully and by LoRA, and both end on the same weights, bit for bit. Images are decoded before. torch has one thread. The headline is
the way to train whose ratio is the worse one; a trial of each, with its imports, comes first and is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from upath import UPath

from benchmarks.line import finish, note
from benchmarks.train_bits import noise
from gelo.models.adapt import AdaptationSpec, Full, Lora, adapt
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.heads import CosFace
from gelo.models.training.sampling import Batches
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Training, Trial
from gelo.tasks.training.source import SplitSource

WAYS: dict[str, AdaptationSpec] = {"full": Full(), "lora": Lora(rank=8)}
SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    torch.set_num_threads(1)
    images, batch, rounds = (64, 16, 1) if smoke else (2_048, 32, 5)
    base = load_backbone("mini-s")
    settings = Training(
        data="noise", epochs=2, batch=batch, lr_backbone=1e-4, lr_head=1e-2, weight_decay=0.05, clip=5.0, schedule="constant",
        warmup_epochs=0, sampler="shuffled", augment="none",
    )  # fmt: skip
    seconds: dict[str, dict[str, list[float]]] = {way: {"ours": [], "theirs": []} for way in WAYS}
    busy: dict[str, dict[str, list[float]]] = {way: {"ours": [], "theirs": []} for way in WAYS}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        dataset, cache = noise(place, images), place / "cache"
        ready = _ready(dataset, base, cache, settings)
        for number in range(-1, rounds):
            for way, adaptation in WAYS.items():
                ends: dict[str, dict[str, Tensor]] = {}

                def ours(
                    adaptation: AdaptationSpec = adaptation, ends: Any = ends, name: str = f"{way} {number}"
                ) -> None:
                    trial = Trial(
                        backbone="mini-s", task="faces", collection="miniature", adaptation=adaptation, head=CosFace(),
                        training=settings, seed=SEED,
                    )  # fmt: skip
                    folder = TrialFolder(UPath(place / name))
                    train(trial, base, dataset, cache, folder)
                    ends["ours"] = _kept(folder)

                def theirs(adaptation: AdaptationSpec = adaptation, ends: Any = ends) -> None:
                    ends["theirs"] = bare(base, adaptation, ready, settings)

                sides = {"ours": ours, "theirs": theirs}
                for name in sorted(sides, reverse=number % 2 == 1):
                    wall, cpu = time.perf_counter(), time.process_time()
                    sides[name]()
                    if number >= 0:
                        seconds[way][name].append(time.perf_counter() - wall)
                        busy[way][name].append(time.process_time() - cpu)
                same = all(torch.equal(tensor, ends["theirs"][name]) for name, tensor in ends["ours"].items())
                assert same and ends["ours"].keys() == ends["theirs"].keys(), f"{way}: both end on the same weights"
                told = " / ".join(f"{values[-1]:.2f}" for values in seconds[way].values() if values)
                note(f"round {number + 1}, {way}: {told} s, the same weights")
    detail = {
        way: {
            "seconds": {side: [round(value, 2) for value in values] for side, values in seconds[way].items()},
            "ratio": round(_ratio(seconds[way]), 4),
            "ratio_of_cpu_time": round(_ratio(busy[way]), 4),
        }
        for way in WAYS
    }
    worse = max(WAYS, key=lambda way: _ratio(seconds[way]))
    about = {"images": images, "batch": batch, "same_weights": True, "load": round(os.getloadavg()[0], 1), **detail}
    finish("train_overhead", seconds[worse]["ours"], seconds[worse]["theirs"], f"s a trial ({worse})", "<= 1.05", about)


def bare(
    base: Encoder, adaptation: AdaptationSpec, ready: list[tuple[Tensor, Tensor]], settings: Training
) -> dict[str, Tensor]:
    """The same training by torch alone; the encoder's and the head's tensors."""
    made = adapt(base.visual, adaptation, SEED)
    network, moving = made.network, list(made.trainable().values())
    kernel = nn.Parameter(torch.empty(base.dim, 2).normal_(0, 0.01, generator=torch.Generator().manual_seed(SEED)))
    both = [
        torch.optim.AdamW(moving, lr=settings.lr_backbone, weight_decay=settings.weight_decay),
        torch.optim.AdamW([kernel], lr=settings.lr_head, weight_decay=settings.weight_decay),
    ]
    network.train()
    for pixels, labels in ready:
        for optimiser in both:
            optimiser.zero_grad(set_to_none=True)
        features = nn.functional.normalize(network(pixels), dim=1)
        cosines = (features @ nn.functional.normalize(kernel, dim=0)).clamp(-1, 1)
        margins = torch.zeros_like(cosines).scatter_(1, labels[:, None], 0.3)
        nn.functional.cross_entropy(64.0 * (cosines - margins), labels).backward()
        for group, optimiser in ((moving, both[0]), ([kernel], both[1])):
            nn.utils.clip_grad_norm_(group, settings.clip)
            optimiser.step()
    return {**made.merged(), "head.kernel": kernel.detach()}


def _ready(dataset: Dataset, base: Encoder, cache: Path, settings: Training) -> list[tuple[Tensor, Tensor]]:
    """Every batch of the training as tensors, in gelo's order; the images are decoded by this."""
    source = SplitSource(dataset, "train", base.transform, cache)
    order = Batches(settings.sampler, source.labels, SEED, settings.batch)
    found = []
    for epoch in range(settings.epochs):
        for step in range(order.steps):
            rows = order.at(epoch, step)
            pixels = base.transform.normalise(torch.from_numpy(source.take(rows)))
            found.append((pixels, torch.from_numpy(np.asarray(source.labels[rows], np.int64))))
    return found


def _kept(folder: TrialFolder) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    place = Path(str(folder.trained))
    head = {f"head.{name}": tensor for name, tensor in load_file(place / "head.safetensors").items()}
    return {**load_file(place / "encoder.safetensors"), **head}


def _ratio(sides: dict[str, list[float]]) -> float:
    return statistics.median(sides["ours"]) / statistics.median(sides["theirs"])


if __name__ == "__main__":
    main()
