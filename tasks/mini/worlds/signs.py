"""Road signs on a pole before sky, wall or greenery."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gelo.tasks.mini.worlds.canvas import Drawing, Plane, Rng, X, Y, cover, finish, mix, paint, patches, place, plain
from gelo.tasks.mini.worlds.figures import arrow, box, disc, regular
from gelo.tasks.mini.worlds.palette import COLOURS, pick, shade

CAPTIONS = (
    "a {} sign",
    "a road sign: {}",
    "a traffic sign that says {}",
    "a {} road sign",
    "a {} sign on a {ground} background",
    "a photo of a {} sign",
    "the sign for {}",
    "{}",
)
Layer = tuple[str, Plane]  # colour name and signed distance, in object units


def _stop(u: Plane, v: Plane) -> list[Layer]:
    board = regular(u, v, 8, 0.9, 0.3926990816987241)
    letters = np.minimum.reduce([box(u - x, v, 0.09, 0.24) for x in (-0.5, -0.17, 0.17, 0.5)])
    return [("white", board), ("red", board + 0.08), ("white", letters)]


def _yield(u: Plane, v: Plane) -> list[Layer]:
    board = regular(u, -v - 0.15, 3, 0.52, 3.141592653589793)
    return [("red", board), ("white", board + 0.18)]


def _no_entry(u: Plane, v: Plane) -> list[Layer]:
    return [("red", disc(u, v, 0.92)), ("white", box(u, v, 0.62, 0.17))]


def _parking(u: Plane, v: Plane) -> list[Layer]:
    bowl = np.abs(disc(u - 0.05, v + 0.22, 0.27)) - 0.11
    letter = np.minimum(box(u + 0.25, v, 0.11, 0.6), np.maximum(bowl, -u - 0.25))
    return [("blue", box(u, v, 0.85, 0.85)), ("white", letter)]


def _turn(u: Plane, v: Plane) -> list[Layer]:
    return [("blue", disc(u, v, 0.92)), ("white", arrow(u * 1.4, v * 1.4) / 1.4)]


def _warning(u: Plane, v: Plane) -> list[Layer]:
    board = regular(u, v - 0.15, 3, 0.52, 3.141592653589793)
    mark = np.minimum(box(u, v - 0.05, 0.08, 0.27), disc(u, v - 0.48, 0.1))
    return [("black", board), ("yellow", board + 0.12), ("black", mark)]


def _roundabout(u: Plane, v: Plane) -> list[Layer]:
    circle = np.abs(disc(u, v, 0.5)) - 0.12
    gaps = np.minimum.reduce([box(u - x, v - y, 0.14, 0.14) for x, y in ((0.5, 0.0), (-0.25, 0.43), (-0.25, -0.43))])
    return [("blue", disc(u, v, 0.92)), ("white", np.maximum(circle, -gaps))]


def _hospital(u: Plane, v: Plane) -> list[Layer]:
    letter = np.minimum(np.minimum(box(u - 0.34, v, 0.12, 0.58), box(u + 0.34, v, 0.12, 0.58)), box(u, v, 0.34, 0.11))
    return [("blue", box(u, v, 0.85, 0.85)), ("white", letter)]


def _no_stopping(u: Plane, v: Plane) -> list[Layer]:
    bars = np.minimum(np.abs(u + v) * 0.7071 - 0.09, np.abs(u - v) * 0.7071 - 0.09)
    rim = np.minimum(-disc(u, v, 0.74), bars)
    return [("red", disc(u, v, 0.92)), ("blue", np.maximum(disc(u, v, 0.76), -rim))]


SIGNS: dict[str, Callable[[Plane, Plane], list[Layer]]] = {
    "stop": _stop,
    "yield": _yield,
    "no entry": _no_entry,
    "parking": _parking,
    "turn left": lambda u, v: _turn(-u, v),
    "turn right": _turn,
    "warning": _warning,
    "roundabout": _roundabout,
    "hospital": _hospital,
    "no stopping": _no_stopping,
}
CLASSES: tuple[str, ...] = tuple(SIGNS)


def draw(rng: Rng, label: int, wide: bool = False) -> Drawing:
    """Sign `label`. `wide`: further off, more tilted, dirtier."""
    ground = pick(rng, tuple(COLOURS))
    near = shade(rng, ground)
    image = (
        plain(near)
        if rng.random() < 0.3
        else mix(near, near * rng.uniform(0.5, 0.9), patches(rng, int(rng.integers(2, 9))))
    )
    size = rng.uniform(0.4, 0.85) if wide else rng.uniform(0.45, 0.78)
    cx, cy = rng.uniform(-1, 1) * (0.9 - size), rng.uniform(-0.9, 0.3) * (0.9 - size)
    paint(image, shade(rng, "grey"), cover(np.maximum(np.abs(X - cx) - 0.05, cy - Y)))
    u, v = place(cx, cy, size, rng.uniform(-0.25, 0.25) if wide else rng.uniform(-0.15, 0.15), rng.uniform(0.8, 1.0))
    for colour, distance in SIGNS[CLASSES[label]](u, v):
        paint(image, shade(rng, colour), cover(distance, size))
    image *= (1.0 - rng.uniform(0, 0.35) * patches(rng, 5))[..., None]
    return Drawing(finish(rng, image, 0.1, 0.35), {"ground": ground})
