"""The table of data sets: whole, consistent with the suites, and helpful about names that are not in it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gelo.models.faults import UserError
from gelo.tasks.data.catalogue import COLLECTIONS, ENTRIES, LEARNT, datasets_for, locate, named
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.protocols import PROTOCOLS, asked
from gelo.tasks.training import TASKS


def names(collection: str, suite: str) -> list[str]:
    return [entry.name for entry in datasets_for(collection, suite)]


def test_the_miniature_suite() -> None:
    general = ["shapes", "textures", "colours", "counts", "signs", "scripts", "scenes", "flags", "digits"]
    assert names("miniature", "zero_shot") == [*general, "shapes_shifted"]
    assert names("miniature", "probe") == general
    assert names("miniature", "biometric") == ["pairs", "pose", "age", "templates", "morphs", "spoofs"]


def test_the_paper_has_14_zero_shot_and_13_probe_sets() -> None:
    """../shared/protocols.md: the 13 general data sets and ImageNet-V2, which has no training split of its own."""
    assert len(names("paper", "zero_shot")) == 14
    assert set(names("paper", "zero_shot")) - set(names("paper", "probe")) == {"imagenet_v2"}


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_entry_is_known_under_its_name_and_wired(name: str) -> None:
    entry = ENTRIES[name]
    assert entry.name == name
    assert entry.protocols
    assert set(entry.protocols) <= {*PROTOCOLS, *LEARNT}
    assert entry.scale in COLLECTIONS.values()


@pytest.mark.parametrize("name", sorted(n for n, e in ENTRIES.items() if e.builder))
def test_every_builder_is_there(name: str) -> None:
    assert name in import_module(ENTRIES[name].builder).BUILDERS


def test_every_task_trains_on_a_set_of_its_collection_and_every_protocol_belongs_to_a_suite() -> None:
    for task in TASKS.values():
        assert task.data.keys() == task.defaults.keys() == task.lora.keys() == COLLECTIONS.keys()
        for collection, data in task.data.items():
            assert ENTRIES[data].scale == COLLECTIONS[collection]
            assert "training" in ENTRIES[data].protocols
        assert task.gain.keys() == COLLECTIONS.keys() and task.question
    assert {protocol for suite in asked().values() for protocol in suite} == set(PROTOCOLS)


def test_unknown_names_are_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nearest: shapes"):
        locate("shape", tmp_path)
    with pytest.raises(UserError, match="nearest: miniature"):
        datasets_for("miniatures", "probe")
    with pytest.raises(UserError, match="nearest: probe"):
        datasets_for("miniature", "prob")


@pytest.mark.slow
def test_a_set_that_is_not_there_is_answered_with_how_to_prepare_it_and_those_that_are(tmp_path: Path) -> None:
    written(tmp_path, "mine", "full")
    for name, remedy in (
        ("mein", "nearest: mine; your own: gelo prepare mein --from DIR --reader READER; official ones: gelo prepare --list"),
        ("fodd101", "nearest: food101;"), ("lfw", "gelo prepare lfw --from DIR"),
    ):  # fmt: skip
        with pytest.raises(UserError) as caught:
            named(name, tmp_path)
        (fault,) = caught.value.faults
        assert fault.remedy.startswith(remedy) and fault.expected.startswith(f"a set prepared in {tmp_path} (mine)")
    with pytest.raises(UserError, match="there is none"):
        named("mine", tmp_path / "elsewhere")
    assert named("mine", tmp_path).name == "mine" and named("digits", tmp_path).name == "digits"
    with pytest.raises(UserError, match=r"'\.\./mine'; expected a plain name of a data set, without a slash"):
        named("../mine", tmp_path)


@pytest.mark.parametrize(
    ("name", "scale"), [("shapes", "full"), ("faces", "full"), ("lfw", "miniature"), ("food101", "miniature")]
)
def test_a_card_of_another_scale_under_a_name_of_gelos_is_another_set(tmp_path: Path, name: str, scale: Any) -> None:
    """Case 10, in catalogue.locate: whoever prepared it, before names were refused or by hand."""
    written(tmp_path, name, scale)
    with pytest.raises(
        UserError, match=r"expected .*, which has this name.*under a name that no set of gelo's has .*a test"
    ):
        locate(name, tmp_path, build=True)
    written(tmp_path / "right", name, "full" if scale == "miniature" else "miniature")
    assert locate(name, tmp_path / "right").name == name


@pytest.mark.parametrize(
    "name", ["mean", "réd", "a b", "a+b", "average", "Mean", "probe", "backbone", "test", "a\n", "x" * 81]
)
def test_a_set_of_ones_own_must_not_have_a_name_that_metrics_cannot_carry(tmp_path: Path, name: str) -> None:
    written(tmp_path, name, "full")
    with pytest.raises(UserError, match=r"a name that metrics can carry|a plain name of a data set"):
        locate(name, tmp_path)
    written(tmp_path, "my-set_1", "full")
    assert locate("my-set_1", tmp_path).name == "my-set_1"


def written(data: Path, name: str, scale: Any) -> None:
    write_dataset(
        data / name, name=name, version="1", scale=scale, classes=("a",), splits={"test": [Record("0", b"", 0)]},
        source="a test", licence="none",
    )  # fmt: skip


@pytest.mark.slow
def test_missing_is_built_only_on_request_and_only_where_gelo_can(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        locate("digits", tmp_path)
    built = locate("digits", tmp_path, build=True)
    assert locate("digits", tmp_path, verify=True).fingerprint == built.fingerprint
    with pytest.raises(UserError, match="missing"):
        locate("cifar10", tmp_path, build=True)
    with pytest.raises(UserError, match="gelo prepare cifar10 --from DIR"):
        ENTRIES["cifar10"].build(tmp_path / "cifar10")
