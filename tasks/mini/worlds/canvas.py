"""A 64 x 64 canvas drawn with signed distances: float64 sums and products only, so that pixels agree on every machine.

Coordinates run from -1 to 1 (x right, y down). A distance is negative inside; `cover` turns it into anti-aliased coverage.
The sine is our own polynomial: library sines differ in the last bit between processors.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 64
PIXEL = 2.0 / SIZE
Plane = NDArray[np.float64]  # (64, 64)
Colour = NDArray[np.float64]  # (3,), RGB in [0, 1]
Rng = np.random.Generator

_axis = (np.arange(SIZE) + 0.5) * PIXEL - 1.0
X: Plane = np.ascontiguousarray(np.broadcast_to(_axis[None, :], (SIZE, SIZE)))
Y: Plane = np.ascontiguousarray(np.broadcast_to(_axis[:, None], (SIZE, SIZE)))


@dataclass(frozen=True, slots=True)
class Drawing:
    """`image` is float64 (64, 64, 3) in [0, 1]; `words` names what is seen, by attribute (colour, ground, ...)."""

    image: NDArray[np.float64]
    words: dict[str, str] = field(default_factory=dict)


def generator(*key: str | int) -> Rng:
    """The random stream of one image, by name: ("shapes", "test", 17). Other keys give unrelated streams."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def sine(x: Plane | float) -> Plane:
    """sin(x) to 1e-7 by range reduction and a Taylor polynomial."""
    turns = np.asarray(x, dtype=np.float64) * (1.0 / 6.283185307179586)
    t = turns - np.floor(turns + 0.5)  # [-0.5, 0.5)
    t = np.where(t > 0.25, 0.5 - t, np.where(t < -0.25, -0.5 - t, t)) * 6.283185307179586
    s = t * t
    return t * (1.0 + s * (-1 / 6 + s * (1 / 120 + s * (-1 / 5040 + s * (1 / 362880 - s / 39916800)))))


def cosine(x: Plane | float) -> Plane:
    """cos(x), see `sine`."""
    return sine(np.asarray(x, dtype=np.float64) + 1.5707963267948966)


def place(cx: float, cy: float, size: float, angle: float = 0.0, stretch: float = 1.0) -> tuple[Plane, Plane]:
    """Object coordinates (u, v), each (64, 64): centre (cx, cy), unit length = `size`, turned by `angle` radians."""
    c, s = float(cosine(angle)) / size, float(sine(angle)) / size
    dx, dy = X - cx, Y - cy
    return (dx * c + dy * s) / stretch, dy * c - dx * s


def cover(distance: Plane, size: float = 1.0, softness: float = 1.0) -> Plane:
    """Coverage in [0, 1] of a distance in object units; the edge is `softness` pixels wide."""
    return np.clip(0.5 - distance * (size / (PIXEL * softness)), 0.0, 1.0)


def paint(image: NDArray[np.float64], colour: Colour | NDArray[np.float64], coverage: Plane) -> None:
    """Lay a colour (3,) or picture (64, 64, 3) over `image` in place."""
    image += coverage[..., None] * (colour - image)


def plain(colour: Colour) -> NDArray[np.float64]:
    """A canvas of one colour."""
    return np.zeros((SIZE, SIZE, 3)) + colour


def mix(a: Colour, b: Colour, share: Plane) -> NDArray[np.float64]:
    """Picture running from `a` (share 0) to `b` (share 1)."""
    return a + share[..., None] * (b - a)


def stroke(
    image: NDArray[np.float64], colour: Colour, a: tuple[float, float], b: tuple[float, float], width: float
) -> None:
    """A round-ended line from `a` to `b` of half-width `width`, painted within its own bounding box only."""
    pad = width + 2 * PIXEL
    x0, x1 = _span(min(a[0], b[0]) - pad, max(a[0], b[0]) + pad)
    y0, y1 = _span(min(a[1], b[1]) - pad, max(a[1], b[1]) + pad)
    if x0 >= x1 or y0 >= y1:
        return
    px, py = _axis[None, x0:x1] - a[0], _axis[y0:y1, None] - a[1]
    bx, by = b[0] - a[0], b[1] - a[1]
    h = np.clip((px * bx + py * by) / (bx * bx + by * by + 1e-12), 0.0, 1.0)
    dx, dy = px - h * bx, py - h * by
    coverage = np.clip(0.5 - (np.sqrt(dx * dx + dy * dy) - width) / PIXEL, 0.0, 1.0)
    window = image[y0:y1, x0:x1]
    window += coverage[..., None] * (colour - window)


def _span(low: float, high: float) -> tuple[int, int]:
    return max(0, int((low + 1.0) / PIXEL)), min(SIZE, int((high + 1.0) / PIXEL) + 1)


def patches(rng: Rng, cells: int) -> Plane:
    """Smooth noise in [0, 1]: random values on a (cells + 1) square lattice, bilinear between."""
    lattice = rng.random((cells + 1, cells + 1))
    at = (np.arange(SIZE) + 0.5) * (cells / SIZE)
    low = at.astype(np.int64)
    share = at - low
    rows = lattice[low] + share[:, None] * (lattice[low + 1] - lattice[low])
    return rows[:, low] + share[None, :] * (rows[:, low + 1] - rows[:, low])


def finish(rng: Rng, image: NDArray[np.float64], noise: float = 0.03, light: float = 0.2) -> NDArray[np.float64]:
    """A slanted light and pixel noise of amplitude up to `noise`; result in [0, 1]."""
    slope = rng.uniform(-light, light, size=2)
    lit = image * (1.0 + slope[0] * X + slope[1] * Y + rng.uniform(-0.6, 0.3) * light)[..., None]
    amount = noise * rng.random()
    return np.clip(lit + amount * (rng.random((SIZE, SIZE, 3)) + rng.random((SIZE, SIZE, 3)) - 1.0), 0.0, 1.0)


def quantise(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """float64 in [0, 1] to uint8, floor(255 x + 0.5)."""
    return np.floor(image * 255.0 + 0.5).astype(np.uint8)


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """PNG bytes of uint8 (H, W, 3)."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()
