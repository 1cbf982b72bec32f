"""Colour names and what they may look like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gelo.tasks.mini.worlds.canvas import Colour, Rng

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.10, 0.10),
    "orange": (0.96, 0.53, 0.08),
    "yellow": (0.95, 0.90, 0.18),
    "green": (0.12, 0.62, 0.18),
    "cyan": (0.15, 0.82, 0.86),
    "blue": (0.12, 0.25, 0.85),
    "purple": (0.52, 0.14, 0.70),
    "pink": (0.97, 0.58, 0.76),
    "brown": (0.46, 0.27, 0.11),
    "grey": (0.52, 0.52, 0.52),
    "white": (0.96, 0.96, 0.96),
    "black": (0.06, 0.06, 0.06),
}
NAMES: tuple[str, ...] = tuple(COLOURS)
JITTER = 0.06
CONTRAST = 0.45  # least sum of channel differences between two picked colours


def shade(rng: Rng, name: str, jitter: float = JITTER) -> Colour:
    """One shade of a named colour, (3,) in [0, 1]."""
    return np.clip(np.array(COLOURS[name]) + rng.uniform(-jitter, jitter, size=3), 0.0, 1.0)


def pick(rng: Rng, names: Sequence[str] = NAMES, apart: Sequence[str] = ()) -> str:
    """A colour name well apart from the names in `apart`."""
    others = [np.array(COLOURS[name]) for name in apart]
    far = [
        n
        for n in names
        if n not in apart and all(float(np.abs(np.array(COLOURS[n]) - o).sum()) >= CONTRAST for o in others)
    ]
    return far[int(rng.integers(len(far)))]


def two(rng: Rng) -> tuple[str, str]:
    """Names of a figure's colour and of its ground, well apart."""
    figure = pick(rng)
    return figure, pick(rng, apart=(figure,))
