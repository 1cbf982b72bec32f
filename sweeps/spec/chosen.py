"""What a spec chooses of its collection's data sets, and what of them it scores; of plain data, before anything is checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gelo.models.faults import Fault, unknown
from gelo.tasks.data.catalogue import COLLECTIONS, datasets_for
from gelo.tasks.protocols import asked

SUITES = ("zero_shot", "probe", "biometric")  # where a spec says nothing


def choice_faults(body: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with the sets that a spec chooses of its collection."""
    chosen, left = listed(body.get("datasets")), listed(body.get("without"))
    if not (chosen or left):
        return []
    known = _of_suites(body)
    faults = [
        unknown(f"{key}.{name}", name, known, "data set to score")
        for key, names in (("datasets", chosen), ("without", left))
        for name in names
        if name not in known
    ]
    if chosen and left:
        faults.append(Fault("without", "given with datasets", "one of them", "name what is scored, or what is not"))
    elif known and not set(known) - set(left):
        faults.append(Fault("without", "every set of the collection", "at least one set to score"))
    return faults


def _of_suites(body: Mapping[str, Any]) -> list[str]:
    """The sets of the collection that the suites of a spec score; none where the collection is none."""
    collection = body.get("collection", "miniature")
    if not isinstance(collection, str) or collection not in COLLECTIONS:
        return []
    suites = [suite for suite in listed(body.get("evaluate", SUITES)) if suite in asked()]
    return list(dict.fromkeys(entry.name for suite in suites for entry in datasets_for(collection, suite)))


def scored_names(body: Mapping[str, Any]) -> set[str]:
    """Those of them that a spec leaves in."""
    chosen, left = listed(body.get("datasets")), listed(body.get("without"))
    return {name for name in _of_suites(body) if name not in left and (not chosen or name in chosen)}


def listed(value: object) -> tuple[str, ...]:
    """The names in a list; what is no name, pydantic reports."""
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list | tuple) else ()
