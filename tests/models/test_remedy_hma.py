"""HMA: WiSE-FT where nothing is found, its gradient against finite differences, and a mean that stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gelo.models.adapt import Full, Lora, adapt
from gelo.models.encoder import Encoder
from gelo.models.heads import Binary, CosFace, Softmax
from gelo.models.heads.head import Head
from gelo.models.remedies import HMA, Bench, Wise
from gelo.models.tower import Tower
from tests.models.toy_run import IMAGES, Noise


def tuned(encoder: Encoder, spec: Full | Lora | None = None, scale: float = 0.1) -> Tower:
    adapted = adapt(encoder.visual, spec or Full(), seed=0)
    generator = torch.Generator().manual_seed(1)
    adapted.load({n: t + scale * torch.randn(t.shape, generator=generator) for n, t in adapted.state().items()})
    return adapted.publish()


def bench(encoder: Encoder, head: Head | None = None) -> Bench:
    source = Noise(0, encoder.transform.size, encoder.dim)
    return Bench(encoder, head=head or Head(Binary(), encoder.dim, 2, 0), task=source, seed=3)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_alike_in_all_blocks_it_is_wise_bit_for_bit(alpha: float, blocks: int, encoder: Encoder) -> None:
    tower = tuned(encoder)
    one = HMA(alpha=alpha, blocks=blocks, steps=0).finish(tower, Bench(encoder)).weights
    two = Wise(alpha=alpha).finish(tower, Bench(encoder)).weights
    assert one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_the_ratios_are_the_codes_rule_and_keep_their_mean() -> None:
    """Written out: alpha (sigmoid(a_k) + 0.2) / mean_j (sigmoid(a_j) + 0.2)."""
    a = np.array([-3.0, 0.5, 2.0])
    raised = 1 / (1 + np.exp(-a)) + 0.2
    found = HMA(alpha=0.6).ratios(torch.from_numpy(a)).numpy()
    np.testing.assert_allclose(found, 0.6 * raised / raised.mean(), rtol=1e-12)
    assert found.mean() == pytest.approx(0.6, rel=1e-12) and found.max() > 0.6


def test_each_tensor_belongs_to_the_block_of_its_depth(encoder: Encoder) -> None:
    remedy = HMA(blocks=3)
    of = {name: remedy.block(name, 12) for name in encoder.visual_state() if "resblocks" not in name}
    assert of["conv1.weight"] == of["class_embedding"] == of["positional_embedding"] == of["ln_pre.bias"] == 0
    assert of["ln_post.weight"] == of["proj"] == 2
    thirds = [remedy.block(f"transformer.resblocks.{layer}.ln_1.weight", 12) for layer in range(12)]
    assert thirds == [0] * 4 + [1] * 4 + [2] * 4
    assert [HMA(blocks=3).block(f"transformer.resblocks.{n}.x", 24) for n in (7, 8, 15, 16)] == [0, 1, 1, 2]


@pytest.mark.parametrize("spec", [Full(), Lora(rank=2, alpha=8.0)], ids=str)
def test_what_is_found_is_noted_and_is_what_the_weights_are(spec: Full | Lora, encoder: Encoder) -> None:
    tower = tuned(encoder, spec)
    remedy = HMA(alpha=0.5, steps=12, images=16, lr=0.2)
    made, again = (remedy.finish(tower, bench(encoder)) for _ in range(2))
    alphas = made.notes["hma"]["alphas"]
    assert np.mean(alphas) == pytest.approx(0.5, rel=1e-9) and np.ptp(alphas) > 0.01
    assert alphas == again.notes["hma"]["alphas"], "a function of the seed"
    assert alphas != remedy.finish(tower, replace(bench(encoder), seed=4)).notes["hma"]["alphas"]
    start = encoder.visual_state()
    for name, tensor in made.weights.items():
        ratio = alphas[remedy.block(name, 3)]
        expected = (1 - ratio) * start[name].double() + ratio * tower.weights[name].double()
        torch.testing.assert_close(tensor.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("head", [Binary(), Softmax(), CosFace(scale=8.0, margin=0.1)], ids=lambda spec: spec.kind)
def test_its_first_step_is_down_the_slope_that_differences_say(
    head: Binary | Softmax | CosFace, encoder: Encoder
) -> None:
    """Adam's first step is lr times the sign of the gradient; the slope here from towers that are evaluated, by `encode_images`."""
    tower, made = tuned(encoder), Head(head, encoder.dim, 2, 0)
    source, start = bench(encoder).task, encoder.visual_state()
    remedy = HMA(alpha=0.5, images=IMAGES, steps=1, lr=0.01, penalty=0.0)
    assert source is not None

    def loss(a: np.ndarray) -> float:
        ratios = remedy.ratios(torch.from_numpy(a)).tolist()
        mixed = {
            n: torch.lerp(start[n].double(), t.double(), ratios[remedy.block(n, 3)]).float()
            for n, t in tower.weights.items()
        }
        features = torch.from_numpy(encoder.with_visual(mixed).encode_images(source.pixels)).double()  # type: ignore[attr-defined]
        weights = {name: tensor.detach().double() for name, tensor in made.named_parameters()}
        return float(made.spec.loss(weights, features, torch.from_numpy(source.labels)))

    at = np.full(3, np.log(0.2 / 0.8))
    slope = np.array([loss(at + 0.05 * e) - loss(at - 0.05 * e) for e in np.eye(3)])
    assert (np.abs(slope) > 1e-6).all(), "else the sign would be rounding"
    found = remedy.finish(tower, bench(encoder, made)).notes["hma"]["alphas"]
    expected = remedy.ratios(torch.from_numpy(at - 0.01 * np.sign(slope))).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_many_steps_lower_the_tasks_loss(encoder: Encoder) -> None:
    """Against WiSE-FT at the same mean."""
    tower, of = tuned(encoder, scale=0.2), bench(encoder)
    assert of.head is not None and of.task is not None
    losses = []
    for remedy in (Wise(alpha=0.5), HMA(alpha=0.5, steps=40, images=IMAGES, lr=0.1)):
        features = torch.from_numpy(remedy.finish(tower, of).encoder(encoder).encode_images(of.task.pixels))  # type: ignore[attr-defined]
        logits = F.normalize(features, dim=1) @ of.head.weight.detach().T + of.head.bias.detach()  # type: ignore[operator,union-attr]
        shown = F.one_hot(torch.from_numpy(of.task.labels), 2).float()
        losses.append(float(F.binary_cross_entropy_with_logits(logits, shown)))
    assert losses[1] < losses[0]


def test_towers_that_have_no_such_blocks_are_refused_before_anything_starts(encoder: Encoder) -> None:
    assert HMA(blocks=3).faults(12) == []
    (few,) = HMA(blocks=13).faults(12, "tasks.faces.remedy")
    assert str(few) == "tasks.faces.remedy: hma of 13 blocks on a tower of 12 layers; expected at most 12"
    (none,) = HMA().faults(None)
    assert "transformer blocks" in none.found and none.remedy == "remedy: wise"
    with pytest.raises(ValueError, match="needs the trained head"):
        HMA(steps=1).finish(tuned(encoder), Bench(encoder))
