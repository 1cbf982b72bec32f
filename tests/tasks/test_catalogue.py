"""The table of data sets: whole, consistent with the suites, and helpful about names that are not in it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from models.faults import UserError
from tasks.catalogue import COLLECTIONS, ENTRIES, SUITES, datasets_for, locate
from tasks.suites import WIRING
from tasks.training import TASKS


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
    assert set(entry.protocols) <= {*WIRING, "training"}
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
    assert {protocol for suite in SUITES.values() for protocol in suite} == set(WIRING)


def test_unknown_names_are_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nearest: shapes"):
        locate("shape", tmp_path)
    with pytest.raises(UserError, match="nearest: miniature"):
        datasets_for("miniatures", "probe")
    with pytest.raises(UserError, match="nearest: probe"):
        datasets_for("miniature", "prob")


def test_missing_is_built_only_on_request_and_only_where_gelo_can(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        locate("digits", tmp_path)
    built = locate("digits", tmp_path, build=True)
    assert locate("digits", tmp_path, verify=True).fingerprint == built.fingerprint
    with pytest.raises(UserError, match="missing"):
        locate("cifar10", tmp_path, build=True)
    with pytest.raises(UserError, match="gelo prepare cifar10 --from DIR"):
        ENTRIES["cifar10"].build(tmp_path / "cifar10")
