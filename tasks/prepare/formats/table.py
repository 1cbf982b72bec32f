"""Images and labels as a table lists them: CSV, JSON lines or Parquet of `path,label[,split]`, and Hugging Face's imagefolder metadata.

Form of the latter: huggingface/datasets: src/datasets/packaged_modules/folder_based_builder/folder_based_builder.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gelo.tasks.prepare.chosen import Chosen, choose, flags
from gelo.tasks.prepare.classes import named
from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.formats.tables import LINE, Table, open_table
from gelo.tasks.prepare.labels import values_of
from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.listings import Listing, find_listings
from gelo.tasks.prepare.placed import place
from gelo.tasks.prepare.roles import by_folder, check_column, check_given, roles_of, split_column
from gelo.tasks.prepare.rows import Rows, mapped
from gelo.tasks.prepare.splits import ROLES
from gelo.tasks.prepare.tree import Tree, read_file
from gelo.tasks.prepare.walked import Files, files_of, leave_unlisted

LEFT = "of a split that was left out"
_SCHEMA = pa.schema({"place": pa.int32(), "label": pa.string(), "split": pa.string(), "group": pa.string()})


@dataclass(frozen=True, slots=True)
class _Read:
    """What was understood of one file. rows: of `_SCHEMA`, the image's place in `Files`, and split "" where nothing says it.

    names: of a ClassLabel column. flags: columns that say by yes and no which rows are of a split.
    """

    file: str
    rows: pa.Table
    chosen: Chosen
    names: tuple[str, ...]
    notes: tuple[str, ...]
    flags: tuple[str, ...]


def table(tree: Tree) -> Layout:
    """Images by the paths of a column, labels by another, splits by a third, else by what the table, its folder or the images' are called.
    A column `group` is kept, for worst-group accuracy.

    Ids are paths within the tree. Faults: columns that nobody can tell, rows without an image or a label, images that are missing or listed
    twice, splits that nothing tells, labels that differ in kind from file to file.
    """
    files = files_of(tree)
    listings = find_listings(tree, files)
    parts = [part for listing in listings for part in _listing(tree, listing, files)]
    rows = pa.concat_tables([_SCHEMA.empty_table(), *(part.rows for part in parts)])
    if not len(rows):
        return Layout((), {})
    flags = dict.fromkeys(name for part in parts for name in part.flags)
    roles, notes = roles_of(tree, rows, list(flags))
    check_given(tree, [*rows["split"].unique().to_pylist(), *(one.split for one in listings)])
    leave_unlisted(tree, files, rows["place"])
    parts = [replace(part, rows=_kept(tree, files, part.rows, roles)) for part in parts]
    where = tree.root / parts[0].file if len(parts) == 1 else tree.root
    rows = _once(tree, where, files, pa.concat_tables(part.rows for part in parts))
    return _layout(tree, files, parts, rows, roles, notes)


def _listing(tree: Tree, listing: Listing, files: Files) -> list[_Read]:
    read = []
    for file in listing.files:
        if tree.asked.splits.get(listing.split) == "":
            tree.leave(file, LEFT)
            continue
        opened = open_table(tree, file)
        before = len(tree.faults)
        chosen = choose(tree, opened) if opened is not None else None
        if listing.optional:
            tree.faults[before:] = [
                replace(fault, remedy=f"{fault.remedy}; {listing.optional}") for fault in tree.faults[before:]
            ]
        if opened is not None and chosen is not None:
            read.append(_rows(tree, file, opened, chosen, listing.split, files))
    return read


def _rows(tree: Tree, file: str, opened: Table, chosen: Chosen, split: str, files: Files) -> _Read:
    asked = dict.fromkeys([chosen.image, chosen.label, *chosen.splits, *([chosen.group] if chosen.group else [])])
    rows = opened.read(list(asked))
    column = split_column(tree, opened, chosen, rows)
    group = "" if chosen.group == column else chosen.group
    for name in (chosen.image, chosen.label, *([column] if column else [])):
        bare = rows.filter(pc.is_null(rows[name]))[LINE].to_pylist()
        fault_each(tree, opened.path, bare, f"lines without {name}", f"{name} in each row")
        rows = rows.filter(pc.is_valid(rows[name]))
    found, notes = place(tree, file, rows[chosen.image], files)
    splits = rows[column] if column else pa.repeat(pa.scalar(split), len(rows))
    groups = pc.fill_null(rows[group], "") if group else pa.repeat(pa.scalar(""), len(rows))
    made = pa.table(dict(zip(_SCHEMA.names, (found, rows[chosen.label], splits, groups), strict=True)), _SCHEMA)
    made = made.filter(pc.is_valid(made["place"]))
    if column and split:
        check_column(tree, opened, column, split, made["split"])
    elif not column and not split:
        made = made.set_column(2, "split", by_folder(tree, files.paths(made["place"]), made["label"]))
    chosen = Chosen(chosen.image, chosen.label, (column,) if column else (), group)
    return _Read(file, made, chosen, opened.names.get(chosen.label, ()), notes, tuple(flags(opened)))


def _kept(tree: Tree, files: Files, rows: pa.Table, roles: dict[str, str]) -> pa.Table:
    """The rows of train, val and test, with that as their role; what the user left out is noted."""
    rows = rows.append_column("role", mapped(rows["split"], roles))
    for path in files.paths(rows["place"].filter(pc.equal(rows["role"], ""))).to_pylist():
        tree.leave(path, LEFT)
    return rows.filter(pc.is_in(rows["role"], value_set=pa.array(ROLES)))


def _once(tree: Tree, where: Path, files: Files, rows: pa.Table) -> pa.Table:
    """Each image once: those listed with two labels or for two splits are taken out, the others keep their first row; faults say all."""
    counts = np.bincount(rows["place"].to_numpy())
    if counts.max(initial=0) < 2:
        return rows
    among = rows.filter(pc.is_in(rows["place"], value_set=pa.array(np.flatnonzero(counts > 1), pa.int32())))
    said = among.group_by("place").aggregate([("label", "distinct"), ("role", "distinct")])
    said = said.append_column("path", files.paths(said["place"]))
    many = {name: pc.greater(pc.list_value_length(said[f"{name}_distinct"]), 1) for name in ("label", "role")}
    for name, what in (("label", "labels"), ("role", "splits")):
        some = said.filter(many[name])
        pairs = zip(some["path"].to_pylist(), some[f"{name}_distinct"].to_pylist(), strict=True)
        shown = [f"{path} ({', '.join(sorted(values))})" for path, values in pairs]
        fault_each(tree, where, shown, f"images are listed with two {what}", f"one of the {what} for an image")
    torn = pc.or_(many["label"], many["role"])
    fault_each(
        tree, where, said.filter(pc.invert(torn))["path"].to_pylist(), "images are listed twice", "each image once"
    )
    rows = rows.take(pa.array(np.sort(np.unique(rows["place"].to_numpy(), return_index=True)[1])))
    return rows.filter(pc.invert(pc.is_in(rows["place"], value_set=said["place"].filter(torn))))


def _layout(
    tree: Tree, files: Files, parts: list[_Read], rows: pa.Table, roles: dict[str, str], notes: tuple[str, ...]
) -> Layout:
    texts = {part.file: part.rows["label"].unique().to_pylist() for part in parts if len(part.rows)}
    values = values_of(tree, texts)
    own = {part.names for part in parts if part.names}
    if len(own) > 1:
        tree.fault(tree.root, "tables with different class names in their schemas", "the same names in the same order")
    labels = ", ".join(dict.fromkeys(part.chosen.label for part in parts))
    source = f"{'ClassLabel of ' if own else ''}column {labels} of {', '.join(texts)}"
    classes = named(tree, values.values(), next(iter(own), ()), source)
    places = {text: classes.place[value] for text, value in values.items() if value in classes.place}
    rows = rows.set_column(1, "label", mapped(rows["label"], places))
    rows = rows.filter(pc.is_valid(rows["label"]))
    item, grouped = partial(_item, str(tree.root), files), any(part.chosen.group for part in parts)
    kept = ["place", "label", *(["group"] if grouped else [])]
    splits = {role: rows.filter(pc.equal(rows["role"], role)).select(kept) for role in ROLES}
    columns = ", ".join(dict.fromkeys(name for part in parts for name in part.chosen.splits))
    return Layout(
        classes.classes,
        {role: Rows(table, item) for role, table in splits.items() if len(table)},
        columns=("group",) if grouped else (),
        numbered=True,
        evidence=classes.evidence,
        unnamed=classes.unnamed,
        used={"image": ", ".join(dict.fromkeys(part.chosen.image for part in parts)), "label": labels}
        | ({"split": columns} if columns else {})
        | ({"group": next(part.chosen.group for part in parts if part.chosen.group)} if grouped else {}),
        taken={
            role: names for role in splits if (names := tuple(name for name in roles if name and roles[name] == role))
        },
        notes=(*notes, *(note for part in parts for note in part.notes)),
    )


def _item(root: str, files: Files, place: int, label: int, group: str | None = None) -> Item:
    path = files.path(place)
    columns = {} if group is None else {"group": group}
    return Item(path, label, f"{root}/{path}", partial(read_file, f"{root}/{path}"), columns)
