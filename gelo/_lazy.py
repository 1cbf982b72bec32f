"""Names that are imported when they are first asked for (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy(
    module: str, places: Mapping[str, str], families: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of `module`. places: by name, the module that has it; a name that is its module's own last part is the
    module itself. families: modules each class of whose `OWN` is there by its name."""

    def members() -> dict[str, str]:
        return {each.__name__: family for family in families for each in import_module(family).OWN}

    def get(name: str) -> Any:
        place = places.get(name) or (None if name.startswith("_") else members().get(name))
        if place is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name, obj=sys.modules[module])
        found = import_module(place)
        value = found if place == f"{module}.{name}" else getattr(found, name)
        setattr(sys.modules[module], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[module]), *places, *members()})

    return get, names
