"""Remedies against forgetting: one file each, named in `registry`; `Remedy` is one of them or a `Stack` of several.

A loop treats all alike, through `Hooks` (while it trains) and `finish` (afterwards). Importing this imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gelo.models.remedies.base import Bench, Hooks, NoRemedy, RemedySpec

if TYPE_CHECKING:
    from gelo.models.remedies.registry import *  # noqa: F403
    from gelo.models.remedies.stack import Remedy, Stack


def __getattr__(name: str) -> Any:
    """What knows every remedy is made when it is first asked for: a stranger's remedy may import this package before it is registered."""
    if name in ("Remedy", "Stack"):
        return getattr(import_module(f"{__name__}.stack"), name)
    if not name.startswith("_"):
        registry = import_module(f"{__name__}.registry")
        if name == "REMEDIES" or any(name == each.__name__ for each in registry.OWN):
            return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["REMEDIES", "Bench", "Hooks", "NoRemedy", "Remedy", "RemedySpec", "Stack"]  # noqa: F405
