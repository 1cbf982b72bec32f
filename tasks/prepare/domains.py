"""Folders between splits and classes, or in the place of either: what nothing tells apart is refused, with the command for each reading."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.places import Place
from gelo.tasks.prepare.tree import Tree

FORM = "<split>/<class>/<images>, or <class>/<images> alone"


def between(tree: Tree, where: Path, kids: list[Place]) -> None:
    """Faults for folders that no split's name tells from classes: those that hold the same folders, and those that hold folders alone."""
    if domains := _shared(kids):
        shared, outer = domains
        tree.fault(
            where,
            f"{told(outer, len(outer))}: each holds {told(shared, len(shared))}, as domains above classes do",
            FORM,
            f"one domain: --from {tree.root / kids[0].path}; or their roles: --split {outer[0]}=test --split {outer[1]}=none; "
            f"if {outer[0]} is a class, name the classes: --classes FILE",
        )
    elif len(kids) > 1 and not any(kid.images for kid in kids):
        names = [kid.name for kid in kids]
        tree.fault(
            where,
            f"{told(names, len(names))}: folders of folders alone, splits or classes, and nothing tells which",
            FORM,
            f"if they are splits: --split {names[0]}=train --split {names[1]}=test; if they are classes, name them: --classes FILE",
        )


def inside(tree: Tree, splits: Mapping[str, Place]) -> None:
    """Faults for splits with domains between them and their classes: several folders that hold the same ones, or one that holds all."""
    if tree.asked.classes != ():
        return
    for place in splits.values():
        kids = list(place.inside.values())
        sole = len(kids) == 1 and not place.images and not kids[0].images and len(kids[0].inside) > 1
        domains = _shared(kids)
        if domains or sole:
            outer = domains[1] if domains else [kids[0].name]
            shared = domains[0] if domains else list(kids[0].inside)
            tree.fault(
                tree.root / place.path,
                f"{told(outer, len(outer))}: folders that hold {told(shared, len(shared))}, as domains above classes do",
                "class folders directly in a split",
                f"one domain a set: move the class folders of {outer[0]} up into each split; if {outer[0]} is a class, name the classes: "
                "--classes FILE",
            )


def _shared(kids: list[Place]) -> tuple[list[str], list[str]] | None:
    """(names of inner folders that stand in several of these folders, the folders), where every one holds folders alone."""
    if len(kids) < 2 or any(kid.images for kid in kids):
        return None
    holders: dict[str, list[str]] = {}
    for kid in kids:
        for name in kid.inside:
            holders.setdefault(name, []).append(kid.name)
    shared = [name for name, of in holders.items() if len(of) > 1]
    return (shared, list(dict.fromkeys(name for inner in shared for name in holders[inner]))) if shared else None
