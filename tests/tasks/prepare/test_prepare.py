"""What a preparation refuses, tells and leaves behind: whole trees only, every fault at once, nothing half visible."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gelo.models.durable import is_done
from gelo.models.faults import Fault, UserError
from gelo.tasks.data.asking import prompts_for
from gelo.tasks.data.manifest import open_dataset, read_chunk
from gelo.tasks.prepare.general.official import OFFICIAL
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.prepare.readers import KNOWN
from tests.tasks.prepare import trees
from tests.tasks.prepare.trees import TREES, picture


def refused(name: str, source: Path, data: Path, **options: Any) -> tuple[Fault, ...]:
    with pytest.raises(UserError) as error:
        prepare(name, source, data, **options)
    assert not is_done(data / name), "nothing is visible"
    assert not list(data.glob(".prepare-*")), "nothing is left behind"
    return error.value.faults


def said(faults: tuple[Fault, ...]) -> str:
    return "\n".join(str(fault) for fault in faults)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's images: two classes, names with blanks and letters beyond ASCII."""
    root = tmp_path / "meine Bilder"
    for k, name in enumerate(("blå hund", "red_cat")):
        for n in range(3):
            picture(root / "train" / name / f"bild {n}é.jpg", 10 * k + n)
            picture(root / "test" / name / f"bild {n}é.jpg", 100 + 10 * k + n)
    return root


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_tree_that_is_not_whole_is_refused_with_every_count(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path / "tree")
    faults = refused(name, tmp_path / "tree", tmp_path / "data")
    for split, images in OFFICIAL[name].images.items():
        assert any(f.where == f"split {split}" and f.expected == f"{images:,}" for f in faults)
    assert "--allow-partial" in faults[-1].remedy
    dataset, _ = prepare(name, tmp_path / "tree", tmp_path / "data", allow_partial=True)
    assert dataset.card.partial


def _as_sst2(own: Path) -> None:
    for split in ("train", "test"):
        (own / split / "blå hund").rename(own / split / "negative")
        (own / split / "red_cat").rename(own / split / "positive")


def test_counts_by_class_are_checked_where_a_split_is_balanced(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_sst2(own)
    (own / "test" / "positive" / "bild 0é.jpg").rename(own / "test" / "negative" / "moved.jpg")
    small = replace(OFFICIAL["sst2"], images={"train": 6, "test": 6}, each={"train": 3, "test": 3})
    monkeypatch.setitem(KNOWN, "sst2", small)
    faults = refused("sst2", own, tmp_path / "data")
    assert [(f.where, f.found, f.expected) for f in faults[:-1]] == [
        ("split test, class 'negative'", "4 images", "3"),
        ("split test, class 'positive'", "2 images", "3"),
    ]


def test_a_missing_split_file_and_missing_images_are_named_together(tmp_path: Path) -> None:
    TREES["fgvc_aircraft"](tmp_path)
    base = tmp_path / "fgvc-aircraft-2013b" / "data"
    (base / "images_variant_val.txt").unlink()
    (base / "images" / "2000001.jpg").unlink()
    text = said(refused("fgvc_aircraft", tmp_path, tmp_path / "data"))
    assert "images_variant_val.txt: missing" in text
    assert "2000001.jpg: missing" in text


def test_all_images_that_are_none_are_named(own: Path, tmp_path: Path) -> None:
    (own / "test" / "red_cat" / "bild 0é.jpg").write_text("a text file where an image should be")
    whole = own / "train" / "blå hund" / "bild 1é.jpg"
    whole.write_bytes(whole.read_bytes()[:200])
    text = said(refused("mine", own, tmp_path / "data", reader="folder"))
    assert "red_cat/bild 0é.jpg: unreadable image" in text
    assert "blå hund/bild 1é.jpg: unreadable image" in text
    dataset, _ = prepare("mine", own, tmp_path / "data", reader="folder", allow_partial=True)
    assert dataset.card.counts() == {"train": 5, "test": 5}
    assert dataset.card.partial


def test_a_pixel_bomb_is_refused_unopened(own: Path, tmp_path: Path) -> None:
    bomb = own / "test" / "red_cat" / "bomb.png"
    Image.new("1", (8, 8)).save(bomb)
    content = bytearray(bomb.read_bytes())
    content[16:24] = struct.pack(">2I", 60_000, 60_000)  # what its header promises, with a checksum that is right
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    bomb.write_bytes(content)
    started = time.perf_counter()
    text = said(refused("mine", own, tmp_path / "data", reader="folder"))
    assert "bomb.png" in text
    assert "3600000000 pixels" in text
    assert time.perf_counter() - started < 10


def test_a_link_out_of_the_tree_is_refused_and_one_within_is_read(own: Path, tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere.jpg"
    picture(secret, 5)
    (own / "test" / "red_cat" / "out.jpg").symlink_to(secret)
    text = said(refused("mine", own, tmp_path / "data", reader="folder"))
    assert "out.jpg: leads out of the tree" in text
    (own / "test" / "red_cat" / "out.jpg").unlink()
    (own / "test" / "red_cat" / "in.jpg").symlink_to(own / "train" / "red_cat" / "bild 0é.jpg")
    assert prepare("mine", own, tmp_path / "data", reader="folder")[0].card.counts()["test"] == 7


@pytest.mark.parametrize("line", ["banded/../../../../../etc/passwd", "banded//etc/passwd"])
def test_a_list_that_points_out_of_the_tree_is_refused(line: str, tmp_path: Path) -> None:
    TREES["dtd"](tmp_path)
    with (tmp_path / "dtd" / "dtd" / "labels" / "test1.txt").open("a") as stream:
        stream.write(f"{line}\n")
    faults = refused("dtd", tmp_path, tmp_path / "data")
    assert any("passwd" in f.where and ("leads out" in f.found or f.found == "missing") for f in faults)


class Payload:
    """Would make a file when unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.place,)


def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    TREES["cifar10"](tmp_path)
    place = tmp_path / "executed"
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(pickle.dumps({"data": Payload(place)}, protocol=2))
    (tmp_path / "cifar-10-batches-py" / "data_batch_4").write_bytes(b"\x80\x02cos\nsystem\nU\x05touchq\x85R.")
    text = said(refused("cifar10", tmp_path, tmp_path / "data"))
    assert "data_batch_3: asks for " in text
    assert "data_batch_4: asks for os.system" in text
    assert not place.exists()


def test_truncated_arrays_are_named(tmp_path: Path) -> None:
    for name, file in (
        ("stl10", "stl10_binary/test_X.bin"),
        ("mnist", "MNIST/raw/train-images-idx3-ubyte"),
        ("cifar100", "cifar-100-python/train"),
    ):
        TREES[name](tmp_path / name)
        path = tmp_path / name / file
        path.write_bytes(path.read_bytes()[:-7])
        assert Path(file).name in said(refused(name, tmp_path / name, tmp_path / "data"))


@pytest.mark.parametrize("listed", [["apple_pie/1"], {"apple_pie": None}, {"apple_pie": [1]}])
def test_a_split_file_of_another_shape_is_named(listed: object, tmp_path: Path) -> None:
    TREES["food101"](tmp_path)
    (tmp_path / "food-101" / "meta" / "test.json").write_text(json.dumps(listed))
    assert "test.json: other content" in said(refused("food101", tmp_path, tmp_path / "data"))


def test_names_that_cannot_be(own: Path, tmp_path: Path) -> None:
    assert "nearest: food101" in said(refused("fodd101", own, tmp_path / "data"))
    assert "--reader folder" in said(refused("mine", own, tmp_path / "data"))
    text = said(refused("food101", tmp_path / "gone", tmp_path / "data", reader="foldr", partition=3))
    assert "nearest: folder" in text
    assert "no such folder" in text
    assert "no official set has" in text
    assert "nothing: this set has one split" in text


def test_it_is_there_already(own: Path, tmp_path: Path) -> None:
    first, made = prepare("mine", own, tmp_path / "data", reader="folder")
    assert made
    picture(own / "test" / "red_cat" / "new.jpg", 77)
    again, made = prepare("mine", own, tmp_path / "data", reader="folder")
    assert not made
    assert again.fingerprint == first.fingerprint
    anew, made = prepare("mine", own, tmp_path / "data", reader="folder", replace=True)
    assert made
    assert anew.card.counts()["test"] == 7
    assert anew.card.classes == ("blå hund", "red cat")


def test_a_replacement_that_fails_leaves_the_old_one(own: Path, tmp_path: Path) -> None:
    first, _ = prepare("mine", own, tmp_path / "data", reader="folder")
    (own / "test" / "red_cat" / "bild 0é.jpg").write_text("no image")
    with pytest.raises(UserError, match="unreadable image"):
        prepare("mine", own, tmp_path / "data", reader="folder", replace=True)
    assert open_dataset(tmp_path / "data" / "mine", verify=True).fingerprint == first.fingerprint
    assert not list((tmp_path / "data").glob(".prepare-*"))


def test_fewer_classes_than_official_are_one_fault_and_no_crash(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_sst2(own)
    small = replace(OFFICIAL["sst2"], classes=3, images={"train": 6, "test": 6}, each={"train": 2, "test": 2})
    monkeypatch.setitem(KNOWN, "sst2", small)
    assert [(f.where, f.found, f.expected) for f in refused("sst2", own, tmp_path / "data")[:-1]] == [
        ("classes", "2", "3")
    ]


def test_two_at_once_agree(own: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: prepare("mine", own, tmp_path / "data", reader="folder"), range(2)))
    assert sorted(made for _, made in answers) == [False, True]
    assert answers[0][0].fingerprint == answers[1][0].fingerprint


@pytest.mark.slow
def test_a_killed_preparation_leaves_nothing_visible_and_is_done_again(own: Path, tmp_path: Path) -> None:
    """Killed by SIGKILL while it writes: every image is made slow by a reader that sleeps."""
    program = f"""
import time
from pathlib import Path
import gelo.tasks.prepare.decoded as d
import gelo.tasks.prepare.prepare as p
plain = d._record
def slow(*given):
    print("reading", flush=True)
    time.sleep(3)
    return plain(*given)
d._record = slow
p.prepare("mine", Path({str(own)!r}), Path({str(tmp_path / "data")!r}), reader="folder")
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.wait()
    assert not is_done(tmp_path / "data" / "mine")
    assert list((tmp_path / "data").glob(".prepare-mine/.partial-*")), "it was in the middle"
    dataset, made = prepare("mine", own, tmp_path / "data", reader="folder")
    assert made
    assert not list((tmp_path / "data").glob(".prepare-*"))
    assert open_dataset(tmp_path / "data" / "mine", verify=True).card == dataset.card


def test_a_folder_without_splits_is_a_test_set(own: Path, tmp_path: Path) -> None:
    dataset, _ = prepare("mine", own / "test", tmp_path / "data", reader="folder")
    assert dataset.card.counts() == {"test": 6}
    assert dataset.labels("test").tolist() == [0, 0, 0, 1, 1, 1]


def test_parquet_and_arrow_of_the_hub_are_read_alike(own: Path, tmp_path: Path) -> None:
    """The schema's metadata is what `datasets` writes for an Image and a ClassLabel column."""
    features = {
        "info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}}
    }
    meta = {b"huggingface": json.dumps(features).encode()}
    for kind in ("parquet", "arrow"):
        for split, folder in (("train", "train"), ("validation", "test")):
            paths = sorted((own / folder).rglob("*.jpg"))
            images = [{"bytes": p.read_bytes(), "path": p.name} for p in paths]
            table = pa.table({"image": images, "label": [n % 2 for n in range(len(paths))]}).replace_schema_metadata(
                meta
            )
            if kind == "parquet":
                (tmp_path / kind).mkdir(exist_ok=True)
                pq.write_table(table, tmp_path / kind / f"{split}-00000-of-00001.parquet")
            else:
                place = tmp_path / kind / split
                place.mkdir(parents=True)
                with pa.ipc.new_stream(str(place / "data-00000-of-00001.arrow"), table.schema) as sink:
                    sink.write_table(table)
    cards = {
        kind: prepare(f"hub_{kind}", tmp_path / kind, tmp_path / "data", reader="datasets")[0]
        for kind in ("parquet", "arrow")
    }
    for dataset in cards.values():
        assert dataset.card.classes == ("dog", "cat")
        assert dataset.card.counts() == {"train": 6, "val": 6}
        expected = [p.read_bytes() for p in sorted((own / "train").rglob("*.jpg"))]
        assert read_chunk(dataset.chunks("train")[0])[1] == expected


def test_columns_that_the_hub_folder_lacks(tmp_path: Path) -> None:
    pq.write_table(pa.table({"images": [b"x"], "label": [0]}), tmp_path / "test.parquet")
    assert "nearest: images" in said(refused("mine", tmp_path, tmp_path / "data", reader="datasets"))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    assert "broken.parquet: unreadable" in said(refused("mine", tmp_path, tmp_path / "data", reader="datasets"))


def test_a_users_own_prompts(own: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompts.yaml"
    file.write_text("templates: ['a sketch of a {}', 'my {}']\nclasses: [hound, tomcat]\n")
    dataset, _ = prepare("mine", own, tmp_path / "data", reader="folder", prompts=file)
    assert prompts_for(dataset).texts() == [["a sketch of a hound", "my hound"], ["a sketch of a tomcat", "my tomcat"]]
    shutil.rmtree(tmp_path / "data" / "mine")
    file.write_text("templates: ['no place']\nclasses: [hound]\ntemplate: x\n")
    text = said(refused("mine", own, tmp_path / "data", reader="folder", prompts=file))
    assert "text with one {}" in text
    assert "1 names; expected 2 names in label order: blå hund, red cat" in text
    assert "nearest: templates" in text


def test_without_prompts_of_its_own_a_set_is_asked_in_clips_way(own: Path, tmp_path: Path) -> None:
    assert prompts_for(prepare("mine", own, tmp_path / "data", reader="folder")[0]).templates == ("a photo of a {}.",)
    trees.dtd(tmp_path / "dtd")
    dtd, _ = prepare("dtd", tmp_path / "dtd", tmp_path / "data", allow_partial=True)
    assert prompts_for(dtd).texts()[dtd.card.classes.index("polka-dotted")][0] == "a photo of a polka-dotted texture."


def test_names_in_another_encoding_are_refused_and_what_is_left_out_is_told_legibly(own: Path, tmp_path: Path) -> None:
    """As an archive from Windows leaves them: the bytes of a name are no UTF-8."""
    (own / os.fsdecode(b"test/les caf\xe9s.txt")).write_text("by hand")
    dataset, _ = prepare("mine", own, tmp_path / "data", reader="folder")
    assert dataset.card.understood is not None
    assert [left.first for left in dataset.card.understood.left_out] == [("test/les caf\\udce9s.txt",)]
    (own / "train" / "red_cat").rename(own / os.fsdecode(b"train/\xe9t\xe9"))
    (own / "test" / "red_cat").rename(own / os.fsdecode(b"test/\xe9t\xe9"))
    text = said(refused("again", own, tmp_path / "data", reader="folder"))
    assert "\\udce9t\\udce9: a name that is not UTF-8" in text and text.count("bild") == 6
