"""A full disk, as the libraries that gelo writes with report it: each writes to a disk of 1 MB, or to a database that may grow no more."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from gelo.models.faults import is_full


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this process may not mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _sqlite(disk: Path) -> None:
    with sqlite3.connect(":memory:") as database:
        database.execute("pragma max_page_count = 2")
        database.execute("create table t (x)")
        database.executemany("insert into t values (?)", [("x" * 4000,)] * 50)


WRITERS: dict[str, Callable[[Path], object]] = {
    "write": lambda disk: (disk / "f").write_bytes(bytes(10**7)),
    "arrow": lambda disk: pq.write_table(
        pa.table({"x": np.random.default_rng(0).normal(size=10**6)}), disk / "f.parquet"
    ),
    "safetensors": lambda disk: save_file({"x": torch.zeros(10**6)}, disk / "f.safetensors"),
    "sqlite": _sqlite,
}


@pytest.mark.parametrize("library", list(WRITERS))
def test_a_full_disk_is_known_whatever_library_says_so(library: str, disk: Path) -> None:
    with pytest.raises(Exception) as caught:
        WRITERS[library](disk)
    for file in disk.iterdir():
        file.unlink()
    assert is_full(caught.value), repr(caught.value)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EACCES, "Permission denied"), OSError(errno.EDQUOT, "Disk quota exceeded"), ValueError("no space in a name"),
     RuntimeError("CUDA out of memory")],
)  # fmt: skip
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert is_full(error) == (isinstance(error, OSError) and error.errno == errno.EDQUOT)
