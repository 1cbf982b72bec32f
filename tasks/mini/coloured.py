"""`coloured`: four figures, each nearly always in a colour of its own in training and half of the time in the test: a set with groups.

The miniature of sets such as Waterbirds (Sagawa et al., 1911.08731), where what stands beside the class tells it in training and not in
the test. In no collection: a sweep names it under `also`, and asks for `worst_group` and `worst_group_probe`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from numpy.typing import NDArray

from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.mini.worlds.canvas import Rng, cover, encode, finish, generator, paint, place, plain, quantise
from gelo.tasks.mini.worlds.figures import FIGURES
from gelo.tasks.mini.worlds.palette import pick, shade

OWN = {"circle": "red", "square": "blue", "triangle": "green", "star": "yellow"}  # figure -> its colour
CLASSES = tuple(OWN)
EACH = {"train": 60, "test": 60}  # images of a figure
ODD = {"train": 3, "test": 30}  # of these in one of the others' colours
TEMPLATES = ("a {}", "a drawing of a {}", "a {} on a plain background", "the shape of a {}")


def record(split: str, index: int) -> Record:
    """Image `index` of a split; labels go round. group: `red circle` or `circle of another colour`."""
    label, number = index % len(CLASSES), index // len(CLASSES)
    figure, odd = CLASSES[label], number < ODD[split]
    rng = generator("coloured", split, index)
    others = [colour for of, colour in OWN.items() if of != figure]
    colour = others[int(rng.integers(len(others)))] if odd else OWN[figure]
    group = f"{figure} of another colour" if odd else f"{colour} {figure}"
    return Record(
        f"coloured/{split}/{index:04d}", encode(quantise(_picture(rng, figure, colour))), label, {"group": group}
    )


def _picture(rng: Rng, figure: str, colour: str) -> NDArray:
    """As `shapes` draws them, of a colour that is given: float64 (64, 64, 3) in [0, 1]."""
    image = plain(shade(rng, pick(rng, apart=(colour,))))
    size = rng.uniform(0.36, 0.72)
    cx, cy = rng.uniform(-1, 1, 2) * (0.95 - size) * 0.9
    u, v = place(cx, cy, size, rng.uniform(-0.35, 0.35), rng.uniform(0.85, 1.15))
    paint(image, shade(rng, colour), cover(FIGURES[figure](u, v), size))
    return finish(rng, image, 0.05)


def build(root: Path) -> Dataset:
    """Splits train and test, 240 images each; 5 % of the first and half of the second are of another figure's colour."""

    def records(split: str) -> Iterator[Record]:
        return (record(split, index) for index in range(EACH[split] * len(CLASSES)))

    return write_dataset(
        root, name="coloured", version="1", scale="miniature", classes=CLASSES, splits={split: records(split) for split in EACH},
        columns=("group",), prompts=Prompts(CLASSES, TEMPLATES), source="drawn by tasks/mini/coloured.py", licence="Apache-2.0 (generated)",
    )  # fmt: skip


BUILDERS: dict[str, Callable[[Path], Dataset]] = {"coloured": build}
