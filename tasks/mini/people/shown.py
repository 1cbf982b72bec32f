"""Portraits on paper and on screens, and portraits of people who are there, before the same cameras."""

from __future__ import annotations

from collections.abc import Mapping

from gelo.tasks.mini.face_draw import scene
from gelo.tasks.mini.people.devices import CAMERAS, PRINTERS, SCREENS, printed, screened, taken
from gelo.tasks.mini.people.portraits import sitter
from gelo.tasks.mini.worlds.canvas import Drawing, Rng

CLASSES: tuple[str, ...] = ("a printed photo of a face", "a screen showing a face", "a person in front of a camera")
CAPTIONS = (
    "{}",
    "a picture of {}",
    "an image of {}",
    "{}, {detail}",
    "{}, {worn}",
    "{}, {pose}",
    "{}, taken with a {camera}",
    "a {camera} picture of {}",
    "a close up of {}, {detail}",
    "{medium} of a {age} person {worn}",
    "{medium} of a {mood} person",
)
_MEDIA = ("a print", "a screen picture", "a photo")


def draw(rng: Rng, label: int, wide: bool = True) -> Drawing:
    """A portrait in the medium of class `label`, held by one of `CAMERAS`."""
    sat, camera = sitter(rng), _one(rng, CAMERAS)
    picture = scene(sat.who, sat.view, rng)
    if label == 0:
        picture, detail = printed(picture, PRINTERS[_one(rng, PRINTERS)], rng)
    elif label == 1:
        picture, detail = screened(picture, SCREENS[_one(rng, SCREENS)], rng)
    else:
        detail = f"on a {sat.words['ground']} background"
    yaw = sat.view.yaw
    pose = "looking left" if yaw < -0.15 else "looking right" if yaw > 0.15 else "looking at the camera"
    words = {name: sat.words[name] for name in ("age", "mood", "worn")}
    words |= {"detail": detail, "pose": pose, "camera": camera, "medium": _MEDIA[label]}
    return Drawing(taken(picture, CAMERAS[camera], rng), words)


def _one(rng: Rng, table: Mapping[str, object]) -> str:
    return list(table)[int(rng.integers(len(table)))]
