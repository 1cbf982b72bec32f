"""What a partial set's tables lose with its images: no row may name an image that is not there, nor a template without images."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

IDS = ("id", "id_1", "id_2")
TEMPLATES = ("template", "template_1", "template_2")


def without(tables: Mapping[str, pa.Table], lost: set[str]) -> dict[str, pa.Table]:
    """`tables` less the rows that name one of the images `lost`, and less those of templates that lost all of theirs."""
    if not lost:
        return dict(tables)
    gone = pa.array(sorted(lost), pa.string())
    kept = {name: _drop(table, IDS, gone) for name, table in tables.items()}
    if "members" not in kept:
        return kept
    left = kept["members"]["template"]
    before = tables["members"]["template"]
    bare = before.filter(pc.invert(pc.is_in(before, value_set=left.combine_chunks()))).unique()
    return {name: _drop(table, TEMPLATES, bare) for name, table in kept.items()}


def _drop(table: pa.Table, columns: tuple[str, ...], gone: pa.Array) -> pa.Table:
    for column in columns:
        if column in table.column_names:
            table = table.filter(pc.invert(pc.is_in(table[column], value_set=gone)))
    return table
