"""Webdataset tars against tarfile and Pillow reading them by hand, and against webdataset's own rule for keys."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gelo.models.faults import UserError
from gelo.tasks.data.manifest import read_chunk
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.prepare import readers
from gelo.tasks.prepare.formats import tarred
from gelo.tasks.prepare.general.webdataset import webdataset
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.prepare.samples import split_key
from tests.tasks.prepare.same_pictures import CLASSES, Meant, Sample, image, meant, put, read, samples, write_tar

TRAIN, TEST = samples(0, 8), samples(100, 6)
MEANT: Meant = {"train": dict(TRAIN), "test": dict(TEST)}
NAMES, TEMPLATES = "classnames.txt", "zeroshot_classification_templates.txt"


def members(some: list[Sample], classes: tuple[str, ...] = CLASSES, first: int = 0) -> list[tuple[str, bytes]]:
    return [
        member
        for n, (content, name) in enumerate(some, start=first)
        for member in ((f"s{n:07d}.png", content), (f"s{n:07d}.cls", str(classes.index(name)).encode()))
    ]


def benchmark(root: Path, splits: dict[str, list[Sample]] | None = None, shards: int = 2) -> Path:
    """The layout of CLIP_benchmark, each split in `shards` tars."""
    for split, some in (splits or {"train": TRAIN, "test": TEST}).items():
        size = -(-len(some) // shards)
        for n in range(shards):
            write_tar(root / split / f"{n}.tar", members(some[n * size : (n + 1) * size], first=n * size))
        put(root / split / "nshards.txt", f"{shards}\n")
    put(root / NAMES, "\n".join(CLASSES) + "\n")
    put(root / TEMPLATES, "a photo of a {c}.\nmy {c}\n")
    return root


def by_hand(root: Path) -> Meant:
    """Every tar with tarfile alone: one image and one .cls of each name, names by their line."""
    names = (root / NAMES).read_text().splitlines()
    found: Meant = {}
    for path in sorted(root.rglob("*.tar")):
        with tarfile.open(path) as tar:
            content = {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}  # type: ignore[union-attr]
        for name, data in content.items():
            if name.endswith(".png"):
                Image.open(io.BytesIO(data)).load()
                label = int(content[name.replace(".png", ".cls")])
                found.setdefault(path.parent.name, {})[data] = names[label]
    return found


def test_the_layout_of_clip_benchmark_is_what_tarfile_reads(tmp_path: Path) -> None:
    layout, faults = read(webdataset, benchmark(tmp_path))
    assert not faults
    assert meant(layout) == by_hand(tmp_path) == MEANT
    assert layout.classes == CLASSES, "in the order of the file, not sorted"
    assert layout.evidence == NAMES
    assert layout.prompts == Prompts(CLASSES, ("a photo of a {}.", "my {}"))
    assert layout.taken == {"train": ("train",), "test": ("test",)}
    assert layout.used == {"image": ".png", "label": ".cls"}
    assert [item.id for item in layout.splits["test"]][:4] == [f"test/{n // 3}/s{n:07d}" for n in range(4)]
    assert [layout.splits["test"][n].id for n in range(6)] == [item.id for item in layout.splits["test"]]


def test_prepare_writes_the_tars_images_with_their_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = readers.Reader(webdataset, "tars", ("splits", "image", "label", "classes"))
    monkeypatch.setitem(readers.READERS, "webdataset", about)
    source = benchmark(tmp_path / "set")
    dataset, _ = prepare("mine", source, tmp_path / "data", reader="webdataset")
    assert dataset.card.classes == CLASSES
    assert dataset.card.prompts is not None
    assert dataset.card.prompts.templates == ("a photo of a {}.", "my {}")
    for split, some in (("train", TRAIN), ("test", TEST)):
        assert read_chunk(dataset.chunks(split)[0])[1] == [content for content, _ in some]
        assert dataset.labels(split).tolist() == [CLASSES.index(name) for _, name in some]
    (source / "test" / "1.tar").unlink()
    with pytest.raises(UserError, match=r"1 shard of 2 missing: 1; expected shards 0 to 1: nshards\.txt says so"):
        prepare("other", source, tmp_path / "data", reader="webdataset")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train/0.tar", "test/0.tar"),
        ("Training/0.tar", "Testing/0.tar"),
        ("imagenet-train-000000.tar", "imagenet-test-000000.tar"),
        ("data/train-00000-of-00001.tar", "data/test-00000-of-00001.tar"),
        ("set/train/set-train-0.tar", "set/test/set-test-0.tar"),
        ("my-test/train/0.tar", "my-test/test/0.tar"),
        ("train/part/0.tar", "test/part/0.tar"),
        ("wds/x/train.tar", "wds/x/test.tar"),
        ("train2012/part-0001.tar", "test2012/part-0001.tar"),
    ],
)
def test_splits_are_told_by_folders_and_names(train: str, test: str, tmp_path: Path) -> None:
    write_tar(tmp_path / train, members(TRAIN))
    write_tar(tmp_path / test, members(TEST))
    put(tmp_path / NAMES, "\n".join(CLASSES))
    layout, faults = read(webdataset, tmp_path)
    assert not faults
    assert meant(layout) == MEANT


@pytest.mark.parametrize(
    ("tars", "expected"),
    [
        (("train/0.tar", "extra/0.tar"), "'extra': nothing tells which split that is"),
        (("train/0.tar", "training/0.tar"), "could each be the train split"),
        (("train/x-test-0.tar", "val/0.tar"), "'train/x-test': nothing tells which split that is"),
        (
            ("a/train/0.tar", "b/train/0.tar"),
            "'a', 'b': each holds tars of its own; expected one data set at a time; --from",
        ),
        (("x-train-0.tar", "x-train-1.tar", "x-train-3.tar"), "1 shard of 4 missing: 2"),
        (("x-train-0-of-3.tar", "x-train-2-of-3.tar"), "1 shard of 3 missing: 1"),
        (("x-train-0-of-3.tar", "x-train-1-of-2.tar"), "numbered to 2 and to 3"),
        (("x-train-2.tar", "x-train-02.tar"), "two of one number"),
        (("train/0.tar.gz", "train/0.txt"), "0.tar.gz: compressed with gzip; expected a plain tar"),
        (("train/0.txt",), "no .tar"),
    ],
)
def test_tars_whose_split_or_number_is_not_sure(tars: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    for n, tar in enumerate(tars):
        write_tar(tmp_path / tar, members(samples(10 * n, 4)))
        if tar.endswith(".gz"):
            (tmp_path / tar).write_bytes(gzip.compress((tmp_path / tar).read_bytes()))
    assert expected in read(webdataset, tmp_path)[1]


def test_the_user_says_which_split_is_what(tmp_path: Path) -> None:
    benchmark(tmp_path, {"holdings": TEST, "full": TRAIN, "unlabelled": samples(50, 4)})
    layout, faults = read(webdataset, tmp_path, splits={"holdings": "test", "full": "train", "unlabelled": ""})
    assert not faults
    assert meant(layout) == MEANT


def test_a_single_split_that_nothing_names_is_test_and_that_is_said(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", members(TEST))
    layout, faults = read(webdataset, tmp_path)
    assert not faults
    assert [len(items) for items in layout.splits.values()] == [len(TEST)]
    assert "all images are taken for test" in layout.notes[0]
    assert "whole numbers without names" in layout.unnamed
    assert layout.prompts is None
    named, _ = read(webdataset, tmp_path, classes=CLASSES)
    assert meant(named) == {"test": dict(TEST)}


def test_a_split_that_the_set_does_not_have(tmp_path: Path) -> None:
    benchmark(tmp_path)
    _, faults = read(webdataset, tmp_path, splits={"tset": "", "train": "train"})
    assert "--split: unknown split 'tset'" in faults
    assert "nearest: test" in faults


def test_a_folder_too_low(tmp_path: Path) -> None:
    benchmark(tmp_path)
    assert (
        f"classnames.txt lies in the folder above; expected the folder that holds splits and names; --from {tmp_path}"
        in (read(webdataset, tmp_path / "test")[1])
    )


def changed(tmp_path: Path, change: Callable[[list[tuple[str, bytes]]], object]) -> tuple[Meant, str]:
    """A test split of which one tar has other members."""
    content = members(TEST)
    change(content)
    write_tar(tmp_path / "test" / "0.tar", content)
    put(tmp_path / NAMES, "\n".join(CLASSES))
    layout, faults = read(webdataset, tmp_path)
    return meant(layout), faults


CHANGES: dict[str, tuple[Callable[[list[tuple[str, bytes]]], object], str]] = {
    "a label": (lambda m: m.pop(1), "1 of 6 samples without a label: 'test/0.tar: s0000000'; expected a .cls in each"),
    "an image": (lambda m: m.pop(0), "1 of 6 samples without an image: 'test/0.tar: s0000000'"),
    "twice": (lambda m: m.append(m[0]), "1 members twice in their tar: 'test/0.tar: s0000000.png'"),
    "two images": (lambda m: m.append(("s0000000.seg.png", image(9))), "1 of 6 samples have several images: 'test/0.tar: s0000000 (.png, "),
    "hidden": (lambda m: m.__setitem__(1, (m[1][0], b"-1")), "-1 is what the hub writes for hidden labels"),
    "fraction": (lambda m: m.__setitem__(1, (m[1][0], b"0.5")), "labels are numbers with fractions: '0.5'"),
    "binary": (lambda m: m.__setitem__(1, (m[1][0], b"\x93NUMPY\xff")), "1 of 6 samples have a label that is no text"),
    "endless": (lambda m: m.__setitem__(1, (m[1][0], b"1" * 5_000)), "1 of 6 samples have a label that is no text"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_samples_with_a_fault_are_counted_and_left_out(change: str, tmp_path: Path) -> None:
    how, expected = CHANGES[change]
    found, faults = changed(tmp_path, how)
    assert expected in faults
    assert faults.count("\n") == 0, "one line"
    kept = {content: name for content, name in TEST if content != TEST[0][0] or change == "twice"}
    assert found == {"test": kept}


def test_a_label_beyond_the_names_leaves_nothing_since_no_one_knows_which_name_is_missing(tmp_path: Path) -> None:
    found, faults = changed(tmp_path, lambda m: m.__setitem__(1, (m[1][0], b"9")))
    assert "1 labels beyond its 4 names: '9'" in faults
    assert not found.get("test")


def test_litter_and_what_is_no_sample_is_left_out(tmp_path: Path) -> None:
    stray = ["._s0000000.png", "__MACOSX/s1.png", ".DS_Store", "__meta__/x.json", "README"]
    found, faults = changed(tmp_path, lambda m: m.extend((name, b"x") for name in stray))
    assert not faults
    assert found == {"test": dict(TEST)}


def test_members_may_stand_in_any_order_and_be_called_anything(tmp_path: Path) -> None:
    """`./`, folders with dots, capitals, other image formats, names out of the tree: nothing of it is unpacked."""

    def change(content: list[tuple[str, bytes]]) -> None:
        prefixes = ("./", "a.b/", "../../", "/etc/", "x/../", "")
        content[:] = [
            (f"{prefixes[n // 2]}{name.replace('.png', '.PNG')}", data) for n, (name, data) in enumerate(content)
        ]
        random.Random(3).shuffle(content)

    assert changed(tmp_path, change) == ({"test": dict(TEST)}, "")
    layout, _ = read(webdataset, tmp_path)
    assert not any(".." in item.id or item.id.startswith("/") for item in layout.splits["test"])


def test_links_devices_and_members_too_large_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "test" / "0.tar"
    write_tar(path, members(TEST))
    with tarfile.open(path, "a") as tar:
        for name, kind in (
            ("l.png", tarfile.SYMTYPE),
            ("h.png", tarfile.LNKTYPE),
            ("d.png", tarfile.BLKTYPE),
            ("p.png", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    put(tmp_path / NAMES, "\n".join(CLASSES))
    layout, faults = read(webdataset, tmp_path)
    assert "4 links, devices or sparse files: 'l.png', 'h.png', 'd.png', 'p.png'; expected plain files" in faults
    assert meant(layout) == {"test": dict(TEST)}
    monkeypatch.setattr(tarred, "LARGEST", len(max(TEST, key=lambda sample: len(sample[0]))[0]) - 1)
    assert "files too large: " in read(webdataset, tmp_path)[1]


def test_a_tar_cut_anywhere_is_told_and_what_is_read_is_right(tmp_path: Path) -> None:
    path = tmp_path / "test" / "0.tar"
    put(tmp_path / NAMES, "\n".join(CLASSES))
    write_tar(path, members(TEST[:2]))
    content = path.read_bytes()
    end = len(content.rstrip(b"\0")) // 512 * 512 + 512
    for cut in [*range(0, end, 97), *range(512, end + 1, 512), end + 511]:
        path.write_bytes(content[:cut])
        layout, faults = read(webdataset, tmp_path)
        assert "0.tar: damaged or cut short" in faults, cut
        assert all(meant(layout).get("test", {}).items() <= dict(TEST).items() for _ in (0,))
    path.write_bytes(content[: end + 512])
    assert read(webdataset, tmp_path)[1] == "", "the end mark is there"
    path.write_bytes(content + content)
    assert "something after the end of the archive" in read(webdataset, tmp_path)[1]
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert "a pointer of Git LFS, not the tar itself; expected the tar; git lfs pull" in read(webdataset, tmp_path)[1]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_headers_end_well(tmp_path_factory: pytest.TempPathFactory, hits: list[tuple[int, int]]) -> None:
    root = tmp_path_factory.mktemp("damaged")
    path = root / "test" / "0.tar"
    write_tar(path, members(TEST[:3]))
    content = bytearray(path.read_bytes())
    for place, value in hits:
        content[place % len(content)] = value
    path.write_bytes(content)
    layout, _ = read(webdataset, root)
    for items in layout.splits.values():
        assert all(len(item.load()) <= len(content) for item in items)


@pytest.mark.parametrize("size", [b"\xff" * 12, b"\x80" + b"\x7f" * 11, b"77777777777\0"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_sizes_that_lead_backwards_or_out_of_the_file(size: bytes, kind: bytes, tmp_path: Path) -> None:
    """A negative size made Python 3.11.7's tarfile read for ever (CVE-2025-8194)."""
    path = tmp_path / "test" / "0.tar"
    write_tar(path, members(TEST[:2]))
    content = bytearray(path.read_bytes())
    head = content[:512]
    head[124:136], head[156:157], head[148:156] = size, kind, b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    path.write_bytes(bytes(head) + content[512:])
    assert "damaged or cut short" in read(webdataset, tmp_path)[1]


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("dataset_type.txt", "retrieval", "a set for retrieval; expected classification"),
        ("dataset_type.txt", "multilabel\n", "a set for multilabel; expected classification"),
        (NAMES, "red\n\nblue cat\nété\n", "1 blank lines among the names: 2"),
        (NAMES, "red\ngreen\nblue cat\n", "labels beyond its 3 names: '3'"),
        (NAMES, "", "classnames.txt: empty"), (NAMES, "\n\n", "classnames.txt: empty"),
        (NAMES, "r\xe9d\ngreen\n".encode("latin-1"), "classnames.txt: not text"),
        (TEMPLATES, "a photo of a {c}\na photo of a {}\n", "1 templates of another form: 'a photo of a {}'; expected text with one {c}"),
        ("test/nshards.txt", "1\n", "1 shards too many: 1; expected 1: nshards.txt says so"),
        ("test/nshards.txt", "many\n", "'many'; expected the number of shards"),
        ("val/nshards.txt", "3\n", "3 shards of 3 missing: 0, 1, 2"),
        ("_info.json", json.dumps({"splits": {"test": {"filenames": ["test/0.tar", "test/9.tar"]}}}), "1 shard of 2 missing: '9.tar'"),
    ],
)  # fmt: skip
def test_what_the_set_says_of_itself_has_to_be_true(
    file: str, content: str | bytes, expected: str, tmp_path: Path
) -> None:
    put(benchmark(tmp_path) / file, content)
    assert expected in read(webdataset, tmp_path)[1]


def test_stated_numbers_of_images_and_old_macs_lines(tmp_path: Path) -> None:
    put(benchmark(tmp_path) / "_info.json", json.dumps({"splits": {"test": {"num_samples": 7}}}))
    put(tmp_path / NAMES, ("\r".join(CLASSES) + "\r").encode("utf-16"))
    layout, faults = read(webdataset, tmp_path)
    assert not faults
    assert layout.stated == {"test": 7}
    assert meant(layout) == MEANT


def test_labels_in_json_and_text_are_taken_where_the_user_says_so(tmp_path: Path) -> None:
    content = [
        member
        for n, (data, name) in enumerate(TEST)
        for member in (
            (f"{n}.jpg", data),
            (f"{n}.depth.png", image(70 + n)),
            (f"{n}.json", json.dumps({"width": 5, "kind": name}).encode()),
            (f"{n}.txt", f"{name}\n".encode()),
        )
    ]
    write_tar(tmp_path / "test" / "0.tar", content)
    _, faults = read(webdataset, tmp_path)
    assert "6 of 6 samples have several images" in faults
    assert "6 of 6 samples without a label" in faults
    assert "--label KEY takes it from the JSON, which has width, kind" in faults
    for label in ("kind", "txt", ".txt"):
        layout, faults = read(webdataset, tmp_path, image="jpg", label=label)
        assert not faults
        assert meant(layout) == {"test": dict(TEST)}
        assert layout.classes == tuple(sorted({name for _, name in TEST}))
    assert "6 of 6 samples without a label" in read(webdataset, tmp_path, image="jpg", label="sort")[1]


def test_a_tar_of_class_folders_is_no_webdataset(tmp_path: Path) -> None:
    write_tar(tmp_path / "train.tar", [(f"{name}/{n}.png", data) for n, (data, name) in enumerate(TRAIN)])
    assert "tars of class folders: unpack them, then --reader folder" in read(webdataset, tmp_path)[1]


def test_names_in_cls_and_numbers_elsewhere_are_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "test.tar", members(TEST))
    named = [(name, data if name.endswith("png") else CLASSES[int(data)].encode()) for name, data in members(TRAIN)]
    write_tar(tmp_path / "train.tar", named)
    assert "labels are numbers in 'test' and names in 'train'" in read(webdataset, tmp_path)[1]
    (tmp_path / "test.tar").unlink()
    assert meant(read(webdataset, tmp_path)[0]) == {"train": dict(TRAIN)}


@given(
    st.lists(st.text("abG._ é", min_size=1, max_size=6).filter(lambda part: part.strip(".")), min_size=1, max_size=3)
)
def test_keys_are_those_of_webdataset(parts: list[str]) -> None:
    name = "/".join(parts)
    match = re.match(r"^((?:.*/|)[^.]+)[.]([^/]*)$", name)  # webdataset/webdataset: webdataset/tariterators.py
    if match:
        assert split_key(name) == (match[1], match[2].lower())
    else:
        assert not split_key(name)[1] or parts[-1].startswith("."), "no suffix, or litter"


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_neither_order_nor_names_change_what_an_image_is(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Samples shuffled over shards, names of classes and labels permuted together, splits renamed, a class dropped."""
    root = tmp_path_factory.mktemp("set")
    classes = tuple(data.draw(st.permutations(CLASSES)))
    gone = data.draw(st.sampled_from(["", *CLASSES]))
    folders = {
        "train": data.draw(st.sampled_from(["train", "Training", "x_train_full"])),
        "test": data.draw(st.sampled_from(["test", "TEST"])),
    }
    expected: Meant = {}
    for split, some in (("train", TRAIN), ("test", TEST)):
        kept = data.draw(st.permutations([sample for sample in some if sample[1] != gone or split == "test"]))
        cut = data.draw(st.integers(0, len(kept)))
        for n, part in enumerate((kept[:cut], kept[cut:])):
            content = data.draw(st.permutations(members(part, classes)))
            write_tar(root / folders[split] / f"{n}.tar", content)
        expected[split] = dict(kept)
    put(root / NAMES, "\n".join(classes))
    layout, faults = read(webdataset, root)
    if not faults:
        assert meant(layout) == expected
    else:
        assert "damaged" not in faults
        pytest.fail(faults)
