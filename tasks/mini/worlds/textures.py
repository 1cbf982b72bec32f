"""A surface filled with one pattern in two colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gelo.tasks.mini.worlds.canvas import PIXEL, Drawing, Plane, Rng, X, Y, cosine, finish, mix, patches, sine
from gelo.tasks.mini.worlds.palette import shade, two

CAPTIONS = (
    "{}",
    "a texture of {}",
    "a pattern of {}",
    "a surface with {}",
    "{} in {colour} and {ground}",
    "{colour} {}",
    "a close up of {}",
    "a {colour} and {ground} pattern of {}",
    "a fabric with {}",
)


def _wave(phase: Plane, duty: float = 0.0) -> Plane:
    """A square wave with soft edges, 0 to 1."""
    return np.clip(0.5 + (sine(phase) - duty) * 2.5, 0.0, 1.0)


def _stripes(rng: Rng, angle: float, f: float) -> Plane:
    angle += rng.uniform(-0.12, 0.12)
    return _wave((X * float(cosine(angle)) + Y * float(sine(angle))) * f + rng.uniform(0, 6.28), rng.uniform(-0.4, 0.4))


def _checkerboard(rng: Rng, f: float) -> Plane:
    f *= 0.75
    return np.clip(0.5 + sine(X * f + rng.uniform(0, 6.28)) * sine(Y * f + rng.uniform(0, 6.28)) * 4.0, 0.0, 1.0)


def _dots(rng: Rng, f: float) -> Plane:
    row = np.floor((Y + 1.0) * f / 6.283185307179586 + rng.random())
    level = cosine((X + 1.0) * f + row * 3.141592653589793 * float(rng.integers(2)) + rng.uniform(0, 6.28)) + cosine(
        (Y + 1) * f
    )
    level2 = cosine(X * f) + cosine(Y * f)
    return np.clip((level2 if rng.random() < 0.7 else level) * 2.0 - 1.6, 0.0, 1.0)


def _grid(rng: Rng, f: float) -> Plane:
    lines = np.maximum(cosine(X * f + rng.uniform(0, 6.28)), cosine(Y * f + rng.uniform(0, 6.28)))
    return np.clip((lines - rng.uniform(0.78, 0.9)) * 8.0 + 0.3, 0.0, 1.0)


def _waves(rng: Rng, f: float) -> Plane:
    bend = rng.uniform(1.0, 2.0) * sine(X * rng.uniform(6, 11) + rng.uniform(0, 6.28))
    return _wave(Y * f + bend + rng.uniform(0, 6.28))


def _bricks(rng: Rng, f: float) -> Plane:
    height = rng.uniform(0.26, 0.42)
    width = height * rng.uniform(1.6, 2.2)
    row = np.floor((Y + 3.0 + rng.random()) / height)
    across = (X + 3.0 + rng.random()) / width + 0.5 * (row - 2.0 * np.floor(row * 0.5))
    down = (Y + 3.0) / height
    down = down - np.floor(down)
    joint = np.minimum(
        np.minimum(across - np.floor(across), 1.0 - (across - np.floor(across))) * width,
        np.minimum(down, 1 - down) * height,
    )
    return np.clip((joint - 0.035) / PIXEL, 0.0, 1.0)


def _rings(rng: Rng, f: float) -> Plane:
    dx, dy = X - rng.uniform(-0.4, 0.4), Y - rng.uniform(-0.4, 0.4)
    return _wave(np.sqrt(dx * dx + dy * dy) * f * 1.2 + rng.uniform(0, 6.28))


def _speckles(rng: Rng, f: float) -> Plane:
    cells = int(rng.integers(24, 40))
    return np.clip((patches(rng, cells) - rng.uniform(0.5, 0.6)) * 6.0, 0.0, 1.0)


def _clouds(rng: Rng, f: float) -> Plane:
    return np.clip(0.5 + (0.7 * patches(rng, int(rng.integers(3, 6))) + 0.3 * patches(rng, 9) - 0.5) * 2.2, 0.0, 1.0)


PATTERNS: dict[str, Callable[[Rng, float], Plane]] = {
    "horizontal stripes": lambda rng, f: _stripes(rng, 1.5707963267948966, f),
    "vertical stripes": lambda rng, f: _stripes(rng, 0.0, f),
    "diagonal stripes": lambda rng, f: _stripes(rng, 0.785 if rng.random() < 0.5 else -0.785, f),
    "checkerboard": _checkerboard,
    "polka dots": _dots,
    "grid lines": _grid,
    "waves": _waves,
    "bricks": _bricks,
    "concentric rings": _rings,
    "speckles": _speckles,
    "clouds": _clouds,
}
CLASSES: tuple[str, ...] = tuple(PATTERNS)


def draw(rng: Rng, label: int, wide: bool = False) -> Drawing:
    """Pattern `label`. `wide`: more frequencies and noise."""
    colour, ground = two(rng)
    share = PATTERNS[CLASSES[label]](rng, rng.uniform(9, 26) if wide else rng.uniform(11, 22))
    image = mix(shade(rng, ground), shade(rng, colour), share)
    return Drawing(finish(rng, image, 0.12 if wide else 0.08, 0.3), {"colour": colour, "ground": ground})
