"""Sets that come as arrays without a file format: each image becomes a PNG of the same pixels."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.data.bounded import gunzipped
from gelo.tasks.prepare.formats.safe_pickle import SafePickleError, load_plain
from gelo.tasks.prepare.layout import Item, Layout, arrays
from gelo.tasks.prepare.names import names_of
from gelo.tasks.prepare.tree import Tree

STL10_SIDE = 96
IDX_IMAGES, IDX_LABELS = 2051, 2049  # magic numbers of the IDX files


def cifar10(tree: Tree) -> Layout:
    """cifar-10-batches-py: five training batches and one for test, dictionaries pickled by Python 2."""
    return _cifar(
        tree.below("cifar-10-batches-py"), [f"data_batch_{n}" for n in range(1, 6)], ["test_batch"], "batches.meta",
        "labels", "label_names",
    )  # fmt: skip


def cifar100(tree: Tree) -> Layout:
    """cifar-100-python: `train`, `test` and `meta`, fine labels."""
    return _cifar(tree.below("cifar-100-python"), ["train"], ["test"], "meta", "fine_labels", "fine_label_names")


def mnist(tree: Tree) -> Layout:
    """MNIST/raw: IDX files, as they are or gzipped."""
    tree = tree.below("MNIST/raw", "raw")
    splits: dict[str, list[Item]] = {}
    for split, stem in (("train", "train"), ("test", "t10k")):
        images = _idx(tree, f"{stem}-images-idx3-ubyte", IDX_IMAGES)
        labels = _idx(tree, f"{stem}-labels-idx1-ubyte", IDX_LABELS)
        if len(images) != len(labels):
            tree.fault(tree.root, f"{split}: {len(images)} images, {len(labels)} labels", "as many labels as images")
        splits[split] = arrays(split, images, labels[: len(images)], f"{stem}-images-idx3-ubyte")
    return Layout(names_of("mnist"), splits, evidence="the digits of the label files")


def stl10(tree: Tree) -> Layout:
    """stl10_binary: (3, 96, 96) bytes an image, columns first; labels from 1."""
    tree = tree.below("stl10_binary")
    classes = tuple(tree.lines("class_names.txt", "the ten class names of STL-10"))
    splits: dict[str, list[Item]] = {}
    for split in ("train", "test"):
        labels = np.frombuffer(tree.bytes(f"{split}_y.bin", "labels from 1, one byte each"), np.uint8)
        size = len(labels) * 3 * STL10_SIDE**2
        raw = np.frombuffer(tree.bytes(f"{split}_X.bin", "images of 3 x 96 x 96 bytes", size), np.uint8)
        images = raw.reshape(-1, 3, STL10_SIDE, STL10_SIDE).transpose(0, 3, 2, 1)
        splits[split] = arrays(split, images, labels[: len(images)].astype(np.int64) - 1, f"{split}_X.bin")
    return Layout(classes, splits, evidence="class_names.txt")


def _cifar(tree: Tree, train: list[str], test: list[str], meta: str, key: str, names_key: str) -> Layout:
    names = _pickled(tree, meta).get(names_key, [])
    splits = {}
    for split, files in (("train", train), ("test", test)):
        stacks, labels = [np.empty((0, 32, 32, 3), np.uint8)], []
        for file in files:
            batch = _pickled(tree, file)
            data, given = batch.get("data"), batch.get(key)
            if not batch:
                continue
            if not (
                isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.ndim == 2 and data.shape[1] == 3072
            ):
                tree.fault(tree.root / file, "other content", "data: uint8 (N, 3072)")
                continue
            if not isinstance(given, list) or len(given) != len(data) or not all(isinstance(n, int) for n in given):
                tree.fault(
                    tree.root / file, f"no {key} for its {len(data)} images", f"{key}: a list of as many numbers"
                )
                continue
            stacks.append(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            labels += given
        splits[split] = arrays(split, np.concatenate(stacks), np.array(labels, np.int64), str(tree.root))
    return Layout(tuple(str(name).replace("_", " ") for name in names), splits, evidence=f"{names_key} of {meta}")


def _pickled(tree: Tree, file: str) -> dict[str, Any]:
    data = tree.bytes(file, "a dictionary pickled by Python 2")
    if not data:
        return {}
    try:
        loaded = load_plain(data)
    except SafePickleError as error:
        tree.fault(tree.root / file, str(error), "a pickle of plain values and uint8 arrays", "download it again")
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _idx(tree: Tree, stem: str, magic: int) -> NDArray[np.uint8]:
    packed = not (tree.root / stem).is_file() and (tree.root / f"{stem}.gz").is_file()
    data = tree.bytes(f"{stem}.gz" if packed else stem, "an IDX file of MNIST")
    where = tree.root / stem
    try:
        data = gunzipped(data) if packed and data else data
    except (OSError, EOFError) as error:
        tree.fault(where, f"not gzip ({error})", "an IDX file of MNIST")
        data = b""
    ranks = 3 if magic == IDX_IMAGES else 1
    empty = np.empty((0, 28, 28)[:ranks], np.uint8)
    if not data:
        return empty
    head = 4 + 4 * ranks
    found, *shape = struct.unpack(f">{1 + ranks}I", data[:head]) if len(data) >= head else (0,)
    if found != magic or int(np.prod(shape, dtype=object)) != len(data) - head:
        tree.fault(where, f"magic {found}, {len(data)} bytes", f"magic {magic} and as many bytes as its header says")
        return empty
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)
