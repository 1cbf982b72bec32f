"""The members of an open family (remedies, adaptations, heads, ...): gelo's own, and those that other distributions register.

Whoever writes a remedy in a repository of their own names its class under `[project.entry-points."gelo.remedies"]`; nothing here changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, reduce
from importlib.metadata import EntryPoints, distributions
from operator import or_
from typing import Annotated, Any, get_args

from gelo.models.faults import Fault
from gelo.models.spec import Spec
from pydantic import Field

broken: list[Fault] = []  # what could not be registered; the command line says it, and goes on without


def members(group: str, own: Sequence[type[Spec]], base: type[Spec]) -> tuple[type[Spec], ...]:
    """gelo's `own` spec classes, then those registered under the entry point group, each a `base` with a `kind` that is free."""
    found = {kind_of(each): each for each in own}
    for point in _points().select(group=group):
        where = f"entry point {point.name} of {point.dist.name if point.dist else 'an unknown distribution'} ({group})"
        try:
            made = point.load()
            kind = kind_of(made) if isinstance(made, type) and issubclass(made, base) else ""
        except Exception as error:  # whatever a stranger's module does when it is imported
            broken.append(
                Fault(where, f"{type(error).__name__}: {error}", "a module that can be imported", "mend or remove it")
            )
            continue
        if not kind or kind in found:
            said = f"kind {kind!r}, which is taken" if kind else f"{point.value}"
            broken.append(Fault(where, said, f"a {base.__name__} with a `kind` of its own", "mend or remove it"))
        else:
            found[kind] = made
    return tuple(found.values())


def union(classes: Sequence[type[Spec]]) -> Any:
    """The annotation of a field that holds one of `classes`, told apart by `kind`."""
    return Annotated[reduce(or_, classes), Field(discriminator="kind")]


def kind_of(spec: type[Spec]) -> str:
    """The `kind` of a spec class: its one literal, which is the default too. "" where there is none."""
    field = spec.model_fields.get("kind")
    allowed = get_args(field.annotation) if field is not None else ()
    return str(allowed[0]) if field is not None and len(allowed) == 1 and field.default == allowed[0] else ""


@cache
def _points() -> EntryPoints:
    return EntryPoints(point for each in distributions() for point in each.entry_points)
