"""On a device that is not the CPU's every remedy and adaptation trains to the same weights: nothing of it is left on the wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gelo.models.adapt import ADAPTATIONS, AdaptationSpec, Full, Imported, NoAdaptation
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.remedies import RemedySpec
from tests.elsewhere import elsewhere
from tests.models.test_training_loop import ACTIVE
from tests.models.toy_run import Ended, go


def test_what_a_gpu_refuses_is_refused() -> None:
    with elsewhere() as there:
        one = torch.arange(3.0, device=there)
        assert (2 * one + torch.tensor(1.0)).cpu().tolist() == [1, 3, 5], "numbers alone may lie anywhere"
        with pytest.raises(RuntimeError, match="same device"):
            one + torch.ones(3)
        with pytest.raises(RuntimeError, match="numpy"):
            one.numpy()
        weight = torch.ones(3, device=there, requires_grad=True)
        (weight * one).square().sum().backward()
        assert weight.grad is not None and weight.grad.cpu().tolist() == [0, 2, 8]
        assert torch.ones(3).add_(one.cpu()).tolist() == [1, 2, 3]


WAYS: list[AdaptationSpec] = [each.model_construct() for each in ADAPTATIONS if each not in (NoAdaptation, Imported)]


def same(one: Ended, two: Ended) -> None:
    first, second = one.tensors(), {name: tensor.detach().cpu() for name, tensor in two.tensors().items()}
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        if name.endswith("in_proj_bias"):  # of a key's no loss knows: AdamW makes steps of its gradient's rounding
            first[name], second[name] = (
                torch.cat((each.chunk(3)[0], each.chunk(3)[2])) for each in (tensor, second[name])
            )
    for name, tensor in first.items():
        torch.testing.assert_close(
            second[name], tensor, rtol=1e-3, atol=3e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("adaptation", WAYS, ids=lambda each: each.kind)
def test_each_adaptation_trains_there(adaptation: AdaptationSpec, encoder: Encoder, tmp_path: Path) -> None:
    here = go(encoder, adaptation, tmp_path / "here")
    with elsewhere() as there:
        same(here, go(load_backbone(encoder.name, None, there), adaptation, tmp_path / "there"))


@pytest.mark.parametrize("remedy", ACTIVE, ids=lambda each: each.label)
def test_each_remedy_acts_there(remedy: RemedySpec, encoder: Encoder, tmp_path: Path) -> None:
    here = go(encoder, Full(), tmp_path / "here", remedy)
    with elsewhere() as there:
        same(here, go(load_backbone(encoder.name, None, there), Full(), tmp_path / "there", remedy))
