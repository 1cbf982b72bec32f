"""How much a compressed file may become in memory: what a small one unpacks to is looked at before it is unpacked."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

MOST_BYTES = 4 * 2**30  # of one row group, or of a table that is read whole: ten times the largest that gelo writes
MOST_ROWS = 200_000_000  # the largest protocol table, IJB-C's pairs, has 15,658,489


def parquet(source: Path | IO[bytes] | pa.BufferReader, *, whole: bool) -> pq.ParquetFile:
    """A Parquet file that may be read, whole or one row group at a time, by what its own footer says of its sizes.

    Raises pa.ArrowInvalid for one that is none, or becomes too large; OSError.
    """
    file = pq.ParquetFile(source)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    sizes, rows = [group.total_byte_size for group in groups], [group.num_rows for group in groups]
    size, count = (sum(sizes), sum(rows)) if whole else (max(sizes, default=0), max(rows, default=0))
    if size > MOST_BYTES or count > MOST_ROWS:
        most = f"at most {MOST_BYTES:,} bytes and {MOST_ROWS:,} rows are read at once"
        raise pa.ArrowInvalid(f"unpacks to {size:,} bytes in {count:,} rows; {most}")
    return file


def gunzipped(data: bytes, most: int = MOST_BYTES) -> bytes:
    """Raises OSError and EOFError for what is no whole gzip file, OSError for one that becomes longer than `most` bytes."""
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        found = stream.read(most + 1)
    if len(found) > most:
        raise OSError(f"unpacks to more than {most:,} bytes")
    return found
