"""An official download as a publisher unpacked it: files looked up below one root, every fault collected.

Decisions: own readers instead of torchvision's, which stop at the first fault, refuse partial trees by MD5, sort by file system where
the order matters (SUN397), and unpickle CIFAR; the tests compare ours with theirs image by image.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from gelo.models.faults import Fault, pass_interrupt
from gelo.models.words import legible
from gelo.tasks.prepare.layout import Asked, Item
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.scorefiles.textfile import NotTextError, read_lines

IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".webp", ".gif", ".tif", ".tiff")


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


def read_file(path: str) -> bytes:
    """A file whole."""
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
        return stream.readall()
