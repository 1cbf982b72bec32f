"""One figure on a plain ground; the shifted variant adds stray lines, noise, more tilt, and some stripes and outlines."""

from __future__ import annotations

import numpy as np

from gelo.tasks.mini.worlds.canvas import Drawing, Rng, X, Y, cover, finish, paint, place, plain, sine, stroke
from gelo.tasks.mini.worlds.figures import FIGURES
from gelo.tasks.mini.worlds.palette import shade, two

CLASSES: tuple[str, ...] = tuple(FIGURES)
CAPTIONS = (
    "a {}",
    "{}",
    "a {colour} {}",
    "a {colour} {} on a {ground} background",
    "a drawing of a {}",
    "a picture of a {colour} {}",
    "a {} on a plain background",
    "the shape of a {}",
    "a {size} {colour} {}",
    "a simple {}",
)


def draw(rng: Rng, label: int, wide: bool = False) -> Drawing:
    """Class `label` filled with one colour. `wide`: any size, more tilt, the pre-training range."""
    image, colour, ground = _ground(rng)
    size = rng.uniform(0.26, 0.85) if wide else rng.uniform(0.36, 0.72)
    tilt = 0.6 if wide else 0.35
    cx, cy = rng.uniform(-1, 1, 2) * (0.95 - size) * 0.9
    u, v = place(cx, cy, size, rng.uniform(-tilt, tilt), rng.uniform(0.85, 1.15))
    paint(image, shade(rng, colour), cover(FIGURES[CLASSES[label]](u, v), size))
    word = "small" if size < 0.42 else "big" if size > 0.62 else "plain"
    return Drawing(finish(rng, image, 0.08 if wide else 0.05), {"colour": colour, "ground": ground, "size": word})


def draw_outlined(rng: Rng, label: int, wide: bool = False) -> Drawing:
    """Class `label` as a thick outline, clean and upright: for pre-training, so that a figure is more than its filling."""
    image, colour, ground = _ground(rng)
    size = rng.uniform(0.3, 0.85)
    cx, cy = rng.uniform(-1, 1, 2) * (0.95 - size) * 0.9
    u, v = place(cx, cy, size, rng.uniform(-0.4, 0.4), rng.uniform(0.85, 1.15))
    distance = FIGURES[CLASSES[label]](u, v)
    ink = np.minimum(cover(distance, size), 1.0 - cover(distance + rng.uniform(0.07, 0.14) / size, size))
    paint(image, shade(rng, colour), ink)
    return Drawing(finish(rng, image, 0.12), {"colour": colour, "ground": ground, "size": "plain"})


def draw_shifted(rng: Rng, label: int, wide: bool = False) -> Drawing:
    """Class `label` over stray lines, more turned, in more noise; one in four shallowly striped, one in eight an outline."""
    image, colour, ground = _ground(rng)
    for _ in range(int(rng.integers(1, 4))):
        a, b = rng.uniform(-1, 1, 2), rng.uniform(-1, 1, 2)
        stroke(image, shade(rng, colour) * 0.5 + image[0, 0] * 0.5, (a[0], a[1]), (b[0], b[1]), rng.uniform(0.01, 0.03))
    size = rng.uniform(0.36, 0.76)
    cx, cy = rng.uniform(-1, 1, 2) * (0.95 - size)
    u, v = place(cx, cy, size, rng.uniform(-0.5, 0.5), rng.uniform(0.8, 1.25))
    distance = FIGURES[CLASSES[label]](u, v)
    ink = cover(distance, size)
    look = rng.random()
    if look < 0.125:
        ink = np.minimum(ink, 1.0 - cover(distance + rng.uniform(0.08, 0.14) / size, size))
    elif look < 0.375:
        angle = rng.uniform(0, 3.14)
        wave = sine((X * float(sine(angle + 1.5707963267948966)) + Y * float(sine(angle))) * rng.uniform(12, 20))
        ink = ink * (0.8 + 0.2 * np.clip(wave * 3.0, -1.0, 1.0))
    paint(image, shade(rng, colour), ink)
    return Drawing(finish(rng, image, 0.15, 0.2), {"colour": colour, "ground": ground, "size": "plain"})


def _ground(rng: Rng) -> tuple[np.ndarray, str, str]:
    colour, ground = two(rng)
    return plain(shade(rng, ground)), colour, ground
