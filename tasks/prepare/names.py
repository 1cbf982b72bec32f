"""Class names and templates of the official sets, in the wording of OpenAI's release (openai/CLIP: data/prompts.md).

`prompts.json` holds the facts: templates of thirteen sets, the class names that no publisher's file spells as a prompt does, and the
identifiers (folder names) of sets that come without a list of their classes. The names of the other sets come with their download;
ImageNet's names and 80 templates from open_clip, its synsets from timm.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

IMAGENET = ("imagenet", "imagenet_v2")
# whole prompts of the papers' text baselines, in label order (gurayozgur/MADation and gurayozgur/FoundPAD: pdf/)
MORPH_CLASSES = ("face image morphing attack", "bona-fide presentation")
SPOOF_CLASSES = ("biometric presentation attack", "bona-fide presentation")


@cache
def _facts() -> dict[str, dict[str, list[str]]]:
    loaded: dict[str, dict[str, list[str]]] = json.loads(
        (files("gelo.tasks.prepare") / "prompts.json").read_text(encoding="utf-8")
    )
    return loaded


def names_of(dataset: str) -> tuple[str, ...]:
    """Class names in label order. Raises KeyError for a set whose download brings its own."""
    if dataset in IMAGENET:
        from open_clip import IMAGENET_CLASSNAMES

        return tuple(IMAGENET_CLASSNAMES)
    return tuple(_facts()["classes"][dataset])


def identifiers_of(dataset: str) -> tuple[str, ...]:
    """What the publisher calls each class's folder, in label order: WordNet ids, country codes, names. Raises KeyError for another set."""
    if dataset == "imagenet":
        from timm.data import ImageNetInfo

        return tuple(ImageNetInfo("imagenet-1k").label_names())
    return tuple(_facts()["identifiers"][dataset])


def templates_of(dataset: str, classes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Templates with `{}` where the name goes; for a set of a user's own "a photo of a {}.". Classes that are prompts stand alone."""
    if classes in (MORPH_CLASSES, SPOOF_CLASSES):
        return ("{}",)
    if dataset in IMAGENET:
        from open_clip import OPENAI_IMAGENET_TEMPLATES

        return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)
    return tuple(_facts()["templates"].get(dataset, ["a photo of a {}."]))
