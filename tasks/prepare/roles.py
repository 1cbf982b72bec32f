"""Which split each row of a table is of: by a column, else by the name of table or folder, else by the folders of its images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from gelo.models.faults import unknown
from gelo.tasks.prepare.chosen import Chosen, is_split_if, is_split_name
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.formats.tables import Table
from gelo.tasks.prepare.rows import mapped
from gelo.tasks.prepare.splits import is_role, role_of, say_splits, settle
from gelo.tasks.prepare.tree import Tree

_IN_ONE = "a split for each image"
_HOW = "say it in a column called split"


def check_given(tree: Tree, names: Iterable[str]) -> None:
    """A fault for each split that the user speaks of and that neither the set has nor its folder is called."""
    known = {name for name in names if name}
    own = tree.root.resolve().name
    tree.faults += [unknown("--split", name, known, "split") for name in tree.asked.splits if name not in (*known, own)]


def split_column(tree: Tree, table: Table, chosen: Chosen, rows: pa.Table) -> str:
    """The column that says the split: one called so, else the only one of the others whose values do; "" without one."""
    given = tree.asked.splits
    texts = {name: rows[name].drop_null().unique().to_pylist() for name in chosen.splits}
    telling = [
        name
        for name, values in texts.items()
        if is_split_name(name)
        or (is_split_if(name) and any(value in given or role_of(value) for value in values))
        or say_splits(values)
    ]
    if len(telling) > 1:
        tree.fault(
            table.path, f"columns {', '.join(telling)} could each say the split", "one", "remove or rename the other"
        )
    return telling[0] if telling else ""


def check_column(tree: Tree, table: Table, column: str, split: str, values: pa.ChunkedArray) -> None:
    """A fault where a table that is called as a split is has rows that say another one."""
    given = tree.asked.splits
    role = given.get(split, role_of(split))
    other = [value for value in values.unique().to_pylist() if given.get(value, role_of(value)) != role]
    if role is not None and other:
        found = f"column {column} says {told(other, len(other))} in a table called {split}"
        tree.fault(table.path, found, "the same split in both", f"rename the column or {split}")


def by_folder(tree: Tree, paths: pa.ChunkedArray, labels: pa.ChunkedArray) -> pa.ChunkedArray:
    """The split of each row by a folder of its image's path; "" where no folder is a split's, nor where that is the name of the class."""
    folders = pc.replace_substring_regex(paths, "/?[^/]*$", "")
    given = tree.asked.splits
    says: dict[str, str] = {}
    for folder in folders.unique().to_pylist():
        here = [part for part in PurePosixPath(folder).parts if part in given or is_role(part)]
        says[folder] = here[0] if len({given.get(part, role_of(part)) for part in here}) == 1 else "/".join(here)
    splits = mapped(folders, says)
    some = pc.not_equal(splits, "")
    classes = pc.all(pc.equal(splits.filter(some), labels.filter(some))).as_py()  # of vehicles, one a train
    return mapped(folders, dict.fromkeys(says, "")) if classes and not pc.all(some).as_py() else splits


def roles_of(tree: Tree, rows: pa.Table, flags: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The role of each split's name, "" among them where nothing says a split; and what a user should know.

    flags: columns that say by yes and no which rows are of a split. Faults: those of `settle`, rows that nothing says the split of where it
    is said of others, and flags that alone say it.
    """
    names = [name for name in rows["split"].unique().to_pylist() if name]
    bare = pc.sum(pc.equal(rows["split"], "")).as_py()
    if names and bare:
        found = f"{bare:,} of {len(rows):,} images lie in no folder called as a split, the others in {told(names, len(names))}"
        tree.fault(tree.root, found, _IN_ONE, _HOW)
    if names:
        return settle(names, tree.asked.splits, str(tree.root), tree.faults), ()
    if flags:
        tree.fault(
            tree.root,
            f"columns {told(flags, len(flags))} say by yes and no which rows are of a split",
            _IN_ONE,
            f"{_HOW}, as train or test",
        )
    own = tree.root.resolve().name
    if own in tree.asked.splits or is_role(own):
        return {"": tree.asked.splits.get(own, role_of(own) or "")}, (f"the split is that of the folder, {own}",)
    return {"": "test"}, ("no column, file or folder says train or test: all images are taken for test",)
