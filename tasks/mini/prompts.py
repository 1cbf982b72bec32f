"""Prompts of the miniature sets: class names in label order and the templates they are asked with."""

from __future__ import annotations

from gelo.tasks.data.prompts import Prompts
from gelo.tasks.mini.worlds import WORLDS


def _of(world: str, *templates: str) -> Prompts:
    return Prompts(WORLDS[world].classes, templates)


PROMPTS: dict[str, Prompts] = {
    "shapes": _of("shapes", "a {}", "a drawing of a {}", "a {} on a plain background", "the shape of a {}"),
    "shapes_shifted": _of("shapes", "a {}", "a drawing of a {}", "a {} on a plain background", "the shape of a {}"),
    "textures": _of("textures", "a texture of {}", "a pattern of {}", "a surface with {}"),
    "colours": _of("colours", "a {} object", "something {}", "a {} thing"),
    "counts": _of("counts", "{} objects", "a picture of {} objects", "{} shapes"),
    "signs": _of("signs", "a {} sign", "a photo of a {} sign", "a {} road sign"),
    "scripts": _of("scripts", "a page of {}", "writing in {}", "text written in {}"),
    "scenes": _of("scenes", "a picture of {}", "a scene of {}", "a view of {}"),
    "flags": _of("flags", "a flag with {}", "a picture of a flag with {}", "a waving flag with {}"),
    "digits": _of("numerals", "the digit {}", "a handwritten {}", "the number {}"),
    "morphs": Prompts(("morphed", "genuine"), ("a {} face", "a photo of a {} face", "a {} photo of a face")),
    "spoofs": Prompts(
        ("a fake face shown to the camera", "a genuine face"),
        ("{}", "a photo of {}", "a picture of {}"),
    ),
}
