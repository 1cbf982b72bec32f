"""Signed distances of simple figures in object coordinates (radius about 1), built from half-planes, discs and boxes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gelo.tasks.mini.worlds.canvas import Plane, cosine, sine


def disc(u: Plane, v: Plane, radius: float = 1.0) -> Plane:
    return np.sqrt(u * u + v * v) - radius


def box(u: Plane, v: Plane, half_width: float = 0.8, half_height: float = 0.8) -> Plane:
    return np.maximum(np.abs(u) - half_width, np.abs(v) - half_height)


def half_planes(u: Plane, v: Plane, count: int, reach: float, turn: float = 0.0) -> list[Plane]:
    """Distances to `count` lines around the centre, the first one facing up, turned by `turn` radians."""
    angles = [turn + 6.283185307179586 * k / count for k in range(count)]
    return [u * float(sine(a)) - v * float(cosine(a)) - reach for a in angles]


def regular(u: Plane, v: Plane, count: int, reach: float = 0.8, turn: float = 0.0) -> Plane:
    """A regular polygon of `count` sides, `reach` from centre to side; the first side faces up."""
    planes = half_planes(u, v, count, reach, turn)
    out = planes[0]
    for plane in planes[1:]:
        out = np.maximum(out, plane)
    return out


def triangle(u: Plane, v: Plane) -> Plane:
    """Pointing up."""
    return regular(u, v + -0.15, 3, 0.52, 3.141592653589793)


def star(u: Plane, v: Plane) -> Plane:
    """A pentagram: inside at least four of its five lines, so the second largest distance decides."""
    planes = np.stack(half_planes(u, v, 5, 0.36, 3.141592653589793))
    return np.partition(planes, 3, axis=0)[3]


def heart(u: Plane, v: Plane) -> Plane:
    lobes = np.minimum(disc(u - 0.42, v + 0.25, 0.5), disc(u + 0.42, v + 0.25, 0.5))
    below = np.maximum(np.maximum(np.abs(u) * 0.74 + v * 0.67 - 0.56, -v - 0.1), np.abs(u) - 0.93)
    core = np.abs(u) + np.abs(v + 0.1) - 0.45
    return np.minimum(np.minimum(lobes, below), core)


def cross(u: Plane, v: Plane) -> Plane:
    return np.minimum(box(u, v, 0.9, 0.28), box(u, v, 0.28, 0.9))


def ring(u: Plane, v: Plane) -> Plane:
    return np.abs(disc(u, v, 0.74)) - 0.2


def crescent(u: Plane, v: Plane) -> Plane:
    return np.maximum(disc(u, v, 0.95), -disc(u - 0.45, v, 0.75))


def hexagon(u: Plane, v: Plane) -> Plane:
    return regular(u, v, 6, 0.82)


def arrow(u: Plane, v: Plane) -> Plane:
    """Pointing right."""
    head = np.maximum(np.abs(v) + (u - 0.95), 0.1 - u)
    return np.minimum(head, box(u + 0.4, v, 0.55, 0.26))


FIGURES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "circle": lambda u, v: disc(u, v, 0.9),
    "square": box,
    "triangle": triangle,
    "star": star,
    "heart": heart,
    "cross": cross,
    "ring": ring,
    "crescent": crescent,
    "hexagon": hexagon,
    "arrow": arrow,
}
