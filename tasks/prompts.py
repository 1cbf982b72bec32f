"""Class names and templates by data set: what the text tower is asked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from models.faults import Fault, UserError, unknown

if TYPE_CHECKING:
    from tasks.manifest import Dataset


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


def prompts_for(dataset: Dataset) -> Prompts:
    """The prompts of a data set: those that gelo keeps for a miniature one, else the classes of its card in its templates.

    A user's own, kept in the card by `gelo prepare --prompts`, win.
    """
    from tasks.mini.prompts import PROMPTS
    from tasks.prepare.names import templates_of

    if dataset.card.prompts is not None:
        return dataset.card.prompts
    if dataset.name in PROMPTS and dataset.card.scale == "miniature":
        return PROMPTS[dataset.name]
    return Prompts(dataset.card.classes, templates_of(dataset.name, dataset.card.classes))


def read_prompts(path: Path, classes: tuple[str, ...]) -> Prompts:
    """A user's prompts: YAML with `templates`, each with one `{}`, and maybe `classes`, a name for every class in label order.

    Raises UserError with every fault.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            "prompts", Fault(str(path), f"unreadable ({error})", "YAML with templates and classes")
        ) from None
    raw = raw if isinstance(raw, dict) else {}
    faults = [
        unknown(f"{path}: {key}", key, ("templates", "classes"), "key")
        for key in raw
        if key not in ("templates", "classes")
    ]
    templates, names = raw.get("templates"), raw.get("classes", list(classes))
    if not isinstance(templates, list) or not templates:
        faults.append(Fault(f"{path}: templates", repr(templates), 'a list such as ["a photo of a {}."]'))
    else:
        faults += [
            Fault(f"{path}: templates", repr(text), "text with one {} where the name goes")
            for text in templates
            if not isinstance(text, str) or text.count("{}") != 1 or text.replace("{}", "").count("{")
        ]
    if not isinstance(names, list) or len(names) != len(classes) or not all(isinstance(name, str) for name in names):
        found = f"{len(names)} names" if isinstance(names, list) else repr(names)
        faults.append(
            Fault(f"{path}: classes", found, f"{len(classes)} names in label order: {', '.join(classes[:3])}, ...")
        )
    if faults:
        raise UserError("prompts", faults)
    assert isinstance(templates, list) and isinstance(names, list)
    return Prompts(tuple(names), tuple(templates))
