"""`Pack`: the encoded images of one split as they are stored, one after the other in one file, at random access.

A training run reads images in an order of its own, an image at a time: from row groups of 128 that is 128 times the reading. A pack is one
sequential copy of the shards (5.8 M faces of 112 pixels: 36 GB; decoded at 224 pixels they would be 873 GB). It lies in the cache, may be
pruned like all that lies there, and is made anew where it is not whole. Images are read with pread, which no thread waits for another in.
"""

from __future__ import annotations

import os
import shutil
import weakref
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock
from numpy.typing import NDArray

from gelo.models.durable import is_done, publish_folder
from gelo.models.faults import Fault, UserError, is_full
from gelo.models.words import bytes_told
from gelo.tasks.data.cache import PACKS, STORED, touch, whole
from gelo.tasks.data.elsewhere import opened
from gelo.tasks.data.manifest import Dataset

IMAGES, OFFSETS = "images.bin", "offsets.npy"


class Pack:
    """`read(row)` -> the bytes of one image, from any thread. In memory are a descriptor and what the system keeps of the offsets."""

    def __init__(self, folder: Path, elsewhere: str = "") -> None:
        """elsewhere: the file that the images stay in; the pack then holds their places in it."""
        self._elsewhere = opened(elsewhere) if elsewhere else None
        self.offsets: NDArray[np.uint64] = np.load(folder / OFFSETS, mmap_mode="r")
        self._path = folder / IMAGES
        self._descriptor = os.open(self._path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def read(self, row: int) -> bytes:
        """Raises OSError where the disk does, or where the file has been cut since it was opened."""
        start, end = int(self.offsets[row]), int(self.offsets[row + 1])
        parts = []
        while start < end:
            part = os.pread(self._descriptor, end - start, start)  # at most 2 GiB at once
            if not part:
                raise OSError(f"{self._path} ends before image {row:,} does")
            parts.append(part)
            start += len(part)
        found = parts[0] if len(parts) == 1 else b"".join(parts)
        return found if self._elsewhere is None else self._elsewhere.image(found)


def place_of(dataset: Dataset, split: str, cache: Path) -> Path:
    """The folder of a pack."""
    return cache / PACKS / STORED / dataset.fingerprint / split


def is_packed(dataset: Dataset, split: str, cache: Path) -> bool:
    """Whether the pack is there, whole; what is cut or another's is removed."""
    folder = place_of(dataset, split, cache)
    if not folder.exists():
        return False
    rows = dataset.card.counts()[split]
    if is_done(folder) and whole(folder / OFFSETS, rows + 1):
        offsets = np.load(folder / OFFSETS, mmap_mode="r")
        images = folder / IMAGES
        if offsets.dtype == np.uint64 and images.is_file() and images.stat().st_size == int(offsets[-1]):
            return True
    shutil.rmtree(folder)
    return False


def bytes_of(dataset: Dataset, split: str) -> int:
    """What a pack takes on disk: no more than the shards, which hold the images and some columns, but for an image that they hold twice."""
    return sum(shard.bytes for shard in dataset.card.splits[split]) + 8 * (dataset.card.counts()[split] + 1)


def packed(dataset: Dataset, split: str, cache: Path, tick: Callable[[int], None] = lambda rows: None) -> Pack:
    """The pack of a split, made first where it is not there: once, however many processes ask for it.

    tick: told of the images as they are copied. Raises UserError for a split that is not there and for a disk that has no room.
    """
    if split not in dataset.card.splits:
        fault = Fault(f"{dataset.name}/{split}", "no such split", f"one of {', '.join(dataset.card.splits)}")
        raise UserError(f"data set {dataset.name}", fault)
    if not is_packed(dataset, split, cache):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".pack-{dataset.fingerprint}-{split}.lock"):
            if not is_packed(dataset, split, cache):
                _make(dataset, split, cache, tick)
    touch(cache, PACKS, STORED, dataset.fingerprint)
    return Pack(place_of(dataset, split, cache), dataset.elsewhere)


def _make(dataset: Dataset, split: str, cache: Path, tick: Callable[[int], None]) -> None:
    place = place_of(dataset, split, cache)
    for left in place.parent.glob(f".partial-{split}-*"):  # of a process that was killed: its lock is free
        shutil.rmtree(left, ignore_errors=True)
    ends = array("Q", [0])
    try:
        with publish_folder(place) as folder:
            with (folder / IMAGES).open("wb") as stream:
                file, path = None, ""
                for chunk in dataset.chunks(split):
                    if file is None or chunk.path != path:
                        file, path = pq.ParquetFile(chunk.path), chunk.path
                    images = file.read_row_group(chunk.row_group, columns=["image"]).column("image").combine_chunks()
                    starts, data = _parts(images)
                    stream.write(data)
                    ends.extend((starts[1:].astype(np.uint64) - np.uint64(starts[0]) + np.uint64(ends[-1])).tolist())
                    tick(chunk.rows)
            np.save(folder / OFFSETS, np.frombuffer(ends, np.uint64), allow_pickle=False)
    except OSError as error:
        if not is_full(error):
            raise
        needed = f"{bytes_told(bytes_of(dataset, split))} for the images of {dataset.name}/{split}"
        free = f"{bytes_told(shutil.disk_usage(cache).free)} free"
        fault = Fault(f"--cache {cache}", f"the disk is full, {free}", needed, "free some or give a larger disk")
        raise UserError(f"data set {dataset.name}", fault) from None


def _parts(images: pa.Array) -> tuple[NDArray[np.int32], memoryview]:
    """Where each of a row group's images begins, (n + 1,), and the bytes from the first to the last, as Arrow lays them."""
    _, offsets, data = images.buffers()
    starts = np.frombuffer(offsets, np.int32)[images.offset : images.offset + len(images) + 1]
    return starts, memoryview(data or b"")[starts[0] : starts[-1]]
