"""On a device that is not the CPU's, trials are trained, looked at and made of others as here: a sweep with GPUs does it all there."""

# ruff: noqa: F811

from __future__ import annotations

import copy
import json
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from upath import UPath

from gelo.models.adapt import Full
from gelo.models.backbones.zoo import load_backbone
from gelo.models.remedies import HMA, GroupCalibration, RemedySpec, Retrieval, Soup, Stack, Wise
from gelo.sweeps.stages.finish import finish
from gelo.sweeps.stages.train import sources_of
from gelo.sweeps.stages.watch import eye_of, validated
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.training import source
from tests.elsewhere import elsewhere
from tests.sweeps.test_watch import House, curve_of, house, trial  # noqa: F401

pytestmark = pytest.mark.slow


def there_of(house: House, device: torch.device, cache: Path) -> House:
    """The same images, and the encoder on the device."""
    other = copy.copy(house)
    other.base, other.cache = load_backbone("mini-s", None, device), cache
    return other


def close(one: Path, two: Path) -> None:
    for path in (one / "trained").glob("*.safetensors"):
        if path.name == "curve.safetensors":
            continue
        first, second = load_file(path), load_file(two / "trained" / path.name)
        assert first.keys() == second.keys()
        for name, tensor in first.items():
            if name.endswith("in_proj_bias"):  # see tests/models/test_elsewhere.py
                tensor, second[name] = (torch.cat(each.chunk(3)[::2]) for each in (tensor, second[name]))
            torch.testing.assert_close(
                second[name], tensor, rtol=1e-2, atol=5e-4, msg=lambda text, name=name: f"{name}: {text}"
            )
    curves = [curve_of(folder)["points"] for folder in (one, two)]
    assert [point["step"] for point in curves[0]] == [point["step"] for point in curves[1]]
    for point, other in zip(*curves, strict=True):
        assert point["sets"] == pytest.approx(other["sets"], abs=0.1) and point["task"] == pytest.approx(
            other["task"], abs=0.1
        )


def test_a_training_there_is_looked_at_as_here(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "same_bits", lambda device: False)  # asked in threads, which know nothing of the device
    wanted = trial(adaptation=Full(), lr_backbone=1e-4)
    assert house.train(wanted, tmp_path / "here")
    with elsewhere() as there:
        assert there_of(house, there, tmp_path / "cache").train(wanted, tmp_path / "there")
    close(tmp_path / "here", tmp_path / "there")


REMEDIES: list[RemedySpec] = [
    Wise(alpha=0.4), HMA(steps=3, images=8), GroupCalibration(epochs=2), Soup(seeds=(3, 4), rule="greedy"),
    Retrieval(reference="one/train", k=3),
    Stack(remedies=(HMA(steps=1, images=8), Retrieval(reference="two/train", values="image", k=2))),
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(house: House, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the trials that those are made of, by key."""
    needed: dict[str, Trial] = {}
    for remedy in REMEDIES:
        needed |= {each.key: each for each in trial(remedy, Full(), lr_backbone=1e-5, lr_head=1e-5).made_of}
    places = {}
    for key, each in needed.items():
        places[key] = tmp_path_factory.mktemp("trained")
        assert house.train(each, places[key])
    return places


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda each: each.kind)
def test_what_is_made_there_is_what_is_made_here(
    house: House, trained: dict[str, Path], remedy: RemedySpec, tmp_path: Path
) -> None:
    wanted = trial(remedy, Full(), lr_backbone=1e-5, lr_head=1e-5)

    def make(house: House, place: Path) -> None:
        sources = sources_of(wanted, house.find, house.base.transform, house.cache)
        finish(
            wanted, house.base, lambda each: TrialFolder(UPath(trained.get(each.key, place))), sources, dataset=house.sets["attacks"],
            cache=house.cache, validated=validated(wanted, house.base, house.find),
            look=partial(eye_of, wanted, house.base, ("one", "two"), house.find, house.cache),
        )  # fmt: skip

    make(house, tmp_path / "here")
    with elsewhere() as there:
        make(there_of(house, there, tmp_path / "cache"), tmp_path / "there")
    close(tmp_path / "here", tmp_path / "there")
    kept, source = (
        load_file(place / "trained" / "encoder.safetensors")
        for place in (tmp_path / "there", trained[wanted.source.key])
    )
    assert remedy.kind in ("retrieval", "soup") or any(
        not torch.equal(kept[name], tensor) for name, tensor in source.items()
    ), "it acted"
    told = [tmp_path / name / "trained" / "tower.json" for name in ("here", "there")]
    if told[0].exists():
        one, two = (json.loads(path.read_text()) for path in told)
        assert one["build"] == two["build"] and one["notes"].keys() == two["notes"].keys()
        assert one["notes"].get("soup", {}).get("kept") == two["notes"].get("soup", {}).get("kept")
