"""Sizes that `gelo plan` counts with before a set is there, against the sets that the generators draw."""

from __future__ import annotations

from pathlib import Path

import pytest

from gelo.sweeps.spec.sweep import load_spec
from gelo.sweeps.state.reads import taught
from gelo.tasks.data.catalogue import ENTRIES, Entry, locate
from gelo.tasks.data.sizes import published

DRAWN = [entry for entry in ENTRIES.values() if entry.builder]
LARGE = "crowd"  # a thousand identities: drawn before a release


@pytest.mark.parametrize(
    "entry",
    [pytest.param(each, id=each.name, marks=pytest.mark.long if each.name == LARGE else ()) for each in DRAWN],
)
def test_a_miniature_set_has_the_images_and_classes_that_are_planned_with(entry: Entry, small_world: Path) -> None:
    name = entry.name
    dataset = locate(name, small_world / "data", build=True)
    assert dataset.card.counts() == published(name)
    if entry.classes:
        assert len(dataset.card.classes) == entry.classes


@pytest.mark.parametrize("name", ["faces", pytest.param(LARGE, marks=pytest.mark.long)])
def test_the_first_identities_have_their_share_of_the_images(name: str, small_world: Path) -> None:
    """Which is what a plan counts of `classes: N` before they are drawn."""
    dataset = locate(name, small_world / "data", build=True)
    trained = (trial.training for trial in load_spec("task_complexity").trials() if trial.training is not None)
    settings = next(each for each in trained if each.classes == 50).model_copy(update={"data": name})
    assert (
        taught(settings, {name: published(name)}, {})
        == taught(settings, {name: published(name)}, {name: dataset})
        == 400
    )
