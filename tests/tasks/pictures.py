"""Files of one picture in many forms, written by Pillow or by hand: what the tests of reading share."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode(image: Image.Image | NDArray, form: str = "PNG", **options: object) -> bytes:
    """An image as Pillow writes it."""
    stream = io.BytesIO()
    made = image if isinstance(image, Image.Image) else Image.fromarray(image)
    made.save(stream, form, **options)
    return stream.getvalue()


def noise(mode: str, width: int, height: int, seed: int) -> Image.Image:
    """An image of random values; 16 bits and floats mostly below 256, as open_clip clips them."""
    rng = np.random.default_rng(seed)
    if mode in ("I;16", "I", "F"):
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        return Image.fromarray(rng.integers(0, 300, (height, width)).astype(kind))
    bands = {"L": (), "1": (), "LA": (2,), "RGBA": (4,), "CMYK": (4,)}.get(mode, (3,))
    image = Image.fromarray(
        rng.integers(0, 256, (height, width, *bands), dtype=np.uint8), mode if bands in ((2,), (4,)) else None
    )
    return image.quantize(32) if mode == "P" else image.convert("1", dither=0) if mode == "1" else image


def tiff(
    rows: bytes, width: int, height: int, bits: tuple[int, ...], order: str = "<", photometric: int = 1, **tags: int
) -> bytes:
    """An uncompressed TIFF of one strip. tags: `samples` (339, what a value is) and `extra` (338, what the last sample is)."""
    held: dict[int, tuple[int, ...]] = {
        256: (width,), 257: (height,), 258: bits, 259: (1,), 262: (photometric,), 273: (8,), 277: (len(bits),), 278: (height,),
        279: (len(rows),),
    }  # fmt: skip
    if "extra" in tags:
        held[338] = (tags["extra"],)
    if "samples" in tags:
        held[339] = (tags["samples"],) * len(bits)
    start = 8 + len(rows) + len(rows) % 2
    beyond = start + 2 + 12 * len(held) + 4
    entries, rest = b"", b""
    for tag, values in held.items():
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            packed, rest = struct.pack(f"{order}I", beyond + len(rest)), rest + packed
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + packed
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    body = rows + bytes(len(rows) % 2) + struct.pack(f"{order}H", len(held)) + entries + bytes(4) + rest
    return head + body


def twelve_bits(values: NDArray[np.integer]) -> bytes:
    """Rows of 12-bit values, the first in the highest bits; the width is even."""
    bits = (values.astype(np.uint16)[..., None] >> np.arange(11, -1, -1)) & 1
    return np.packbits(bits.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()


def png(rows: NDArray[np.uint8], width: int, bits: int, kind: int) -> bytes:
    """A PNG of packed rows (H, bytes). kind: PNG's colour type: 0 grey, 2 colour, 4 grey with alpha, 6 colour with alpha."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, len(rows), bits, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def png16(values: NDArray[np.integer]) -> bytes:
    """A PNG of 16 bits a value: (H, W, 2) grey and alpha, (H, W, 3) colour, (H, W, 4) colour and alpha."""
    height, width, bands = values.shape
    return png(values.astype(">u2").reshape(height, -1).view(np.uint8), width, 16, {2: 4, 3: 2, 4: 6}[bands])


def png2(values: NDArray[np.integer]) -> bytes:
    """A grey PNG of 2 bits a value, (H, W) of 0 to 3."""
    bits = (values.astype(np.uint8)[..., None] >> np.array([1, 0], np.uint8)) & 1
    return png(np.packbits(bits.reshape(len(values), -1), axis=1), values.shape[1], 2, 0)
