"""A backbone that trains on: it starts on the published bits, a stop changes none, it is published with a card and loads by its name."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn import functional as F

from gelo.models.backbones import registry
from gelo.models.backbones.registry import MINI
from gelo.models.backbones.zoo import load_backbone
from gelo.tasks.mini import pool, pretrain
from gelo.tasks.mini.card import CONTINUED
from gelo.tasks.mini.prompts import PROMPTS
from gelo.tasks.mini.vocabulary import MERGES
from gelo.tasks.mini.watch import SETS

pytestmark = pytest.mark.slow
RECIPE = pretrain.Recipe(steps=3, decay=1, batch=8, rate=5e-4)


@pytest.fixture(scope="module")
def shards() -> list[pool.Shard]:
    """One shard that repeats 32 images of the pool."""
    few, at = [pool.draw(index, pool.PEOPLE) for index in range(32)], np.arange(pool.SHARD) % 32
    images, worlds, labels = (np.array([one[part] for one in few])[at] for part in range(3))
    return [pool.Shard(images, worlds, labels, [few[place][3] for place in at])]


def _state(run: pretrain.Run) -> dict[str, torch.Tensor]:
    return {**run.model.state_dict(), **run.heads.state_dict()}


@pytest.mark.parametrize("name", sorted(CONTINUED))
def test_it_starts_as_the_published_one_and_has_its_form(name: str, tmp_path: Path) -> None:
    run = pretrain.Run(name, RECIPE, tmp_path)
    published = safetensors.torch.load_file(MINI / f"{CONTINUED[name]}.safetensors")
    state = run.model.state_dict()
    assert state.keys() == published.keys()
    assert all(torch.equal(state[key], tensor.to(state[key].dtype)) for key, tensor in published.items())
    assert json.loads((MINI / f"{name}.json").read_text()) == json.loads((MINI / f"{CONTINUED[name]}.json").read_text())
    assert run.heads.heads["class"].out_features == sum(len(world.classes) for world in pool.PEOPLE.worlds.values())


def test_targets_number_the_classes_of_all_worlds() -> None:
    """Against the list of every class, one after the other."""
    names = [said for world in pool.PEOPLE.worlds.values() for said in world.classes]
    order = list(pool.PEOPLE.worlds)
    drawn = [pool.draw(index, pool.PEOPLE) for index in range(40)]
    worlds, labels = (np.array([one[part] for one in drawn]) for part in (1, 2))
    targets = pretrain.targets_of(worlds, labels, [one[3] for one in drawn], pool.PEOPLE)
    for (_, world, label, words), number, ground in zip(drawn, targets["class"], targets["ground"], strict=True):
        assert names[number] == pool.PEOPLE.worlds[order[world]].classes[label]
        assert ("ground" in words) == (ground >= 0)


def test_a_stopped_run_goes_on_to_the_same_bits(shards: list[pool.Shard], tmp_path: Path) -> None:
    whole = pretrain.Run("mini-s-people", RECIPE, tmp_path / "whole")
    terms = [whole.advance(shards) for _ in range(3)]
    assert all(np.isfinite(list(each.values())).all() for each in terms)
    stopped = pretrain.Run("mini-s-people", RECIPE, tmp_path / "stopped")
    stopped.advance(shards)
    stopped.save()
    again = pretrain.Run("mini-s-people", RECIPE, tmp_path / "stopped")
    again.resume()
    assert again.step == 1
    for _ in range(2):
        again.advance(shards)
    assert all(torch.equal(tensor, _state(again)[key]) for key, tensor in _state(whole).items())


@pytest.fixture
def registered(shards: list[pool.Shard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """mini-s-people after a step, published to a folder; the one line of the registry is that of the two others."""
    run = pretrain.Run("mini-s-people", RECIPE, tmp_path / "run")
    run.advance(shards)
    run.publish(tmp_path / "published")
    shutil.copy(MERGES, tmp_path / "published")
    own = registry._mini("mini-s-people").model_copy(
        update={"file": tmp_path / "published" / "mini-s-people.safetensors"}
    )
    files = {**registry._config_files(), own.architecture: registry.MINI / f"{own.architecture}.json"}
    monkeypatch.setattr(registry, "_config_files", lambda: files)
    monkeypatch.setitem(registry.BACKBONES, own.name, own)
    return tmp_path / "published"


def test_a_published_one_loads_by_its_name_and_its_card_tells_its_figures(registered: Path) -> None:
    encoder = load_backbone("mini-s-people")
    told = {
        row[0]: (float(row[1]), float(row[2]))
        for row in re.findall(
            r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \|", (registered / "mini-s-people.md").read_text(), re.M
        )
    }
    assert set(told) == {*SETS, "average", *pool.PHOTOGRAPH_SHARES}
    published = re.findall(r"^\| (\w+) \| ([\d.]+) \| [\d.]+ \|", (MINI / "CARD.md").read_text(), re.M)
    assert {name: told[name][0] for name, _ in published} == {name: float(value) for name, value in published}
    images, labels = zip(*(_shape(index) for index in range(240)), strict=True)
    with torch.inference_mode():
        prompts = [torch.from_numpy(encoder.encode_texts(texts)) for texts in PROMPTS["shapes"].texts()]
    classes = torch.stack([F.normalize(block, dim=-1).mean(dim=0) for block in prompts])
    features = torch.from_numpy(encoder.encode_images(np.stack(images)))
    right = (features @ F.normalize(classes, dim=-1).T).argmax(dim=1).numpy() == np.array(labels)
    assert told["shapes"][1] == pytest.approx(100 * right.mean(), abs=0.5)
    assert max(map(len, (registered / "mini-s-people.md").read_text().splitlines())) <= 140


def _shape(index: int) -> tuple[np.ndarray, int]:
    from gelo.tasks.mini.general import pixels

    return pixels("shapes", "test", index)


def test_growing_one_that_trains_on_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("sys.argv", ["pretrain", "--model", "mini-l-people", "--grow", "mini-s"])
    with pytest.raises(SystemExit) as refused:
        pretrain.main()
    assert refused.value.code == 2
    assert "mini-l-people trains on from mini-l" in capsys.readouterr().err
