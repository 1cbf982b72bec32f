"""Faces upright: five points of a face brought to insightface's template of 112 x 112 by a similarity, bilinear, black outside.

The points are of the picture as it is seen: upright by its EXIF orientation, as OpenCV reads it. So it is opened under either reading rule.

Source: deepinsight/insightface: recognition/arcface_torch/eval_ijbc.py; the similarity is that of Umeyama 1991, without reflection.

Decisions: pixel centres are whole numbers, as OpenCV counts them; Pillow counts from a half. Pillow interpolates in floats, which are then
rounded (its bytes are cut off, half a grey level too dark), on a picture framed in black, since it ends at the border where OpenCV blends.
Against OpenCV 5.0 one value in two thousand of noise differs, by 1; OpenCV 4 rounds positions to 1/32 pixel first and differs by up to 7 in
noise, by up to 3 in a drawn face.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from gelo.models.faults import Fault
from gelo.tasks.data.pixels import open_image
from gelo.tasks.prepare.formats.columns import Kind, named, read_columns
from gelo.tasks.prepare.layout import Item, Layout, png

SIDE = 112
TEMPLATE = np.array(  # x, y of the eyes, the nose and the corners of the mouth, left to right in the picture
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
POINTS = tuple(f"{axis}{point}" for point in range(1, 6) for axis in "xy")
POINTS_APART = "five points of a face, in pixels of the upright image"
_SPREAD = 0.01  # pixels, root mean square from their middle: closer points are one point


def aligned(layout: Layout, landmarks: Path, faults: list[Fault]) -> Layout:
    """The layout with every image turned upright as it is read. landmarks: CSV with a header `id,x1,y1,...,x5,y5`, a row for each image,
    in pixels of the upright picture.

    Images without a row or with points that fix no similarity are left out, all of them where the file is none. Faults: no such file,
    header, fields that are not numbers, ids twice, images without a row, rows without an image, points in one place, images that their
    own points align already.
    """
    if any(isinstance(items, Upright) for items in layout.splits.values()):
        faults.append(Fault("--landmarks", str(landmarks), "nothing: the data set's own five points align its images"))
        return replace(layout, splits={split: [] for split in layout.splits})
    if not landmarks.is_file():
        found = "a folder, not a file" if landmarks.is_dir() else "no such file"
        faults.append(Fault(f"--landmarks {landmarks}", found, f"a CSV with the columns id,{','.join(POINTS)}"))
        return replace(layout, splits={split: [] for split in layout.splits})  # never images that stand as they stood
    columns: dict[str, Kind] = {"id": "text", **dict.fromkeys(POINTS, "number")}
    table = read_columns(landmarks, columns, faults, separator=",", header=True)
    names, points = table["id"].combine_chunks(), points_of(table)
    turns = similarities(points)
    first = pc.index_in(names, value_set=names).to_numpy()
    named(faults, landmarks, names, first != np.arange(len(names)), "rows whose id stood before", "each id once")
    named(faults, landmarks, names, ~np.isfinite(turns[:, 0]), "ids with points that fix no similarity", POINTS_APART)
    splits: dict[str, Sequence[Item]] = {}
    known = np.zeros(len(names), dtype=bool)
    for split, items in layout.splits.items():
        ids = pa.array((normalize("NFC", item.id) for item in items), pa.string())  # as the names of a text are
        rows = pc.fill_null(pc.index_in(ids, value_set=names), -1).to_numpy()
        named(faults, landmarks, ids, rows < 0, f"images of split {split} without a row", "a row for each image")
        known[rows[rows >= 0]] = True
        splits[split] = upright(items, np.concatenate([turns, [[np.nan, np.nan]]])[rows])  # row -1: no similarity
    named(faults, landmarks, names, ~known[first], "rows without an image", "ids of the data set's images")
    return replace(
        layout, splits=splits, notes=(*layout.notes, f"aligned to {SIDE} x {SIDE} by the points of {landmarks.name}")
    )


def points_of(table: pa.Table) -> NDArray[np.float64]:
    """The columns `POINTS` of a table as (N, 5, 2)."""
    return np.stack([table[name].to_numpy() for name in POINTS], axis=1).reshape(-1, 5, 2)


def similarities(points: NDArray[np.float64]) -> NDArray[np.complex128]:
    """The similarity that brings each points (N, 5, 2), pixels, nearest to `TEMPLATE` in the least squares: (N, 2).

    In complex numbers it is z -> turn z + shift; turn holds scale and angle, and no factor reflects. NaN where no similarity is fixed:
    points in one place, not finite, or without any likeness to the template.
    """
    with np.errstate(all="ignore"):  # what overflows is answered with NaN
        z, w = points[..., 0] + 1j * points[..., 1], TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1]
        from_middle, to_middle = z.mean(axis=1), w.mean()
        apart, wanted = z - from_middle[:, None], w - to_middle
        size, likeness = (np.abs(apart) ** 2).sum(axis=1), (apart.conj() * wanted).sum(axis=1)
        turn = likeness / size
        fixed = (size >= 5 * _SPREAD**2) & (np.abs(likeness) > 1e-6 * np.sqrt(size) * np.linalg.norm(wanted))
        found = np.stack([turn, to_middle - turn * from_middle], axis=1)
    return np.where((fixed & np.isfinite(found).all(axis=1))[:, None], found, np.nan)


def warp(pixels: NDArray[np.uint8], turn: complex, shift: complex) -> NDArray[np.uint8]:
    """pixels (H, W, 3) seen through z -> turn z + shift as (112, 112, 3): bilinear, rounded, beyond the border black."""
    back, start = 1 / turn, -shift / turn
    half = 0.5 * back * (1 + 1j)  # from Pillow's centres to ours
    x, y = start.real + 1.5 - half.real, start.imag + 1.5 - half.imag  # and to those of the frame
    matrix = (back.real, -back.imag, x, back.imag, back.real, y)
    bands = []
    for band in range(3):
        framed = Image.fromarray(np.pad(pixels[..., band].astype(np.float32), 1))  # black to blend with
        seen = framed.transform((SIDE, SIDE), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        bands.append(np.asarray(seen))
    return np.floor(np.stack(bands, axis=-1) + 0.5).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class _Upright:
    """How the PNG of an upright face is had. Raises what `open_image` raises."""

    load: Callable[[], bytes]
    turn: complex
    shift: complex

    def __call__(self) -> bytes:
        return png(warp(np.asarray(open_image(self.load())), self.turn, self.shift))


class Upright(Sequence[Item]):
    """Items whose images are turned upright as they are read, one made when it is asked for. turns: (N, 2) of `similarities`."""

    def __init__(self, items: Sequence[Item], turns: NDArray[np.complex128]) -> None:
        self._items, self._turns = items, turns

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Upright: ...
    def __getitem__(self, index: int | slice) -> Item | Upright:
        if isinstance(index, slice):
            return Upright(self._items[index], self._turns[index])
        return self._turned(self._items[index], self._turns[index])

    def __iter__(self) -> Iterator[Item]:
        return map(self._turned, self._items, self._turns)

    @staticmethod
    def _turned(item: Item, turn: NDArray[np.complex128]) -> Item:
        return replace(item, load=_Upright(item.load, complex(turn[0]), complex(turn[1])))


def upright(items: Sequence[Item], turns: NDArray[np.complex128]) -> Upright:
    """The items that have a similarity, upright; those with NaN in turns (N, 2) are left out."""
    there = np.flatnonzero(~np.isnan(turns[:, 0]))
    if len(there) == len(turns):
        return Upright(items, turns)
    return Upright([items[row] for row in there.tolist()], turns[there])
