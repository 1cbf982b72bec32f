"""Hugging Face folders: every layout that people have gives the same pictures under the same names, or says what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gelo.tasks.prepare.hub.reader import hub
from gelo.tasks.prepare.layout import Layout
from gelo.tasks.prepare.tree import Tree
from tests.tasks.prepare.hub_trees import arrow, cached, parquet, rows, save_dict, save_to_disk, snapshot
from tests.tasks.prepare.same_pictures import CLASSES, meant, samples
from tests.tasks.prepare.same_pictures import read as read_with

TRAIN, TEST = samples(0, 12), samples(100, 8)
MEANT = {"train": dict(TRAIN), "test": dict(TEST)}
TABLES = {"train": rows(TRAIN), "test": rows(TEST)}
REVISION = "0123456789abcdef0123456789abcdef01234567"


def read(root: Path, **asked: Any) -> tuple[Layout, str]:
    return read_with(hub, root, **asked)


def refused(root: Path, *words: str, **asked: Any) -> str:
    faults = read(root, **asked)[1]
    for word in words:
        assert word in faults
    assert faults
    return faults


def understood(root: Path, **asked: Any) -> Layout:
    layout, faults = read(root, **asked)
    assert faults == ""
    return layout


def _data(root: Path) -> None:
    for n in range(2):
        parquet(root / f"data/train-0000{n}-of-00002-abcdef012345678{n}.parquet", TABLES["train"].slice(6 * n, 6))
    parquet(root / "data/test-00000-of-00001-abcdef0123456789.parquet", TABLES["test"])
    (root / ".gitattributes").touch()
    (root / "README.md").write_text("# Pets\n\n---\nnot: front matter\n---\n")


def _converted(root: Path) -> None:
    parquet(root / "default/train/0000.parquet", TABLES["train"].slice(0, 7))
    parquet(root / "default/train/0001.parquet", TABLES["train"].slice(7))
    parquet(root / "default/test/0000.parquet", TABLES["test"])


def _files(root: Path) -> None:
    save_to_disk(root / "training", TABLES["train"])
    save_to_disk(root / "testing", TABLES["test"])


def _arrow_files(root: Path) -> None:
    arrow(root / "train.arrow", TABLES["train"], as_file=True)
    arrow(root / "test.arrow", TABLES["test"])


def _spark(root: Path) -> None:
    for split, table in TABLES.items():
        for n in range(2):
            half = len(table) // 2
            parquet(
                root / f"{split}/part-0000{n}-1f0e9a7c-aaaa-4bbb-8ccc-0123456789ab-c000.snappy.parquet",
                table.slice(half * n, half),
            )
        (root / split / "_SUCCESS").touch()


LAYOUTS: dict[str, Callable[[Path], object]] = {
    "saved": lambda root: save_dict(root, TABLES, shards=3),
    "saved, one level up": lambda root: save_dict(root / "pets", TABLES),
    "saved by splits": _files,
    "repository": _data,
    "repository, one level up": lambda root: _data(root / "pets"),
    "refs/convert/parquet": _converted,
    "cache of datasets": lambda root: cached(root, TABLES),
    "cache of the hub": lambda root: snapshot(
        root, REVISION, {f"data/{k}-00000-of-00001.parquet": v for k, v in TABLES.items()}
    ),
    "Arrow files": _arrow_files,
    "Spark": _spark,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_pictures_under_the_same_names(layout: str, tmp_path: Path) -> None:
    LAYOUTS[layout](tmp_path)
    found = understood(tmp_path)
    assert meant(found) == MEANT
    assert found.classes == CLASSES
    assert "ClassLabel of" in found.evidence
    assert found.used == {"image": "image", "label": "label"}


@pytest.mark.parametrize(
    "deeper", ["datasets--ns--pets", "datasets--ns--pets/snapshots", f"datasets--ns--pets/snapshots/{REVISION}"]
)
def test_links_into_the_blobs_of_the_cache_are_followed_from_any_folder_of_it(deeper: str, tmp_path: Path) -> None:
    snapshot(tmp_path, REVISION, {"train.parquet": TABLES["train"], "test.parquet": TABLES["test"]})
    assert meant(understood(tmp_path / deeper)) == MEANT


def test_links_that_lead_out_and_links_to_nothing_are_named(tmp_path: Path) -> None:
    parquet(tmp_path / "elsewhere/a.parquet", TABLES["test"])
    parquet(tmp_path / "set/train.parquet", TABLES["train"])
    (tmp_path / "set/test.parquet").symlink_to(tmp_path / "elsewhere/a.parquet")
    (tmp_path / "set/val.parquet").symlink_to(tmp_path / "nothing")
    refused(
        tmp_path / "set",
        "test.parquet: a link that leads out of the tree",
        "1 links to files that are not there: 'val.parquet'",
    )


@pytest.mark.parametrize("name", ["training", "train_full", "Train", "TRAIN", "my-train", "trainSet"])
def test_a_split_is_taken_for_what_its_name_says(name: str, tmp_path: Path) -> None:
    save_dict(tmp_path / "saved", {name: TABLES["train"], "test": TABLES["test"]})
    parquet(tmp_path / f"files/{name}-00000-of-00001.parquet", TABLES["train"])
    parquet(tmp_path / "files/test-00000-of-00001.parquet", TABLES["test"])
    parquet(tmp_path / f"folders/{name}/0000.parquet", TABLES["train"])
    parquet(tmp_path / "folders/test/0000.parquet", TABLES["test"])
    for form in ("saved", "files", "folders"):
        layout = understood(tmp_path / form)
        assert meant(layout) == MEANT
        assert layout.taken == {"train": (name,), "test": ("test",)}


@pytest.mark.parametrize("name", ["unlabelled", "extra", "trainval", "train_test", "fold3", "all"])
def test_a_split_that_no_name_tells_is_asked_for(name: str, tmp_path: Path) -> None:
    for form in ("saved", "files"):
        if form == "saved":
            save_dict(tmp_path / form, {name: TABLES["train"], "test": TABLES["test"]})
        else:
            parquet(tmp_path / f"files/{name}-00000-of-00001.parquet", TABLES["train"])
            parquet(tmp_path / "files/test-00000-of-00001.parquet", TABLES["test"])
        refused(tmp_path / form, repr(name), f"--split {name}=")
        assert meant(understood(tmp_path / form, splits={name: "train"})) == MEANT
        assert meant(understood(tmp_path / form, splits={name: ""})) == {"test": MEANT["test"]}


def test_several_names_of_one_split_are_not_pooled(tmp_path: Path) -> None:
    for name in ("test", "test_hard"):
        parquet(tmp_path / f"{name}.parquet", TABLES["test" if name == "test" else "train"])
    refused(tmp_path, "'test', 'test_hard' could each be the test split")
    assert set(understood(tmp_path, splits={"test_hard": "", "test": "test"}).splits) == {"test"}
    refused(tmp_path, "unknown split 'tests'", splits={"tests": "test"})


COPIES = {
    "test-00000-of-00001.parquet": "test-*-of-00001",
    "test-0000.parquet": "test-*",
    "test/test.parquet": "test/test.parquet",
    "test.arrow": "test.arrow",
}


@pytest.mark.parametrize("other", COPIES)
def test_two_copies_of_a_split_are_not_pooled(other: str, tmp_path: Path) -> None:
    parquet(tmp_path / "test.parquet", TABLES["test"])
    (arrow if other.endswith("arrow") else parquet)(tmp_path / other, TABLES["test"])
    refused(tmp_path, "could each be the test split", f"--split {COPIES[other]}=", "--split test.parquet=")
    assert meant(understood(tmp_path, splits={COPIES[other]: "", "test.parquet": "test"})) == {"test": MEANT["test"]}


def test_a_file_that_speaks_against_its_folder_is_asked_about(tmp_path: Path) -> None:
    parquet(tmp_path / "train/test.parquet", TABLES["train"])
    parquet(tmp_path / "train/train.parquet", TABLES["train"])
    refused(tmp_path, "'train/test': nothing tells which split that is", "--split train/test=")


@pytest.mark.parametrize("name", ["data", "0000", "data-00000-of-00001", "part-00000"])
def test_a_set_that_nothing_names_is_asked_about(name: str, tmp_path: Path) -> None:
    parquet(tmp_path / "test" / f"{name}.parquet", TABLES["test"])
    refused(tmp_path / "test", "'data': nothing tells which split that is", "--split data=test")
    assert meant(understood(tmp_path / "test", splits={"data": "test"})) == {"test": MEANT["test"]}


def test_a_dataset_alone_is_what_it_was_taken_from_or_what_the_dict_around_it_calls_it(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "alone", TABLES["test"], "test")
    assert understood(tmp_path / "alone").taken == {"test": ("test",)}
    save_to_disk(tmp_path / "nameless", TABLES["test"])
    refused(tmp_path / "nameless", "--split data=test")
    save_to_disk(tmp_path / "both", TABLES["test"], "train+test")
    refused(tmp_path / "both", "'train+test': nothing tells")
    save_dict(
        tmp_path / "halves", TABLES, split="train", stated={"train": 20}
    )  # train_test_split of a set of one split
    assert meant(understood(tmp_path / "halves")) == MEANT
    assert understood(tmp_path / "halves" / "test", splits={"test": "test"}).taken == {"test": ("test",)}


def test_two_datasets_of_one_origin_are_not_pooled(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "a", TABLES["test"], "test")
    save_to_disk(tmp_path / "b", TABLES["train"], "test")
    refused(tmp_path, "'a', 'b': nothing tells")


def test_cache_files_of_other_programs_are_no_data(tmp_path: Path) -> None:
    save_dict(tmp_path / "saved", TABLES)
    place = cached(tmp_path / "cache", TABLES)
    for folder in (tmp_path / "saved/test", place):
        for name in (
            "cache-5f8d1c2b3a4e6f70.arrow",
            "cache-5f8d1c2b3a4e6f70_00000_of_00004.arrow",
            "tmp1a2b3c4d.arrow",
        ):
            arrow(folder / name, TABLES["test"])
    arrow(tmp_path / "cache/ns___pets/default/0.0.0/77.incomplete/pets-test.arrow", TABLES["test"])
    for form in ("saved", "cache"):
        tree = Tree(tmp_path / form)
        assert meant(hub(tree)) == MEANT
        assert not tree.faults
        assert len(tree.left["a cache file of datasets.map"]) == 2
        assert len(tree.left["an unfinished file"]) == 1
    assert len(tree.left["an unfinished download"]) == 1


def test_a_saved_set_is_what_its_state_lists(tmp_path: Path) -> None:
    save_dict(tmp_path, TABLES, shards=2)
    arrow(tmp_path / "test/older.arrow", TABLES["train"])
    tree = Tree(tmp_path)
    assert meant(hub(tree)) == MEANT
    assert tree.left["not listed in state.json"] == ["test/older.arrow"]
    (tmp_path / "test/data-00001-of-00002.arrow").unlink()
    refused(tmp_path, "state.json: 1 files that it lists are missing: 'test/data-00001-of-00002.arrow'")


def test_a_view_by_indices_is_refused(tmp_path: Path) -> None:
    save_to_disk(tmp_path, TABLES["test"], "test")
    state = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps({**state, "_indices_data_files": [{"filename": "indices.arrow"}]}))
    refused(tmp_path, "rows that are chosen by indices", "flatten_indices")


@pytest.mark.parametrize("state", ["{", "[]", '{"_data_files": []}', '{"_data_files": [{"filename": 1}]}', "\xff"])
def test_a_damaged_state_is_named(state: str, tmp_path: Path) -> None:
    save_dict(tmp_path, TABLES)
    (tmp_path / "test/state.json").write_bytes(state.encode("latin-1"))
    refused(tmp_path, "test/state.json")


def test_parts_that_names_count_have_to_be_there(tmp_path: Path) -> None:
    _data(tmp_path / "gone")
    next((tmp_path / "gone/data").glob("train-00001*")).unlink()
    refused(tmp_path / "gone", "1 parts of train are missing: data/train-00001-of-00002.parquet")
    _data(tmp_path / "twice")
    parquet(tmp_path / "twice/data/train-00001-of-00002-1111111111111111.parquet", TABLES["train"])
    refused(tmp_path / "twice", "1 parts of train are there twice")
    _converted(tmp_path / "hole")
    (tmp_path / "hole/default/train/0001.parquet").rename(tmp_path / "hole/default/train/0002.parquet")
    refused(tmp_path / "hole", "1 parts of train are missing: default/train/0001.parquet")
    parquet(tmp_path / "part/default/test/0000.parquet", TABLES["test"])
    parquet(tmp_path / "part/default/partial-train/0000.parquet", TABLES["train"])
    refused(tmp_path / "part", "partial-train: the hub converted the first part of this split alone")


def test_rows_that_a_set_says_it_has_have_to_be_there(tmp_path: Path) -> None:
    cached(tmp_path / "cache", TABLES, test=9)
    refused(tmp_path / "cache", "dataset_info.json: 8 rows of test; expected 9, as it says itself")
    save_dict(tmp_path / "saved", TABLES, stated={"train": 12, "test": 1000})
    refused(tmp_path / "saved", "8 rows of test; expected 1,000", "filter, select")
    _data(tmp_path / "card")
    (tmp_path / "card/README.md").write_text(
        "---\ndataset_info:\n  splits:\n  - name: train\n    num_examples: 12\n  - name: test\n    num_examples: 10\n"
        "  - name: unsupervised\n    num_examples: 5\n---\n# Pets\n"
    )
    refused(tmp_path / "card", "README.md: 8 rows of test; expected 10")
    layout, _ = read(tmp_path / "card")
    assert layout.notes == ("README.md tells of a split unsupervised of 5 rows, of which no file is here",)


def test_a_stream_that_was_cut_between_two_batches_is_named(tmp_path: Path) -> None:
    import pyarrow as pa

    save_dict(tmp_path, TABLES)
    path = tmp_path / "test/data-00000-of-00001.arrow"
    with pa.OSFile(str(path), "wb") as sink:  # never closed as a stream
        writer = pa.ipc.new_stream(sink, TABLES["test"].schema)
        writer.write_table(TABLES["test"].slice(0, 4))
        whole = sink.tell()
        writer.close()
    path.write_bytes(path.read_bytes()[:whole])
    refused(tmp_path, "1 Arrow streams that do not end: cut off: 'test/data-00000-of-00001.arrow'")
    path.write_bytes(path.read_bytes()[: whole - 100])
    refused(tmp_path, "data-00000-of-00001.arrow: unreadable")


def test_pointers_of_git_lfs_are_called_so(tmp_path: Path) -> None:
    _data(tmp_path)
    for path in (tmp_path / "data").iterdir():
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    assert refused(tmp_path, "3 pointers of Git LFS", "git lfs pull").count("\n") == 0


def test_configurations_are_listed_with_their_rows_and_one_is_chosen(tmp_path: Path) -> None:
    kinds = ("dull", "vivid")
    for split, some in (("train", TRAIN), ("test", TEST)):
        parquet(tmp_path / f"fine/{split}-00000-of-00001.parquet", TABLES[split])
        coarse = [(data, kinds[name == "red"]) for data, name in some]
        parquet(tmp_path / f"default/{split}-00000-of-00001.parquet", rows(coarse, kinds))
    refused(
        tmp_path, "default (test: 8, train: 12 rows)", "fine (test: 8, train: 12 rows)", "--config default (or fine)"
    )
    refused(tmp_path, "unknown configuration 'find'", "nearest: fine", config="find")
    assert understood(tmp_path, config="default").classes == kinds
    for layout in (understood(tmp_path, config="fine"), understood(tmp_path / "fine")):
        assert meant(layout) == MEANT
    tree = Tree(tmp_path)
    tree.asked = type(tree.asked)(config="fine")
    hub(tree)
    assert len(tree.left["of another configuration"]) == 2


def test_readme_says_which_files_are_which_split_of_which_configuration(tmp_path: Path) -> None:
    parquet(tmp_path / "files/a1.parquet", TABLES["train"].slice(0, 6))
    parquet(tmp_path / "files/a2.parquet", TABLES["train"].slice(6))
    parquet(tmp_path / "files/b.parquet", TABLES["test"])
    parquet(tmp_path / "files/c.parquet", TABLES["test"])
    one = "- config_name: {}\n  data_files:\n  - split: train\n    path: files/a*\n  - split: test\n    path: [files/{}.parquet]\n"
    (tmp_path / "README.md").write_text(f"---\nlicense: mit\nconfigs:\n{one.format('plain', 'b')}---\n")
    tree = Tree(tmp_path)
    assert meant(hub(tree)) == MEANT
    assert tree.left["in no configuration of README.md"] == ["files/c.parquet"]
    (tmp_path / "README.md").write_text(
        f"---\nconfigs:\n{one.format('plain', 'b')}{one.format('other', 'c')}  default: true\n---\n"
    )
    refused(tmp_path, "2 configurations", "--config other, which README.md means where nobody chooses (or plain)")
    assert meant(understood(tmp_path, config="plain")) == MEANT
    (tmp_path / "README.md").write_text("---\nconfigs: [\n---\n")
    refused(tmp_path, "README.md: its front matter is not YAML")


def test_a_file_of_two_splits_is_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "all.parquet", TABLES["train"])
    parquet(tmp_path / "some.parquet", TABLES["test"])
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: '*.parquet'\n"
        "  - split: test\n    path: some*\n---\n"
    )
    refused(tmp_path, "1 files are of several splits: 'some.parquet'")


def test_revisions_and_sets_of_the_cache_are_listed(tmp_path: Path) -> None:
    snapshot(tmp_path, "a" * 40, {"train.parquet": TABLES["train"], "test.parquet": TABLES["test"]}, main=False)
    snapshot(tmp_path, REVISION, {"train.parquet": TABLES["train"]})
    text = refused(
        tmp_path,
        "2 revisions or data sets",
        "(main)",
        f"choose: --from {tmp_path}/datasets--ns--pets/snapshots/{REVISION}",
    )
    assert "test: 8, train: 12 rows" in text
    assert meant(understood(tmp_path / "datasets--ns--pets/snapshots" / ("a" * 40))) == MEANT
    cached(tmp_path / "two", TABLES, "cats")
    cached(tmp_path / "two", TABLES, "dogs")
    text = refused(
        tmp_path / "two", "2 configurations: ns___cats/default/0.0.0/63b5f82c221bf36c (train: 12, test: 8 rows)"
    )
    assert meant(understood(tmp_path / "two", config="ns___dogs/default/0.0.0/63b5f82c221bf36c")) == MEANT


def test_a_folder_without_data_and_files_that_hold_none(tmp_path: Path) -> None:
    refused(tmp_path, "no .arrow or .parquet file")
    (tmp_path / "test.parquet").write_bytes(b"")
    refused(tmp_path, "test.parquet: empty")
    (tmp_path / "test.parquet").write_bytes(b"<html>Entry not found</html>")
    refused(tmp_path, "test.parquet: unreadable")


def test_litter_and_other_files_are_left_out_with_a_reason(tmp_path: Path) -> None:
    _data(tmp_path)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "data/._test-00000-of-00001.parquet").write_bytes(b"x")
    (tmp_path / "raw.zip").touch()
    tree = Tree(tmp_path)
    assert meant(hub(tree)) == MEANT
    assert not tree.faults
    assert tree.left["no Arrow or Parquet file"] == ["raw.zip"]


@pytest.mark.parametrize("column", ["split", "subset", "belongs_to"])
@pytest.mark.parametrize("file", ["test.parquet", "data/train-00000-of-00001.parquet"])
def test_rows_of_several_splits_in_one_file_are_refused(tmp_path: Path, column: str, file: str) -> None:
    table = rows(TEST).append_column(column, pa.array([("train", "test")[n % 2] for n in range(len(TEST))]))
    parquet(tmp_path / file, table)
    layout, faults = read(tmp_path)
    assert not any(layout.splits.values()), "not with --allow-partial either"
    assert f"column {column} says 'train', 'test' of rows that are taken for" in faults


def test_a_column_that_agrees_or_says_no_split_is_passed_over(tmp_path: Path) -> None:
    said = {
        "split": ["testing"] * len(TEST),
        "caption": ["a train", *["a dog"] * (len(TEST) - 1)],
        "kind": ["train", *["car"] * (len(TEST) - 1)],
    }
    table = rows(TEST)
    for name, values in said.items():
        table = table.append_column(name, pa.array(values))
    parquet(tmp_path / "test.parquet", table)
    assert meant(understood(tmp_path)) == {"test": dict(TEST)}
    parquet(tmp_path / "test.parquet", rows(TEST).append_column("split", pa.array(["train"] * len(TEST))))
    assert "column split says 'train' of rows that are taken for test" in read(tmp_path)[1]
    parquet(tmp_path / "data.parquet", rows(TEST).append_column("split", pa.array(["train"] * len(TEST))))
    (tmp_path / "test.parquet").unlink()
    assert meant(understood(tmp_path, splits={"data": "test"})) == {"test": dict(TEST)}, "the user says so"
