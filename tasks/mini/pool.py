"""The pre-training images: drawn once in parallel to uint8 files, read by memory map.

Every image has a random stream of its own, named after its pool: "pretrain" for `general`, "pretrain-people" for `people`. The data sets'
streams carry their own names, so none is shared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gelo.models.durable import is_done, publish_folder
from gelo.tasks.mini.people import PEOPLE as PHOTOGRAPHED
from gelo.tasks.mini.people.portraits import STREAM
from gelo.tasks.mini.worlds import OUTLINED, WORLDS, World
from gelo.tasks.mini.worlds.canvas import SIZE, Drawing, Rng, generator, quantise

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
# Of the pool `people`: half general, in the proportions of the 48 shards that mini-s and mini-l saw, and half photographs of people.
LATER = 1 / 3
PHOTOGRAPHS = 1 / 2
PHOTOGRAPH_SHARES = {"portraits": 1.2, "shown": 1.4, "blends": 1.0}


@dataclass(frozen=True, slots=True)
class Pool:
    """What one kind of pool draws. worlds: in the order of their numbers. one(rng, index): image `index` from its own stream, the name of
    its world and its label."""

    stream: str
    folder: str
    worlds: dict[str, World]
    one: Callable[[Rng, int], tuple[Drawing, str, int]]

    @property
    def classes(self) -> int:
        """How many classes its worlds have together."""
        return sum(len(world.classes) for world in self.worlds.values())

    @property
    def first(self) -> NDArray[np.int64]:
        """Number of each world's first class, and `classes` at the end."""
        return np.cumsum([0, *(len(world.classes) for world in self.worlds.values())])


@dataclass(frozen=True, slots=True)
class Shard:
    """`images` uint8 (4096, 64, 64, 3), mapped; `worlds` and `labels` (4096,); `words` one dict an image."""

    images: NDArray[np.uint8]
    worlds: NDArray[np.int64]
    labels: NDArray[np.int64]
    words: list[dict[str, str]]


def _general(rng: Rng, index: int) -> tuple[Drawing, str, int]:
    return _world(rng, index >= SECOND_PART * SHARD)


def _people(rng: Rng, index: int) -> tuple[Drawing, str, int]:
    if rng.random() >= PHOTOGRAPHS:
        return _world(rng, rng.random() < LATER)
    name = _chosen(rng, PHOTOGRAPH_SHARES, tuple(PHOTOGRAPHED))
    label = int(rng.integers(len(PHOTOGRAPHED[name].classes)))
    return PHOTOGRAPHED[name].draw(rng, label, True), name, label


def _world(rng: Rng, later: bool) -> tuple[Drawing, str, int]:
    name = _chosen(rng, LATER_SHARES if later else SHARES, tuple(WORLDS))
    world = WORLDS[name]
    label = int(rng.integers(len(world.classes)))
    outlined = later and name == "shapes" and rng.random() < OUTLINES
    return (OUTLINED if outlined else world).draw(rng, label, True), name, label


def _chosen(rng: Rng, shares: dict[str, float], order: tuple[str, ...]) -> str:
    parts = np.array([shares[name] for name in order])
    return order[int(np.searchsorted(np.cumsum(parts) / parts.sum(), rng.random(), side="right"))]


GENERAL = Pool("pretrain", "pool", WORLDS, _general)
PEOPLE = Pool(STREAM, "pool-people", {**WORLDS, **PHOTOGRAPHED}, _people)
POOLS = {"general": GENERAL, "people": PEOPLE}


def prepare(root: Path, shards: int, workers: int | None = None, kind: str = "general") -> list[Shard]:
    """Draw the shards that are missing below `root` and open them all: 50 MB each, and about 4 s (`people`: 12 s)."""
    folder = root / POOLS[kind].folder
    missing = [(folder, k, kind) for k in range(shards) if not is_done(_folder(folder, k))]
    if missing:
        with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
            list(pool.map(_draw, missing))
    return [_open(_folder(folder, k)) for k in range(shards)]


def draw(index: int, pool: Pool = GENERAL) -> tuple[NDArray[np.uint8], int, int, dict[str, str]]:
    """Pre-training image `index`: pixels, number of its world, label, words."""
    drawing, name, label = pool.one(generator(pool.stream, index), index)
    return quantise(drawing.image), list(pool.worlds).index(name), label, drawing.words


def caption(rng: Rng, world: int, label: int, words: dict[str, str], pool: Pool = GENERAL) -> str:
    """One fitting caption of a drawn image."""
    return list(pool.worlds.values())[world].caption(rng, label, words)


def bare_captions(rng: Rng, pool: Pool = GENERAL) -> tuple[list[str], Sequence[int]]:
    """One caption that names nothing but the class, for every class of every world; and where each world's classes begin."""
    texts: list[str] = []
    starts: list[int] = []
    for world in pool.worlds.values():
        starts.append(len(texts))
        bare = [c for c in world.captions if "{}" in c and c.count("{") == 1 and len(c) > 2]
        texts += [bare[int(rng.integers(len(bare)))].format(name) for name in world.classes]
    return texts, starts


def _draw(task: tuple[Path, int, str]) -> None:
    root, k, kind = task
    with publish_folder(_folder(root, k)) as folder:
        drawn = [draw(k * SHARD + i, POOLS[kind]) for i in range(SHARD)]
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
