"""Which prompts a data set is asked with: a user's own, those of a miniature set, else its classes in the templates of its kind."""

from __future__ import annotations

import re

from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.prompts import Prompts

_WORD = re.compile(r"[^\W\d_]{2}")  # two letters in a row: what has none is a number


def prompts_for(dataset: Dataset) -> Prompts:
    """The prompts of a data set: those that gelo keeps for a miniature one, else the classes of its card in its templates.

    A user's own, kept in the card by `gelo prepare --prompts`, win.
    """
    from gelo.tasks.mini.prompts import PROMPTS

    if dataset.card.prompts is not None:
        return dataset.card.prompts
    if dataset.name in PROMPTS and dataset.card.scale == "miniature":
        return PROMPTS[dataset.name]
    return prompts_of(dataset.name, dataset.card.classes)


def named_prompts(dataset: Dataset) -> Prompts | None:
    """`prompts_for` where classes have names; None where there are none, or nothing but numbers ("p017", "m.0042") that no publisher and
    no user has templates for: identities."""
    found = prompts_for(dataset)
    own = dataset.card.prompts is not None or found.templates != prompts_of("", ()).templates
    return found if found.classes and (own or any(map(_WORD.search, found.classes))) else None


def prompts_of(name: str, classes: tuple[str, ...]) -> Prompts:
    """The templates of an official set, or "a photo of a {}.", with these classes."""
    from gelo.tasks.prepare.names import templates_of

    return Prompts(classes, templates_of(name, classes))
