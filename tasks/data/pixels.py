"""An encoded image -> a picture, by the data set's reading rule: the one place that opens images of a data set.

faithful: the first frame, upright by its EXIF orientation, 8 bits a value, RGB. open_clip: what Pillow decodes, untouched; the transform
then resizes it in its own mode, as open_clip's does. Both give one picture for an RGB or grey file of 8 bits without orientation.

Decisions: 16 bits are v / 257 and floats v x 255, rounded, as the file says that they are stored; where nothing says which value is white,
the image is refused. Pillow itself hands on the high byte of colour of 16 bits, at most one grey level below. EXIF that cannot be read
turns nothing, as in every viewer. Whatever a decoder raises becomes `UnreadableError`. EPS is no image here: Ghostscript would run it.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gelo.models.faults import Fault, pass_interrupt

if TYPE_CHECKING:
    from gelo.tasks.data.understood import Reading

MAX_PIXELS = 64_000_000  # an image above this is refused as a decompression bomb
for _kind in (
    UserWarning,
    Image.DecompressionBombWarning,
):  # odd metadata; what is too large is refused, with a fault of ours
    warnings.filterwarnings("ignore", category=_kind, module=r"PIL\.")
_STATED = ("PNG", "PPM", "TIFF", "JPEG2000")  # formats that say which integer is white
_USUAL = {b"\x89PN": ["PNG"], b"\xff\xd8\xff": ["JPEG"]}  # the one format that begins so
_SURE = ("RGB", "L")  # modes that are RGB or become it whatever the values
_BITS, _PHOTOMETRIC, _SAMPLES = 258, 262, 339  # tags of TIFF
_UNSIGNED = 1  # sample format of TIFF
_AT_ONCE = 1 << 20  # values scaled together
_DECODABLE = "an image that Pillow can decode"
_SCALABLE = "8 bits a value, 16 without a sign, or floats from 0 to 1"
_CLIPPED = "save it as one of these; --reading open_clip clips at 255 instead, as open_clip does"


class UnreadableError(ValueError):
    """An image that the rule gives no picture of. Its text is what was found, the same each time."""

    def __init__(self, found: str, expected: str = _DECODABLE, remedy: str = "") -> None:
        super().__init__(found)
        self.expected, self.remedy = expected, remedy


UNREADABLE = (OSError, ValueError)  # what fetching and opening an image may raise; `UnreadableError` is a ValueError


def image_fault(where: str, error: Exception, remedy: str = "") -> Fault:
    """What is said of an image that raised one of `UNREADABLE`."""
    if isinstance(error, UnreadableError):
        return Fault(where, str(error), error.expected, error.remedy or remedy)
    return Fault(where, f"unreadable file ({_words(error)})", _DECODABLE, remedy)


@contextmanager
def decoding() -> Iterator[None]:
    """Whatever is raised within becomes an `UnreadableError`; a user's interrupt passes."""
    try:
        yield
    except UnreadableError:
        raise
    except Exception as error:  # a decoder raises whatever a damaged file leads it to
        pass_interrupt(error)
        raise UnreadableError(f"unreadable image ({_words(error)})") from None


def open_image(data: bytes, reading: Reading = "faithful") -> Image.Image:
    """The picture, RGB where the rule is `faithful`. Raises UnreadableError, also above `MAX_PIXELS`."""
    with decoding():
        image = _loaded(data)
        return _faithful(image) if reading == "faithful" else _as_open_clip(image)


def check_image(data: bytes, reading: Reading = "faithful") -> None:
    """Raises UnreadableError where `open_image` would, without making the picture: a JPEG is decoded small."""
    with decoding():
        image = _loaded(data, small=True)
        if reading == "open_clip":
            _as_open_clip(image)
        elif _deep(image):
            _eight_bits(image)
        elif image.mode not in _SURE:
            _rgb(image.crop((0, 0, 1, 1)))  # whether a mode has colours shows at one pixel


def _loaded(data: bytes, small: bool = False) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=_USUAL.get(data[:3]) or _formats())
    if not 0 < image.width * image.height <= MAX_PIXELS:
        raise UnreadableError(f"unreadable image ({image.width} x {image.height} pixels, 1 to {MAX_PIXELS:,} are read)")
    if small:
        image.draft(None, (1, 1))
    image.load()
    return image


@cache
def _formats() -> list[str]:
    """Every format of Pillow's but EPS, in the order in which it tries them."""
    Image.preinit()
    Image.init()
    return [name for name in Image.ID if name != "EPS"]


def _as_open_clip(image: Image.Image) -> Image.Image:
    if image.mode not in ("RGB", "L"):  # a mode that cannot be resized or has no colours shows it at one pixel
        image.crop((0, 0, 1, 1)).resize((2, 2), Image.Resampling.BICUBIC).convert("RGB")
    return image


def _faithful(image: Image.Image) -> Image.Image:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception as error:  # EXIF that cannot be read
        pass_interrupt(error)
    return _rgb(_eight_bits(image) if _deep(image) else image)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    return (image.convert("LA") if image.mode == "La" else image).convert("RGB")


def _deep(image: Image.Image) -> bool:
    """Whether its grey values are other than 8 bits without a sign."""
    return image.mode == "F" or image.mode.startswith("I") or _tag(image, _SAMPLES, _UNSIGNED) != _UNSIGNED


def _eight_bits(image: Image.Image) -> Image.Image:
    """Deep grey in 8 bits. Raises UnreadableError where nothing says which value is white, or values lie beyond it."""
    what = f"({image.format}, mode {image.mode})"
    white = _white(image, what)
    values = np.asarray(image).reshape(-1)
    low, high = values.min(), values.max()
    if not 0 <= low <= high <= white:
        raise UnreadableError(f"values from {low:g} to {high:g} {what}", f"values from 0 to {white}", _CLIPPED)
    if white == 65_535 and 0 < high < 256:
        how = "multiply them by 257, or prepare with --reading open_clip, which takes them for 8 bits"
        raise UnreadableError(f"16 bits a value, all at most {high} {what}", "values from 0 to 65535", how)
    grey = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        grey[some] = (values[some].astype(np.float64) * 255 / white).round()
    if _tag(image, _PHOTOMETRIC, 1) == 0:  # white is zero, which Pillow minds in 8 bits alone
        np.subtract(255, grey, out=grey)
    return Image.fromarray(grey.reshape(image.height, image.width))


def _white(image: Image.Image, what: str) -> int:
    """The value that is white."""
    if image.format not in _STATED:
        raise UnreadableError(f"values of which nothing says which is white {what}", _SCALABLE, _CLIPPED)
    if image.mode == "F":
        return 1
    bits = _tag(image, _BITS, 16)
    if bits > 16 or _tag(image, _SAMPLES, _UNSIGNED) != _UNSIGNED:
        signed = "unsigned" if _tag(image, _SAMPLES, _UNSIGNED) == _UNSIGNED else "signed"
        raise UnreadableError(f"{signed} integers of {bits} bits {what}", _SCALABLE, _CLIPPED)
    return 2**bits - 1


def _tag(image: Image.Image, number: int, otherwise: int) -> int:
    """A number that a TIFF states of its samples, of the first where of each."""
    found = getattr(image, "tag_v2", {}).get(number, otherwise)
    return int(found[0] if isinstance(found, tuple) else found)


def _words(error: Exception) -> str:
    """An exception in words, and the same each time: no address in memory."""
    if isinstance(error, UnidentifiedImageError):
        return "no format that Pillow knows"
    said = re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "the file", str(error))
    plain = isinstance(error, OSError | ValueError | SyntaxError | Image.DecompressionBombError) and said
    return said if plain else f"{type(error).__name__}{': ' if said else ''}{said}"
