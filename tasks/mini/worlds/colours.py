"""The colour of an object: any figure or blob, ground neutral or of another colour."""

from __future__ import annotations

import numpy as np

from gelo.tasks.mini.worlds.canvas import Drawing, Rng, cover, finish, mix, paint, patches, place, plain
from gelo.tasks.mini.worlds.figures import FIGURES
from gelo.tasks.mini.worlds.palette import COLOURS, NAMES, pick, shade

CLASSES: tuple[str, ...] = tuple(name for name in COLOURS if name not in ("white", "black"))
CAPTIONS = (
    "a {} object",
    "something {}",
    "a {} thing",
    "{}",
    "a {} {figure}",
    "a {} thing on a {ground} background",
    "the colour {}",
    "a patch of {}",
    "a {} object on a {ground} background",
)
_FIGURES = tuple(FIGURES)


def draw(rng: Rng, label: int, wide: bool = False) -> Drawing:
    """An object of colour `label`. `wide`: more light and shade variation."""
    colour = CLASSES[label]
    ground = pick(rng, NAMES if rng.random() < 0.6 else ("white", "black", "grey"), apart=(colour,))
    tone = shade(rng, ground)
    image = plain(tone) if rng.random() < 0.5 else mix(tone, tone * 0.75, patches(rng, 4))
    size = rng.uniform(0.35, 0.75)
    cx, cy = rng.uniform(-0.3, 0.3, 2)
    u, v = place(cx, cy, size, rng.uniform(-3, 3), rng.uniform(0.7, 1.4))
    figure = _FIGURES[int(rng.integers(len(_FIGURES)))]
    if rng.random() < 0.4:
        figure = "blob"
        distance = np.sqrt(u * u + v * v) - 0.6 - 0.6 * (patches(rng, 5) - 0.3)
    else:
        distance = FIGURES[figure](u, v)
    ink = shade(rng, colour, 0.1)
    paint(image, mix(ink, ink * rng.uniform(0.7, 1.0), patches(rng, 3)), cover(distance, size))
    return Drawing(finish(rng, image, 0.1, 0.45 if wide else 0.4), {"ground": ground, "figure": figure})
