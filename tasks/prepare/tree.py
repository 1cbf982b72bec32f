"""An official download as a publisher unpacked it: files looked up below one root, every fault collected.

Decisions: own readers instead of torchvision's, which stop at the first fault, refuse partial trees by MD5, sort by file system where
the order matters (SUN397), and unpickle CIFAR; the tests compare ours with theirs image by image.
"""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from gelo.models.faults import Fault, pass_interrupt
from gelo.models.words import legible
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.scorefiles.textfile import NotTextError, read_lines
from numpy.typing import NDArray
from PIL import Image

IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".webp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Item:
    """One image to be: its id (unique in the data set), label from 0, where it lies (for messages) and how its bytes are had.

    columns: protocol columns, names from `tasks.data.records.PROTOCOL_COLUMNS`.
    """

    id: str
    label: int
    where: str
    load: Callable[[], bytes]
    columns: Mapping[str, str | float] = field(default_factory=dict)


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
    notes: what a user should know. prompts: those that came with the set. What was left out stands in the tree.
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


@dataclass
class Tree:
    """The files below `root`. What is missing or odd becomes a Fault in `faults` and an empty answer, so that reading goes on.

    `root`: the folder given by the user, or the publisher's folder inside it (`food-101`), whichever is there. asked: what the user says
    of the files. left: what is no part of the data set, by reason.
    """

    root: Path
    faults: list[Fault] = field(default_factory=list)
    _known: dict[str, bool] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)
    left: dict[str, list[str]] = field(default_factory=dict)

    def below(self, *names: str) -> Tree:
        """The same tree seen from a folder inside, where that exists; faults and what was left out are shared."""
        found = next((self.root / name for name in names if (self.root / name).is_dir()), self.root)
        return replace(self, root=found, _known={})

    def leave(self, path: Path | str, reason: str) -> None:
        """Note that a file or folder is no part of the data set, and why."""
        self.left.setdefault(reason, []).append(legible(str(path)))

    def fault(self, where: Path | str, found: str, expected: str, remedy: str = "") -> None:
        self.faults.append(Fault(str(where), found, expected, remedy))

    def path(self, relative: str, what: str) -> Path | None:
        """A file that must be there and must not lie outside the tree."""
        found = self._file(relative, what)
        return None if found is None else Path(found)

    def _file(self, relative: str, what: str) -> str | None:
        # text paths: this runs once an image, and pathlib would be most of its time
        path = os.path.join(self.root, relative)  # noqa: PTH118
        try:
            mode = os.lstat(path).st_mode
        except (OSError, ValueError):
            mode = 0
        inside = self._inside(os.path.dirname(path))  # noqa: PTH120
        if stat.S_ISLNK(mode):
            inside, mode = inside and self._inside(path), os.stat(path).st_mode if os.path.exists(path) else 0  # noqa: PTH110, PTH116
        if not stat.S_ISREG(mode):
            self.fault(path, "missing", what)
            return None
        if not inside:
            self.fault(path, f"leads out of the tree, to {os.path.realpath(path)}", f"a file below {self.root}")
            return None
        return path

    def lines(self, relative: str, what: str) -> list[str]:
        """The lines of a text file that are not blank, stripped."""
        path = self.path(relative, what)
        if path is None:
            return []
        try:
            return [line.strip() for line in read_lines(path) if line.strip()]
        except NotTextError as error:
            self.fault(path, f"not text ({error})", what, error.remedy)
            return []

    def json(self, relative: str, what: str) -> Any:
        path = self.path(relative, what)
        if path is None:
            return {}
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            self.fault(path, f"not JSON ({error})", what)
            return {}

    def matlab(self, relative: str, what: str) -> dict[str, Any]:
        """A MATLAB 5 file through scipy, which runs nothing that stands in it."""
        from scipy.io import loadmat

        path = self.path(relative, what)
        if path is None:
            return {}
        try:
            loaded: dict[str, Any] = loadmat(path, squeeze_me=True)
        except Exception as error:  # scipy raises whatever a damaged file leads it to
            pass_interrupt(error)
            self.fault(path, f"not a MATLAB file ({error})", what)
            return {}
        return loaded

    def bytes(self, relative: str, what: str, size: int | None = None) -> bytes:
        """A binary file whole, of `size` bytes where that is known; b"" with a fault otherwise."""
        path = self.path(relative, what)
        if path is None:
            return b""
        data = path.read_bytes()
        if size is not None and len(data) != size:
            self.fault(path, f"{len(data)} bytes", f"{size} bytes")
            return b""
        return data

    def image(self, relative: str, label: int) -> Item | None:
        """An image file, its id the path within the tree; None with a fault where it is missing."""
        path = self._file(relative, "an image that the split lists")
        return None if path is None else Item(relative, label, path, partial(read_file, path))

    def walked(self, listed: Iterable[tuple[str, int]]) -> list[Item]:
        """Items of (path, label) that a walk has just seen: nothing is looked up again."""
        root = os.fspath(self.root)
        return [
            Item(relative, label, path := f"{root}/{relative}", partial(read_file, path)) for relative, label in listed
        ]

    def items(self, listed: Iterable[tuple[str, int]]) -> list[Item]:
        """`image` of each (path, label), those that are there."""
        return [item for relative, label in listed if (item := self.image(relative, label)) is not None]

    def files(self, folder: str, suffixes: tuple[str, ...] = IMAGES) -> list[str]:
        """Files of these kinds below a folder, as sorted paths within the tree. Links are not followed into other folders."""
        top = self.root / folder
        if not top.is_dir():
            self.fault(top, "missing", "a folder of images")
            return []
        return sorted(
            f"{'' if inside == '.' else f'{inside}/'}{name}"
            for place, folders, names in os.walk(top)
            for inside in (self._within(place, folders),)
            for name in names
            if name.lower().endswith(suffixes) and not is_litter(name)
        )

    def _within(self, place: str, folders: list[str]) -> str:
        """A walked folder as a path within the tree; what is litter in it is not walked."""
        folders[:] = [name for name in folders if not is_litter(name)]
        return os.path.relpath(place, self.root).replace(os.sep, "/")

    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders directly inside, sorted; litter is passed over."""
        top = self.root / folder
        if not top.is_dir():
            self.fault(top, "missing", "a folder with one folder per class")
            return []
        return sorted(entry.name for entry in top.iterdir() if entry.is_dir() and not is_litter(entry.name))

    def _inside(self, path: str) -> bool:
        """Whether a path, links followed, lies below the root; asked once for each folder."""
        if path not in self._known:
            self._known[path] = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root))
        return self._known[path]


def labels_of(items: Sequence[Item]) -> NDArray[np.int64]:
    """Labels (N,) of the items of a split; a sequence that loads its items one by one has them as an attribute `labels`."""
    known: NDArray[np.int64] | None = getattr(items, "labels", None)
    return np.fromiter((item.label for item in items), np.int64, len(items)) if known is None else known


def read_file(path: str) -> bytes:
    """A file whole."""
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
        return stream.readall()


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
