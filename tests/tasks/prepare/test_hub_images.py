"""Images of rows: the bytes that pyarrow itself reads, in any form that they are kept in, in memory that does not grow with the file."""

from __future__ import annotations

import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gelo.tasks.prepare.hub.footer import chunks_of
from gelo.tasks.prepare.hub.pages import spans
from gelo.tasks.prepare.hub.reader import hub
from tests.programs import printed_by
from tests.tasks.prepare.hub_trees import CELL, arrow, parquet, rows
from tests.tasks.prepare.same_pictures import meant, samples
from tests.tasks.prepare.same_pictures import read as read_with

TEST = samples(0, 8)
MEANT = {"test": dict(TEST)}
NAMES = pa.array([name for _, name in TEST])
DATA = [data for data, _ in TEST]


def read(root: Path, **asked: Any) -> tuple[Any, str]:
    return read_with(hub, root, **asked)


def found(path: Path, column: str) -> list[bytes | None]:
    """The values of a column by their spans; None for a row group that they do not cover. Its footer is what pyarrow makes of it."""
    file = pq.ParquetFile(path)
    leaves = [file.schema.column(n) for n in range(len(file.schema))]
    (leaf,) = (n for n, one in enumerate(leaves) if one.path in (column, f"{column}.bytes"))
    values: list[bytes | None] = []
    groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
    for group, chunk in zip(groups, chunks_of(path, column, len(groups)), strict=True):
        theirs = group.column(leaf)
        assert chunk is not None
        assert chunk.levels == (leaves[leaf].max_definition_level, leaves[leaf].max_repetition_level)
        assert (chunk.values, chunk.end - chunk.start) == (theirs.num_values, theirs.total_compressed_size)
        assert chunk.missing == theirs.statistics.null_count
        there = spans(path, chunk, group.num_rows)
        values += [None] if there is None else [there[row] for row in range(group.num_rows)]
    return values


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_spans_are_the_values_that_arrow_reads(
    compression: str, version: str, dictionary: bool, tmp_path: Path
) -> None:
    source = np.random.default_rng(0)
    for few, longest, group in itertools.product((1, 9), (0, 40, 70_000), (7, 300)):
        pool = [source.bytes(int(source.integers(0, longest + 1))) for _ in range(-(-60 // few))]
        values = [pool[int(source.integers(len(pool)))] for _ in range(60)]
        cells = pa.array([{"bytes": value, "path": None} for value in values], CELL)
        table = pa.table({"image": cells, "flat": pa.array(values, pa.large_binary())})
        options: dict[str, Any] = {"row_group_size": group, "data_page_size": 500}
        parquet(
            tmp_path / "a.parquet",
            table,
            compression=compression,
            data_page_version=version,
            use_dictionary=dictionary,
            **options,
        )
        assert found(tmp_path / "a.parquet", "image") == values
        assert found(tmp_path / "a.parquet", "flat") == values


def test_what_is_not_understood_has_no_spans(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array([b"x", None, b"y"], pa.binary()), "b": [1, 2, 3]})
    parquet(tmp_path / "a.parquet", table)
    assert found(tmp_path / "a.parquet", "a") == found(tmp_path / "a.parquet", "b") == [None]
    parquet(
        tmp_path / "a.parquet",
        table.slice(0, 1),
        use_dictionary=False,
        column_encoding={"a": "DELTA_LENGTH_BYTE_ARRAY", "b": "PLAIN"},
    )
    assert found(tmp_path / "a.parquet", "a") == [None]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_pages_end_in_other_bytes_or_in_none(data: st.DataObject) -> None:
    """Never in a traceback, nor beyond the file."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        parquet(
            path,
            pa.table({"image": [b"abc" * 9] * 20 + [b"z"] * 3}),
            compression=data.draw(st.sampled_from(["none", "snappy"])),
        )
        (chunk,) = chunks_of(path, "image", 1)
        assert chunk is not None
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(chunk.start, chunk.end - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        there = spans(path, chunk, 23)
        assert there is None or all(len(there[row]) <= len(content) for row in range(23))


def _forms(folder: Path) -> dict[str, pa.Array]:
    return {
        "struct": pa.array([{"bytes": data, "path": "a.png"} for data in DATA], CELL),
        "struct of large": pa.array(
            [{"path": None, "bytes": data} for data in DATA],
            pa.struct([("path", pa.string()), ("bytes", pa.large_binary())]),
        ),
        "bytes alone": pa.array([{"bytes": data} for data in DATA], pa.struct([("bytes", pa.binary())])),
        "binary": pa.array(DATA, pa.binary()),
        "large binary": pa.array(DATA, pa.large_binary()),
        "binary view": pa.array(DATA, pa.binary_view()),
    }


@pytest.mark.parametrize("form", list(_forms(Path())))
@pytest.mark.parametrize("kind", ["parquet", "delta", "stream", "file", "packed"])
def test_images_in_every_form(form: str, kind: str, tmp_path: Path) -> None:
    table = pa.table({"image": _forms(tmp_path)[form], "label": NAMES})
    if kind == "parquet":
        parquet(tmp_path / "test.parquet", table, row_group_size=3)
    elif kind == "delta":
        leaf = "image.bytes" if pa.types.is_struct(table["image"].type) else "image"
        parquet(
            tmp_path / "test.parquet",
            table,
            row_group_size=3,
            use_dictionary=False,
            column_encoding={leaf: "DELTA_LENGTH_BYTE_ARRAY"},
        )
    elif kind == "packed":
        with pa.ipc.new_stream(
            str(tmp_path / "test.arrow"), table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
        ) as sink:
            sink.write_table(table, 3)
    else:
        arrow(tmp_path / "test.arrow", table, 3, as_file=kind == "file")
    layout, faults = read(tmp_path)
    assert faults == ""
    assert meant(layout) == MEANT


@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 5), (4, 5, 1)])
@pytest.mark.parametrize("fixed", [False, True])
def test_arrays_become_images_of_the_same_pixels(shape: tuple[int, ...], fixed: bool, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, *shape), dtype=np.uint8)
    kind = pa.uint8()
    for size in reversed(shape):
        kind = pa.list_(kind, size) if fixed else pa.list_(kind)
    table = pa.table({"image": pa.array(pixels.tolist(), kind), "label": ["a", "b"] * 3})
    parquet(tmp_path / "parquet/test.parquet", table, row_group_size=4)
    arrow(tmp_path / "arrow/test.arrow", table, 4)
    for form in ("parquet", "arrow"):
        layout, faults = read(tmp_path / form)
        assert faults == ""
        for n, item in enumerate(layout.splits["test"]):
            assert np.array_equal(
                np.asarray(Image.open(io.BytesIO(item.load()))), pixels[n].reshape(shape[: 2 if shape[-1] != 3 else 3])
            )


@pytest.mark.parametrize(
    "image", [[[[1, 2, 3]], [[1, 2, 3], [4, 5, 6]]], [[[1, 2]]], [[[1, 2, 3, 4]]], [[[1, None, 3]]], []]
)
def test_arrays_that_are_no_images_are_refused_as_they_are_read(image: list[Any], tmp_path: Path) -> None:
    kind = pa.list_(pa.list_(pa.list_(pa.uint8())))
    parquet(tmp_path / "test.parquet", pa.table({"image": pa.array([image], kind), "label": ["a"]}))
    layout, _ = read(tmp_path)
    for item in layout.splits["test"]:
        with pytest.raises(ValueError, match="an array of"):
            item.load()


PATHS = [f"images/{n}.png" for n in range(8)]
NAMED = {
    "no bytes": pa.array([{"bytes": None, "path": path} for path in PATHS], CELL),
    "path alone": pa.array([{"path": path} for path in PATHS], pa.struct([("path", pa.string())])),
    "null bytes": pa.array(
        [{"bytes": None, "path": path} for path in PATHS], pa.struct([("bytes", pa.null()), ("path", pa.string())])
    ),
    "text": pa.array(PATHS),
}


@pytest.mark.parametrize("form", NAMED)
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_rows_that_hold_a_path_read_the_file_or_are_counted_together(kind: str, form: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    table = pa.table({"image": NAMED[form], "label": NAMES})
    (parquet if kind == "parquet" else arrow)(root / f"data/test.{kind}", table)
    layout, faults = read(root)
    assert faults.count("\n") == 0
    assert "8 rows hold a path and no bytes: 'images/0.png'" in faults
    assert not any(layout.splits.values())
    for n, data in enumerate(DATA[:6]):
        place = root / ("data" if n % 2 else "") / PATHS[n]
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data)
    (tmp_path / "outside.png").write_bytes(DATA[6])
    (root / "images/6.png").symlink_to(tmp_path / "outside.png")
    layout, faults = read(root)
    assert "2 rows hold a path and no bytes: 'images/6.png', 'images/7.png'" in faults
    assert meant(layout) == {"test": dict(TEST[:6])}


def test_paths_out_of_the_tree_and_what_is_no_path_are_not_followed(tmp_path: Path) -> None:
    refused = pa.table(
        {"image": ["/etc/hostname", "https://a.b/c.png", "../../x", "a\0b", "c" * 5000], "label": ["a"] * 5}
    )
    parquet(tmp_path / "test.parquet", refused)
    assert "5 rows hold a path and no bytes" in read(tmp_path)[1]


@pytest.mark.parametrize("kind", ["parquet", "no statistics", "arrow"])
def test_rows_without_an_image_are_counted(kind: str, tmp_path: Path) -> None:
    held = [{"bytes": data, "path": None} if n % 3 else None for n, data in enumerate(DATA)]
    table = pa.table({"image": pa.array(held, CELL), "label": NAMES})
    if kind == "arrow":
        arrow(tmp_path / "test.arrow", table, 3)
    else:
        parquet(tmp_path / "test.parquet", table, row_group_size=3, write_statistics=kind == "parquet")
    layout, faults = read(tmp_path)
    assert faults.count("\n") == 0
    assert "no image in 3 rows of test: null" in faults
    assert meant(layout) == {"test": {data: name for n, (data, name) in enumerate(TEST) if n % 3}}


def test_images_are_had_in_any_order_by_many_threads(tmp_path: Path) -> None:
    some = samples(0, 40)
    for n in range(2):
        parquet(tmp_path / f"test-0000{n}-of-00002.parquet", rows(some[20 * n : 20 * n + 20]), row_group_size=3)
    items = read(tmp_path)[0].splits["test"]
    order = np.random.default_rng(0).permutation(200) % 40
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda row: items[int(row)].load(), order)) == [some[row][0] for row in order]
    assert [item.id for item in items[19:21]] == ["test/test-00000-of-00002/000019", "test/test-00001-of-00002/000000"]
    assert items.labels.tolist() == [item.label for item in items]


def test_ids_are_unique_where_files_of_one_name_lie_in_two_folders(tmp_path: Path) -> None:
    for n, place in enumerate(("a", "b")):
        parquet(tmp_path / "test" / place / "0000.parquet", rows(TEST[4 * n : 4 * n + 4]))
    assert meant(read(tmp_path)[0]) == MEANT


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_memory_does_not_grow_with_the_row_group(kind: str, tmp_path: Path) -> None:
    """One row group of incompressible images, read image by image, in a process of its own."""
    source = np.random.default_rng(0)
    peaks = []
    for megabytes in (8, 128):
        data = [source.bytes(1_000_000) for _ in range(megabytes)]
        table = pa.table({"image": pa.array(data, pa.binary()), "label": ["a"] * megabytes})
        root = tmp_path / f"{megabytes}"
        if kind == "parquet":
            parquet(root / "test.parquet", table, compression="none")
        else:
            arrow(root / "test.arrow", table, 1000)
        program = f"""
import pathlib
from gelo.tasks.prepare.hub.reader import hub
from gelo.tasks.prepare.tree import Tree
layout = hub(Tree(pathlib.Path({str(root)!r})))
assert sum(len(item.load()) for item in layout.splits["test"]) == {megabytes}_000_000
print(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
        peaks.append(int(printed_by(program)))
    assert peaks[1] < 1.1 * peaks[0]
