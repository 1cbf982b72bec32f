"""The pre-training images: drawn once in parallel to uint8 files, read by memory map.

Every image has a random stream of its own, named "pretrain"; the data sets' streams carry their own names, so none is shared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gelo.models.durable import is_done, publish_folder
from gelo.tasks.mini.worlds import OUTLINED, WORLDS
from gelo.tasks.mini.worlds.canvas import SIZE, generator, quantise

SHARD = 4096
# How often each world is drawn: hard skills more often than easy ones.
SHARES = {
    "shapes": 1.2, "textures": 0.9, "colours": 0.8, "counts": 1.5, "signs": 1.0, "scripts": 0.9,
    "scenes": 0.7, "flags": 1.0, "numerals": 1.3, "people": 0.5,
}  # fmt: skip
# From this shard on the skills that come slowest have the larger part, and every third figure is an outline.
SECOND_PART = 32
LATER_SHARES = {**dict.fromkeys(SHARES, 0.4), "shapes": 3.0, "counts": 1.2, "numerals": 1.2}
OUTLINES = 1 / 3
_ORDER = tuple(WORLDS)


@dataclass(frozen=True, slots=True)
class Shard:
    """`images` uint8 (4096, 64, 64, 3), mapped; `worlds` and `labels` (4096,); `words` one dict an image."""

    images: NDArray[np.uint8]
    worlds: NDArray[np.int64]
    labels: NDArray[np.int64]
    words: list[dict[str, str]]


def prepare(root: Path, shards: int, workers: int | None = None) -> list[Shard]:
    """Draw the shards that are missing below `root` (50 MB and about 4 s each) and open them all."""
    missing = [(root, k) for k in range(shards) if not is_done(_folder(root, k))]
    if missing:
        with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
            list(pool.map(_draw, missing))
    return [_open(_folder(root, k)) for k in range(shards)]


def draw(index: int) -> tuple[NDArray[np.uint8], int, int, dict[str, str]]:
    """Pre-training image `index`: pixels, number of its world, label, words."""
    rng = generator("pretrain", index)
    later = index >= SECOND_PART * SHARD
    shares = np.array([(LATER_SHARES if later else SHARES)[name] for name in _ORDER])
    which = int(np.searchsorted(np.cumsum(shares) / shares.sum(), rng.random(), side="right"))
    world = WORLDS[_ORDER[which]]
    label = int(rng.integers(len(world.classes)))
    outlined = later and _ORDER[which] == "shapes" and rng.random() < OUTLINES
    drawing = (OUTLINED if outlined else world).draw(rng, label, True)
    return quantise(drawing.image), which, label, drawing.words


def caption(rng: np.random.Generator, world: int, label: int, words: dict[str, str]) -> str:
    """One fitting caption of a drawn image."""
    return WORLDS[_ORDER[world]].caption(rng, label, words)


def bare_captions(rng: np.random.Generator) -> tuple[list[str], Sequence[int]]:
    """One caption that names nothing but the class, for every class of every world; and where each world's classes begin."""
    texts: list[str] = []
    starts: list[int] = []
    for world in WORLDS.values():
        starts.append(len(texts))
        bare = [c for c in world.captions if "{}" in c and c.count("{") == 1 and len(c) > 2]
        texts += [bare[int(rng.integers(len(bare)))].format(name) for name in world.classes]
    return texts, starts


def _draw(task: tuple[Path, int]) -> None:
    root, k = task
    with publish_folder(_folder(root, k)) as folder:
        drawn = [draw(k * SHARD + i) for i in range(SHARD)]
        np.save(folder / "images.npy", np.stack([d[0] for d in drawn]))
        np.save(folder / "labels.npy", np.array([[d[1], d[2]] for d in drawn], dtype=np.int64))
        (folder / "words.json").write_text(json.dumps([d[3] for d in drawn]))


def _open(folder: Path) -> Shard:
    labels = np.load(folder / "labels.npy")
    images = np.load(folder / "images.npy", mmap_mode="r")
    assert images.shape == (SHARD, SIZE, SIZE, 3)
    return Shard(images, labels[:, 0], labels[:, 1], json.loads((folder / "words.json").read_text()))


def _folder(root: Path, k: int) -> Path:
    return root / f"shard-{k:04d}"
