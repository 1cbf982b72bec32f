"""A folder of another kind than the reader's: the message says what is there and which reader takes it, and that reader does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gelo.models.faults import UserError
from gelo.tasks.prepare.prepare import Wanted, look
from gelo.tasks.prepare.readers import READERS
from tests.tasks.prepare.same_pictures import image, put, write_tar


def tars(root: Path) -> None:
    for split in ("train", "test"):
        write_tar(
            root / split / "0.tar",
            [(f"{n}{end}", what) for n in range(2) for end, what in ((".png", image(n)), (".cls", b"%d" % n))],
        )
    put(root / "classnames.txt", "red\nblue\n")


def rows(root: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["red", "blue"], "_type": "ClassLabel"}}}}
    table = pa.table({"image": [{"bytes": image(n), "path": None} for n in range(2)], "label": [0, 1]})
    root.mkdir(exist_ok=True)
    pq.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps(features)}), root / "test-00000-of-00001.parquet"
    )


def folders(root: Path) -> None:
    put(root / "test" / "red" / "a.png", image(0))
    put(root / "test" / "blue" / "b.png", image(1))


def listed(root: Path) -> None:
    folders(root)
    put(root / "list.csv", "path,label\ntest/red/a.png,red\ntest/blue/b.png,blue\n")


KINDS: dict[str, Callable[[Path], None]] = {"webdataset": tars, "datasets": rows, "table": listed, "folder": folders}
_OTHERS = {
    "table": ("folder", "lfw", "identities", "templates", "morphs", "spoofs"),
    "folder": ("lfw", "identities", "spoofs"),
    "datasets": ("table",),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_of_folder_is_named_with_its_reader(tmp_path: Path, kind: str, reader: str) -> None:
    KINDS[kind](tmp_path)
    if kind == reader:
        assert look(Wanted("mine", tmp_path, reader)).layout.classes
    elif reader not in _OTHERS.get(kind, ()):  # those have files of their own kind there
        with pytest.raises(UserError) as error:
            look(Wanted("mine", tmp_path, reader))
        assert f"--reader {kind}" in str(error.value)


def test_a_reader_whose_own_files_are_there_offers_no_other(tmp_path: Path) -> None:
    listed(tmp_path)
    put(tmp_path / "list.csv", "file,size\ntest/red/a.png,1\n")
    with pytest.raises(UserError) as error:
        look(Wanted("mine", tmp_path, "table"))
    assert "--reader" not in str(error.value)


@pytest.mark.parametrize("name", ["photos.zip", "set.tar.gz", "set.tar.zst"])
def test_an_archive_is_to_be_unpacked(tmp_path: Path, name: str) -> None:
    put(tmp_path / "down" / name, b"packed")
    with pytest.raises(UserError, match=f"unpack {name} first"):
        look(Wanted("mine", tmp_path, "folder"))
