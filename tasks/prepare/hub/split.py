"""A column of a hub's set that says the split of each row: a file of several splits, or of another than it is taken for, is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from gelo.tasks.prepare.chosen import is_split_if, is_split_name
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.hub.files import DAMAGED, Opened
from gelo.tasks.prepare.hub.rows import Source
from gelo.tasks.prepare.hub.types import stored
from gelo.tasks.prepare.splits import role_of, say_splits
from gelo.tasks.prepare.tree import Tree

_FEW = 32  # different values above which a column is no split


def of_one_split(tree: Tree, sources: Sequence[Source], roles: Mapping[str, str], but: Sequence[str]) -> bool:
    """Whether each file holds rows of its own split alone; False with a fault for each that does not.

    but: the columns of images and labels. A single split that `--split` says otherwise is the user's word.
    """
    before = len(tree.faults)
    for source in sources:
        for name in source.opened.schema.names:
            if name in but or source.opened.schema.names.count(name) > 1:
                continue
            values = _values(source.opened, name)
            named = is_split_name(name) or is_split_if(name)
            if not (say_splits(values) or (named and any(map(role_of, values)))):
                continue
            said = {role_of(value) for value in values}
            own = roles.get(source.split)
            if said != {own} and not (len(said) == 1 and source.split in tree.asked.splits):
                found = f"column {name} says {told(values, len(values))} of rows that are taken for {own}"
                tree.fault(
                    source.opened.path,
                    found,
                    "a file of one split",
                    "write a file for each split, called as it is, such as train.parquet and test.parquet",
                )
    return len(tree.faults) == before


def _values(opened: Opened, name: str) -> list[str]:
    """The texts of a column, () where it has none or many."""
    kind = stored(opened.schema.field(name).type)
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return []
    found: dict[str, None] = {}
    try:
        for batch in opened.batches(name):
            found |= dict.fromkeys(batch.drop_null().unique().to_pylist())
            if len(found) > _FEW:
                return []
    except DAMAGED:  # a column that nobody needs
        return []
    return [str(value) for value in found]
