"""Writers of the face sets' exact forms, each after the program that writes it, for tests and the fuzz bench."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gelo.tasks.mini.face_model import person, wild
from gelo.tasks.mini.faces import portrait
from tests.tasks.prepare.trees import _Python2

MAGIC = b"\x0a\x23\xd7\xce"


def jpeg(number: int, side: int = 16) -> bytes:
    """A small JPEG of its own content, `side` square."""
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def python2_bin(images: Sequence[bytes], same: Sequence[bool], protocol: int = 2) -> bytes:
    """As insightface's own files: `pickle.dump((bins, issame_list), f, pickle.HIGHEST_PROTOCOL)` under Python 2."""
    stream = io.BytesIO()
    _Python2(stream, protocol=protocol).dump((list(images), list(same)))
    return stream.getvalue()


def python3_bin(images: Sequence[Any], same: object, protocol: int = 4) -> bytes:
    """The same under Python 3; images may be the uint8 arrays of cv2.imencode."""
    return pickle.dumps((list(images), same), protocol=protocol)


def encoded(image: bytes, column: bool = False) -> np.ndarray:
    """An image as cv2.imencode gives it: uint8 (n,), or (n, 1) before OpenCV 4.5."""
    values = np.frombuffer(image, np.uint8).copy()
    return values[:, None] if column else values


def face_pairs(count: int) -> tuple[list[bytes], list[bool]]:
    """2 x `count` portraits of the miniature faces, pairs of one person and of two in turn."""
    same = [pair % 2 == 0 for pair in range(count)]
    shown = [who for pair, alike in enumerate(same) for who in (2 * pair, 2 * pair if alike else 2 * pair + 1)]
    return [portrait(person("bin", who), wild, "bin", n) for n, who in enumerate(shown)], same


def record(data: bytes) -> bytes:
    """One record as dmlc-core's RecordIOWriter::WriteRecord lays it out: cut at each magic word on a multiple of four."""
    cuts = [at for at in range(0, len(data) // 4 * 4, 4) if data[at : at + 4] == MAGIC]
    bounds = [0, *(at + 4 for at in cuts)]
    pieces = [data[start:stop] for start, stop in zip(bounds, [*cuts, len(data)], strict=True)]
    flags = [0] if len(pieces) == 1 else [1, *[2] * (len(pieces) - 2), 3]
    whole = b"".join(
        MAGIC + struct.pack("<I", flag << 29 | len(piece)) + piece for flag, piece in zip(flags, pieces, strict=True)
    )
    return whole + bytes(-len(data) % 4)


def packed(label: float | Sequence[float], image: bytes, number: int = 0) -> bytes:
    """`mxnet.recordio.pack`: one label in the header, or a count and as many float32 after it."""
    if isinstance(label, int | float):
        return struct.pack("<IfQQ", 0, label, number, 0) + image
    return struct.pack("<IfQQ", len(label), 0, number, 0) + np.asarray(label, "<f4").tobytes() + image


def write_records(folder: Path, rows: Iterable[tuple[int, bytes]], stem: str = "train") -> None:
    """`MXIndexedRecordIO.write_idx` of each (key, data)."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{stem}.rec").open("wb") as rec, (folder / f"{stem}.idx").open("w") as idx:
        for key, data in rows:
            idx.write(f"{key}\t{rec.tell()}\n")
            rec.write(record(data))


def with_header(people: Sequence[Sequence[bytes]], several: bool = True) -> list[tuple[int, bytes]]:
    """Rows of an insightface training set (face2rec2.py): header record, images, one bookkeeping record per identity.

    several: each image has two labels, as in faces_emore.
    """
    total = sum(map(len, people))
    rows = [(0, packed((total + 1, total + 1 + len(people)), b""))]
    ranges = []
    for label, images in enumerate(people):
        ranges.append((len(rows), len(rows) + len(images)))
        rows += [(len(rows) + n, packed((label, 0) if several else label, image)) for n, image in enumerate(images)]
    return rows + [(total + 1 + label, packed(ends, b"")) for label, ends in enumerate(ranges)]


def im2rec(labels: Sequence[float], images: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """Rows of MXNet's im2rec: no header record, key 0 is an image."""
    return [(key, packed(label, image, key)) for key, (label, image) in enumerate(zip(labels, images, strict=True))]
