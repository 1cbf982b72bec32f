"""Who is shown and how: an identity is 37 numbers, a view is everything that is not the identity.

Identity lives in cues that a change of pose or light leaves readable: ratios of the face, shapes of brows, eyes, nose and mouth, colours of
skin, iris, hair and lips relative to each other, beard, moles. The view is meant to dominate the pixels: turn of the head, slanted and
coloured light, ground, age, expression, glasses, caps and scarves, blur and noise. The traits are independent, so the mean of two
identities is a plausible identity: the feature-space morph relies on it. Drawing is in `face_draw`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.mini.worlds.canvas import Rng, generator

# Lowest and highest value. Lengths in head units (the canvas is 2 wide), angles in radians, colours as positions on a ramp in [0, 1].
TRAITS: dict[str, tuple[float, float]] = {
    "head_width": (0.48, 0.66), "head_height": (0.66, 0.80), "jaw": (0.55, 0.98), "chin": (0.0, 1.0),
    "ear": (0.06, 0.13), "eye_spacing": (0.19, 0.31), "eye_size": (0.075, 0.135), "eye_aspect": (0.40, 0.80),
    "eye_tilt": (-0.35, 0.35), "eye_y": (-0.12, 0.02), "brow_gap": (0.10, 0.19), "brow_thick": (0.014, 0.050),
    "brow_arch": (-0.03, 0.09), "brow_tilt": (-0.30, 0.30), "brow_length": (0.09, 0.18),
    "nose_length": (0.17, 0.33), "nose_width": (0.05, 0.15), "nose_bridge": (0.0, 1.0),
    "mouth_width": (0.12, 0.28), "mouth_gap": (0.10, 0.20), "lip_full": (0.018, 0.060), "lip_tilt": (-0.5, 0.5),
    "hairline": (0.40, 0.80), "hair_part": (-0.7, 0.7), "hair_volume": (0.02, 0.20), "hair_length": (-0.3, 1.0),
    "skin_tone": (0.0, 1.0), "skin_warm": (0.0, 1.0), "hair_tone": (0.0, 1.0), "hair_red": (0.0, 1.0),
    "iris": (0.0, 1.0), "lip_red": (0.0, 1.0), "beard": (-0.8, 0.8), "mole_x": (-0.36, 0.36),
    "mole_y": (-0.30, 0.50), "mole_size": (-0.02, 0.045), "lash": (0.0, 1.0),
}  # fmt: skip
_NAMES = tuple(TRAITS)
_LOW = np.array([low for low, _ in TRAITS.values()])
_SPAN = np.array([high - low for low, high in TRAITS.values()])


@dataclass(frozen=True, slots=True)
class Identity:
    """One person: every trait of `TRAITS` by name."""

    traits: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        return self.traits[name]

    def vector(self) -> NDArray[np.float64]:
        """The traits in table order, (37,)."""
        return np.array([self.traits[name] for name in _NAMES])


def person(*key: str | int) -> Identity:
    """The identity of a name, such as ("faces", 12); traits independent, drawn towards the ends of their ranges."""
    draw = generator("person", *key).random(len(_NAMES))
    return from_vector(_LOW + _SPAN * (draw * draw * (3.0 - 2.0 * draw)))


def from_vector(values: NDArray[np.float64]) -> Identity:
    """An identity from its traits in table order, (37,). Raises ValueError for another length."""
    return Identity(dict(zip(_NAMES, (float(value) for value in values), strict=True)))


def average(a: Identity, b: Identity, share: float = 0.5) -> Identity:
    """The identity between two: (1 - share) a + share b, trait by trait."""
    return from_vector((1.0 - share) * a.vector() + share * b.vector())


@dataclass(frozen=True, slots=True)
class View:
    """One capture. Angles in radians, `age` in [0, 1] from young to old, colours RGB in [0, 1]; the defaults are a passport photograph."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    zoom: float = 1.3
    shift: tuple[float, float] = (0.0, 0.0)
    age: float = 0.3
    smile: float = 0.0
    mouth_open: float = 0.0
    brow_raise: float = 0.0
    blink: float = 0.0
    gaze: float = 0.0
    light: tuple[float, float] = (0.0, -0.2)  # where the light comes from: right, down
    hard: float = 0.35  # share of directed light
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ground: tuple[tuple[float, float, float], tuple[float, float, float]] = ((0.75, 0.78, 0.82), (0.70, 0.73, 0.77))
    ground_cells: int = 2
    cloth: tuple[float, float, float] = (0.25, 0.28, 0.35)
    glasses: float = 0.0  # 0 none, up to 0.3 clear, 0.9 dark
    frame: tuple[float, float, float] = (0.1, 0.1, 0.1)
    cap: float = 0.0
    scarf: float = 0.0
    extra: tuple[float, float, float] = (0.5, 0.2, 0.2)  # colour of cap and scarf
    haircut: float = 0.0
    blur: float = 0.2
    noise: float = 0.03


def wild(rng: Rng, turn: float = 0.40) -> View:
    """An uncontrolled capture: yaw within +-`turn`, any light, ground, expression and age, glasses, cap or scarf now and then."""
    worn = rng.random(3)
    return View(
        yaw=rng.uniform(-turn, turn), pitch=rng.uniform(-0.18, 0.18), roll=rng.uniform(-0.10, 0.10), zoom=rng.uniform(1.28, 1.45),
        shift=_pair(rng, 0.06), age=rng.uniform(0.15, 0.5), smile=rng.uniform(-0.5, 1.0), mouth_open=max(0.0, rng.uniform(-1.0, 1.0)),
        brow_raise=rng.uniform(-0.5, 0.8), blink=max(0.0, rng.uniform(-1.2, 0.8)), gaze=rng.uniform(-1.0, 1.0),
        light=_pair(rng, 0.7), hard=rng.uniform(0.2, 0.55), cast=_cast(rng, 0.14), ground=(_colour(rng), _colour(rng)),
        ground_cells=int(rng.integers(1, 8)), cloth=_colour(rng),
        glasses=rng.uniform(0.05, 0.3) if worn[0] < 0.15 else 0.9 * (worn[0] > 0.97),
        frame=_colour(rng), cap=float(worn[1] < 0.08), scarf=float(worn[2] < 0.06), extra=_colour(rng), haircut=rng.uniform(-0.25, 0.25),
        blur=rng.uniform(0.0, 0.45), noise=rng.uniform(0.01, 0.06),
    )  # fmt: skip


def frontal(rng: Rng) -> View:
    """A wild capture facing the camera, nothing worn: the near side of a cross-pose pair."""
    return replace(wild(rng, 0.08), pitch=rng.uniform(-0.08, 0.08), cap=0.0, scarf=0.0, glasses=0.0)


def profile(rng: Rng) -> View:
    """A wild capture turned far to one side (35 to 55 degrees), no cap or scarf."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    return replace(wild(rng), yaw=side * rng.uniform(0.62, 0.96), cap=0.0, scarf=0.0)


def young(rng: Rng) -> View:
    """A wild capture in youth, nothing worn."""
    return replace(wild(rng, 0.3), age=rng.uniform(0.0, 0.1), cap=0.0, scarf=0.0, glasses=0.0)


def old(rng: Rng) -> View:
    """A wild capture in old age, no cap or scarf."""
    return replace(wild(rng, 0.3), age=rng.uniform(0.85, 1.0), cap=0.0, scarf=0.0)


def passport(rng: Rng) -> View:
    """A controlled capture: frontal, neutral, even light, plain light ground, nothing worn."""
    tone = rng.uniform(0.55, 0.9)
    ground = (tone + rng.uniform(-0.05, 0.05), tone + rng.uniform(-0.05, 0.05), tone + rng.uniform(-0.05, 0.05))
    return View(
        yaw=rng.uniform(-0.07, 0.07), pitch=rng.uniform(-0.07, 0.07), roll=rng.uniform(-0.04, 0.04), zoom=rng.uniform(1.26, 1.36),
        shift=_pair(rng, 0.03), age=rng.uniform(0.15, 0.45), smile=rng.uniform(-0.15, 0.25), brow_raise=rng.uniform(-0.2, 0.2),
        blink=max(0.0, rng.uniform(-0.6, 0.3)), light=_pair(rng, 0.3), hard=rng.uniform(0.2, 0.35), cast=_cast(rng, 0.04),
        ground=(ground, (ground[0] * 0.94, ground[1] * 0.94, ground[2] * 0.94)), cloth=_colour(rng), haircut=rng.uniform(-0.1, 0.1),
        blur=rng.uniform(0.0, 0.25), noise=rng.uniform(0.03, 0.07),
    )  # fmt: skip


def _pair(rng: Rng, reach: float) -> tuple[float, float]:
    return (rng.uniform(-reach, reach), rng.uniform(-reach, reach))


def _colour(rng: Rng) -> tuple[float, float, float]:
    return (rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.95))


def _cast(rng: Rng, reach: float) -> tuple[float, float, float]:
    level = rng.uniform(0.8, 1.12)
    return (
        level * rng.uniform(1 - reach, 1 + reach),
        level * rng.uniform(1 - reach, 1 + reach),
        level * rng.uniform(1 - reach, 1 + reach),
    )
