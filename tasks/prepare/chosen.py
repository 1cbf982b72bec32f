"""Which column of a table is the image, which the label, which the split: by name, or as the user says; never by place or by guess."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from gelo.models.faults import unknown
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.formats.tables import Table
from gelo.tasks.prepare.splits import role_of, say_splits
from gelo.tasks.prepare.tree import IMAGES, Tree

_IMAGE = frozenset(
    f"{what}{how}{many}"
    for what in ("", "image", "img", "photo", "picture", "relative", "rel", "full")
    for how in ("", "path", "file", "filename", "filepath", "name")
    for many in ("", "s")
) - {
    "",
    "s",
    "name",
    "names",
    "relative",
    "rel",
    "full",
    "relatives",
    "fulls",
    "rels",
    "fullname",
    "fullnames",
    "relname",
    "relnames",
}
_IMAGE_ELSE = ("id", "imageid", "imgid", "fileid", "fname")  # taken where nothing of the others is there
_LABEL = frozenset(
    f"{what}{how}{many}"
    for what in ("label", "class", "category", "target", "cls")
    for how in ("", "name", "label", "id", "idx", "index", "text")
    for many in ("", "s")
) | {"y", "classes", "categories"}
_SPLIT = ("split", "splits", "datasplit", "traintestsplit")
_SPLIT_IF = (
    "set",
    "subset",
    "partition",
    "dataset",
    "usage",
    "phase",
    "group",
)  # taken for it where one value is a split's name
_CAPTION = ("text", "caption", "captions", "description", "prompt")
_FLAGS = ({"0", "1"}, {"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
_FIRST = "a first line that names the columns, such as path,label"


@dataclass(frozen=True, slots=True)
class Chosen:
    """splits: columns that may say the split: one, or several of which `tasks.prepare.formats.table` takes the one that names splits.
    group: the column of that name, where there is one and it says neither of the others."""

    image: str
    label: str
    splits: tuple[str, ...]
    group: str = ""


def choose(tree: Tree, table: Table) -> Chosen | None:
    """The columns of one table; None with faults where a role has no column, or several that nobody chose between."""
    asked = tree.asked
    if not asked.image and any(_is_path(name) for name in table.columns):
        line = ",".join(table.columns)
        tree.fault(f"{table.path} line 1", f"an image already: {line[:80]}", _FIRST, "write path,label above it")
        return None
    image = _column(tree, table, asked.image, "--image", _images)
    label = _column(tree, table, asked.label, "--label", _labels)
    if image in table.images:
        tree.fault(
            table.path, f"column {image} holds the images themselves", "paths of images", "--reader datasets reads it"
        )
        return None
    if image is None or label is None:
        return None
    if image == label:
        tree.fault(table.path, f"column {image} as image and as label", "two columns", "--image COLUMN --label COLUMN")
        return None
    splits = [name for name in table.columns if is_split_name(name) and name not in (image, label)]
    if len(splits) > 1:
        tree.fault(
            table.path, f"columns {', '.join(splits)} could each say the split", "one", "remove or rename the other"
        )
    maybe = [
        name
        for name in table.columns
        if name not in (image, label) and (is_split_if(name) or say_splits(_values(table, name)))
    ]
    group = next((name for name in table.columns if plain(name) == "group" and name not in (image, label)), "")
    return Chosen(image, label, tuple(splits[:1] or maybe), group)


def plain(name: str) -> str:
    """`File_Name ` and `fileName` are one name."""
    return re.sub(r"[\s_\-.]", "", name).lower()


def is_split_name(name: str) -> bool:
    """Whether a column of this name can be nothing but the split."""
    return plain(name) in _SPLIT


def is_split_if(name: str) -> bool:
    """Whether a column of this name says the split where one of its values does."""
    return plain(name) in _SPLIT_IF


def flags(table: Table) -> list[str]:
    """Columns that say by yes and no which rows are of a split: `is_train`, `testing`."""
    named = [name for name in table.columns if role_of(name)]
    return [name for name in named if any(set() < _values(table, name) <= pair for pair in _FLAGS)]


def _column(tree: Tree, table: Table, asked: str, option: str, find: Callable[[Table], Sequence[str]]) -> str | None:
    if asked:
        if asked in table.columns:
            return asked
        tree.faults.append(unknown(f"{table.path}: {option}", asked, table.columns, "column"))
        return None
    found = find(table)
    if len(found) == 1:
        return found[0]
    what = option.removeprefix("--")
    if found:
        some = "; ".join(f"{name} ({', '.join(sorted(_values(table, name))[:3])})" for name in found)
        tree.fault(
            table.path,
            f"columns that could each be the {what}: {some}",
            "one",
            f"choose: {' or '.join(f'{option} {name}' for name in found)}",
        )
        return None
    tree.fault(
        table.path, f"no column for the {what} among {told(table.columns, len(table.columns))}", *_instead(table, what)
    )
    return None


def _images(table: Table) -> list[str]:
    found = [name for name in table.columns if plain(name) in _IMAGE or plain(name).endswith("filename")]
    return found or [name for name in table.columns if plain(name) in _IMAGE_ELSE]


def _labels(table: Table) -> list[str]:
    return [name for name in table.columns if plain(name) in _LABEL]


def _instead(table: Table, what: str) -> tuple[str, str]:
    """What is expected in a table that has no such column, and what to do."""
    if what == "image":
        like = [name for name in table.columns if any(_is_path(value) for value in _values(table, name))]
        how = (
            f"--image {like[0]}"
            if like
            else "--image COLUMN; where line 1 is an image already, write path,label above it"
        )
        return "a column called path, image, file_name or the like", how
    ones = [name for name in table.columns if _values(table, name) in ({"0", "1"}, {"0"}, {"1"}, {"0.0", "1.0"})]
    if len(ones) > 1:
        return (
            "one column with the name of the class",
            f"{told(ones, len(ones))} are one column a class: write each row's class into one",
        )
    captions = [name for name in table.columns if plain(name) in _CAPTION]
    if captions:
        return (
            "a column called label or class",
            f"{captions[0]} holds captions, which say no class; --label COLUMN takes a column of class names",
        )
    return "a column called label, class or the like", "--label COLUMN"


def _values(table: Table, name: str) -> set[str]:
    """What stands in the first rows, in lower case."""
    return {str(row.get(name)).strip().lower() for row in table.first if row.get(name) not in (None, "")}


def _is_path(text: str) -> bool:
    return PurePosixPath(text.replace("\\", "/")).suffix.lower() in IMAGES
