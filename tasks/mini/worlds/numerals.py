"""Ten numerals drawn by our own strokes, as segments or as a pen would. For pre-training only: no data set is made of them."""

from __future__ import annotations

import numpy as np

from gelo.tasks.mini.worlds.canvas import PIXEL, Drawing, Rng, X, Y, cosine, finish, paint, plain, sine
from gelo.tasks.mini.worlds.palette import shade, two

CLASSES: tuple[str, ...] = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CAPTIONS = (
    "the digit {}",
    "the number {}",
    "a handwritten {}",
    "the numeral {}",
    "a {colour} {} written on {ground}",
    "a picture of the digit {}",
    "a written number {}",
)
Line = list[tuple[float, float]]  # points in a box of half-width 0.5 and half-height 0.8
_SEGMENTS: dict[str, Line] = {
    "a": [(-0.45, -0.75), (0.45, -0.75)],
    "b": [(0.45, -0.75), (0.45, 0.0)],
    "c": [(0.45, 0.0), (0.45, 0.75)],
    "d": [(-0.45, 0.75), (0.45, 0.75)],
    "e": [(-0.45, 0.0), (-0.45, 0.75)],
    "f": [(-0.45, -0.75), (-0.45, 0.0)],
    "g": [(-0.45, 0.0), (0.45, 0.0)],
}
_LIT = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")


def _arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float, steps: int = 8) -> Line:
    """Points on an ellipse; angles in turns, 0 = right, 0.25 = down."""
    angles = [6.283185307179586 * (start + (end - start) * k / steps) for k in range(steps + 1)]
    return [(cx + rx * float(cosine(a)), cy + ry * float(sine(a))) for a in angles]


_PEN: tuple[tuple[Line, ...], ...] = (
    (_arc(0, 0, 0.45, 0.75, 0, 1, 12),),
    ([(-0.25, -0.45), (0.05, -0.75), (0.05, 0.75)],),
    ([*_arc(0, -0.35, 0.42, 0.4, 0.5, 1.12), (-0.42, 0.75), (0.45, 0.75)],),
    (_arc(-0.05, -0.38, 0.4, 0.37, 0.6, 1.22), _arc(-0.05, 0.36, 0.45, 0.39, -0.22, 0.42)),
    ([(0.1, -0.75), (-0.45, 0.2), (0.45, 0.2)], [(0.2, -0.2), (0.15, 0.75)]),
    ([(0.4, -0.72), (-0.3, -0.72), (-0.35, -0.1), *_arc(-0.05, 0.3, 0.45, 0.44, -0.3, 0.4)],),
    ([(0.3, -0.75), (-0.2, -0.3), *_arc(0.0, 0.35, 0.4, 0.4, 0.5, 1.5, 10)],),
    ([(-0.45, -0.72), (0.45, -0.72), (-0.1, 0.75)],),
    (_arc(0, -0.37, 0.36, 0.37, 0.25, 1.25, 9), _arc(0, 0.38, 0.42, 0.38, -0.25, 0.75, 9)),
    (_arc(0, -0.33, 0.4, 0.4, 0, 1, 10), [(0.4, -0.33), (0.35, 0.2), (0.05, 0.75)]),
)


def draw(rng: Rng, label: int, wide: bool = True) -> Drawing:
    """Numeral `label`; one in five as a seven-segment display, else as pen strokes with shaken points and soft edges."""
    colour, ground = ("white", "black") if rng.random() < 0.4 else two(rng)
    if rng.random() < 0.2:
        lines: list[Line] = [_SEGMENTS[name] for name in _LIT[label]]
        shake, soft = 0.0, 1.0
    else:
        lines, shake, soft = list(_PEN[label]), 0.07, rng.uniform(1.0, 9.0)
    size, lean, stretch = rng.uniform(0.75, 1.15), rng.uniform(-0.3, 0.3), rng.uniform(0.7, 1.4)
    cx, cy = rng.uniform(-0.2, 0.2), rng.uniform(-0.1, 0.1)
    slant = rng.uniform(-0.12, 0.12, size=4)
    starts, ends = [], []
    for line in lines:
        points = np.array(line)
        moved = points + rng.uniform(-shake, shake, size=points.shape)
        x = (moved[:, 0] * stretch * (1 + slant[0] * points[:, 1]) - lean * moved[:, 1]) * size + cx
        y = (moved[:, 1] * (1 + slant[1] * points[:, 0]) + slant[2] * moved[:, 0]) * size + cy
        starts.append(np.stack([x[:-1], y[:-1]], axis=1))
        ends.append(np.stack([x[1:], y[1:]], axis=1))
    distance = _nearest(np.concatenate(starts), np.concatenate(ends)) - rng.uniform(0.06, 0.15) * size
    image = plain(shade(rng, ground))
    paint(image, shade(rng, colour), np.clip(0.5 - distance / (PIXEL * soft), 0.0, 1.0))
    return Drawing(finish(rng, image, 0.06), {"colour": colour, "ground": ground})


def _nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance of every pixel to the nearest of S segments with ends a, b (S, 2); computed on every second pixel of 64, (64, 64)."""
    gx, gy = X[::2, ::2][None], Y[::2, ::2][None]
    edge = b - a
    px, py = gx - a[:, 0, None, None], gy - a[:, 1, None, None]
    ex, ey = edge[:, 0, None, None], edge[:, 1, None, None]
    h = np.clip((px * ex + py * ey) / (ex * ex + ey * ey + 1e-12), 0.0, 1.0)
    dx, dy = px - h * ex, py - h * ey
    coarse = np.sqrt((dx * dx + dy * dy).min(axis=0))
    rows = np.repeat(coarse, 2, axis=0)
    rows[1:-1:2] = 0.5 * (coarse[:-1] + coarse[1:])
    fine = np.repeat(rows, 2, axis=1)
    fine[:, 1:-1:2] = 0.5 * (rows[:, :-1] + rows[:, 1:])
    return fine
