"""Labels of files -> class names: one rule for every reader, by name or by the number that stands there, never by rank or count."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from gelo.models.faults import unknown
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.general.lists import spoken
from gelo.tasks.prepare.tree import Tree

_HIDDEN = "-1 is what the hub writes for hidden labels: such a split cannot be scored"


@dataclass(frozen=True, slots=True)
class Named:
    """classes: names in label order, as prompts say them. place: the label of each value found. evidence, unnamed: as in `Layout`."""

    classes: tuple[str, ...]
    place: Mapping[Hashable, int]
    evidence: str
    unnamed: str = ""


def named(tree: Tree, values: Iterable[str | int], names: tuple[str, ...], evidence: str) -> Named:
    """Class names of the label values that stand in a set's files, in all of its splits.

    names: those that the set itself gives, in the order of its numbers (a ClassLabel, classnames.txt); () where it gives none. Else the
    names of `--classes`, a list by number or a mapping from what stands there; else the values: text is its own name, and whole numbers
    stay unnamed, in the order of their size, so that no prompt asks for "a photo of a 7". Faults: numbers outside the names,
    of which those beyond them leave no class at all; a mapping that lacks a value.
    """
    found = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    whole = bool(found) and all(_is_number(value) for value in found)
    given = tree.asked.classes
    if isinstance(given, Mapping):
        return _mapped(tree, found, given)
    if given:
        if not whole and not names:
            return _ordered(tree, found, tuple(given))
        names, evidence = tuple(given), "--classes"
        from_one = whole and bool(found) and min(map(int, found)) > 0 and max(map(int, found)) == len(names)
        if from_one:
            tree.fault(
                "--classes",
                f"{len(names)} names for the numbers {found[0]} to {found[-1]}",
                "numbers from 0",
                f"say which is which: a YAML mapping such as {found[0]}: {names[0]}",
            )
            return Named((), {}, evidence)
    if names and whole:
        outside = [value for value in found if not 0 <= int(value) < len(names)]
        if outside:
            tree.fault(
                evidence,
                f"{len(outside):,} labels beyond its {len(names)} names: {told(outside, len(outside))}",
                f"0 to {len(names) - 1}",
                _HIDDEN if -1 in map(int, outside) else "",
            )
        if any(int(value) >= len(names) for value in outside):  # a name is missing, and nothing tells which
            return Named((), {}, evidence)
        return Named(
            tuple(map(spoken, names)), {value: int(value) for value in found if value not in outside}, evidence
        )
    if names:
        return _ordered(tree, found, names, evidence)
    if whole:
        hidden = [value for value in found if int(value) < 0]
        if hidden:
            tree.fault(evidence, f"labels below 0: {told(hidden, len(hidden))}", "whole numbers from 0", _HIDDEN)
        order = sorted((value for value in found if value not in hidden), key=int)
        reason = "labels are whole numbers without names: give --classes FILE (a name a line, or a YAML mapping from number to name)"
        return Named(
            tuple(map(str, order)), {value: row for row, value in enumerate(order)}, "the numbers themselves", reason
        )
    return Named(
        tuple(spoken(str(value)) for value in found), {value: row for row, value in enumerate(found)}, evidence
    )


def _ordered(tree: Tree, found: list[str | int], names: tuple[str, ...], evidence: str = "--classes") -> Named:
    """Values that are themselves names, in the order of a list that must hold each of them."""
    place = {name: row for row, name in enumerate(names)} | {spoken(name): row for row, name in enumerate(names)}
    for value in found:
        if value not in place and spoken(str(value)) not in place:
            tree.faults.append(unknown(evidence, value, names, "class"))
    known = {value: place.get(str(value), place.get(spoken(str(value)), -1)) for value in found}
    return Named(tuple(map(spoken, names)), {value: row for value, row in known.items() if row >= 0}, evidence)


def _mapped(tree: Tree, found: list[str | int], given: Mapping[str, str]) -> Named:
    lacking = [value for value in found if str(value) not in given]
    if lacking:
        tree.fault("--classes", f"no name for {told(lacking, len(lacking))}", "a name for each label")
    order = [value for value in found if str(value) in given]
    if all(_is_number(value) for value in order):
        order.sort(key=int)
    return Named(
        tuple(given[str(value)] for value in order),
        {value: row for row, value in enumerate(order)},
        "--classes, by what stands there",
    )


def _is_number(value: str | int) -> bool:
    return isinstance(value, int) or value.removeprefix("-").isdecimal()
