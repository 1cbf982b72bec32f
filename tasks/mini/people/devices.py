"""The printers, screens and cameras of the pool `people`. None is one of `tasks.mini.spoofs`: other rasters, tints, tones, noise.

Decisions: a print here is a raster of lines on yellowed or bluish stock with a border, there one of dots on grey paper without; a screen
here has lines or columns and a warm tint or none, there coloured moire bands and a cool glow; every camera differs from each domain there
in every one of its values, as `tests/tasks/test_mini_people.py` compares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gelo.tasks.mini.camera import Picture, blocks, grain, paint, resample, saturate, soften, tone
from gelo.tasks.mini.worlds.canvas import SIZE, Rng, X, Y, cosine, cover, sine


@dataclass(frozen=True, slots=True)
class Printer:
    """pitch: range of the line raster, radians a canvas unit; angle: of its lines; fade: share of contrast lost; stock: the paper."""

    pitch: tuple[float, float]
    angle: tuple[float, float]
    depth: float
    fade: float
    colour: float
    stock: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Screen:
    """lines, columns: radians a canvas unit of the dark lines across and down (0 none); tint: of its light; lift: of its black."""

    lines: tuple[float, float]
    columns: tuple[float, float]
    depth: float
    tint: tuple[float, float, float]
    lift: float


@dataclass(frozen=True, slots=True)
class Camera:
    """What holds the picture, live, printed or shown: blur, noise, tone curve, compression, colour of the light."""

    blur: float
    noise: float
    bend: float
    block: float
    cast: tuple[float, float, float]


PRINTERS: dict[str, Printer] = {
    "newspaper": Printer((30.0, 40.0), (-1.2, -0.3), 0.16, 0.30, 0.15, (0.93, 0.90, 0.80)),
    "postcard": Printer((74.0, 88.0), (-0.2, 0.1), 0.07, 0.12, 0.85, (0.97, 0.95, 0.90)),
    "office": Printer((40.0, 46.0), (1.4, 1.7), 0.12, 0.20, 0.55, (0.92, 0.95, 0.99)),
}
SCREENS: dict[str, Screen] = {
    "tube": Screen((60.0, 75.0), (0.0, 0.0), 0.14, (1.05, 1.00, 0.90), 0.04),
    "tablet": Screen((0.0, 0.0), (78.0, 92.0), 0.10, (1.00, 1.00, 1.00), 0.02),
    "projector": Screen((40.0, 50.0), (40.0, 50.0), 0.08, (1.08, 1.04, 0.94), 0.13),
}
CAMERAS: dict[str, Camera] = {
    "scanner": Camera(0.15, 0.012, -0.05, 0.02, (0.99, 1.01, 1.01)),
    "film": Camera(0.65, 0.070, 0.12, 0.00, (1.12, 1.02, 0.88)),
    "doorbell": Camera(1.20, 0.050, 0.25, 0.30, (0.95, 1.06, 0.98)),
    "phone": Camera(0.40, 0.022, -0.25, 0.18, (0.97, 0.97, 1.12)),
}


def printed(picture: Picture, printer: Printer, rng: Rng) -> tuple[Picture, str]:
    """The picture on paper, upright or aslant before a table; and the words for what is seen of the paper."""
    stock, power = np.array(printer.stock), rng.uniform(0.8, 1.2)
    ink = saturate(soften(picture, 0.5), printer.colour)
    paper = stock * (power * printer.fade + (1.0 - power * printer.fade) * np.clip(ink, 0.0, 1.0))
    angle, pitch = rng.uniform(*printer.angle), rng.uniform(*printer.pitch)
    raster = sine(pitch * (float(cosine(angle)) * X + float(sine(angle)) * Y))
    paper = paper * (1.0 + power * printer.depth * raster)[..., None]
    bordered = rng.random() < 0.6
    if bordered:
        paint(paper, stock * rng.uniform(0.92, 1.0), cover(rng.uniform(0.72, 0.84) - np.maximum(np.abs(X), np.abs(Y))))
    lean, size = rng.uniform(-0.22, 0.22), rng.uniform(1.04, 1.3)
    u = (X * float(cosine(lean)) + Y * float(sine(lean))) * size - rng.uniform(-0.1, 0.1)
    v = (Y * float(cosine(lean)) - X * float(sine(lean))) * size - rng.uniform(-0.1, 0.1)
    sheet = resample(paper, (u + 1.0) * (SIZE / 2) - 0.5, (v + 1.0) * (SIZE / 2) - 0.5)
    table = np.zeros((SIZE, SIZE, 3)) + rng.uniform(0.05, 0.9, size=3)
    paint(table, sheet, cover(np.maximum(np.abs(u), np.abs(v)) - 0.99))
    return table, "with a white border" if bordered else "on paper"


def screened(picture: Picture, screen: Screen, rng: Rng) -> tuple[Picture, str]:
    """The picture on a screen, in its frame where that is in the picture; and the words for what is seen of the screen."""
    power = rng.uniform(0.8, 1.2)
    lit = picture * (1.0 - screen.lift) + screen.lift
    for axis, pitch in ((Y, screen.lines), (X, screen.columns)):
        if pitch[1] > 0.0:
            dark = 0.5 + 0.5 * sine(rng.uniform(*pitch) * axis + rng.uniform(0.0, 6.28))
            lit = lit * (1.0 - power * screen.depth * dark)[..., None]
    lit = lit * np.array(screen.tint)
    kind = rng.random()
    if kind < 0.45:  # a frame all round
        edge, corner = rng.uniform(0.80, 0.93), np.maximum(np.abs(X), np.abs(Y))
        paint(lit, np.full(3, rng.uniform(0.15, 0.9)), cover(edge - corner))
        return lit, "in a frame"
    if kind < 0.70:  # a lamp mirrored as a stripe
        slope, at = rng.uniform(-0.6, 0.6), rng.uniform(-0.7, 0.7)
        stripe = np.maximum(0.0, 1.0 - np.abs(X + slope * Y - at) / 0.22)
        return lit + 0.30 * power * stripe[..., None], "with a light on it"
    return lit, "on a screen"


def taken(picture: Picture, camera: Camera, rng: Rng) -> Picture:
    """What the camera makes of it, clipped to [0, 1]."""
    lit = np.clip(tone(picture * np.array(camera.cast), camera.bend), 0.0, 1.0)
    stored = blocks(soften(lit, camera.blur * rng.uniform(0.7, 1.3)), camera.block * rng.uniform(0.7, 1.3))
    return grain(stored, rng, camera.noise * rng.uniform(0.7, 1.3))
