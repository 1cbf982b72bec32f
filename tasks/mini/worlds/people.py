"""Simple drawn faces for pre-training, so that a face is not alien to the backbones. Not the faces of the biometric sets."""

from __future__ import annotations

import numpy as np

from gelo.tasks.mini.worlds.canvas import Drawing, Rng, Y, cover, finish, mix, paint, patches, place, plain, stroke
from gelo.tasks.mini.worlds.figures import disc
from gelo.tasks.mini.worlds.palette import COLOURS, pick, shade

CLASSES: tuple[str, ...] = ("smiling", "serious", "surprised")
CAPTIONS = (
    "a {} face",
    "a face",
    "a photo of a {} face",
    "a person with {hair} hair",
    "a {} person with {hair} hair",
    "a face {extra}",
    "a portrait of a {} person {extra}",
    "a genuine photo of a face",
    "a picture of a person on a {ground} background",
)
_SKIN = ((0.96, 0.80, 0.69), (0.88, 0.67, 0.52), (0.72, 0.50, 0.36), (0.50, 0.33, 0.22), (0.35, 0.22, 0.15))
_HAIR = {
    "black": (0.08, 0.07, 0.07),
    "brown": (0.33, 0.2, 0.1),
    "blond": (0.88, 0.74, 0.42),
    "red": (0.65, 0.25, 0.1),
    "grey": (0.65, 0.65, 0.65),
}


def draw(rng: Rng, label: int, wide: bool = True) -> Drawing:
    """A face with expression `label`."""
    ground = pick(rng, tuple(COLOURS))
    hair = tuple(_HAIR)[int(rng.integers(len(_HAIR)))]
    tone = np.clip(np.array(_SKIN[int(rng.integers(len(_SKIN)))]) + rng.uniform(-0.05, 0.05, 3), 0, 1)
    strands = np.clip(np.array(_HAIR[hair]) + rng.uniform(-0.05, 0.05, 3), 0, 1)
    image = mix(shade(rng, ground), shade(rng, ground), patches(rng, 3))
    size, cx, cy = rng.uniform(0.6, 0.85), rng.uniform(-0.12, 0.12), rng.uniform(-0.05, 0.15)
    u, v = place(cx, cy, size, rng.uniform(-0.15, 0.15), rng.uniform(0.72, 0.9))
    paint(image, strands, cover(disc(u, v + rng.uniform(0.1, 0.25), rng.uniform(0.95, 1.15)), size))
    face = disc(u, v, 0.95)
    paint(image, mix(tone, tone * 0.85, np.clip(0.5 + u * rng.uniform(-0.5, 0.5), 0, 1)), cover(face, size))
    paint(image, strands, cover(np.maximum(face, v + rng.uniform(0.5, 0.65)), size))
    gap, eye = rng.uniform(0.3, 0.42), rng.uniform(0.09, 0.13)
    iris = shade(rng, ("brown", "blue", "green", "black")[int(rng.integers(4))])
    extra = "with glasses" if rng.random() < 0.3 else "with a beard" if rng.random() < 0.3 else "without glasses"
    for side in (-gap, gap):
        paint(image, plain(np.array([0.97, 0.97, 0.97])), cover(disc((u - side) * 0.7, v + 0.15, eye), size))
        paint(image, plain(iris), cover(disc(u - side, v + 0.15, eye * 0.75), size))
        if extra == "with glasses":
            paint(
                image, plain(np.array([0.1, 0.1, 0.1])), cover(np.abs(disc(u - side, v + 0.15, eye * 2.1)) - 0.03, size)
            )
    if extra == "with a beard":
        paint(image, strands, cover(np.maximum(face, np.maximum(0.42 - v, -disc(u, v - 0.45, 0.28))), size))
    stroke(image, tone * 0.7, (cx, cy), (cx + rng.uniform(-0.03, 0.03), cy + 0.2 * size), 0.03)
    curve = (v - 0.5) + (u * u * 1.2 if label == 0 else 0.0) - (0.12 if label == 0 else 0.0)
    mouth = disc(u, v - 0.5, 0.16) if label == 2 else np.maximum(np.abs(curve) - 0.05, np.abs(u) - 0.38)
    paint(image, np.array([0.6, 0.2, 0.2]), cover(mouth, size))
    image *= (1.0 - 0.15 * np.clip(Y, 0, 1))[..., None]
    return Drawing(finish(rng, image, 0.1, 0.35), {"ground": ground, "hair": hair, "extra": extra})
