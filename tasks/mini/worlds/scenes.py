"""Landscapes in flat layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.mini.worlds.canvas import PIXEL, Drawing, Plane, Rng, X, Y, cover, finish, mix, paint, patches, sine
from gelo.tasks.mini.worlds.figures import disc
from gelo.tasks.mini.worlds.palette import shade

CAPTIONS = (
    "{}",
    "a picture of {}",
    "a scene of {}",
    "a view of {}",
    "a landscape with {}",
    "a photo of {}",
    "{} under a {time} sky",
    "a painting of {}",
    "{} at {time}",
)
Picture = NDArray[np.float64]
SKIES = {
    "day": ((0.35, 0.6, 0.95), (0.8, 0.9, 1.0)),
    "sunset": ((0.45, 0.3, 0.6), (1.0, 0.6, 0.3)),
    "grey": ((0.55, 0.58, 0.62), (0.8, 0.8, 0.82)),
}


def _ridge(rng: Rng, low: float, high: float, cells: int) -> Plane:
    """Height of a jagged skyline by column, broadcast to (64, 64)."""
    knots = rng.uniform(low, high, size=cells + 1)
    at = np.clip((X[0] + 1.0) / 2.0, 0, 0.9999) * cells
    k = at.astype(np.int64)
    line = knots[k] + (at - k) * (knots[k + 1] - knots[k])
    return np.ascontiguousarray(np.broadcast_to(line[None, :], X.shape))


def _below(
    image: Picture, colour: tuple[float, float, float], height: Plane | float, rng: Rng, rough: float = 0.15
) -> None:
    """Fill under a skyline with a slightly mottled colour."""
    tone = np.clip(np.array(colour) + rng.uniform(-0.05, 0.05, 3), 0, 1)
    paint(image, mix(tone, tone * (1 - 2 * rough), patches(rng, 8)), cover(height - Y))


def _beach(rng: Rng, image: Picture) -> None:
    horizon = rng.uniform(-0.3, 0.0)
    _below(image, (0.1, 0.45, 0.75), horizon, rng)
    _below(
        image,
        (0.93, 0.83, 0.55),
        horizon + rng.uniform(0.3, 0.5) + 0.1 * sine(X * 4 + rng.uniform(0, 6)) + 0.15 * X,
        rng,
        0.06,
    )


def _mountains(rng: Rng, image: Picture) -> None:
    line = _ridge(rng, -0.75, 0.3, int(rng.integers(4, 7)))
    _below(image, (0.42, 0.4, 0.45), line, rng)
    paint(image, shade(rng, "white"), cover(np.maximum(line - Y, Y + 0.25 + 0.1 * sine(X * 15))))
    _below(image, (0.25, 0.45, 0.25), rng.uniform(0.45, 0.7), rng)


def _forest(rng: Rng, image: Picture) -> None:
    _below(image, (0.15, 0.35, 0.12), rng.uniform(0.2, 0.5), rng)
    for _ in range(int(rng.integers(7, 11))):
        x, foot, tall = rng.uniform(-1, 1), rng.uniform(0.3, 0.9), rng.uniform(0.7, 1.2)
        crown = np.maximum(np.abs(X - x) - (Y - foot + tall) * 0.27, Y - foot)
        paint(image, np.array([0.05, 0.3, 0.1]) + rng.uniform(0, 0.12, 3), cover(crown))


def _city(rng: Rng, image: Picture) -> None:
    for x in np.arange(-1.0, 1.0, 0.25):
        top, wide = rng.uniform(-0.75, 0.3), rng.uniform(0.1, 0.16)
        tone = rng.uniform(0.2, 0.55) + rng.uniform(-0.04, 0.04, 3)
        tower = np.maximum(np.abs(X - x - 0.12) - wide, top - Y)
        lit = (np.floor(X * 32) % 3 == 1) & (np.floor(Y * 32) % 4 == 1)
        paint(image, mix(tone, np.array([0.95, 0.85, 0.5]), lit * 0.8), cover(tower))
    _below(image, (0.25, 0.25, 0.27), rng.uniform(0.75, 0.9), rng)


def _desert(rng: Rng, image: Picture) -> None:
    for k in range(3):
        line = -0.1 + 0.3 * k + rng.uniform(0.1, 0.22) * sine(X * rng.uniform(1.5, 3.5) + rng.uniform(0, 6))
        _below(image, (0.9 - 0.09 * k, 0.65 - 0.08 * k, 0.32), line, rng, 0.05)
    if rng.random() < 0.5:
        x = rng.uniform(-0.6, 0.6)
        arms = np.minimum(
            np.maximum(np.abs(X - x) - 0.06, np.abs(Y - 0.1) - 0.4),
            np.maximum(np.abs(Y - 0.1) - 0.05, np.abs(X - x) - 0.25),
        )
        paint(image, np.array([0.15, 0.4, 0.15]), cover(arms))


def _night(rng: Rng, image: Picture) -> None:
    image[:] = mix(np.array([0.01, 0.01, 0.08]), np.array([0.08, 0.08, 0.25]), (Y + 1) / 2)
    spots = rng.integers(0, 64, size=(int(rng.integers(20, 45)), 2))
    image[spots[:, 0], spots[:, 1]] = rng.uniform(0.7, 1.0)
    x, y, r = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, -0.1), rng.uniform(0.15, 0.25)
    paint(image, np.array([0.95, 0.95, 0.85]), cover(disc(X - x, Y - y, r)))
    _below(image, (0.03, 0.04, 0.05), _ridge(rng, 0.6, 0.9, 5), rng)


def _ocean(rng: Rng, image: Picture) -> None:
    horizon = rng.uniform(-0.35, 0.1)
    _below(image, (0.05, 0.3, 0.55), horizon, rng)
    crest = sine((Y - horizon) * 26 + 1.2 * sine(X * 9 + rng.uniform(0, 6))) - 0.75
    paint(image, np.array([0.75, 0.88, 0.95]), np.clip(crest * 3, 0, 1) * cover(horizon + 0.06 - Y))


def _road(rng: Rng, image: Picture) -> None:
    horizon, bend = rng.uniform(-0.3, 0.05), rng.uniform(-0.3, 0.3)
    _below(image, (0.35, 0.55, 0.25), horizon, rng)
    depth = np.clip(Y - horizon, 0.0, 2.0)
    centre = bend * (1 - depth)
    paint(image, np.array([0.25, 0.25, 0.27]), cover(np.maximum(np.abs(X - centre) - 0.05 - 0.6 * depth, horizon - Y)))
    dash = (np.floor(12.0 / (depth + 0.45)) % 2 == 0) * 1.0
    paint(
        image,
        np.array([0.95, 0.95, 0.85]),
        dash * cover(np.maximum(np.abs(X - centre) - 0.01 - 0.06 * depth, horizon - Y)),
    )


def _meadow(rng: Rng, image: Picture) -> None:
    horizon = rng.uniform(-0.3, 0.2)
    _below(image, (0.4, 0.7, 0.25), horizon + 0.1 * sine(X * 2 + rng.uniform(0, 6)), rng)
    tone = shade(rng, ("red", "yellow", "pink", "purple", "white")[int(rng.integers(5))])
    for _ in range(int(rng.integers(10, 18))):
        column, row = int(rng.integers(1, 62)), int(rng.integers(int((horizon + 1.25) * 32), 62))
        image[row : row + 2, column : column + 2] = tone


def _snow(rng: Rng, image: Picture) -> None:
    _below(image, (0.93, 0.95, 0.98), rng.uniform(-0.1, 0.3) + 0.12 * sine(X * 2.5 + rng.uniform(0, 6)), rng, 0.03)
    for _ in range(int(rng.integers(1, 4))):
        x, foot = rng.uniform(-0.9, 0.9), rng.uniform(0.2, 0.7)
        crown = np.maximum(np.abs(X - x) - (Y - foot + 0.7) * 0.25, Y - foot)
        paint(image, np.array([0.2, 0.35, 0.3]), cover(crown))
    flakes = rng.integers(0, 64, size=(int(rng.integers(25, 60)), 2))
    image[flakes[:, 0], flakes[:, 1]] = 1.0


SCENES: dict[str, Callable[[Rng, Picture], None]] = {
    "a beach": _beach,
    "mountains": _mountains,
    "a forest": _forest,
    "a city": _city,
    "a desert": _desert,
    "the night sky": _night,
    "the ocean": _ocean,
    "a road": _road,
    "a meadow": _meadow,
    "a snowy field": _snow,
}
CLASSES: tuple[str, ...] = tuple(SCENES)


def draw(rng: Rng, label: int, wide: bool = False) -> Drawing:
    """Scene `label`. `wide`: stronger light and noise."""
    time = tuple(SKIES)[int(rng.integers(len(SKIES)))]
    top, bottom = (np.array(c) + rng.uniform(-0.06, 0.06, 3) for c in SKIES[time])
    image = np.clip(mix(top, bottom, np.clip((Y + 1) * 0.7, 0, 1)), 0, 1)
    if time != "grey" and rng.random() < 0.5:
        paint(
            image,
            np.array([1.0, 0.93, 0.6]),
            cover(disc(X - rng.uniform(-0.8, 0.8), Y - rng.uniform(-0.8, -0.4), rng.uniform(5, 8) * PIXEL)),
        )
    SCENES[CLASSES[label]](rng, image)
    return Drawing(finish(rng, image, 0.12 if wide else 0.08, 0.3), {"time": "night" if label == 5 else time})
