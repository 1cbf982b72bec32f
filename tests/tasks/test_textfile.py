"""Text of any hand: Python's own codecs and line splitting say what it must be; what is no text says what it is."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gelo.tasks.scorefiles.textfile import NotTextError, arrow_input, check_quotes, read_lines, read_rows, utf8

LETTERS = st.text(st.sampled_from('ab,;é\u0301ü 漢\t"\n'), max_size=30)


@given(LETTERS, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_encodings_and_line_ends_leave_no_trace(text: str, end: str, encoding: str) -> None:
    found = utf8(text.replace("\n", end).encode(encoding)).decode()
    assert found == utf8(text.encode()).decode()
    assert found.split("\n") == [utf8(line.encode()).decode() for line in text.split("\n")]


def test_plain_text_is_not_copied_and_a_large_file_is_not_read(tmp_path: Path) -> None:
    plain = b"1.jpg 1 1\n" * 3
    assert utf8(plain) is plain
    (tmp_path / "plain.txt").write_bytes(plain)
    assert arrow_input(tmp_path / "plain.txt") == tmp_path / "plain.txt"
    (tmp_path / "marked.txt").write_bytes("é.jpg 1 1\r".encode("utf-16"))
    source = arrow_input(tmp_path / "marked.txt")
    assert isinstance(source, pa.Buffer)
    assert source.to_pybytes().decode() == "é.jpg 1 1\n"


def test_lines_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"a\r\n\r\nb\x0cc\r")
    assert read_lines(path) == ["a", "", "b\x0cc"]
    path.write_bytes(b'a, b\r\n,\r\n \r\n"c\r\nd", "e, f"\r\ng,h')
    assert list(read_rows(path)) == [(1, ["a", "b"]), (5, ["c\nd", "e, f"]), (6, ["g", "h"])]
    path.write_bytes(b'a,b\n"c"d,e\n')
    with pytest.raises(csv.Error, match="line 2"):
        list(read_rows(path))
    check_quotes('a,"b\n""c"""\n', ",")
    with pytest.raises(csv.Error, match="line 2"):
        check_quotes('a,b\nc,"d\n', ",")


def kinds() -> dict[str, bytes]:
    parquet, array = io.BytesIO(), io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), parquet)
    np.save(array, np.zeros(3))
    return {
        "Parquet": parquet.getvalue(),
        "NumPy": array.getvalue(),
        "gzip": gzip.compress(b"a,b\n"),
        "zero bytes": b"a\0,\0b\0",
    }


@pytest.mark.parametrize("kind", kinds())
def test_what_is_no_text_is_named(kind: str) -> None:
    with pytest.raises(NotTextError, match=kind):
        utf8(kinds()[kind])


@pytest.mark.parametrize(("before", "line"), [("", 1), ("a\nb\n", 3), ("a\r\nb\r\n", 3), ("a\rb\r", 3), ("ü\n", 2)])
def test_a_byte_of_another_encoding_is_named_with_its_line_and_a_reading(before: str, line: int) -> None:
    with pytest.raises(NotTextError) as refused:
        utf8(before.encode() + "x,Zoë;y".encode("latin-1"))
    assert refused.value.line == line
    assert "byte 0xeb (Windows-1252 would read 'Zoë')" in str(refused.value)
