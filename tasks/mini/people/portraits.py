"""Portraits with captions: turn of the head, mood, age, hair, things worn, ground. Every image shows a person of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gelo.tasks.mini.camera import Picture
from gelo.tasks.mini.face_draw import face
from gelo.tasks.mini.face_model import Identity, View, person, wild
from gelo.tasks.mini.worlds.canvas import Drawing, Rng
from gelo.tasks.mini.worlds.palette import pick, shade

STREAM = "pretrain-people"  # the name of every identity and image of the pool; no data set has it
CLASSES: tuple[str, ...] = ("looking at the camera", "looking left", "looking right")
CAPTIONS = (
    "a photo of a face {}",
    "a person {}",
    "a portrait of a {age} person {}",
    "a portrait {worn}, {}",
    "a {mood} person {}",
    "a {age} person {worn}",
    "a photo of a {mood} face {worn}",
    "a person with {hair} hair, {}",
    "a {age} person with {hair} hair {worn}",
    "a portrait on a {ground} background",
    "a {mood} face on a {ground} background, {}",
    "a photo of a {age} person",
)
_TURNS = ((-0.12, 0.12), (-0.90, -0.35), (0.35, 0.90))  # radians; below 0 the face looks to the left of the picture
_AGES = {"young": (0.0, 0.12), "adult": (0.2, 0.5), "old": (0.82, 1.0)}


@dataclass(frozen=True, slots=True)
class Sitter:
    """Who sits for a photograph, how, and the words for it."""

    who: Identity
    view: View
    words: dict[str, str]

    def photograph(self, rng: Rng) -> Picture:
        """float64 (64, 64, 3) in [0, 1]; `rng` gives ground pattern and noise."""
        return face(self.who, self.view, rng)


def somebody(rng: Rng) -> Identity:
    """A person whom no data set knows: the name begins with `STREAM`."""
    return person(STREAM, int(rng.integers(2**62)))


def sitter(rng: Rng, turn: tuple[float, float] = (-0.3, 0.3)) -> Sitter:
    """A person in any light and mood, the head turned within `turn` radians."""
    who, ground = somebody(rng), pick(rng)
    age, mood = list(_AGES)[int(rng.integers(3))], ("smiling", "serious", "surprised")[int(rng.integers(3))]
    near, far = (_colour(shade(rng, ground)) for _ in range(2))
    view = replace(
        wild(rng), yaw=rng.uniform(*turn), age=rng.uniform(*_AGES[age]), ground=(near, far),
        smile=rng.uniform(0.6, 1.0) if mood == "smiling" else rng.uniform(-0.6, 0.0),
        mouth_open=rng.uniform(0.7, 1.0) if mood == "surprised" else 0.0,
        brow_raise=rng.uniform(0.5, 0.9) if mood == "surprised" else rng.uniform(-0.5, 0.2),
        glasses=0.0, cap=0.0, scarf=0.0,
    )  # fmt: skip
    view, worn = _dressed(rng, who, view)
    return Sitter(who, view, {"age": age, "mood": mood, "hair": hair_name(who, view), "worn": worn, "ground": ground})


def hair_name(who: Identity, view: View) -> str:
    """The hair's colour in a word, as `face_surface.hair_colour` paints it."""
    if view.age > 0.75:
        return "grey"
    if who["hair_red"] > 0.85:
        return "red"
    tone = who["hair_tone"]
    return "black" if tone < 0.2 else "brown" if tone < 0.6 else "blond"


def draw(rng: Rng, label: int, wide: bool = True) -> Drawing:
    """A portrait whose head is turned as class `label` says."""
    sat = sitter(rng, _TURNS[label])
    return Drawing(np.clip(sat.photograph(rng), 0.0, 1.0), sat.words)


def _dressed(rng: Rng, who: Identity, view: View) -> tuple[View, str]:
    """Something to wear in three of five portraits, and its words."""
    chance = rng.random()
    if chance < 0.22:
        return replace(view, glasses=rng.uniform(0.12, 0.3)), "with glasses"
    if chance < 0.34:
        return replace(view, glasses=0.9), "with dark glasses"
    if chance < 0.48:
        return replace(view, cap=1.0), "with a cap"
    if chance < 0.60:
        return replace(view, scarf=1.0), "with a scarf"
    return view, "with a beard" if who["beard"] > 0.35 else "without glasses"


def _colour(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
