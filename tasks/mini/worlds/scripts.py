"""Lines of invented writing, one manner of making marks per class; no glyph stands for a real letter."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.mini.worlds.canvas import (
    PIXEL,
    Colour,
    Drawing,
    Rng,
    X,
    Y,
    cover,
    finish,
    paint,
    patches,
    plain,
    stroke,
)
from gelo.tasks.mini.worlds.palette import shade

CAPTIONS = (
    "{}",
    "a page of {}",
    "text written in {}",
    "writing in {}",
    "a sheet with {}",
    "a line of {}",
    "{} on {ground} paper",
    "{colour} {}",
    "some {}",
    "{} in {colour} ink",
)
Picture = NDArray[np.float64]
Point = tuple[float, float]


def _runes(rng: Rng, image: Picture, ink: Colour, x: float, y: float, w: float, h: float) -> None:
    stroke(image, ink, (x, y - h), (x, y + h), 0.025)
    for _ in range(int(rng.integers(1, 3))):
        at, side = rng.uniform(-0.9, 0.5) * h, w if rng.random() < 0.7 else -w
        stroke(image, ink, (x, y + at), (x + side * 0.8, y + at + h * 0.5), 0.025)


def _braille(rng: Rng, image: Picture, ink: Colour, x: float, y: float, w: float, h: float) -> None:
    for k in range(6):
        if rng.random() < 0.6:
            at = (x + (k % 2 - 0.5) * w * 0.9, y + (k // 2 - 1) * h * 0.75)
            stroke(image, ink, at, (at[0] + 1e-3, at[1]), 0.035)


def _cuneiform(rng: Rng, image: Picture, ink: Colour, x: float, y: float, w: float, h: float) -> None:
    for _ in range(int(rng.integers(2, 4))):
        a = (x + rng.uniform(-0.6, 0.6) * w, y + rng.uniform(-0.8, 0.3) * h)
        across = rng.random() < 0.5
        b = (a[0] + w * 1.1, a[1]) if across else (a[0], a[1] + h)
        stroke(image, ink, a, b, 0.015)
        stroke(image, ink, a, (a[0] + 0.02, a[1] + 0.02), 0.055)


def _cursive(rng: Rng, image: Picture, ink: Colour, x: float, y: float, w: float, h: float) -> None:
    tall = h * rng.uniform(0.5, 1.3)
    loop = [(-1.0, 0.6), (-0.2, 0.1), (0.3, -1.0), (-0.3, -0.6), (-0.1, 0.6), (1.0, 0.6)]
    points = [(x + a * w, y + b * (tall if b < 0 else h)) for a, b in loop]
    for a, b in pairwise(points):
        stroke(image, ink, a, b, 0.018)


def _blocks(rng: Rng, image: Picture, ink: Colour, x: float, y: float, w: float, h: float) -> None:
    left, right, top, low = x - w * 0.7, x + w * 0.7, y - h, y + h
    corners: list[Point] = [(left, top), (right, top), (right, low), (left, low), (left, top)]
    keep = rng.permutation(4)[:3]
    for k in keep:
        stroke(image, ink, corners[k], corners[k + 1], 0.03)
    if rng.random() < 0.6:
        stroke(image, ink, (left, y), (right, y), 0.03)


def _morse(rng: Rng, image: Picture, ink: Colour, x: float, y: float, w: float, h: float) -> None:
    length = 0.0 if rng.random() < 0.5 else w * 0.7
    stroke(image, ink, (x - length, y), (x + length + 1e-3, y), 0.045)


def _tally(rng: Rng, image: Picture, ink: Colour, x: float, y: float, w: float, h: float) -> None:
    for k in range(3):
        lean = rng.uniform(-0.02, 0.02)
        stroke(image, ink, (x + (k - 1) * w * 0.6, y - h), (x + (k - 1) * w * 0.6 + lean, y + h), 0.02)
    if rng.random() < 0.5:
        stroke(image, ink, (x - w, y + h * 0.7), (x + w, y - h * 0.7), 0.02)


def _notes(rng: Rng, image: Picture, ink: Colour, x: float, y: float, w: float, h: float) -> None:
    at = y + rng.uniform(-0.6, 0.8) * h
    stroke(image, ink, (x - 0.02, at), (x + 0.02, at - 0.01), 0.055)
    stroke(image, ink, (x + 0.06, at), (x + 0.06, at - h * 1.5), 0.014)


WRITINGS: dict[str, tuple[Callable[[Rng, Picture, Colour, float, float, float, float], None], int, int]] = {
    # marks, lines on a page, marks on a line
    "runes": (_runes, 3, 5),
    "braille": (_braille, 3, 5),
    "cuneiform": (_cuneiform, 3, 4),
    "cursive handwriting": (_cursive, 3, 4),
    "block letters": (_blocks, 3, 4),
    "morse code": (_morse, 5, 5),
    "tally marks": (_tally, 3, 3),
    "musical notes": (_notes, 2, 5),
    "barcode": (_notes, 0, 0),
}
CLASSES: tuple[str, ...] = tuple(WRITINGS)
_INKS = ("black", "blue", "red", "brown", "purple", "green")
_PAPERS = ("white", "yellow", "grey", "pink", "cyan")


def draw(rng: Rng, label: int, wide: bool = False) -> Drawing:
    """A page of manner `label`. `wide`: light ink on dark too, and more noise."""
    colour, ground = _INKS[int(rng.integers(len(_INKS)))], _PAPERS[int(rng.integers(len(_PAPERS)))]
    if rng.random() < (0.3 if wide else 0.1):
        colour, ground = ground, colour
    ink = shade(rng, colour)
    image = plain(shade(rng, ground))
    image *= (1.0 - rng.uniform(0, 0.25) * patches(rng, 4))[..., None]
    mark, lines, marks = WRITINGS[CLASSES[label]]
    if lines == 0:
        _bars(rng, image, ink)
    else:
        lines += int(rng.integers(2)) if lines > 2 else 0
        _page(rng, image, ink, mark, lines, marks + int(rng.integers(2)))
    return Drawing(finish(rng, image, 0.12 if wide else 0.08, 0.3), {"colour": colour, "ground": ground})


def _page(rng: Rng, image: Picture, ink: Colour, mark: Callable[..., None], lines: int, marks: int) -> None:
    pitch, step = 1.8 / lines, 1.8 / marks
    slope = rng.uniform(-0.06, 0.06)
    if mark is _notes:
        for line in range(lines):
            for k in range(-2, 3):
                y = -0.9 + (line + 0.5) * pitch + k * 0.13
                stroke(image, ink * 0.7 + image[0, 0] * 0.3, (-0.95, y), (0.95, y), 0.006)
    for line in range(lines):
        for k in range(marks):
            x, y = -0.9 + (k + 0.5) * step + rng.uniform(-0.02, 0.02), -0.9 + (line + 0.5) * pitch
            mark(rng, image, ink, x, y + slope * x, step * 0.42, pitch * 0.34)


def _bars(rng: Rng, image: Picture, ink: Colour) -> None:
    edges = np.cumsum(rng.integers(1, 5, size=40)) * PIXEL - 0.8
    angle = rng.uniform(-0.06, 0.06)
    along = X + angle * Y
    level = np.searchsorted(edges, along) % 2 == 0
    frame = np.maximum(np.abs(along) - 0.8, np.abs(Y) - rng.uniform(0.45, 0.75))
    paint(image, ink, cover(frame) * level)
