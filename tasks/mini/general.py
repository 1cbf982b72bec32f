"""The general miniature sets, one skill each, a shifted test of `shapes`, and scikit-learn's real handwritten digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.mini.worlds import SHIFTED, WORLDS, World
from gelo.tasks.mini.worlds.canvas import SIZE, encode, generator, quantise
from gelo.tasks.mini.worlds.numerals import CLASSES as DIGITS

TRAIN = TEST = 240
DRAWN: tuple[str, ...] = ("shapes", "textures", "colours", "counts", "signs", "scripts", "scenes", "flags")
LICENCE = "Apache-2.0 (generated)"


def pixels(name: str, split: str, index: int) -> tuple[NDArray[np.uint8], int]:
    """Image `index` of a drawn set and its label: uint8 (64, 64, 3). Labels go round, so classes are balanced."""
    world = _world(name)
    label = index % len(world.classes)
    return quantise(world.draw(generator(name, split, index), label, False).image), label


def build(name: str, root: Path) -> Dataset:
    """Write the drawn set `name` to `root`, with 240 images a split."""
    splits = {"test": _records(name, "test", TEST)}
    if name != "shapes_shifted":
        splits = {"train": _records(name, "train", TRAIN), **splits}
    return write_dataset(
        root,
        name=name,
        version="1",
        scale="miniature",
        classes=_world(name).classes,
        splits=splits,
        source="drawn by tasks/mini/worlds",
        licence=LICENCE,
    )


def build_digits(root: Path) -> Dataset:
    """Write scikit-learn's 8 x 8 handwritten digits, enlarged to 64 x 64: 24 a class in each split, chosen by seed."""
    splits = {split: _digit_records(split, chosen) for split, chosen in digit_split().items()}
    return write_dataset(
        root,
        name="digits",
        version="1",
        scale="miniature",
        classes=DIGITS,
        splits=splits,
        source="scikit-learn load_digits: UCI Optical Recognition of Handwritten Digits (Alpaydin, Kaynak 1998)",
        licence="CC-BY-4.0",
    )


def digit_split() -> dict[str, NDArray[np.int64]]:
    """Row numbers of scikit-learn's digits by split, (240,) each, disjoint, classes in turn."""
    from sklearn.datasets import load_digits

    target = load_digits().target
    shuffled = generator("digits", "split").permutation(len(target))
    by_class = np.stack([shuffled[target[shuffled] == c][: (TRAIN + TEST) // 10] for c in range(10)], axis=1)
    return {"train": by_class[: TRAIN // 10].reshape(-1), "test": by_class[TRAIN // 10 :].reshape(-1)}


def digit_pixels(row: int) -> tuple[NDArray[np.uint8], int]:
    """One real digit as uint8 (64, 64, 3): white ink on black, bicubic from 8 x 8."""
    from sklearn.datasets import load_digits

    data = load_digits()
    small = np.floor(data.images[row] * (255.0 / 16.0) + 0.5).astype(np.uint8)
    grey = np.asarray(Image.fromarray(small).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2)), int(data.target[row])


def _world(name: str) -> World:
    return SHIFTED if name == "shapes_shifted" else WORLDS[name]


def _records(name: str, split: str, count: int) -> Iterator[Record]:
    for index in range(count):
        image, label = pixels(name, split, index)
        yield Record(f"{name}/{split}/{index:04d}", encode(image), label)


def _digit_records(split: str, rows: NDArray[np.int64]) -> Iterator[Record]:
    for row in rows:
        image, label = digit_pixels(int(row))
        yield Record(f"digits/{split}/{row:04d}", encode(image), label)


BUILDERS: dict[str, Callable[[Path], Dataset]] = {
    **{name: partial(build, name) for name in (*DRAWN, "shapes_shifted")},
    "digits": build_digits,
}
