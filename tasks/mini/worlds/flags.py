"""Flags by layout, in any colours, waving a little before the sky."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gelo.tasks.mini.worlds.canvas import Colour, Drawing, Plane, Rng, X, Y, cover, finish, mix, paint, plain, sine
from gelo.tasks.mini.worlds.figures import box, disc, star
from gelo.tasks.mini.worlds.palette import pick, shade

CAPTIONS = (
    "a flag with {}",
    "{}",
    "a {colour} and {ground} flag with {}",
    "a national flag with {}",
    "a waving flag with {}",
    "a picture of a flag with {}",
    "a banner with {}",
    "a {ground} flag with {}",
    "a {colour} flag with {}",
)
Layers = list[tuple[int, Plane]]  # which of three colours (0 = the field), coverage distance


def _canton(u: Plane, v: Plane) -> Layers:
    stripes: list[tuple[int, Plane]] = [(0, np.abs(v - y) - 0.1) for y in (-0.4, 0.0, 0.4)]
    return [(1, box(u, v, 2, 2)), *stripes, (2, np.maximum(u + 0.1, v - 0.05))]


LAYOUTS: dict[str, Callable[[Plane, Plane], Layers]] = {
    "horizontal bands": lambda u, v: [(1, np.abs(v) - 0.2), (2, 0.2 - v)],
    "vertical bands": lambda u, v: [(1, np.abs(u) - 0.33), (2, 0.33 - u)],
    "a nordic cross": lambda u, v: [(1, np.minimum(np.abs(u + 0.3) - 0.14, np.abs(v) - 0.14))],
    "a disc": lambda u, v: [(1, disc(u, v, 0.38))],
    "a diagonal band": lambda u, v: [(1, np.abs(u * 0.6 + v) * 0.86 - 0.16)],
    "a saltire": lambda u, v: [(1, np.minimum(np.abs(u * 0.6 + v), np.abs(u * 0.6 - v)) * 0.86 - 0.12)],
    "a triangle": lambda u, v: [(1, -v), (2, np.abs(v) * 1.2 + u + 0.28)],
    "quarters": lambda u, v: [(1, np.where(u * v > 0, -1.0, 1.0))],
    "stripes and a canton": _canton,
    "a star": lambda u, v: [(1, star(u / 0.5, v / 0.5) * 0.5)],
}
CLASSES: tuple[str, ...] = tuple(LAYOUTS)


def draw(rng: Rng, label: int, wide: bool = False) -> Drawing:
    """Layout `label`. `wide`: more waving, more sizes."""
    colour = pick(rng)
    ground = pick(rng, apart=(colour,))
    third = pick(rng, apart=(colour, ground))
    inks: list[Colour] = [shade(rng, name) for name in (ground, colour, third)]
    sky = shade(rng, "cyan" if rng.random() < 0.6 else "grey", 0.15)
    image = mix(sky, np.clip(sky + 0.25, 0, 1), (Y + 1) / 2)
    wave = rng.uniform(0, 0.16 if wide else 0.1)
    phase, scale = rng.uniform(0, 6.28), rng.uniform(0.72, 0.95) if wide else rng.uniform(0.8, 0.95)
    swing = sine(X * rng.uniform(2.5, 5.0) + phase)
    u = (X - rng.uniform(-0.05, 0.05)) / scale
    v = (Y - wave * swing * (u + 1) * 0.5 - rng.uniform(-0.1, 0.1)) / scale
    cloth = plain(inks[0])
    for which, distance in LAYOUTS[CLASSES[label]](u, v):
        paint(cloth, inks[which], cover(distance, scale))
    cloth *= (1.0 - wave * 1.5 * (0.5 + 0.5 * swing))[..., None]
    paint(image, cloth, cover(box(u, v, 1.0, 0.62), scale))
    return Drawing(finish(rng, image, 0.1, 0.3), {"colour": colour, "ground": ground})
