"""DoRA and PiSSA against peft left to itself, starts bit for bit, and what remedies may ask of each way."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, LoraModel
from torch import Tensor, nn

from gelo.models.adapt import AdaptationSpec, Bias, Dora, Full, LastBlocks, LayerNorm, Linear, Lora, Pissa, adapt
from gelo.models.adapt.adapted import Adapted
from gelo.models.adapt.attention import split_attention
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.tower import Tower
from gelo.sweeps.spec.sweep import parse_spec
from tests.models.test_adapt import Pixels, _images, _train

TARGETS = r".*resblocks\.\d+\.(attn\.[qv]|mlp\.c_fc)"
CHOSEN = ("q", "v", "mlp_in")


def theirs(encoder: Encoder, start: dict[str, Tensor], **options: Any) -> Any:
    """peft on the split tower; `start`: the adapters that it starts with, {} for its own."""
    config = LoraConfig(r=4, target_modules=TARGETS, **options)
    model: Any = LoraModel(split_attention(copy.deepcopy(encoder.visual)), config, "default")
    own = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert not start or len(own) == len(start)
    with torch.no_grad():
        for name, parameter in own.items() if start else ():
            parameter.copy_(start[name.removeprefix("model.").replace(".default", "")])
    model.trainable = lambda: own
    return model


def test_dora_equals_peft_through_training(encoder: Encoder, pixels: Pixels) -> None:
    ours = adapt(encoder.visual, Dora(rank=4, alpha=6.0, dropout=0.3, targets=CHOSEN), seed=5)
    other = theirs(encoder, ours.state(), lora_alpha=6, lora_dropout=0.3, use_rslora=True, use_dora=True)
    images = _images(encoder, pixels)
    for each in (ours, other):
        torch.manual_seed(1)
        _train(each, images)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), other(images), atol=1e-6, rtol=0)
    merged, reference = ours.merged(), other.merge_and_unload().state_dict()
    name = "transformer.resblocks.1.mlp.c_fc.weight"
    torch.testing.assert_close(merged[name], reference[name], atol=1e-6, rtol=0)


def test_dora_is_the_closed_form(encoder: Encoder) -> None:
    adapted = adapt(encoder.visual, Dora(rank=4, alpha=6.0, targets=("mlp_in",), blocks=(1,)), seed=0)
    name = "transformer.resblocks.1.mlp.c_fc"
    weight = encoder.visual_state()[f"{name}.weight"].double().numpy()
    state = {key: torch.randn(tensor.shape) for key, tensor in adapted.state().items()}
    adapted.load(state)
    a, b, m = (state[f"{name}.lora_{x}.weight"].double().numpy() for x in ("A", "B", "magnitude_vector"))
    direction = weight + 3.0 * b @ a
    expected = m[:, None] * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    np.testing.assert_allclose(adapted.merged()[f"{name}.weight"], expected, atol=1e-5)
    assert adapted.squared_distance().item() == pytest.approx(np.square(expected - weight).sum(), rel=1e-5)


def test_pissa_equals_peft_through_training(encoder: Encoder, pixels: Pixels) -> None:
    """Singular vectors have a sign of either side's own choice; a product of two does not."""
    ours = adapt(encoder.visual, Pissa(rank=4, targets=CHOSEN), seed=5)
    other = theirs(encoder, {}, lora_alpha=4, init_lora_weights="pissa")
    images = _images(encoder, pixels)
    for each in (ours, other):
        with torch.no_grad():
            torch.testing.assert_close(each(images), encoder.visual(images), atol=2e-5, rtol=0)
        optimizer = torch.optim.SGD(list(each.trainable().values()), lr=1e-2)
        for _ in range(3):
            optimizer.zero_grad()
            (each(images) - 1).square().mean().backward()
            optimizer.step()
    with torch.no_grad():
        torch.testing.assert_close(ours(images), other(images), atol=1e-4, rtol=0)
        assert float((ours(images) - encoder.visual(images)).abs().max()) > 1e-2


def test_pissa_is_the_closed_form(encoder: Encoder) -> None:
    adapted = adapt(encoder.visual, Pissa(rank=3, targets=("mlp_in",), blocks=(1,)), seed=0)
    name = "transformer.resblocks.1.mlp.c_fc"
    weight = encoder.visual_state()[f"{name}.weight"].double().numpy()
    u, s, vh = np.linalg.svd(weight, full_matrices=False)
    principal = u[:, :3] * s[:3] @ vh[:3]
    start = adapted.state()
    np.testing.assert_allclose(start[f"{name}.lora_B.weight"] @ start[f"{name}.lora_A.weight"], principal, atol=1e-5)
    b, a = torch.randn(weight.shape[0], 3), torch.randn(3, weight.shape[1])
    adapted.load({f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b})
    moved = b.double().numpy() @ a.double().numpy() - principal
    np.testing.assert_allclose(adapted.merged()[f"{name}.weight"], weight + moved, atol=1e-5)
    assert adapted.squared_distance().item() == pytest.approx(np.square(moved).sum(), rel=1e-4)
    assert adapted.deltas()[f"{name}.weight"].square().sum().item() == pytest.approx(np.square(moved).sum(), rel=1e-4)


@pytest.mark.parametrize(
    "spec",
    [
        Full(),
        LayerNorm(),
        Bias(),
        LastBlocks(blocks=2),
        Linear(),
        Lora(dropout=0.3),
        Dora(targets=CHOSEN),
        Dora(dropout=0.3),
    ],
    ids=str,
)
def test_features_before_training_are_the_bases_bit_for_bit(
    spec: AdaptationSpec, encoder: Encoder, pixels: Pixels
) -> None:
    """Adapters sit on attention that was split, whose sums have an order of their own: theirs are the split tower's bits."""
    images = _images(encoder, pixels)
    same = copy.deepcopy(encoder.visual)
    if isinstance(spec, Lora | Dora):
        split_attention(same)
    adapted = adapt(encoder.visual, spec, seed=0)
    with torch.no_grad():
        for mode in (False, True) if adapted.trainable() else (False,):
            assert torch.equal(adapted.train(mode)(images), same.train(mode)(images))
    assert adapted.publish().encoder(encoder).vision_fingerprint == encoder.vision_fingerprint


def test_pissa_is_published_at_its_start_as_the_base(encoder: Encoder) -> None:
    tower = adapt(encoder.visual, Pissa(targets=("q", "mlp")), seed=0).publish()
    assert tower.encoder(encoder).vision_fingerprint == encoder.vision_fingerprint


def test_a_tower_in_which_nothing_trains_is_never_in_training() -> None:
    """Or the running statistics of a ResNet would follow the task's images, and its weights would not be all that it is."""
    tower = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4))
    adapted = adapt(tower, Linear(), seed=0).train()
    before = copy.deepcopy(adapted.network.state_dict())
    adapted(torch.randn(2, 3, 5, 5))
    assert all(torch.equal(tensor, before[name]) for name, tensor in adapted.network.state_dict().items())


def test_a_trained_linear_trial_is_the_base_by_its_fingerprint(encoder: Encoder) -> None:
    published: Tower = adapt(encoder.visual, Linear(), seed=3).publish()
    assert published.plain and published.encoder(encoder).vision_fingerprint == encoder.vision_fingerprint


@pytest.mark.parametrize("spec", [LayerNorm(), Bias(), LastBlocks(), Dora(), Pissa()], ids=str)
def test_a_leafs_gradient_is_that_of_the_weight_itself(spec: AdaptationSpec, encoder: Encoder, pixels: Pixels) -> None:
    """What EWC's Fisher information is made of; the reference: every weight of the split tower trains by itself."""
    images = _images(encoder, pixels)
    whole: nn.Module = split_attention(copy.deepcopy(encoder.visual)).requires_grad_(True)
    if not isinstance(spec, Dora | Pissa):
        whole = copy.deepcopy(encoder.visual).requires_grad_(True)
    whole(images).square().mean().backward()
    expected = {name: parameter.grad for name, parameter in whole.named_parameters()}
    adapted: Adapted = adapt(encoder.visual, spec, seed=0)
    leaves = {name: leaf.requires_grad_(True) for name, leaf in adapted.leaves().items()}
    found = torch.autograd.grad(adapted(images).square().mean(), list(leaves.values()), allow_unused=True)
    for name, gradient in zip(leaves, found, strict=True):
        assert gradient is not None
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-3)


def test_a_remedy_that_needs_moving_weights_is_refused_where_none_moves() -> None:
    remedy = ["ewc"]
    kinds = ["linear", "layernorm", "bias", "last_blocks", "dora", "pissa", "lora_experts"]
    sweep = {"name": "x", "backbones": ["mini-s"], "tasks": {"faces": {"adaptation": kinds, "remedy": remedy}}}
    with pytest.raises(UserError) as caught:
        parse_spec(sweep, "x.yaml")
    assert sorted(fault.found.rsplit(" ", 1)[1] for fault in caught.value.faults) == ["linear", "lora_experts"]


def test_a_task_gives_dora_and_pissa_what_it_gives_lora() -> None:
    sweep = {
        "name": "x",
        "backbones": ["mini-s"],
        "tasks": {"faces": {"adaptation": ["lora", "dora", "pissa", "bias"]}},
    }
    trials = {trial.adaptation.kind: trial for trial in parse_spec(sweep, "x.yaml").trials()}
    lora, dora = trials["lora"].adaptation, trials["dora"].adaptation
    assert isinstance(lora, Lora) and isinstance(dora, Dora)
    assert dora == Dora(**{k: v for k, v in lora.model_dump().items() if k != "kind"})
    assert trials["pissa"].adaptation == Pissa(rank=lora.rank)
    rates = {kind: trial.training.lr_backbone for kind, trial in trials.items() if trial.training}
    assert rates["dora"] == rates["pissa"] == rates["lora"] != rates["bias"]
