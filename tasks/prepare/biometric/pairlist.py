"""Pairs of faces in LFW's form: `pairs.txt`, sets of pairs of one person and of two, and Kaggle's copy of it, `pairs.csv`.

pairs.txt: the first line has the number of sets and that of pairs of each kind in a set; then, set by set, lines `name n1 n2` and after
them `name1 n1 name2 n2` (vis-www.cs.umass.edu/lfw: README.txt, 3c). pairs.csv has a header in place of the counts, so that its sets are
the runs of one kind and the other.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.tree import Tree
from gelo.tasks.scorefiles.textfile import NotTextError, read_lines, read_rows

_FORM = "lines `name n1 n2`, or `name1 n1 name2 n2` of two persons, below one of sets and pairs of each kind, such as 10 300"
_CSV_FORM = "Kaggle's form: a header name,imagenum1,imagenum2 and rows of 3 or 4 fields"

_NUMBER = re.compile("0*[1-9][0-9]{0,8}")

Face = tuple[str, int]  # a person's name, as its folder is called, and the number of the image


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images, of one person where `same`, in the set `fold` from 0; the line that says so."""

    line: int
    one: Face
    two: Face
    fold: int

    @property
    def same(self) -> bool:
        return self.one[0] == self.two[0]


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    fields: list[str]

    @property
    def same(self) -> bool:
        return len(self.fields) == 3

    @property
    def faces(self) -> tuple[Face, Face]:
        name, first, *other, second = self.fields
        return (name, int(first)), (other[0] if other else name, int(second))


def read_pairs(tree: Tree, file: str) -> list[Pair]:
    """The pairs of one list, in its order; none where its sets cannot be told.

    Faults: lines of another form, counts that disagree with the first line, a set that is not half pairs of one person and then half of
    two, an image paired with itself, a pair twice.
    """
    path = tree.path(file, _FORM)
    if path is None:
        return []
    try:
        rows = _csv_rows(tree, path) if file.endswith(".csv") else _txt_rows(path)
    except (NotTextError, csv.Error) as error:
        tree.fault(path, f"no list of pairs ({error})", _FORM, error.remedy if isinstance(error, NotTextError) else "")
        return []
    top = [] if file.endswith(".csv") or not rows else rows.pop(0).fields
    wrong = [row for row in rows if not _sound(row)]
    if wrong:
        _fault(tree, path, wrong, "lines of another form", _CSV_FORM if file.endswith(".csv") else _FORM)
        return []
    each = _runs(tree, path, rows) if file.endswith(".csv") else _stated(tree, path, top, rows)
    return (
        _clean(tree, path, [Pair(row.line, *row.faces, place // (2 * each)) for place, row in enumerate(rows)])
        if each
        else []
    )


def _txt_rows(path: Path) -> list[_Row]:
    lines = enumerate(read_lines(path), start=1)
    return [
        _Row(number, [field.strip() for field in (line.strip().split("\t") if "\t" in line.strip() else line.split())])
        for number, line in lines
        if line.strip()
    ]


def _csv_rows(tree: Tree, path: Path) -> list[_Row]:
    rows = [_Row(number, fields) for number, fields in read_rows(path)]
    header = ",".join(rows[0].fields).rstrip(",") if rows else ""
    if header != "name,imagenum1,imagenum2":
        tree.fault(f"{path} line 1", f"header {header!r}", _CSV_FORM, "or give LFW's own pairs.txt beside the images")
        return []
    return [_Row(row.line, row.fields[:3] if row.fields[3:] == [""] else row.fields) for row in rows[1:]]


def _sound(row: _Row) -> bool:
    if len(row.fields) not in (3, 4) or not all(row.fields):
        return False
    numbers = row.fields[1:] if row.same else row.fields[1::2]
    persons = row.fields[:1] if row.same else row.fields[::2]
    return all(map(_NUMBER.fullmatch, numbers)) and len(set(persons)) == len(persons)


def _stated(tree: Tree, path: Path, top: Sequence[str], rows: Sequence[_Row]) -> int:
    """The pairs of each kind in a set, as the first line says and the others bear out; else 0 with a fault."""
    if len(top) == 1 and _NUMBER.fullmatch(top[0]):
        tree.fault(
            f"{path} line 1",
            f"{top[0]!r}: one set, as LFW's View 1 (pairsDevTrain.txt, pairsDevTest.txt)",
            "View 2's pairs.txt, 10 300 in its first line: the accuracy is one over sets",
        )
        return 0
    if len(top) != 2 or not all(map(_NUMBER.fullmatch, top)) or int(top[0]) < 2:
        tree.fault(
            f"{path} line 1", repr(" ".join(top)), "two or more sets and how many pairs of each kind, such as 10 300"
        )
        return 0
    sets, each = map(int, top)
    if len(rows) != 2 * sets * each:
        tree.fault(path, f"{len(rows):,} pairs", f"{2 * sets * each:,}: line 1 says {sets} sets of {each} + {each}")
        return 0
    astray = [row for place, row in enumerate(rows) if row.same != (place % (2 * each) < each)]
    if astray:
        expected = f"{each} of one person, then {each} of two, in each of {sets} sets, as line 1 says"
        _fault(tree, path, astray, "pairs of the other kind than their set has there", expected)
    return 0 if astray else each


def _runs(tree: Tree, path: Path, rows: Sequence[_Row]) -> int:
    """The pairs of each kind in a set, where runs of one kind and the other are all as long; else 0 with a fault."""
    runs = [(same, len(list(run))) for same, run in groupby(row.same for row in rows)]
    sizes = {size for _, size in runs}
    if rows and (len(sizes) > 1 or len(runs) < 4 or len(runs) % 2 or not runs[0][0]):
        found = f"runs of {', '.join(str(size) for _, size in runs[:8])}{', ...' if len(runs) > 8 else ''} pairs of one kind"
        tree.fault(
            path,
            found,
            "sets that show: as many pairs of one person and then of two, again and again",
            "give LFW's own pairs.txt, which says its sets",
        )
        return 0
    return sizes.pop() if sizes else 0


def _clean(tree: Tree, path: Path, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs of two images, each once; the names as the persons they are."""
    kept: dict[frozenset[Face], Pair] = {}
    itself, twice = [], []
    for pair in pairs:
        if pair.one == pair.two:
            itself.append(pair)
        elif kept.setdefault(frozenset((pair.one, pair.two)), pair) is not pair:
            twice.append(pair)
    for odd, what in ((itself, "pairs of an image with itself"), (twice, "pairs that stood before")):
        if odd:
            shown = [f"line {pair.line}" for pair in odd]
            tree.fault(path, f"{len(odd):,} {what}: {told(shown, len(odd))}", "two images, each two once")
    return list(kept.values())


def _fault(tree: Tree, path: Path, rows: Sequence[_Row], what: str, expected: str) -> None:
    shown = [f"line {row.line}: {' '.join(row.fields)[:60]}" for row in rows]
    tree.fault(path, f"{len(rows):,} {what}: {told(shown, len(rows))}", expected)
