"""Which files of a tree the paths in a table mean: looked up in one walk of the tree, whatever the suffix or folder that they leave out."""

from __future__ import annotations

import posixpath
import unicodedata
from dataclasses import replace
from itertools import product
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.image_paths import locator
from gelo.tasks.prepare.rows import mapped
from gelo.tasks.prepare.tree import Tree
from gelo.tasks.prepare.walked import IS_IMAGE, Files

_SPREAD = 64  # rows by which it is found out what paths are relative to
MISSING = "a file for each row"
_OWN = "[^/]*$"  # a file's own name in its path
_SUFFIX = r"\.[^./]*$"


def place(tree: Tree, file: str, written: pa.ChunkedArray, files: Files) -> tuple[pa.ChunkedArray, tuple[str, ...]]:
    """The place in `files` of each image written in the table `file`, null where it has none; and what a user should know of it.

    Tried in this order: `tasks.prepare.image_paths.locator`; files whose path ends as written, with or without a suffix, below a folder
    called
    as the table is, the table's own, or the root. Faults: rows without a file, rows that several files fit, files outside the tree.
    """
    if not len(written):
        return written.cast(pa.int32()), ()
    names = _windows(written)
    scratch = replace(tree, faults=[])
    rows = _prefixed(scratch, file, names)
    if rows is not None:
        return _told(tree, file, rows, pc.index_in(rows, value_set=files.plain), files), ()
    unsure = any("may be" in fault.found for fault in scratch.faults)
    ended = None if unsure else _by_end(tree, file, names, files)
    if ended is None:
        tree.faults += scratch.faults
        return pa.chunked_array([pa.nulls(len(written), pa.int32())]), ()
    return ended


def _windows(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """In composed Unicode; backslashes, where there is no slash, are slashes."""
    names = pa.chunked_array([_composed(chunk) for chunk in names.chunks], pa.string())
    if pc.any(pc.match_substring(names, "\\")).as_py() and not pc.any(pc.match_substring(names, "/")).as_py():
        names = pc.replace_substring(names, "\\", "/")
    return names


def _composed(names: pa.Array) -> pa.Array:
    """Not by Arrow, whose utf8_normalize takes `NFC` and takes letters apart all the same (25.0.1)."""
    if pc.all(pc.string_is_ascii(names)).as_py() is not False:
        return names
    return pa.array([unicodedata.normalize("NFC", name) for name in names.to_pylist()], pa.string())


def _prefixed(tree: Tree, file: str, names: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Paths within the tree by `locator`, which is asked once for each folder; None where it finds no image."""
    first: dict[str, str] = {}
    for chunk in names.chunks:
        folders = pc.replace_substring_regex(chunk, _OWN, "")
        new = folders.unique()
        for folder, path in zip(
            new.to_pylist(), chunk.take(pc.index_in(new, value_set=folders)).to_pylist(), strict=True
        ):
            first.setdefault(folder, path)
    spread = names.take(pa.array(range(0, len(names), max(1, len(names) // _SPREAD))))
    locate = locator(tree, file, tree.root / file, [*spread.to_pylist(), *first.values()])
    if locate is None:
        return None
    within = {folder: locate(f"{folder}_").removesuffix("_") for folder in first}
    rows = []
    for chunk in names.chunks:
        folders = pc.replace_substring_regex(chunk, _OWN, "").dictionary_encode()
        places = pa.array([within[folder] for folder in folders.dictionary.to_pylist()], pa.string())
        rows.append(
            pc.binary_join_element_wise(places.take(folders.indices), pc.replace_substring_regex(chunk, "^.*/", ""), "")
        )
    return pa.chunked_array(rows)


def _by_end(
    tree: Tree, file: str, names: pa.ChunkedArray, files: Files
) -> tuple[pa.ChunkedArray, tuple[str, ...]] | None:
    """Places in `files` of those whose path ends as each name, null with a fault where none or several do; None where no file does."""
    names = pc.replace_substring_regex(names, r"^(\./|/)+", "")
    shared = posixpath.commonpath(pc.replace_substring_regex(names, "/?[^/]*$", "").unique().to_pylist())
    short = pc.utf8_slice_codeunits(names, len(shared) + 1) if shared else names
    scopes = dict.fromkeys((f"{PurePosixPath(file).with_suffix('')}/", f"{posixpath.dirname(file)}/".lstrip("/"), ""))
    best, most = None, 0
    for tried, scope, bare in product((names, short) if shared else (names,), scopes, (False, True)):
        places, many = _ends(tried, files.plain, scope, bare)
        if len(places) - places.null_count > most:
            best, most = (places, many, bare), len(places) - places.null_count
    if best is None:
        return None
    places, many, bare = best
    where = tree.root / file
    unsure, gone = names.filter(many).unique().to_pylist(), names.filter(pc.is_null(places)).unique().to_pylist()
    fault_each(
        tree,
        where,
        unsure,
        "images that several files fit",
        "one file for each row",
        "write its path, folder and suffix",
    )
    fault_each(tree, where, gone, "images are missing", MISSING)
    places = pc.if_else(many, None, places)
    at = pc.index(pc.is_valid(places), True).as_py()
    example = (
        f"{names[at].as_py()} is taken for {files.plain[places[at].as_py()].as_py()}" if at >= 0 else "none is sure"
    )
    return places, (f"{file} has paths without {'suffix' if bare else 'their folders'}: {example}",)


def _ends(
    names: pa.ChunkedArray, files: pa.ChunkedArray, scope: str, bare: bool
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """(N,) the place in `files` of the one below `scope` that ends as the name does, and whether several do. bare: without its suffix."""
    inside = pc.starts_with(files, scope)
    if bare:
        inside = pc.and_(inside, pc.match_substring_regex(files, IS_IMAGE))
        files = pc.replace_substring_regex(files, _SUFFIX, "")
    depths = pc.count_substring(names, "/")
    places = pa.chunked_array([pa.nulls(len(names), pa.int32())])
    many = pa.chunked_array([pa.repeat(pa.scalar(False), len(names))])
    for depth in depths.unique().to_pylist():
        rows = pc.equal(depths, depth)
        ends = pc.replace_substring_regex(files, rf"^(?:.*/)?((?:[^/]*/){{{min(depth, 64)}}}[^/]*)$", r"\1")
        ends = pc.if_else(pc.and_(inside, pc.greater_equal(pc.count_substring(files, "/"), depth)), ends, None)
        counts = pc.value_counts(ends.drop_null())
        several = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        places = pc.if_else(rows, pc.index_in(names, value_set=ends), places)
        many = pc.if_else(rows, pc.is_in(names, value_set=several), many)
    return places, many


def _told(tree: Tree, file: str, rows: pa.ChunkedArray, places: pa.ChunkedArray, files: Files) -> pa.ChunkedArray:
    """`places`, with what the walk passed over and is there all the same; faults for what is not."""
    if not places.null_count:
        return places
    absent = rows.filter(pc.is_null(places)).unique().to_pylist()
    again = replace(tree, faults=[])
    there = {path: files.add(path) for path in absent if again.image(path, 0) is not None}
    outside = [fault.where for fault in again.faults if fault.found != "missing"]
    gone = [path for path in absent if path not in there and str(tree.root / path) not in set(outside)]
    fault_each(tree, tree.root / file, outside, "images lead out of the tree", f"files below {tree.root}")
    fault_each(tree, tree.root / file, gone, "images are missing", MISSING)
    return pc.coalesce(places, mapped(rows, there)) if there else places
