"""Which prompts a data set is asked with: a user's own, those of a miniature set, else its classes in the templates of its kind."""

from __future__ import annotations

from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.prompts import Prompts


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


def prompts_of(name: str, classes: tuple[str, ...]) -> Prompts:
    """The templates of an official set, or "a photo of a {}.", with these classes."""
    from gelo.tasks.prepare.names import templates_of

    return Prompts(classes, templates_of(name, classes))
