"""Composites of two portraits, beside portraits of one person: cross-fades, halves, details of one over the tones of another.

The generators are none of `tasks.mini.morphs`: nothing is bent to meet landmarks, no mean identity is drawn, and there is no lattice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gelo.tasks.mini.camera import Picture, grain, soften
from gelo.tasks.mini.people.portraits import Sitter, sitter
from gelo.tasks.mini.worlds.canvas import Drawing, Rng, X, Y, cosine, patches, sine

CLASSES: tuple[str, ...] = ("a blend of two faces", "a collage of two faces", "one face")
CAPTIONS = (
    "{}",
    "a picture of {}",
    "an image of {}",
    "{} on a {ground} background",
    "a portrait made of {}",
    "{what}",
    "a photo of {what}",
)
_WHAT = (
    ("two people blended into one face", "two faces mixed", "a mixed face"),
    ("half of one face beside half of another", "two halves of two faces", "a face cut from two photos"),
    ("a face of one person", "one person", "a portrait of one person"),
)


def fade(a: Picture, b: Picture, rng: Rng) -> Picture:
    """Both pictures laid over each other, shares 0.35 to 0.65 that vary over the picture: eyes and outlines are seen twice."""
    share = rng.uniform(0.35, 0.65) + 0.16 * (patches(rng, 3) - 0.5)
    return a + share[..., None] * (b - a)


def details(a: Picture, b: Picture, rng: Rng) -> Picture:
    """The details of `b` over the smooth tones of `a` (a hybrid image)."""
    amount = rng.uniform(2.0, 4.0)
    return soften(a, amount) + rng.uniform(0.8, 1.2) * (b - soften(b, amount))


def halves(a: Picture, b: Picture, rng: Rng) -> Picture:
    """`a` on one side of a straight cut through the middle, `b` on the other: hard, or a few pixels soft."""
    angle = rng.uniform(-0.25, 0.25) + (1.5707963267948966 if rng.random() < 0.4 else 0.0)
    side = X * float(cosine(angle)) + Y * float(sine(angle)) - rng.uniform(-0.12, 0.12)
    return a + np.clip(0.5 + side / rng.uniform(0.02, 0.15), 0.0, 1.0)[..., None] * (b - a)


GENERATORS: dict[str, Callable[[Picture, Picture, Rng], Picture]] = {
    "fade": fade, "details": details, "halves": halves
}  # fmt: skip
_OF_CLASS = (("fade", "details"), ("halves",), ())


def draw(rng: Rng, label: int, wide: bool = True) -> Drawing:
    """A composite of class `label`, or for the last a portrait; all with the same kind of noise at the end."""
    first = sitter(rng)
    picture = first.photograph(rng)
    if _OF_CLASS[label]:
        name = _OF_CLASS[label][int(rng.integers(len(_OF_CLASS[label])))]
        picture = GENERATORS[name](picture, _like(sitter(rng), first).photograph(rng), rng)
    noise = rng.uniform(0.0, 0.04)
    what = _WHAT[label][int(rng.integers(len(_WHAT[label])))]
    words = {"ground": first.words["ground"], "what": what}
    return Drawing(grain(np.clip(picture, 0.0, 1.0), rng, noise), words)


def _like(other: Sitter, first: Sitter) -> Sitter:
    """Another person before the same ground, in the same light, turned alike and wearing the same."""
    view = replace(
        first.view, smile=other.view.smile, mouth_open=other.view.mouth_open, brow_raise=other.view.brow_raise,
        yaw=first.view.yaw + 0.2 * other.view.yaw, haircut=other.view.haircut,
    )  # fmt: skip
    return Sitter(other.who, view, first.words)
