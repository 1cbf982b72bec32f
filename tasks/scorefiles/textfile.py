"""A user's text file, whatever wrote it: one rule for encodings and line ends, for every CSV and list that gelo reads.

Recognised: UTF-8 with or without a byte order mark, UTF-16 with one; line ends of Unix, Windows and old Macs. Text of 8 bits a letter
that is no UTF-8 is named and refused: nothing in it tells Windows-1252 from a dozen others. Names are brought to Unicode's composed form.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

_BLOCK = 1 << 24  # bytes looked at together
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_OTHERS = {  # what a file of another kind begins with
    b"PK\x03\x04": "a ZIP archive", b"\xd0\xcf\x11\xe0": "an Excel workbook of the old kind (.xls)", b"\x1f\x8b": "compressed (gzip)",
    b"BZh": "compressed (bzip2)", b"\xfd7zXZ": "compressed (xz)", b"(\xb5/\xfd": "compressed (zstd)", b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file", b"\x93NUMPY": "a NumPy array", b"\x89HDF": "an HDF5 file", b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image", b"SQLite format 3": "an SQLite database", b"\x80\x04\x95": "a pickle",
}  # fmt: skip
_SAVE = "save it as CSV UTF-8"


class NotTextError(ValueError):
    """A file that is no text, or of an encoding that nothing tells: the reason, the line where that is one, and what to do."""

    def __init__(self, reason: str, line: int = 0, remedy: str = _SAVE) -> None:
        super().__init__(f"'utf-8' codec, line {line}: {reason}" if line else reason)
        self.reason, self.line, self.remedy = reason, line, remedy


def utf8(content: bytes) -> bytes:
    """The text as UTF-8 without a mark, in composed form, its lines ended by \\n; the same object where it is so. Raises NotTextError."""
    if content.isascii() and b"\0" not in content:
        return content if b"\r" not in content else _unix(content.decode()).encode()
    for magic, kind in _OTHERS.items():
        if content.startswith(magic):
            workbook = magic.startswith(b"PK") and b"xl/" in content
            raise NotTextError("an Excel workbook (.xlsx)" if workbook else kind)
    encoding = _UTF16.get(content[:2], "utf-8")
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _undecoded(content, error, encoding) from None
    if 4 * text.count("\0") > len(text):
        raise NotTextError("zero bytes, as in a binary file or UTF-16 without its mark")
    return unicodedata.normalize("NFC", _unix(text)).encode()


def read_text(path: Path) -> str:
    """A text file whole, its lines ended by \\n. Raises NotTextError and OSError."""
    return utf8(path.read_bytes()).decode()


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends, blank ones too. Raises NotTextError and OSError."""
    return read_text(path).removesuffix("\n").split("\n")


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV with commas, fields stripped, each with the number of its last line; none for a line without content.

    Raises NotTextError, OSError and csv.Error, the last for quotes that are not closed where a field ends.
    """
    for number, fields in _parsed(read_text(path), ",", skipinitialspace=True):
        if any(field.strip() for field in fields):
            yield number, [field.strip() for field in fields]


def other_separator(header: Sequence[str], separator: str = ",") -> str:
    """What to do where a header is one field because its file has another separator; "" where it has not."""
    mark = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), "")
    return f"its columns are separated by {mark!r}: save it with {separator!r}" if mark else ""


def check_quotes(text: str, separator: str) -> None:
    """Raises csv.Error where a quoted field does not end where its quotes close: Arrow would swallow the rows up to the next quote."""
    if '"' not in text:
        return
    for _ in _parsed(text, separator):
        pass


def arrow_input(path: Path) -> Path | pa.Buffer:
    """What Arrow's CSV reader may read: the file itself where it is ASCII, however large, else its text. Raises NotTextError."""
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            if not block.isascii() or b"\0" in block:
                return pa.py_buffer(utf8(path.read_bytes()))
    return path


def _parsed(text: str, separator: str, *, skipinitialspace: bool = False) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=skipinitialspace, strict=True
    )
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise csv.Error(f"quotes: {error}, line {reader.line_num}") from None


def _unix(text: str) -> str:
    return re.sub("\r\n?", "\n", text) if "\r" in text else text


def _line(before: str) -> int:
    return _unix(before).count("\n") + 1


def _undecoded(content: bytes, error: UnicodeDecodeError, encoding: str) -> NotTextError:
    if encoding != "utf-8":
        return NotTextError(f"UTF-16 by its first bytes, but damaged ({error.reason})")
    at = error.start
    start = max(content.rfind(end, 0, at) for end in (b"\n", b"\r", b",", b";", b"\t", b" ", b'"')) + 1
    word = re.split(rb'[\s,;"]', content[start : at + 12])[0].decode("cp1252", "replace")
    reason = f"{error.reason}: byte 0x{content[at]:02x}"
    return NotTextError(f"{reason} (Windows-1252 would read {word[-24:]!r})", _line(content[:at].decode()))
