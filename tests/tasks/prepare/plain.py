"""Plain colours: small trees of which every image says its own class, and the class that gelo gave each."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from gelo.tasks.prepare.layout import Layout

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 30), "green": (30, 180, 40), "blue": (30, 60, 220), "yellow": (240, 220, 30), "black": (10, 10, 10),
    "white": (245, 245, 245),
}  # fmt: skip


def paint(path: Path, colour: str, number: int = 0) -> None:
    """An image of one colour, a little darker with each number, so that no two of a class are the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = tuple(max(0, v - number) for v in COLOURS[colour])
    Image.new("RGB", (16, 16), shade).save(path, {"jpg": "JPEG"}.get(path.suffix[1:].lower(), "PNG"))  # type: ignore[arg-type]


def tree(root: Path, splits: Mapping[str, int], names: Mapping[str, str] | None = None) -> None:
    """`<split>/<class>/<colour><n>.png`; a split "" puts the classes at the top. names: folders of colours that are called otherwise."""
    shift = 0
    for split, count in splits.items():
        for colour in COLOURS:
            for n in range(count):
                paint(root / split / (names or {}).get(colour, colour) / f"{colour}{shift + n}.png", colour, shift + n)
        shift += count


def colour_of(data: bytes) -> str:
    """Which of the colours an image is nearest to."""
    pixel = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((1, 1)), int)[0, 0]
    return min(COLOURS, key=lambda name: int(np.abs(pixel - COLOURS[name]).sum()))


def number_of(data: bytes) -> int:
    """The number that a PNG of `paint` was painted with."""
    pixel = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)[0, 0]
    return int(COLOURS[colour_of(data)][0] - pixel[0])


def seen(layout: Layout) -> dict[str, dict[str, str]]:
    """By split, the class name that each image was given, under the image's id."""
    return {
        split: {item.id: layout.classes[item.label] for item in items}
        for split, items in layout.splits.items()
        if len(items)
    }


def wrong(layout: Layout) -> list[str]:
    """Images whose class is not their colour; for trees in which every class is called as its colour is."""
    return [
        f"{split} {item.where}: {layout.classes[item.label]}"
        for split, items in layout.splits.items()
        for item in items
        if layout.classes[item.label] != colour_of(item.load())
    ]
