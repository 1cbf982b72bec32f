"""The miniature's reference images: what a remedy against forgetting may see of the general world, and no suite ever scores.

The skills are those of the general sets and the draws are others: streams of their own, in the wide range of sizes and turns that the
backbones were pre-trained in, which is to the test images what a collection from the web is to a benchmark. Real digits and figures over
stray lines (`digits`, `shapes_shifted`) are not among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.mini.worlds import WORLDS
from gelo.tasks.mini.worlds.canvas import encode, generator, quantise

# How a class of each skill is called where all skills stand beside each other; `{}` = its name within the skill.
NAMED: dict[str, str] = {
    "shapes": "a {}", "textures": "a texture of {}", "colours": "a {} object", "counts": "{} objects", "signs": "a {} sign",
    "scripts": "a page of {}", "scenes": "a view of {}", "flags": "a flag with {}", "numerals": "the digit {}",
}  # fmt: skip
DRAWN: tuple[tuple[str, int], ...] = tuple(
    (world, label) for world in NAMED for label in range(len(WORLDS[world].classes))
)
CLASSES: tuple[str, ...] = tuple(NAMED[world].format(WORLDS[world].classes[label]) for world, label in DRAWN)
EACH = {"train": 20, "val": 5}  # images of a class
# Drawn anew: the first draw looked like an image of a test split (tasks/data/near.py), mostly a plain disc or the same flag by chance.
AGAIN: dict[str, frozenset[int]] = {
    "train": frozenset((239, 307, 468, 503, 776, 805, 1026, 1263, 1390, 1395, 1484, 1527, 1591)), "val": frozenset((101, 185)),
}  # fmt: skip


def record(split: str, index: int) -> Record:
    """Image `index` of a split, with a caption of what is drawn. Labels go round, so that any part of a split holds all classes alike."""
    label = index % len(DRAWN)
    name, own = DRAWN[label]
    rng, world = generator("reference", split, index, *(("again",) if index in AGAIN[split] else ())), WORLDS[name]
    drawing = world.draw(rng, own, True)
    return Record(
        f"reference/{split}/{index:04d}",
        encode(quantise(drawing.image)),
        label,
        {"caption": world.caption(rng, own, drawing.words)},
    )


def build(root: Path) -> Dataset:
    """Splits train (1,760 images) and val (440), 20 and 5 of each of 88 classes."""

    def records(split: str) -> Iterator[Record]:
        return (record(split, index) for index in range(EACH[split] * len(DRAWN)))

    return write_dataset(
        root, name="reference", version="1", scale="miniature", classes=CLASSES, splits={split: records(split) for split in EACH},
        columns=("caption",), prompts=Prompts(CLASSES, ("{}", "a picture of {}", "a photo of {}")), source="drawn by tasks/mini/worlds",
        licence="Apache-2.0 (generated)",
    )  # fmt: skip


BUILDERS: dict[str, Callable[[Path], Dataset]] = {"reference": build}
