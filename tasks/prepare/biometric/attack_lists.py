"""CSVs that list labelled images for attack detection: header `image_path,label`, labels `bonafide` and `attack`.

Form: naserdamer/SMDD-Synthetic-Face-Morphing-Attack-Detection-Development-dataset and meilfang/CF-PAD, README.md, whose examples have a
blank after the comma. gurayozgur/MADation reads every label but "bonafide" as an attack; here anything else is a fault.
"""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from gelo.models.faults import unknown
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.image_paths import locator, on_disk
from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.tree import Tree
from gelo.tasks.protocols.detection import BONA_FIDE
from gelo.tasks.protocols.tally import part_faults
from gelo.tasks.scorefiles.textfile import NotTextError, other_separator, read_rows

SPLITS = ("train", "dev", "test")
PATH, LABEL = "image_path", "label"
OPTIONAL = ("attack", "subject", "video", "domain", "split")
LABELS = {"bonafide": 1, "attack": 0}
_GENUINE = ("", "bonafide", "genuine", "real", "live")  # what no attack is called
_FORM = f"a CSV with the columns {PATH},{LABEL}, if need be {', '.join(OPTIONAL)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One image: its path within the tree, 1 = bona fide and 0 = attack, its split, and protocol columns, `attack` always among them.

    source: the list or folders that say it. said: the columns of the list itself.
    """

    id: str
    label: int
    split: str
    columns: Mapping[str, str]
    source: str = field(default="", compare=False)
    said: tuple[str, ...] = field(default=(), compare=False)


def plain(word: str) -> str:
    """In lower case, without blanks, "_" and "-": `Bona-fide` and `bona_fide` are one word."""
    return word.lower().translate(str.maketrans("", "", " _-"))


def kind_of(label: int, attack: str) -> str | None:
    """The `attack` column of an image whose CSV or folder says `attack`; None where that contradicts its label."""
    if label:
        return BONA_FIDE if plain(attack) in ("", "bonafide") else None
    return None if plain(attack) in _GENUINE else attack


def csvs(tree: Tree, *places: str) -> list[str]:
    """Paths of the .csv files directly in the first of these folders that has one, sorted."""
    for place in places:
        found = sorted(p.name for p in (tree.root / place).glob("*.csv") if not is_litter(p.name))
        if found:
            return [posixpath.join(place, name) for name in found]
    return []


def role(tree: Tree, name: str) -> str | None:
    """train, dev or test for a source's name of a split: as `--split` says ("" leaves it out), else itself; None for any other name."""
    given = tree.asked.splits.get(name)
    if given is None:
        return name if name in SPLITS else None
    return "dev" if given == "val" else given


def read_listing(tree: Tree, file: str, split: str, attack: str) -> list[Row]:
    """The rows of one CSV, in its order; those with a fault are left out. `split` and `attack` hold where it has no such columns.

    Image paths: `tasks.prepare.image_paths.locator`.

    Faults: header, width, empty fields, labels, an attack that contradicts its label, names that no metric can carry, an image listed
    twice, none of the images there; each kind once with the first lines.
    """
    path = tree.path(file, _FORM)
    header, lines = ([], []) if path is None else _lines(tree, path)
    if path is None or not lines:
        return []
    bad: dict[tuple[str, str], list[int]] = {}
    read: list[tuple[int, dict[str, str], int]] = []
    for number, fields in lines:
        row = dict(zip(header, fields, strict=False))
        if problem := _problem(tree, row, len(fields) - len(header)):
            bad.setdefault(problem, []).append(number)
        elif role(tree, row.get("split", split)) == "":
            tree.leave(row[PATH], f"split {row['split']}, left out by --split")
        else:
            read.append((number, row, LABELS[plain(row[LABEL])]))
    for (found, expected), numbers in bad.items():
        tree.fault(path, f"{found} in {len(numbers):,} lines: {told(numbers, len(numbers))}", expected)
    locate = locator(tree, file, path, [row[PATH] for _, row, _ in read])
    if locate is None:
        return []
    rows: dict[str, Row] = {}
    first, twice = dict[str, int](), []
    for number, row, label in read:
        identity = locate(row[PATH])
        kind = kind_of(label, row.get("attack", "" if label else attack))
        columns = {name: row[name] for name in OPTIONAL if name in row and name != "split"} | {"attack": str(kind)}
        if first.setdefault(identity, number) != number:
            both = identity in rows and rows[identity].label != label
            twice.append(
                f"{identity} (lines {first[identity]} and {number}{', as bona fide and as attack' if both else ''})"
            )
            if both:
                del rows[identity]
        else:
            chosen = role(tree, row["split"]) if "split" in row else split
            rows[identity] = Row(identity, label, str(chosen), columns, file, tuple(header))
    if twice:
        tree.fault(path, f"{len(twice):,} images listed twice: {told(twice, len(twice))}", "each image once")
    return list(rows.values())


def layout(
    tree: Tree,
    rows: Iterable[Row],
    classes: tuple[str, ...],
    protocol: str,
    columns: Sequence[str] = ("attack",),
    notes: tuple[str, ...] = (),
) -> Layout:
    """The images of these rows by split; for a user's own `protocol` where there is a test split, training where there is one to train on.

    An optional column that some rows lack is a fault, and is left out.
    """
    rows = list(rows)
    given = {name for row in rows for name in row.columns}
    halved = sorted(name for name in given if any(name not in row.columns for row in rows))
    if halved:
        tree.fault(tree.root, f"column {', '.join(halved)} in some CSVs only", "in all of them or in none")
    kept = (*columns, *(name for name in ("subject", "video", "domain") if name in given - {*columns, *halved}))
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    taken: dict[str, dict[str, None]] = {split: {} for split in SPLITS}
    spelt = on_disk(tree)
    for row in rows:
        item = tree.image(spelt(row.id), row.label)
        if item is not None:
            splits[row.split].append(replace(item, id=row.id, columns={name: row.columns[name] for name in kept}))
            taken[row.split][row.source] = None
    filled = {split: items for split, items in splits.items() if items}
    protocols = [name for name, split in (("training", "train"), (protocol, "test")) if split in filled]
    said = {name: name for row in rows for name in row.said if name in (*OPTIONAL, LABEL)}
    sources = list(dict.fromkeys(row.source for row in rows))
    return Layout(
        classes,
        filled,
        kept,
        protocols=tuple(protocols),
        evidence=f"labels bonafide and attack of {', '.join(sources[:8])}{', ...' if len(sources) > 8 else ''}",
        used={"image": PATH, **said} if said else {},
        taken={split: tuple(taken[split]) for split in filled},
        notes=notes,
    )


def _lines(tree: Tree, path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header and the lines with their numbers, fields stripped; nothing where the header or the file is none."""
    try:
        rows = read_rows(path)
        top, header = next(rows, (1, []))
        lines = list(rows)
    except (NotTextError, csv.Error) as error:
        tree.fault(path, f"no CSV ({error})", _FORM, error.remedy if isinstance(error, NotTextError) else "")
        return [], []
    before = len(tree.faults)
    where = f"{path} line {top}"
    for name in (PATH, LABEL):
        if name not in header:
            tree.fault(
                where, f"no column {name} in {','.join(header)!r}", f"a header with {PATH},{LABEL}", other_separator(header)
            )  # fmt: skip
    known = (PATH, LABEL, *OPTIONAL)
    tree.faults += [unknown(where, name, known, "column") for name in header if name not in known]
    if len(set(header)) < len(header):
        tree.fault(where, f"a column twice in {','.join(header)!r}", "each column once")
    if not lines:
        tree.fault(path, "no images", _FORM)
    return (header, lines) if len(tree.faults) == before else ([], [])


def _problem(tree: Tree, row: dict[str, str], surplus: int) -> tuple[str, str] | None:
    """What is wrong with one line, and what is expected."""
    if surplus:
        return "another number of fields than the header", "one field a column"
    empty = [name for name in (PATH, LABEL, *OPTIONAL[1:]) if row.get(name) == ""]
    if empty:
        return f"empty {', '.join(empty)}", "a value in each line, or no such column"
    if plain(row[LABEL]) not in LABELS:
        return f"label {row[LABEL]!r}", "bonafide or attack"
    if "split" in row and role(tree, row["split"]) is None:
        return f"split {row['split']!r}", f"one of {', '.join(SPLITS)}"
    label = LABELS[plain(row[LABEL])]
    if "attack" in row and kind_of(label, row["attack"]) is None:
        allowed = f"empty or {BONA_FIDE}" if label else "the name of the attack"
        return f"attack {row['attack']!r} with label {row[LABEL]!r}", f"{allowed} where the label is {row[LABEL]}"
    names = ([] if label else [row.get("attack")]) + [row.get("domain")]
    return next((fault for name in names if name is not None and (fault := misnamed(name))), None)


@cache
def misnamed(name: str) -> tuple[str, str] | None:
    """What is wrong with an attack or domain whose name no metric can carry, and what is expected."""
    faults = part_faults("", [name])
    return (faults[0].found, faults[0].expected) if faults else None
