"""A greedy soup over twelve trials, which scores 23 towers, against scoring each of the twelve from its images (mini-s).

Both give top-1 on the same validation images: gelo from images that are decoded once, the other side by the plain loop, once an encoder.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from benchmarks.line import finish, note
from benchmarks.streaming import BATCH, CORES, data_set, fresh, loop, timed
from gelo.models.backbones.zoo import load_backbone
from gelo.models.remedies import Bench, Soup
from gelo.models.tower import ENCODER, Tower
from gelo.tasks.data.embed import EncoderRef
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.training.source import SplitSource

TRIALS = 12


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    count, rounds, trials = (64, 1, 3) if smoke else (1_000, 3, TRIALS)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        dataset, files = data_set(place, count)
        towers = {f"seed {seed}": _trial(place, seed) for seed in range(trials)}
        refs = [
            EncoderRef(
                load_backbone("mini-s").with_visual(t.weights).vision_fingerprint, "mini-s", None, str(place / n)
            )
            for n, t in towers.items()
        ]
        labels, caches, ours, theirs = np.arange(count) % 10, fresh(place), [], []
        for number in range(rounds):
            cache = next(caches)
            cache.mkdir()
            seconds, soup = timed(_greedy, towers, dataset, cache, labels)
            ours.append(seconds)
            seconds, scores = timed(lambda: [_accuracy(loop(files, ref, CORES, 1), labels) for ref in refs])
            theirs.append(seconds)
            told = soup.notes["soup"]
            np.testing.assert_allclose(list(told["members"].values()), scores, atol=2 / count)
            note(
                f"round {number + 1} of {rounds}: {ours[-1]:.1f} s against {theirs[-1]:.1f} s, {len(told['kept'])} kept"
            )
        detail = {"images": count, "trials": trials, "scored": 2 * trials - 1, "kept": len(told["kept"])}
        finish("soup", ours, theirs, "seconds", "ratio <= 1.2", detail)


def _greedy(towers: dict[str, Tower], dataset: Dataset, cache: Path, labels: NDArray[np.int64]) -> Tower:
    base = load_backbone("mini-s")
    torch.set_num_threads(CORES)
    source = SplitSource(dataset, "test", base.transform, cache)
    rows = [np.arange(start, min(start + BATCH, len(labels))) for start in range(0, len(labels), BATCH)]
    pixels = [source.take(each) for each in rows]

    def score(tower: Tower) -> float:
        encoder = tower.encoder(base)
        return _accuracy(np.concatenate([encoder.encode_images(each) for each in pixels]), labels)

    bench = Bench(base, towers, score=score)
    return Soup(seeds=tuple(range(len(towers))), rule="greedy").finish(next(iter(towers.values())), bench)


def _accuracy(features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Top-1 by ten fixed directions."""
    classes = np.random.default_rng(1).standard_normal((features.shape[1], 10))
    return float(((features @ classes).argmax(axis=1) == labels).mean())


def _trial(place: Path, seed: int) -> Tower:
    """The backbone moved along a direction of its seed's, saved as a trained trial is."""
    maker, moved = torch.Generator().manual_seed(seed), {}
    for key, tensor in load_backbone("mini-s").visual_state().items():
        moved[key] = (
            tensor + 0.01 * torch.randn(tensor.shape, generator=maker) if tensor.is_floating_point() else tensor
        )
    folder = place / f"seed {seed}"
    folder.mkdir()
    save_file({key: tensor.contiguous() for key, tensor in moved.items()}, folder / "encoder.safetensors")
    return Tower({ENCODER: moved})


if __name__ == "__main__":
    main()
