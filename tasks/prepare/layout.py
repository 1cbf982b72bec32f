"""What a reader is asked and what it gives: items, layouts, arrays as items."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from gelo.tasks.data.prompts import Prompts


@dataclass(frozen=True, slots=True)
class Item:
    """One image to be: its id (unique in the data set), label from 0, where it lies (for messages) and how its bytes are had.

    columns: protocol columns, names from `tasks.data.records.PROTOCOL_COLUMNS`. at: see `tasks.data.records.Record`.
    """

    id: str
    label: int
    where: str
    load: Callable[[], bytes]
    columns: Mapping[str, str | float] = field(default_factory=dict)
    at: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user says of files that could be taken for several things: the options of `gelo prepare`.

    splits: a split's name in the source -> train, val, test, or "" to leave it out. image, label: columns. config: one of several
    configurations of a hub's repository. classes: names of labels, in the order of their numbers or by number or folder.
    """

    splits: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    label: str = ""
    config: str = ""
    classes: Sequence[str] | Mapping[str, str] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """What a reader understood: class names in label order, as prompts say them, and the items of each split in a fixed order.

    classes: () where labels are free. columns: the protocol columns that every item has. tables: protocol tables by name (`pairs`,
    `members`, ...). protocols: what a set of a user's own is scored with (names of `tasks.protocols.PROTOCOLS`); the catalogue says it
    of the known ones. numbered: ids are running numbers, so nobody has to remember them all to see that each is there once.

    evidence: what says which classes there are and in which order. unnamed: why the classes have no names that a prompt could ask for.
    used: the source's column of each role. taken: the source's names of each split. stated: images by split, as the set says it has them.
    notes: what a user should know. prompts: those that came with the set. held: the one file that all
    images lie in, where they may stay. What was left out stands in the tree.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, Sequence[Item]]
    columns: tuple[str, ...] = ()
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    protocols: tuple[str, ...] = ()
    numbered: bool = False
    evidence: str = ""
    unnamed: str = ""
    used: Mapping[str, str] = field(default_factory=dict)
    taken: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stated: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    prompts: Prompts | None = None
    held: Path | None = None


def labels_of(items: Sequence[Item]) -> NDArray[np.int64]:
    """Labels (N,) of the items of a split; a sequence that loads its items one by one has them as an attribute `labels`."""
    known: NDArray[np.int64] | None = getattr(items, "labels", None)
    return np.fromiter((item.label for item in items), np.int64, len(items)) if known is None else known


def png(pixels: NDArray[np.uint8]) -> bytes:
    """An array without a file format, (H, W) or (H, W, 3), as PNG: nothing is lost."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def arrays(split: str, images: NDArray[np.uint8], labels: NDArray[np.integer], where: str) -> list[Item]:
    """Items of a stack of images, (N, H, W) or (N, H, W, 3), with ids `<split>/00000`."""
    return [
        Item(f"{split}/{row:05d}", int(label), f"{where} row {row}", lambda row=row: png(images[row]))  # type: ignore[misc]
        for row, label in enumerate(labels)
    ]
