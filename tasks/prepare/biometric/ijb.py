"""IJB-B, IJB-C and sets in their layout: faces upright, templates of several media, pairs of templates, gallery and probes.

Layout: deepinsight/insightface: recognition/arcface_torch/eval_ijbc.py and evaluation/IJB (1:N). Images are joined by name, where that
script trusts that two files list them in one order. Ids of templates, media and subjects are int64 where all of them are whole numbers,
else strings.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gelo.tasks.prepare.formats.align import POINTS, POINTS_APART, points_of, similarities, upright
from gelo.tasks.prepare.formats.columns import Kind, named, read_columns, read_nothing, told
from gelo.tasks.prepare.image_paths import on_disk
from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.tree import Tree

_MEMBERS = "_face_tid_mid.txt"
_CANONICAL = r"^(0|-?[1-9][0-9]{0,17})$"  # text that says the number and nothing else: 7, not 007


def ijb(tree: Tree, target: str) -> Layout:
    """`ijbb` or `ijbc`: split `test`, its ids the names of the images, turned upright to 112 x 112 by their five points as they are read.

    Tables: `members` (id, template, media, detector_score), `pairs` (template_1, template_2, same) and, where the files of the 1:N
    protocol lie in `meta`, `identification` (template, subject, role: gallery_1, gallery_2 or probe). Labels are free and 0: the files
    name no subject of an image. An image may be in several templates, once in each. Landmarks of images that no template has are not used.
    """
    home = target.upper()
    return _layout(tree.below(home, f"ijb/{home}", f"IJB/{home}", f"IJB_release/{home}", target), target)


def templates(tree: Tree) -> Layout:
    """A user's own set in the layout of `ijb`, its files called `meta/<prefix>_face_tid_mid.txt` and so on."""
    listed = sorted(file.name for file in (tree.root / "meta").glob(f"*{_MEMBERS}"))
    found = [name for name in listed if not is_litter(name)]
    if len(found) != 1:
        tree.fault(tree.root / "meta", told(found, len(found)) or "no such file", f"one file called <prefix>{_MEMBERS}")
        return Layout((), {"test": []})
    return _layout(tree, found[0].removesuffix(_MEMBERS))


def _layout(tree: Tree, prefix: str) -> Layout:
    members, path = _members(tree, prefix)
    shown, items, turns = _images(tree, prefix, members["id"].unique(), path)
    known = members["template"].unique()
    there = members.filter(pc.is_in(members["id"], value_set=shown["id"].combine_chunks()))
    kept = there["template"].unique()
    scores = shown["detector_score"].take(pc.index_in(there["id"], value_set=shown["id"].combine_chunks()))
    tables = {
        "members": there.append_column("detector_score", scores),
        "pairs": _pairs(tree, prefix, known, kept),
    }
    identification = _identification(tree, prefix, known, kept)
    if identification is not None:
        tables["identification"] = identification
    protocols = ("templates", "identification") if identification is not None else ("templates",)
    counts = f"{len(there):,} members in {len(kept):,} templates, {len(tables['pairs']):,} pairs of templates"
    if identification is not None:
        roles = Counter(identification["role"].to_pylist())
        counts += f", {', '.join(f'{n:,} templates of {role}' for role, n in sorted(roles.items()))}"
    return Layout(
        (),
        {"test": upright(items, turns)},
        tables=tables,
        protocols=protocols,
        taken={"test": (f"{prefix}{_MEMBERS}",)},
        notes=(counts,),
    )


def _members(tree: Tree, prefix: str) -> tuple[pa.Table, Path | str]:
    """id, template, media: one row for each image of a template, in the order of the file."""
    columns: dict[str, Kind] = {"id": "text", "template": "text", "media": "text"}
    table, path = _columns(tree, f"{prefix}{_MEMBERS}", columns)
    image, template = (table[name].combine_chunks().dictionary_encode() for name in ("id", "template"))
    both = image.indices.to_numpy().astype(np.int64) * max(len(template.dictionary), 1) + template.indices.to_numpy()
    once = np.zeros(len(both), dtype=bool)
    once[np.unique(both, return_index=True)[1]] = True
    twice = pc.binary_join_element_wise(table["id"], table["template"], " ")
    named(tree.faults, path, twice, ~once, "lines whose image and template stood before", "an image once in a template")
    table = table.filter(pa.array(once))
    return table.set_column(1, "template", _ids(table["template"])).set_column(2, "media", _ids(table["media"])), path


def _images(
    tree: Tree, prefix: str, images: pa.Array, listed: Path | str
) -> tuple[pa.Table, list[Item], NDArray[np.complex128]]:
    """Those of images that have a file, points and a score: id and detector_score, and an item and a similarity for each."""
    columns: dict[str, Kind] = {"id": "text", **dict.fromkeys(POINTS, "number"), "detector_score": "number"}
    table, path = _columns(tree, f"{prefix}_name_5pts_score.txt", columns)
    names, scores = table["id"].combine_chunks(), table["detector_score"].to_numpy()
    points = points_of(table)
    first = pc.index_in(names, value_set=names).to_numpy()  # a file may say an image again for each of its templates
    other = (points != points[first]).any(axis=(1, 2)) | (scores != scores[first])
    named(
        tree.faults,
        path,
        names,
        other,
        "lines that contradict an earlier one of the image",
        "one set of points for each",
    )
    named(tree.faults, path, names, scores < 0, "lines with a negative detector score", "a confidence from 0 up")
    turns = similarities(points)
    lost = np.isnan(turns[:, 0])
    named(tree.faults, path, names, lost, "images with points that fix no similarity", POINTS_APART)
    rows = pc.fill_null(pc.index_in(images, value_set=names), -1).to_numpy()
    if len(names):
        named(tree.faults, listed, images, rows < 0, "images without landmarks", f"a line for each image in {path}")
    usable = np.append(~lost & (scores >= 0), False)[rows]
    items: list[Item | None] = [None] * len(images)
    if (tree.root / "loose_crop").is_dir():
        spelt = on_disk(tree)
        items = [tree.image(spelt(f"loose_crop/{name}"), 0) for name in images.to_pylist()]
    else:
        tree.fault(tree.root / "loose_crop", "missing", "the folder of images")
    usable &= np.array([item is not None for item in items], dtype=bool)
    shown = pa.table({"id": images.filter(pa.array(usable)), "detector_score": scores[rows[usable]]})
    found = [item for item, good in zip(items, usable, strict=True) if good and item is not None]
    ids = shown["id"].to_pylist()
    return (
        shown,
        [Item(name, 0, item.where, item.load) for name, item in zip(ids, found, strict=True)],
        turns[rows[usable]],
    )


def _pairs(tree: Tree, prefix: str, known: pa.Array, kept: pa.Array) -> pa.Table:
    """template_1, template_2, same; without the pairs of templates that are not among those kept."""
    kind: Kind = "whole" if known.type == pa.int64() else "text"
    columns: dict[str, Kind] = {"template_1": kind, "template_2": kind, "same": "flag"}
    table, path = _columns(tree, f"{prefix}_template_pair_label.txt", columns)
    strange = [_strangers(tree, path, table[name], known) for name in ("template_1", "template_2")]
    if not any(strange) and kept.equals(known):
        return table
    whole = pc.and_(*(pc.is_in(table[name], value_set=kept) for name in ("template_1", "template_2")))
    return table.filter(whole)


def _identification(tree: Tree, prefix: str, known: pa.Array, kept: pa.Array) -> pa.Table | None:
    """template, subject, role: one row for each template of the 1:N protocol; None where the tree has none of its files."""
    gallery = "S" if any((tree.root / "meta").glob(f"{prefix}_1N_gallery_S?.csv")) else "G"  # IJB-B says S1, IJB-C G1
    files = {
        "gallery_1": f"{prefix}_1N_gallery_{gallery}1.csv",
        "gallery_2": f"{prefix}_1N_gallery_{gallery}2.csv",
        "probe": f"{prefix}_1N_probe_mixed.csv",
    }
    if not any((tree.root / "meta" / file).exists() for file in files.values()):
        return None
    kind: Kind = "whole" if known.type == pa.int64() else "text"
    columns: dict[str, Kind] = {"TEMPLATE_ID": kind, "SUBJECT_ID": "text"}
    parts = []
    for role, file in files.items():
        table, path = _columns(tree, file, columns, separator=",", header=True)
        _strangers(tree, path, table["TEMPLATE_ID"], known)
        rows = table.group_by(["TEMPLATE_ID", "SUBJECT_ID"], use_threads=False).aggregate(
            []
        )  # the file has a row an image
        parts.append(rows.append_column("role", pa.array([role] * len(rows), pa.string())))
    whole = pa.concat_tables(parts).rename_columns(["template", "subject", "role"]).combine_chunks()
    again = pc.index_in(whole["template"], value_set=whole["template"].combine_chunks()).to_numpy() != np.arange(
        len(whole)
    )
    where = tree.root / "meta" / f"{prefix}_1N_*.csv"
    named(
        tree.faults,
        where,
        whole["template"],
        again,
        "templates with a second subject or role",
        "one subject and role for each",
    )
    whole = whole.filter(pa.array(~again)).set_column(1, "subject", _ids(whole["subject"].filter(pa.array(~again))))
    return whole.filter(pc.is_in(whole["template"], value_set=kept))


def _columns(
    tree: Tree, file: str, columns: dict[str, Kind], *, separator: str = " ", header: bool = False
) -> tuple[pa.Table, Path | str]:
    path = tree.path(f"meta/{file}", f"lines of {separator.join(columns)}")
    if path is None:
        return read_nothing(columns), file
    return read_columns(path, columns, tree.faults, separator=separator, header=header), path


def _strangers(tree: Tree, path: Path | str, column: pa.ChunkedArray, known: pa.Array) -> bool:
    """Whether a column has templates that no image is in; where some are known, a fault names them."""
    names = column.filter(pc.invert(pc.is_in(column, value_set=known))).unique()
    if len(known):
        everyone = np.ones(len(names), dtype=bool)
        named(tree.faults, path, names, everyone, "templates without members", "templates that images are in")
    return len(names) > 0


def _ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of names as int64, where each is a whole number said plainly."""
    plain = pc.all(pc.match_substring_regex(column, _CANONICAL)).as_py()
    return column.cast(pa.int64()) if plain and len(column) else column
