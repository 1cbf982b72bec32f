"""The labels of several files as one set of classes: matched by the names that each file gives its numbers, never by the numbers alone.

Decisions: two files may list the same names in another order; a file's numbers then go through its own names to the order of the first.
Files that list other names, or numbers without names beside numbers with names, are refused: what they mean cannot be told.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.prepare.classes import Named, named
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.general.lists import spoken
from gelo.tasks.prepare.hub.labels import Labels, Value, visible
from gelo.tasks.prepare.tree import Tree

_ALL = "--classes FILE with all the names, one a line, in the order that is wanted"
_NUMBERS = "the names of the classes are their numbers: give --classes FILE (a name a line, or a YAML mapping from number to name)"


@dataclass(frozen=True, slots=True)
class Agreed:
    """The classes of all files, each file's labels (N,), -1 for rows without one, and what a user should know."""

    named: Named
    labels: tuple[NDArray[np.int64], ...]
    notes: tuple[str, ...] = ()


def agree(tree: Tree, read: Sequence[Labels], column: str) -> Agreed | None:
    """None with faults where files do not agree on what their labels mean. Faults too, by split: rows without a label, hidden labels."""
    read = visible(tree, read)
    before = len(tree.faults)
    first = next((one for one in read if one.names), None)
    texts = [one.file for one in read if one.values and not one.numbers]
    bare = [one.file for one in read if one.numbers and not one.names]
    notes: list[str] = []
    if first is None:
        if bare and texts:
            found = f"labels are numbers in {told(bare, len(bare))} and names in {told(texts, len(texts))}"
            tree.fault(tree.root, found, "the same labels in every file")
        found_ = named(tree, {value for one in read for value in one.values}, (), f"the texts of column {column}")
        places: list[Mapping[Hashable, int]] = [found_.place for _ in read]
    else:
        if bare and not tree.asked.classes:
            found = f"{told(bare, len(bare))}: numbers that nothing names, beside the {first.where}"
            tree.fault(tree.root, found, "names for the numbers of every file", _ALL)
        odd = next((one for one in read if one.said and one.said != one.names), None)
        if odd is not None and not tree.asked.classes:
            found = _differ(odd.names, odd.file, odd.said, odd.said_by)
            tree.fault(tree.root, found, "the same class names in the data and in what describes them", _ALL)
        order = _order(tree, read, first, notes)
        rows = [_in_order(tree, one, first, order) for one in read]
        found_ = _named(tree, first, order, {row for each in rows for row in each.values()})
        places = [{value: found_.place.get(row, -1) for value, row in each.items()} for each in rows]
    if len(tree.faults) > before:
        return None
    return Agreed(found_, tuple(one.placed(place) for one, place in zip(read, places, strict=True)), tuple(notes))


def _order(tree: Tree, read: Sequence[Labels], first: Labels, notes: list[str]) -> tuple[str, ...]:
    """The names of all classes in the order of their labels: the first file's, or those of `--classes` where it holds them all.

    Faults: files that list other names, or a name twice in another order. A note for each file with another order.
    """
    given = tree.asked.classes
    everything = {spoken(name) for one in read for name in one.names}
    listed = tuple(given) if not isinstance(given, Mapping) else ()
    covered = everything <= {spoken(name) for name in listed}
    for names, one in {one.names: one for one in reversed(read) if one.names}.items():
        if names == first.names:
            continue
        ours, theirs = [spoken(name) for name in first.names], [spoken(name) for name in names]
        differ = _differ(first.names, first.file, names, one.file)
        if not covered and set(ours) != set(theirs):
            strange = [
                *(name for name in first.names if spoken(name) not in theirs),
                *(name for name in names if spoken(name) not in ours),
            ]
            found = f"{len(first.names):,} classes in {first.file}, {len(names):,} in {one.file}; {strange[0]!r} is not in both: {differ}"
            tree.fault(tree.root, found, "the same class names in every file", _ALL)
        elif len(set(theirs)) < len(theirs) or len(set(ours)) < len(ours):
            tree.fault(
                tree.root,
                f"{differ}, and a name stands there twice",
                "names that are told apart",
                "the same order in every file",
            )
        else:
            if given and not covered:
                tree.fault("--classes", f"names by number, where {differ}", "all names of the files", _ALL)
            notes.append(f"labels were matched by name: {differ}")
    return listed if covered and len(set(listed)) == len(listed) else first.names


def _differ(names: Sequence[str], where: str, others: Sequence[str], elsewhere: str) -> str:
    """The first number that two lists of names call differently."""
    at = next(
        (row for row, (a, b) in enumerate(zip(names, others, strict=False)) if a != b), min(len(names), len(others))
    )
    here, there = (repr(each[at]) if at < len(each) else "nothing" for each in (names, others))
    return f"{at} is {here} in {where} and {there} in {elsewhere}"


def _in_order(tree: Tree, one: Labels, first: Labels, order: Sequence[str]) -> dict[Hashable, int]:
    """Each value of a file -> its place in `order`, by the file's own names; one fault for those that have none."""
    names = one.names or first.names
    place = {spoken(name): row for row, name in enumerate(order)}
    same = tuple(order) == names  # then the number is the place, also where a name stands there twice
    found: dict[Hashable, int] = {}
    strange: list[Value] = []
    for value in one.values:
        if isinstance(value, int):
            row = (value if same else place.get(spoken(names[value]))) if 0 <= value < len(names) else None
        else:
            row = place.get(spoken(value))
        if row is None:
            strange.append(value)
        else:
            found[value] = row
    if strange:
        count = int((one.placed(dict.fromkeys(strange, 1)) == 1).sum())
        where = one.where if one.names else first.where
        expected = f"0 to {len(names) - 1}" if one.numbers else f"one of its {len(names):,} names"
        tree.fault(
            where,
            f"labels in {count:,} rows of {one.file} beyond its names: {told(sorted(strange, key=str), len(strange))}",
            expected,
        )
    return found


def _named(tree: Tree, first: Labels, order: tuple[str, ...], used: set[int]) -> Named:
    """The classes in `order` as they are to be called; used: the labels that stand there."""
    given = tree.asked.classes
    itself: dict[Hashable, int] = {row: row for row in range(len(order))}
    if order is not first.names:
        return Named(tuple(map(spoken, order)), itself, "--classes, matched by name")
    if isinstance(given, Mapping):
        if all(name in given for name in order):
            return Named(tuple(given[name] for name in order), itself, "--classes, by what stands there")
        return named(
            tree, range(len(order)) if all(str(row) in given for row in range(len(order))) else used, order, first.where
        )
    if given and len(given) != len(order):
        tree.fault("--classes", f"{len(given):,} names", f"{len(order):,}, as many as the {first.where} has", _ALL)
        return Named((), {}, "--classes")
    found = named(tree, used, order, first.where)
    own = not given and order == tuple(map(str, range(len(order))))
    return replace(found, unnamed=_NUMBERS) if own else found
