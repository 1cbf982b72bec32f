"""The members of an open family of specs (remedies, adaptations, heads): gelo's own, and those that other distributions register."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Annotated, Any, TypeVar, get_args

from pydantic import Field

from gelo.models.faults import Fault
from gelo.models.registered import admitted, strange
from gelo.models.spec import Spec

S = TypeVar("S", bound=Spec)


def members(group: str, own: Sequence[type[S]], base: type[S]) -> tuple[type[S], ...]:
    """gelo's `own` spec classes, then those registered under the entry point group, each a `base` with a `kind` that is free."""

    def fault(given: Any, found: Mapping[str, type[S]], where: str) -> Fault | None:
        kind = kind_of(given) if isinstance(given, type) and issubclass(given, base) else ""
        if not kind:
            return strange(given, where, f"a {base.__name__} with a `kind` of its own")
        version = "a field" if "version" in given.model_fields else given.version
        if type(version) is not int or version < 1:
            return Fault(where, f"version {version!r}", "a whole number of the class, from 1", "version = 2")
        if kind in found or kind in _RESERVED:
            return Fault(where, f"kind {kind!r}, which is taken", "a kind of its own", "rename it")
        if lacking := sorted(getattr(given, "__abstractmethods__", ())):
            return Fault(
                where, f"{given.__name__} without {', '.join(lacking)}", "a class that can be made", "write it"
            )
        return None

    return tuple(admitted(group, {kind_of(each): each for each in own}, kind_of, fault).values())


def family(
    namespace: dict[str, Any], group: str, own: Sequence[type[Spec]], base: type[Spec], names: tuple[str, str]
) -> Callable[[str], Any]:
    """A module's `__getattr__`: `names`, of all members and of their union, are made when they are first asked for.

    So a stranger's module may import the package whose family it joins, whichever of the two is imported first.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        classes = members(group, own, base)
        namespace.update({names[0]: classes, names[1]: union(classes)})
        return namespace[name]

    return get


_RESERVED = ("stack",)  # several remedies of one trial


def union(classes: Sequence[type[Spec]]) -> Any:
    """The annotation of a field that holds one of `classes`, told apart by `kind`."""
    return Annotated[reduce(or_, classes), Field(discriminator="kind")]


def kind_of(spec: type[Spec]) -> str:
    """The `kind` of a spec class: its one literal, which is the default too. "" where there is none."""
    field = spec.model_fields.get("kind")
    allowed = get_args(field.annotation) if field is not None else ()
    return str(allowed[0]) if field is not None and len(allowed) == 1 and field.default == allowed[0] else ""
