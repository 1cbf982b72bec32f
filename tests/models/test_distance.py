"""How far weights went, against NumPy over the tensors, and what is said of a tower that does not merge."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from gelo.models.adapt import AdaptationSpec, Dora, Full, LastBlocks, Lora, LoraExperts, adapt
from gelo.models.distance import distance
from gelo.models.encoder import Encoder
from gelo.models.tower import ENCODER, Tower


def moved(encoder: Encoder, spec: AdaptationSpec) -> Tower:
    model = adapt(encoder.visual, spec, 0)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.trainable().values():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.publish()


@pytest.mark.parametrize("spec", [Full(), Lora(rank=2), Dora(rank=2), LastBlocks(blocks=1)], ids=lambda spec: spec.kind)
def test_it_is_the_relative_norm_of_the_weights_as_they_act(spec: AdaptationSpec, encoder: Encoder) -> None:
    tower, start = moved(encoder, spec), encoder.visual_state()
    found = distance(tower, encoder)

    def share(beginning: str) -> float:
        own = np.concatenate([start[name].numpy().ravel() for name in start if name.startswith(beginning)], dtype=float)
        now = np.concatenate(
            [tower.weights[name].numpy().ravel() for name in start if name.startswith(beginning)], dtype=float
        )
        return float(np.linalg.norm(now - own) / np.linalg.norm(own))

    assert found.whole == pytest.approx(share(""), rel=1e-6) and found.merged and found.whole > 0.01
    assert found.blocks == pytest.approx([share(f"transformer.resblocks.{number}.") for number in range(3)], rel=1e-6)
    if isinstance(spec, LastBlocks):
        assert found.blocks[:2] == (0, 0) < (found.blocks[2], 1)


def test_the_untouched_tower_went_nowhere(encoder: Encoder) -> None:
    for spec in (Full(), Lora(rank=2), LoraExperts(rank=2)):
        assert distance(adapt(encoder.visual, spec, 0).publish(), encoder).whole == 0


def test_of_experts_it_is_the_root_of_the_sum_of_their_squares(encoder: Encoder) -> None:
    spec = LoraExperts(rank=2, experts=2, targets=("v",), blocks=(1,))
    tower = moved(encoder, spec)
    found, tensors = distance(tower, encoder), tower.tensors["adaptation"]
    name = "transformer.resblocks.1.attn.v"
    squares = [
        np.linalg.norm(spec.gamma * (tensors[f"{name}.b"][e] @ tensors[f"{name}.a"][e]).double().numpy()) ** 2
        for e in (0, 1)
    ]
    length = math.sqrt(sum(float(weight.double().square().sum()) for weight in encoder.visual.parameters()))
    assert found.whole == pytest.approx(math.sqrt(sum(squares)) / length, rel=1e-5) and not found.merged
    assert found.blocks[0] == found.blocks[2] == 0 < found.blocks[1]


def test_a_tower_without_blocks_has_the_whole_alone_and_running_statistics_are_no_weights(encoder: Encoder) -> None:
    tower = nn.Sequential(nn.Conv2d(3, 4, 8), nn.BatchNorm2d(4))
    other = Encoder(tower, encoder.text, encoder.transform, name="t", dim=4, scale="miniature", config={})
    weights = other.visual_state() | {"1.running_mean": torch.full((4,), 9.0)}
    assert (
        distance(Tower({ENCODER: weights}), other).whole == 0 and not distance(Tower({ENCODER: weights}), other).blocks
    )
    weights |= {"0.bias": torch.full((4,), math.nan)}
    assert math.isnan(distance(Tower({ENCODER: weights}), other).whole)
