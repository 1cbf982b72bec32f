"""The same few pictures as tars and as tables, and what a reader made of them: image bytes -> class name, by split."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from gelo.models.faults import Fault
from gelo.tasks.prepare.layout import Asked, Layout
from gelo.tasks.prepare.tree import Tree

CLASSES = ("red", "green", "blue cat", "été")
Sample = tuple[bytes, str]  # image and class name
Meant = dict[str, dict[bytes, str]]


@cache
def image(number: int) -> bytes:
    """A PNG of its own content."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def samples(first: int, count: int) -> list[Sample]:
    """Pictures of all classes in turn."""
    return [(image(first + n), CLASSES[n % len(CLASSES)]) for n in range(count)]


def read(reader: Callable[[Tree], Layout], root: Path, **asked: object) -> tuple[Layout, str]:
    """What a reader understands, and all of its faults as text."""
    tree = Tree(root, asked=Asked(**asked))  # type: ignore[arg-type]
    layout = reader(tree)
    return layout, said(tree.faults)


def said(faults: Iterable[Fault]) -> str:
    return "\n".join(map(str, faults))


def meant(layout: Layout) -> Meant:
    """Image bytes -> class name by split; ids are unique."""
    items = {split: list(items) for split, items in layout.splits.items()}
    ids = [item.id for some in items.values() for item in some]
    assert len(ids) == len(set(ids))
    return {split: {item.load(): layout.classes[item.label] for item in some} for split, some in items.items()}


def write_tar(path: Path, members: Sequence[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
