"""`trained/drift.json` of a trial: what stands in it, that it changes nothing, and that a kill changes nothing of it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from upath import UPath

from gelo.models.adapt import AdaptationSpec, Full, Lora, LoraExperts
from gelo.models.remedies import Budget, RemedySpec, Wise
from gelo.models.trained import load_tower
from gelo.models.training.watch import Curve
from gelo.models.training.world import World
from gelo.sweeps.stages.finish import finish
from gelo.sweeps.stages.watch import eye_of
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.metrics.similarity import feature_drift, linear_cka
from gelo.tasks.training.looking import general
from gelo.tasks.training.shown import features
from tests.sweeps.test_watch import House, after, curve_of, trial

WAYS: list[AdaptationSpec] = [Full(), Lora(rank=4, dropout=0.25), LoraExperts(rank=2)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


def drift_of(folder: Path) -> dict[str, Any]:
    drift: dict[str, Any] = json.loads((folder / "trained" / "drift.json").read_text())
    return drift


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.kind)
def test_each_look_and_what_is_kept_are_measured_and_a_kill_leaves_the_same_file(
    way: AdaptationSpec,
    house: House,
    tmp_path: Path,
) -> None:
    wanted = trial(None, way)
    assert house.train(wanted, tmp_path / "whole")
    for call in (1, 2):
        assert not house.train(wanted, tmp_path / "left", should_stop=after(3 - call))
        torch.manual_seed(call)
    assert house.train(wanted, tmp_path / "left")
    drift = drift_of(tmp_path / "whole")
    assert drift == drift_of(tmp_path / "left")
    assert drift["images"] == {"one": 10, "two": 10} and drift["of"] == (
        "experts" if way.kind == "lora_experts" else "weights"
    )
    assert [look["step"] for look in drift["looks"]] == [
        point["step"] for point in curve_of(tmp_path / "whole")["points"]
    ]
    first, second, *others = drift["looks"]
    assert (
        first["distance"] == 0
        and first["drift"] == pytest.approx(0, abs=1e-6)
        and first["cka"] == pytest.approx(1, abs=1e-6)
    )
    assert second.keys() == {"step", "distance", "drift", "cka", "alignment", "sharpness"}
    assert all(look.keys() == {"step", "distance", "drift", "cka"} and look["distance"] > 0 for look in others)
    assert drift["kept"] == {name: others[-1][name] for name in ("distance", "drift", "cka")}
    blocks = len(house.base.visual.transformer.resblocks)
    assert [block["block"] for block in drift["blocks"]] == list(range(blocks))
    assert all(block["distance"] > 0 and block["cka"] < 1 for block in drift["blocks"])


def test_the_last_look_is_what_the_kept_tower_makes_of_the_validation_images(house: House, tmp_path: Path) -> None:
    """Measured again from what lies on storage, by the encoder and not in passing."""
    assert house.train(trial(None, Full(), lr_backbone=3e-3), tmp_path)
    drift, encoder = drift_of(tmp_path), load_tower(tmp_path / "trained").encoder(house.base)
    shown = general(house.base, [house.sets[name] for name in ("one", "two")], 20, house.cache, {})
    pixels = np.concatenate([each.validation.pixels for each in shown.values() if each.validation is not None])
    before, now = features(house.base, pixels), features(encoder, pixels)
    assert before is not None and now is not None
    assert drift["kept"]["drift"] == pytest.approx(feature_drift(before, now), rel=1e-4)
    assert drift["kept"]["cka"] == pytest.approx(linear_cka(before, now), rel=1e-4)
    tokens = []
    for visual in (house.base.visual, encoder.visual):  # open_clip's own way to what a block makes
        normal = house.base.transform.normalise(torch.from_numpy(pixels))
        with torch.no_grad():
            made = visual.forward_intermediates(
                normal,
                indices=1,
                output_fmt="NLC",
                normalize_intermediates=False,
                intermediates_only=True,
                output_extra_tokens=True,
            )  # type: ignore[operator]
        tokens.append(made["image_intermediates_prefix"][-1][:, 0].numpy())
    assert drift["blocks"][-1]["cka"] == pytest.approx(linear_cka(*tokens), rel=1e-4)


def test_the_pull_at_a_look_is_that_of_clips_loss_on_validation_images(house: House, tmp_path: Path) -> None:
    eye = eye_of(trial(), house.base, ("one", "two"), house.find, house.cache, 64, World())
    assert eye.watch.loss is not None and eye.looking is not None
    losses = eye.watch.loss(house.base.visual, slice(0, 5))
    expected = []
    for name, count in (("one", 3), ("two", 2)):
        each = eye.looking.sets[name]
        assert each.validation is not None
        found = house.base.encode_images(each.validation.pixels[:count])
        logits = house.base.logit_scale * found / np.linalg.norm(found, axis=1, keepdims=True) @ each.classifier
        expected.append(
            F.cross_entropy(
                torch.from_numpy(logits), torch.from_numpy(each.validation.labels[:count]), reduction="none"
            )
        )
    assert losses.detach().numpy() == pytest.approx(torch.cat(expected).numpy(), rel=1e-4, abs=1e-6)
    whole = eye.watch.loss(house.base.visual, slice(0, 1000))
    assert len(whole) == 20 and not len(eye.watch.loss(house.base.visual, slice(20, 24)))


def test_of_a_budget_the_tower_that_is_kept_is_measured_not_the_one_that_was_too_much(
    house: House, tmp_path: Path
) -> None:
    remedy: RemedySpec = Budget(share=0.5)
    assert house.train(trial(remedy, Full(), lr_backbone=3e-3), tmp_path)
    drift = drift_of(tmp_path)
    assert drift["kept"]["distance"] == drift["looks"][-2]["distance"] < drift["looks"][-1]["distance"]
    assert drift["kept"]["drift"] == pytest.approx(drift["looks"][-2]["drift"], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_what_is_made_after_training_has_no_looks_but_blocks(alpha: float, house: House, tmp_path: Path) -> None:
    source = trial(None, Full())
    merged = source.model_copy(update={"remedy": Wise(alpha=alpha)})
    folders = {each.key: TrialFolder(UPath(tmp_path / name)) for each, name in ((source, "source"), (merged, "merged"))}
    assert house.train(source, tmp_path / "source")
    look = partial(eye_of, merged, house.base, ("one", "two"), house.find, house.cache)
    finish(merged, house.base, lambda each: folders[each.key], look=look)
    before, drift = drift_of(tmp_path / "source"), drift_of(tmp_path / "merged")
    assert drift["looks"] == [] and len(drift["blocks"]) == len(before["blocks"])
    assert drift["kept"]["distance"] == pytest.approx(alpha * before["kept"]["distance"], rel=1e-5, abs=1e-9)
    for own, whole in zip(drift["blocks"], before["blocks"], strict=True):
        assert own["distance"] == pytest.approx(alpha * whole["distance"], rel=1e-4, abs=1e-9)
        assert own["cka"] == pytest.approx(1, abs=1e-6) if not alpha else own["cka"] > whole["cka"]


def test_looks_of_a_checkpoint_that_an_older_gelo_wrote_leave_the_file_out(
    house: House,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Curve.state
    with monkeypatch.context() as older:
        older.setattr(Curve, "state", lambda self: {n: each for n, each in kept(self).items() if n != "drifts"})
        assert not house.train(trial(), tmp_path, should_stop=after(3))
    assert house.train(trial(), tmp_path)
    assert len(curve_of(tmp_path)["points"]) == 5 and not (tmp_path / "trained" / "drift.json").exists()


def test_without_validation_images_the_weights_alone_are_measured(house: House, tmp_path: Path) -> None:
    assert house.train(trial(), tmp_path, sets=())
    drift = drift_of(tmp_path)
    assert drift["images"] == {} and all(look.keys() == {"step", "distance"} for look in drift["looks"])
    assert all(block.keys() == {"block", "distance"} for block in drift["blocks"])
