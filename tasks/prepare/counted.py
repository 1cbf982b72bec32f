"""Faults of one kind as one line: how many, and the first few."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.tree import Tree


def fault_each(
    tree: Tree, where: Path | str, names: Sequence[object], what: str, expected: str, remedy: str = ""
) -> None:
    """One fault for all of `names`, if there are any: `3 links: 'a', 'b', 'c'`."""
    if names:
        tree.fault(where, f"{len(names):,} {what}: {told(names, len(names))}", expected, remedy)
