"""What a tree of folders is taken for: layouts that people have are read right, or refused with the way out; never as something else."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gelo.models.faults import UserError
from gelo.tasks.prepare.layout import Asked, Layout
from gelo.tasks.prepare.prepare import Wanted, look
from tests.tasks.prepare.plain import COLOURS, number_of, paint, tree, wrong


def read(source: Path, **asked: Any) -> Layout:
    return look(Wanted("mine", source, reader="folder", asked=Asked(**asked))).layout


def counts(layout: Layout) -> dict[str, int]:
    return {split: len(items) for split, items in layout.splits.items() if items}


def refused(source: Path, *words: str, **asked: Any) -> None:
    with pytest.raises(UserError) as error:
        read(source, **asked)
    for word in words:
        assert word in str(error.value), str(error.value)


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"), ("training", "validation", "testing"), ("Train", "Valid", "Test"), ("TRAIN", "dev", "TEST"),
        ("my-train", "my-val", "my-test"), ("train_full", "eval", "test_full"), ("train2017", "val2017", "test2017"),
        ("TrainSet", "ValSet", "TestSet"), ("01_train", "02_valid", "03_test"),
    ],
)  # fmt: skip
def test_splits_by_the_names_that_people_use(train: str, val: str, test: str, tmp_path: Path) -> None:
    tree(tmp_path, {train: 3, val: 1, test: 2})
    layout = read(tmp_path)
    assert counts(layout) == {"train": 18, "val": 6, "test": 12}
    assert sorted(layout.classes) == sorted(COLOURS)
    assert not wrong(layout)
    assert layout.taken == {"train": (train,), "val": (val,), "test": (test,)}


def test_a_split_of_an_unknown_name_is_asked_for(tmp_path: Path) -> None:
    tree(tmp_path, {"train": 2, "holdback": 2})
    refused(tmp_path, "'holdback'", "--split holdback=test")
    assert counts(read(tmp_path, splits={"holdback": "test"})) == {"train": 12, "test": 12}


def test_a_split_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """An option that does nothing is a name mistyped."""
    tree(tmp_path / "two", {"train": 2, "test": 2})
    for role in ("test", ""):
        with pytest.raises(UserError, match=r"unknown split 'tset'.* nearest: test"):
            read(tmp_path / "two", splits={"tset": role})
    tree(tmp_path / "sole", {"": 2})
    with pytest.raises(UserError, match="unknown split 'holdback'"):
        read(tmp_path / "sole", splits={"holdback": "test"})
    assert counts(read(tmp_path / "sole", splits={"sole": "test"})) == {"test": 12}


def test_two_splits_for_one_role_are_chosen_between(tmp_path: Path) -> None:
    tree(tmp_path, {"train": 2, "train_small": 1, "test": 1})
    refused(tmp_path, "'train', 'train_small'", "--split train=train")
    assert counts(read(tmp_path, splits={"train_small": ""})) == {"train": 12, "test": 6}
    both = read(tmp_path, splits={"train": "train", "train_small": "train"})
    assert counts(both) == {"train": 18, "test": 6}
    assert not wrong(both)


def test_no_test_split_is_said_with_the_way_out(tmp_path: Path) -> None:
    tree(tmp_path, {"train": 2, "val": 1})
    refused(tmp_path, "test: missing", "--split")
    assert counts(read(tmp_path, splits={"val": "test"})) == {"train": 12, "test": 6}


def test_class_folders_that_sound_like_splits_are_classes(tmp_path: Path) -> None:
    """ImageNet has a `bullet train` and a `test tube`; here they hold images and no folders."""
    for split in ("train", "test"):
        for n, name in enumerate(("bullet train", "test tube", "train")):
            paint(tmp_path / split / name / f"{n}.png", "red", n + 5 * (split == "test"))
    assert read(tmp_path).classes == ("bullet train", "test tube", "train")
    flat = tmp_path / "test"
    assert read(flat).classes == ("bullet train", "test tube", "train")


@pytest.mark.parametrize("place", ["", "download", "download/photos/v1"])
def test_a_folder_too_high_is_entered_and_said(place: str, tmp_path: Path) -> None:
    tree(tmp_path / place, {"train": 2, "test": 1})
    layout = read(tmp_path)
    assert counts(layout) == {"train": 12, "test": 6}
    assert not wrong(layout)
    assert bool(place) == any("the only folder" in note for note in layout.notes)


def test_several_sets_in_one_folder_are_listed(tmp_path: Path) -> None:
    tree(tmp_path / "cats", {"train": 2, "test": 1})
    tree(tmp_path / "dogs", {"train": 2, "test": 1})
    refused(tmp_path, "'cats', 'dogs'", f"--from {tmp_path / 'cats'}")


@pytest.mark.parametrize("name", ["train", "training", "val", "Dev"])
def test_a_train_split_alone_is_not_scored(name: str, tmp_path: Path) -> None:
    tree(tmp_path / name, {"": 2})
    refused(tmp_path / name, f"a folder called {name}", f"--from {tmp_path}")
    assert counts(read(tmp_path / name, splits={name: "test"})) == {"test": 12}
    assert counts(read(tmp_path / name, splits={name: "train"})) == {"train": 12}


def test_a_class_folder_alone_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, {"train": 2, "test": 2})
    refused(tmp_path / "test" / "red", "2 images and no folders", f"--from {tmp_path}")


def test_splits_without_class_folders_are_refused(tmp_path: Path) -> None:
    for n, split in enumerate(("training", "testing")):
        paint(tmp_path / split / "a.png", "red", n)
        paint(tmp_path / split / "b.png", "blue", n)
    refused(tmp_path, "'testing', 'training'", "--reader table")


def test_domains_above_classes_are_refused_with_each_way(tmp_path: Path) -> None:
    tree(tmp_path / "photo", {"": 2})
    tree(tmp_path / "sketch", {"": 2})
    refused(tmp_path, "'photo', 'sketch'", f"--from {tmp_path / 'photo'}", "--split photo=test")
    assert counts(read(tmp_path, splits={"photo": "test", "sketch": ""})) == {"test": 12}
    assert not wrong(read(tmp_path / "photo"))


def test_domains_inside_splits_are_refused_unless_they_are_named_as_classes(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for domain in ("photo", "sketch"):
            tree(tmp_path / "both" / split / domain, {"": 1})
    refused(tmp_path / "both", "'photo', 'sketch': folders that hold 'black', 'blue'", "--classes FILE")
    assert read(tmp_path / "both", classes=("photo", "sketch")).classes == ("photo", "sketch")
    tree(tmp_path / "across" / "train" / "photo", {"": 1})
    tree(tmp_path / "across" / "test" / "sketch", {"": 1})
    refused(tmp_path / "across", "'photo': folders that hold", "'sketch': folders that hold")


def test_folders_of_folders_alone_are_splits_or_classes_and_are_asked_about(tmp_path: Path) -> None:
    for top, colour in (("fit", "red"), ("final", "blue")):
        paint(tmp_path / top / colour / "a.png", colour)
    refused(tmp_path, "'final', 'fit'", "--split final=train --split fit=test", "--classes FILE")
    assert counts(read(tmp_path, splits={"fit": "train", "final": "test"})) == {"train": 1, "test": 1}
    assert read(tmp_path, classes={"fit": "fit", "final": "final"}).classes == ("final", "fit")
    paint(tmp_path / "fit" / "b.png", "red")
    assert read(tmp_path).classes == ("final", "fit"), "a folder with images is a class"


def test_a_name_with_a_control_character_is_refused(tmp_path: Path) -> None:
    for name in ("red\x1b[31m", "blue"):
        paint(tmp_path / "test" / name / "a.png", "red")
    refused(tmp_path, "'red\\x1b[31m' holds a control character")


def test_folders_inside_a_class_count_for_it(tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        for number, day in enumerate((f"{colour} one", f"{colour} two")):
            paint(tmp_path / "test" / colour / day / f"{number}.png", colour, number)
    layout = read(tmp_path)
    assert layout.classes == ("blue", "red")
    assert not wrong(layout)
    assert any("4 images lie in folders inside" in note for note in layout.notes)


def test_classes_above_their_splits_are_refused(tmp_path: Path) -> None:
    for colour in COLOURS:
        for n, split in enumerate(("train", "test")):
            paint(tmp_path / colour / split / f"{n}.png", colour, n)
    refused(tmp_path, "each holds splits (test, train)")


def test_litter_is_left_out_and_images_are_known_by_content(tmp_path: Path) -> None:
    tree(tmp_path, {"train": 2, "test": 1})
    (tmp_path / "__MACOSX" / "train" / "red").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "train" / "red" / "._red0.png").write_bytes(b"\0\5\26\7" + bytes(78))
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):
        (tmp_path / "train" / "red" / name).write_bytes(b"x")
    paint(tmp_path / "@eaDir" / "red" / "thumb.png", "red")
    paint(tmp_path / "train" / ".ipynb_checkpoints" / "red0.png", "red")
    (tmp_path / "test" / "red" / "red2.png").rename(tmp_path / "test" / "red" / "no suffix")
    (tmp_path / "test" / "red" / "notes.txt").write_text("seen in March")
    (tmp_path / "test" / "purple" / "deeper").mkdir(parents=True)
    seen = look(Wanted("mine", tmp_path, reader="folder"))
    assert counts(seen.layout) == {"train": 12, "test": 6}
    assert sorted(seen.layout.classes) == sorted(COLOURS)
    assert not wrong(seen.layout)
    left = {each.reason: each.count for each in seen.understood().left_out}
    assert left == {
        "left by an archive, a system or another program": 6,
        "no image by its content": 1,
        "a folder without images": 1,
    }


def test_labels_are_matched_over_unicode_forms_and_clashes_refused(tmp_path: Path) -> None:
    composed, apart = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    paint(tmp_path / "train" / composed / "a.png", "red")
    paint(tmp_path / "test" / apart / "b.png", "red", 1)
    for split in ("train", "test"):
        paint(tmp_path / split / "blue" / "c.png", "blue", len(split))
    layout = read(tmp_path)
    assert layout.classes == ("blue", composed)
    assert [item.label for item in layout.splits["test"]] == [0, 1]
    paint(tmp_path / "test" / composed / "d.png", "blue", 3)
    refused(tmp_path, "in two Unicode forms")


@pytest.mark.parametrize("names", [("red_cat", "red cat"), ("Tabby", "tabby"), ("a  b", "a b"), ("ﬁsh", "fish")])
def test_two_folders_with_one_text_are_refused_whatever_is_allowed(names: tuple[str, str], tmp_path: Path) -> None:
    tree(tmp_path, {"train": 1, "test": 1}, dict(zip(("red", "blue"), names, strict=True)))
    for partial in (False, True):
        with pytest.raises(UserError, match="one text"):
            look(Wanted("mine", tmp_path, reader="folder", allow_partial=partial))


def test_numbered_folders_have_no_names_to_ask_for(tmp_path: Path) -> None:
    order = ["red", "green", "blue", "yellow", "black", "white", "red", "green", "blue", "yellow", "black"]
    for number, colour in enumerate(order):
        paint(tmp_path / "test" / str(number) / "a.png", colour, number)
    seen = look(Wanted("mine", tmp_path, reader="folder"))
    assert seen.layout.classes == tuple(map(str, range(11)))
    assert [item.label for item in seen.layout.splits["test"]] == list(range(11))
    assert "--classes" in seen.undefined()["zero_shot"]
    given = tuple(f"{colour} {n}" for n, colour in enumerate(order))
    named = look(Wanted("mine", tmp_path, reader="folder", asked=Asked(classes=given)))
    assert named.layout.classes == given
    assert not named.undefined()
    assert {item.id.split("/")[1]: named.layout.classes[item.label] for item in named.layout.splits["test"]} == {
        str(n): name for n, name in enumerate(given)
    }


def test_a_metadata_file_is_not_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, {"train": 1, "test": 1})
    (tmp_path / "train" / "metadata.csv").write_text("file_name,label\nred/red0.png,blue\n")
    refused(tmp_path, "metadata.csv", "--reader table")


def test_linked_folders_are_read_within_the_tree_only(tmp_path: Path) -> None:
    root = tmp_path / "set"
    tree(root / "test", {"": 1})
    (root / "train").symlink_to(root / "test", target_is_directory=True)
    assert counts(read(root)) == {"train": 6, "test": 6}
    tree(tmp_path / "elsewhere", {"": 1})
    (root / "train").unlink()
    (root / "train").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    refused(root, "leads out of the tree")
    (root / "train").unlink()
    (root / "train").symlink_to(root, target_is_directory=True)
    assert counts(read(root)) == {"test": 6}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_renamed_dropped_or_nested_each_image_keeps_its_class_or_nothing_is_read(
    data: st.DataObject, tmp_path: Path
) -> None:
    root = tmp_path / "any"
    shutil.rmtree(root, ignore_errors=True)
    words = {
        "train": ["train", "Training", "trn", "fit", "train_a"],
        "test": ["test", "TESTING", "held-out test", "final"],
    }
    top = data.draw(st.sampled_from(["", "a", "a/b", "images"]))
    for shift, split in enumerate(("train", "test")):
        called = data.draw(st.sampled_from(words[split]))
        inside = data.draw(st.sampled_from(["", "images"]))
        for colour in data.draw(st.lists(st.sampled_from(sorted(COLOURS)), min_size=1, max_size=6, unique=True)):
            deeper = data.draw(st.sampled_from(["", f"{colour}s"]))
            paint(root / top / called / inside / colour / deeper / "x.png", colour, 3 * shift + 1)
    if data.draw(st.booleans()):
        (root / top / "empty").mkdir(parents=True)
    try:
        layout = read(root)
    except UserError:
        return
    assert not wrong(layout)
    painted = {split: {number_of(item.load()) for item in items} for split, items in layout.splits.items() if items}
    assert painted == {split: {1 if split == "train" else 4} for split in painted}, "no image in the other split"


@pytest.mark.timeout(60)
def test_nobody_waits_for_a_pipe(tmp_path: Path) -> None:
    """A pipe or a device among the images, whatever its name: left out or told, never read."""
    tree(tmp_path, {"train": 2, "test": 2})
    os.mkfifo(tmp_path / "train" / "red" / "control")
    seen = look(Wanted("mine", tmp_path, reader="folder"))
    assert counts(seen.layout) == {"train": 12, "test": 12}
    assert ("train/red/control",) in [left.first for left in seen.understood().left_out]
    os.mkfifo(tmp_path / "train" / "red" / "stream.png")
    refused(tmp_path, "stream.png")
