"""A .rec that is read in place: the same images as a copy of them, the file's own bytes, and a refusal where the file is another."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gelo.models.backbones.transforms import Transform
from gelo.models.faults import UserError
from gelo.sweeps.stages.embed import verified
from gelo.tasks.data.manifest import CHUNK, Dataset, open_dataset, read_chunk
from gelo.tasks.data.near import looks_of
from gelo.tasks.data.pack import bytes_of, packed
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.training.source import SplitSource
from tests.tasks.prepare import face_trees
from tests.tasks.prepare.face_trees import MAGIC, with_header, write_records


def commented(image: bytes) -> bytes:
    """The JPEG with a comment that holds the magic word where a record is cut at it."""
    comment = b"--" + MAGIC + b"more"
    return image[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + image[2:]


IMAGES = [face_trees.jpeg(number, 24) for number in range(CHUNK + 20)]
IMAGES[3] = commented(IMAGES[3])
CUT = 3


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    root = tmp_path_factory.mktemp("faces")
    write_records(root / "x", with_header([IMAGES[:50], IMAGES[50:]]))
    copied, _ = prepare("copied", root / "x", root / "data", reader="identities")
    stayed, _ = prepare("stayed", root / "x", root / "data", reader="identities", in_place=True)
    return copied, stayed


def test_it_is_the_same_data_set(both: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    copied, stayed = both
    for dataset in both:
        assert [data for chunk in dataset.chunks("train") for data in read_chunk(chunk)[1]] == IMAGES
        pack = packed(dataset, "train", tmp_path)
        assert [pack.read(row) for row in range(len(pack))] == IMAGES
        assert [row["image"] for row in dataset.records("train", [CUT, 0, CHUNK], ["image"])] == [
            IMAGES[CUT],
            IMAGES[0],
            IMAGES[CHUNK],
        ]
    np.testing.assert_array_equal(copied.labels("train"), stayed.labels("train"))
    assert copied.ids("train").tolist() == stayed.ids("train").tolist()
    assert looks_of(copied, "train") == looks_of(stayed, "train") or np.array_equal(
        looks_of(copied, "train"), looks_of(stayed, "train")
    )
    assert copied.fingerprint != stayed.fingerprint and copied.card.elsewhere is None
    sources = [SplitSource(dataset, "train", Transform(size=24), tmp_path, kind="flip") for dataset in both]
    rows = np.array([CUT, 9, CHUNK + 1])
    first, second = (each.take(rows, np.random.default_rng(0)) for each in sources)
    np.testing.assert_array_equal(first, second)


def test_nothing_is_copied_but_what_does_not_lie_in_one_piece(both: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    copied, stayed = both
    assert stayed.card.elsewhere is not None and Path(stayed.elsewhere).name == "train.rec"
    assert bytes_of(stayed, "train") < bytes_of(copied, "train") - sum(map(len, IMAGES)) / 2
    assert stayed.card.understood is not None and stayed.card.understood.notes[-1].startswith("the images stay in /")
    file = Path(stayed.elsewhere).read_bytes()
    packed(stayed, "train", tmp_path)
    kept = next(tmp_path.glob("packs/*/*/train/images.bin")).read_bytes()
    assert kept.count(MAGIC) == 1 and IMAGES[CUT] in kept and IMAGES[0] not in kept
    assert IMAGES[0] in file and IMAGES[CUT] not in file


def test_a_file_that_is_another_is_refused(both: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    source = Path(both[1].elsewhere).parent
    shutil.copytree(source, tmp_path / "x")
    stayed, _ = prepare("mine", tmp_path / "x", tmp_path / "data", reader="identities", in_place=True)
    rec, whole = tmp_path / "x" / "train.rec", (tmp_path / "x" / "train.rec").read_bytes()
    verified(stayed.root, tmp_path / "cache")
    at = whole.index(IMAGES[1]) + 30
    rec.write_bytes(whole[:at] + b"?" + whole[at + 1 :])
    with pytest.raises(UserError, match=r"train\.rec: SHA-256 differs from dataset\.json"):
        verified(stayed.root, tmp_path / "cache")
    rec.write_bytes(whole[:-4])
    with pytest.raises(UserError, match=r"train\.rec: \d+ bytes \(truncated\?\); expected \d+ bytes"):
        open_dataset(stayed.root)
    rec.unlink()
    with pytest.raises(UserError, match=r"train\.rec: missing; expected \d+ bytes; delete .* and prepare"):
        open_dataset(stayed.root)


def test_only_a_rec_can_stay(both: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    (tmp_path / "x" / "someone").mkdir(parents=True)
    (tmp_path / "x" / "someone" / "1.jpg").write_bytes(IMAGES[0])
    with pytest.raises(
        UserError, match=r"--in-place: what lies in .*; expected images that stay as they are in one \.rec"
    ):
        prepare("mine", tmp_path / "x", tmp_path / "data", reader="identities", in_place=True)
    assert not (tmp_path / "data" / "mine").exists()
