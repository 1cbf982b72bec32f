"""Pairs of faces in insightface's form: one `<name>.bin`, the pickle of (list of 2P encoded images, list of P booleans).

Pair i is images 2i and 2i + 1 (deepinsight/insightface: recognition/arcface_torch/eval/verification.py). Images are the bytes of a file,
as Python 2 or 3 pickles them, or the uint8 array that OpenCV's encoder returns.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.tasks.prepare.formats.safe_pickle import SafePickleError, load_plain
from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.tree import Tree

FOLDS = 10
_FORM = "a pickle of (list of 2P encoded images, list of P booleans)"
_EMPTY = Layout((), {}, protocols=("verification",))


def verification(tree: Tree, name: str) -> Layout:
    """`<name>.bin` in the folder or in one directly inside: split `test` of 2P images, table `pairs`.

    Faults: no or several such files, a pickle that is damaged or asks for more than plain values, another form, labels that do not fit the
    images, fewer than ten pairs, pairs of one kind only (to be had with --allow-partial; their accuracy is undefined and stays absent).
    """
    file = f"{name}.bin"
    found = [place for place in ("", *tree.folders()) if (tree.root / place / file).is_file()]
    if len(found) > 1 and found[0]:
        tree.fault(tree.root, f"{file} in {', '.join(found)}", "one of them", f"--from {tree.root / found[0]}")
        return _EMPTY
    return _read(tree.below(*found), file)


def pairs(tree: Tree) -> Layout:
    """A user's own pairs: the only .bin file in the folder."""
    files = sorted(path.name for path in tree.root.glob("*.bin") if not is_litter(path.name))
    if len(files) != 1:
        tree.fault(
            tree.root, f"{len(files)} .bin files: {', '.join(files[:10])}" if files else "no .bin file", f"one: {_FORM}"
        )
        return _EMPTY
    return _read(tree, files[0])


def _read(tree: Tree, file: str) -> Layout:
    data = tree.bytes(file, f"{_FORM}, from insightface's dataset zoo")
    path = tree.root / file
    if not data:
        if path.is_file():
            tree.fault(path, "empty", _FORM)
        return _EMPTY
    try:
        loaded = load_plain(data)
    except SafePickleError as error:
        tree.fault(path, str(error), _FORM, "download it again, from a source that you trust")
        return _EMPTY
    if not (isinstance(loaded, tuple | list) and len(loaded) == 2 and isinstance(loaded[0], list)):
        tree.fault(path, f"other content: {_shape(loaded)}", _FORM)
        return _EMPTY
    images, same = loaded[0], _labels(loaded[1])
    strays = [row for row, image in enumerate(images) if not _encoded(image)]
    if strays:
        tree.fault(
            path, f"{len(strays)} images are no bytes, first image {strays[0]}: {_shape(images[strays[0]])}", _FORM
        )
    if same is None:
        tree.fault(path, f"labels: {_shape(loaded[1])}", "a list of booleans, or of 0 and 1, one a pair")
    elif len(images) != 2 * len(same):
        tree.fault(path, f"{len(images):,} images, {len(same):,} labels", "two images a label")
    elif len(same) < FOLDS:
        tree.fault(path, f"{len(same)} pairs", f"at least {FOLDS}, one a fold")
    elif not strays:
        if same.all() or not same.any():
            tree.fault(
                path,
                f"all {len(same):,} pairs are of one kind: {bool(same[0])}",
                "pairs of the same and of different persons",
            )
        return _layout(images, same, path)
    return _EMPTY


def _layout(images: list[Any], same: NDArray[np.bool_], where: Path) -> Layout:
    width = max(6, len(str(len(images) - 1)))
    items = [
        Item(f"{row:0{width}d}", 0, f"{where} image {row} (pair {row // 2})", partial(bytes, image))
        for row, image in enumerate(images)
    ]
    ids = pa.array([item.id for item in items], pa.string())
    # scikit-learn's KFold(10, shuffle=False): contiguous, the first P mod 10 folds one pair longer
    sizes = [len(same) // FOLDS + (fold < len(same) % FOLDS) for fold in range(FOLDS)]
    table = pa.table(
        {
            "id_1": ids[::2],
            "id_2": ids[1::2],
            "same": pa.array(same, pa.bool_()),
            "fold": pa.array(np.repeat(np.arange(FOLDS), sizes), pa.int64()),
        }
    )
    return Layout(
        (),
        {"test": items},
        tables={"pairs": table},
        protocols=("verification",),
        numbered=True,
        taken={"test": (where.name,)},
        notes=(f"{len(same):,} pairs in {FOLDS} folds, tenths of {where.name} in its order",),
    )


def _encoded(image: object) -> bool:
    if isinstance(image, np.ndarray):
        return image.dtype == np.uint8 and (image.ndim == 1 or (image.ndim == 2 and image.shape[1] == 1))
    return isinstance(image, bytes | bytearray)


def _labels(given: object) -> NDArray[np.bool_] | None:
    """(P,) booleans; None where they are something else."""
    values = given.tolist() if isinstance(given, np.ndarray) and given.ndim == 1 else given
    if not isinstance(values, list | tuple) or not all(isinstance(n, bool | int) and n in (0, 1) for n in values):
        return None
    return np.array(values, bool)


def _shape(value: object) -> str:
    """What a value is, in a few words."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array of shape {value.shape}"
    if isinstance(value, list | tuple):
        kinds = sorted({type(inner).__name__ for inner in value})
        return f"{type(value).__name__} of {len(value):,} ({', '.join(kinds)})"
    return type(value).__name__
