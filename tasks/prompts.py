"""Class names and templates by data set: what the text tower is asked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompts:
    """Class names in label order, and templates with `{}` where the name goes; every class is asked with every template."""

    classes: tuple[str, ...]
    templates: tuple[str, ...]

    def texts(self) -> list[list[str]]:
        """One list of filled templates per class, (K, T)."""
        return [[template.format(name) for template in self.templates] for name in self.classes]

    @property
    def fingerprint(self) -> str:
        """16 hex digits over names and templates."""
        return hashlib.sha256(json.dumps([self.classes, self.templates]).encode()).hexdigest()[:16]


def prompts_for(dataset: str) -> Prompts:
    """The prompts of a data set. Raises KeyError for one that has none."""
    from tasks.mini.prompts import PROMPTS

    return PROMPTS[dataset]
