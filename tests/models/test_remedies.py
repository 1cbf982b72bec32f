"""Each remedy against its formula, written out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from torch.nn import functional as F

from gelo.models.adapt import AdaptationSpec, Full, Lora, LoraExperts, NoAdaptation, adapt
from gelo.models.adapt.adapted import Adapted
from gelo.models.encoder import Encoder
from gelo.models.heads import Binary
from gelo.models.heads.head import Head
from gelo.models.remedies import (
    EMA,
    EWC,
    L2SP,
    Bench,
    Distill,
    NoRemedy,
    Remedy,
    RemedySpec,
    Replay,
    Soup,
    Stack,
    Wise,
)
from gelo.models.remedies.wise import interpolate
from gelo.models.tower import ENCODER
from gelo.models.training.run import Run, Step
from gelo.models.training.stream import Batch
from tests.models.toy_run import IMAGES, Noise, settings


def _moved(encoder: Encoder, spec: AdaptationSpec, scale: float = 0.1) -> Adapted:
    adapted = adapt(encoder.visual, spec, seed=0)
    generator = torch.Generator().manual_seed(1)
    adapted.load({k: v + scale * torch.randn(v.shape, generator=generator) for k, v in adapted.state().items()})
    return adapted


def _run(encoder: Encoder, adapted: Adapted, remedy: RemedySpec) -> Run:
    sources = {name: Noise(1, encoder.transform.size, encoder.dim, 4, place) for name, place in remedy.data().items()}
    return Run(encoder, adapted, Head(Binary(), encoder.dim, 2, 0), settings(), 3, 3, sources)


def _step(run: Run, pixels: np.ndarray) -> Step:
    images = run.base.transform.normalise(torch.from_numpy(pixels))
    source = Noise(0, run.base.transform.size, run.base.dim)
    batch = Batch(source, images, torch.zeros(len(images), dtype=torch.int64), np.arange(len(images)))
    return Step(run, batch, run.features(images))


def loss_of(remedy: RemedySpec, encoder: Encoder, adapted: Adapted, pixels: np.ndarray) -> Tensor:
    step = _step(_run(encoder, adapted, remedy), pixels)
    losses = {"task": torch.zeros(())}
    remedy.hooks().losses(step, losses)
    (added,) = [loss for name, loss in losses.items() if name != "task"]
    return added


@pytest.mark.parametrize(
    "spec", [Full(), Lora(rank=3, alpha=5.0, targets=("q", "out", "mlp_in")), NoAdaptation()], ids=str
)
def test_l2sp_is_half_strength_times_the_squared_distance(
    spec: AdaptationSpec, encoder: Encoder, pixels: np.ndarray
) -> None:
    adapted = _moved(encoder, spec)
    penalty = loss_of(L2SP(strength=0.3), encoder, adapted, pixels)
    base, merged = encoder.visual_state(), adapted.merged()
    explicit = sum(float((merged[name].double() - base[name].double()).square().sum()) for name in base)
    assert penalty.item() == pytest.approx(0.15 * explicit, rel=1e-4, abs=1e-12)
    dense = sum((float(delta.detach().double().square().sum()) for delta in adapted.deltas().values()), 0.0)
    assert penalty.item() == pytest.approx(0.15 * dense, rel=1e-4, abs=1e-12)


def test_l2sp_of_routed_experts_counts_each_expert_whole(encoder: Encoder, pixels: np.ndarray) -> None:
    adapted = _moved(encoder, LoraExperts(rank=2, alpha=3.0))
    state = adapted.state()
    explicit = 0.0
    for name in (name.removesuffix(".a") for name in state if name.endswith(".a")):
        for a, b in zip(state[f"{name}.a"], state[f"{name}.b"], strict=True):
            explicit += float((3.0 / math.sqrt(2) * b.double() @ a.double()).square().sum())
    assert loss_of(L2SP(strength=2.0), encoder, adapted, pixels).item() == pytest.approx(explicit, rel=1e-4)
    with pytest.raises(TypeError, match="no dense changes"):
        adapted.deltas()


def test_l2sp_gradients_on_lora_are_those_of_the_explicit_product(encoder: Encoder, pixels: np.ndarray) -> None:
    adapted = _moved(encoder, Lora(rank=3, alpha=5.0))
    parameters = list(adapted.trainable().values())
    ours = torch.autograd.grad(loss_of(L2SP(strength=2.0), encoder, adapted, pixels), parameters)
    explicit = torch.stack([delta.square().sum() for delta in adapted.deltas().values()]).sum()
    for mine, reference in zip(ours, torch.autograd.grad(explicit, parameters), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-6)


def test_l2sp_pulls_full_fine_tuning_back_in_a_straight_line(encoder: Encoder, pixels: np.ndarray) -> None:
    adapted = _moved(encoder, Full())
    penalty = loss_of(L2SP(strength=0.5), encoder, adapted, pixels)
    (gradient,) = torch.autograd.grad(penalty, adapted.trainable()["proj"])
    torch.testing.assert_close(gradient, 0.5 * (adapted.trainable()["proj"] - encoder.visual_state()["proj"]).detach())


@pytest.mark.parametrize("distance", ["squared", "cosine"])
def test_distill_is_the_distance_of_both_towers_features(distance: str, encoder: Encoder, pixels: np.ndarray) -> None:
    adapted = _moved(encoder, Full(), 0.02)
    found = loss_of(Distill(strength=0.7, distance=distance), encoder, adapted, pixels)  # type: ignore[arg-type]
    now = encoder.with_visual(adapted.merged()).encode_images(pixels).astype(np.float64)
    start = encoder.encode_images(pixels).astype(np.float64)
    if distance == "squared":
        expected = np.square(now - start).sum(1).mean()
    else:
        expected = (1 - (now * start).sum(1) / np.linalg.norm(now, axis=1) / np.linalg.norm(start, axis=1)).mean()
    assert found.item() == pytest.approx(0.7 * expected, rel=1e-4)
    assert found.requires_grad and expected > 0


def test_distill_is_zero_at_the_start(encoder: Encoder, pixels: np.ndarray) -> None:
    """But for rounding: without gradients torch takes another way through attention."""
    assert loss_of(Distill(), encoder, adapt(encoder.visual, Full(), 0), pixels).item() < 1e-9


@pytest.mark.parametrize("spec", [Full(), Lora(rank=2)], ids=str)
def test_ewc_weighs_each_distance_by_the_fisher_information(
    spec: AdaptationSpec, encoder: Encoder, pixels: np.ndarray
) -> None:
    """F by hand: one image at a time, the squared gradient of the log likelihood of the label that was drawn for it."""
    remedy = EWC(reference="noise/train", strength=3.0, images=5)
    start, hooks = adapt(encoder.visual, spec, seed=0), remedy.hooks()
    run = _run(encoder, start, remedy)
    run.reseed("prepare", alike=True)
    hooks.prepare(run)
    network = adapt(encoder.visual, Full(), 0).network
    names = [name.replace(".attn.q.", ".attn.").replace(".attn.v.", ".attn.") for name in hooks.fisher]
    source, total = run.sources["reference"], {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    text = source.classifier(encoder)
    run.reseed("prepare", alike=True)
    source.classifier(encoder)  # `prepare` asks it first, and this one draws
    chosen = np.random.default_rng(3).permutation(IMAGES)[:5]
    images = encoder.transform.normalise(torch.from_numpy(source.take(chosen, None, slice(None))))
    for image in images:
        network.zero_grad()
        cosines = F.normalize(network(image[None]), dim=1) @ text
        chances = (encoder.logit_scale * cosines).softmax(1)
        label = int(torch.multinomial(chances, 1))
        (-chances[0, label].log()).backward()
        for name, parameter in network.named_parameters():
            total[name] += parameter.grad.square() / 5  # type: ignore[union-attr]
    if isinstance(spec, Full):
        for name, fisher in hooks.fisher.items():
            torch.testing.assert_close(fisher, total[name], rtol=2e-3, atol=1e-6)
    else:
        assert len(names) == 2 * 3
        width = total["transformer.resblocks.0.attn.in_proj_weight"].shape[1]
        for name, fisher in hooks.fisher.items():
            block, leaf = name.split(".")[2], name.split(".")[4]
            packed = total[f"transformer.resblocks.{block}.attn.in_proj_weight"].split(width)
            torch.testing.assert_close(fisher, packed["qkv".index(leaf)], rtol=2e-3, atol=1e-6)
    moved = _moved(encoder, spec)
    run.model = moved
    losses: dict[str, Tensor] = {}
    hooks.losses(_step(run, pixels), losses)
    expected = sum(
        float((hooks.fisher[n].double() * d.detach().double().square()).sum()) for n, d in moved.deltas().items()
    )
    assert losses["ewc"].item() == pytest.approx(1.5 * expected, rel=1e-4)
    assert all(not leaf.requires_grad for leaf in start.leaves().values()) is isinstance(spec, Lora)


def test_replay_is_zero_shot_cross_entropy_of_its_own_images(encoder: Encoder, pixels: np.ndarray) -> None:
    remedy = Replay(reference="noise/train", strength=2.0, batch=4)
    adapted = _moved(encoder, Full(), 0.02)
    run, hooks = _run(encoder, adapted, remedy), remedy.hooks()
    hooks.prepare(run)
    (shown,) = hooks.streams(run)["reference"].slices(0, run.world)
    step = _step(run, pixels)
    step.batch = Batch(step.batch.source, step.batch.pixels, step.batch.labels, step.batch.rows, {"reference": shown})
    losses: dict[str, Tensor] = {}
    hooks.losses(step, losses)
    images = run.sources["reference"].take(shown.rows, None, slice(None))
    features = encoder.with_visual(adapted.merged()).encode_images(images).astype(np.float64)
    text = run.sources["reference"].classifier(encoder).double().numpy()
    logits = encoder.logit_scale * features / np.linalg.norm(features, axis=1, keepdims=True) @ text
    labels = np.asarray(shown.labels)
    expected = np.mean([np.logaddexp.reduce(row) - row[label] for row, label in zip(logits, labels, strict=True)])
    assert losses["replay"].item() == pytest.approx(2 * expected, rel=1e-4)


def test_ema_keeps_the_average_of_the_way(encoder: Encoder) -> None:
    remedy = EMA(decay=0.75)
    adapted = adapt(encoder.visual, Full(), 0)
    run, hooks = _run(encoder, adapted, remedy), remedy.hooks()
    hooks.prepare(run)
    expected = {name: tensor.double() for name, tensor in adapted.state().items()}
    for number in range(3):
        adapted.load({name: tensor + number for name, tensor in adapted.state().items()})
        run.step += 1
        hooks.updated(run)
        expected = {name: 0.75 * old + 0.25 * adapted.state()[name].double() for name, old in expected.items()}
    hooks.ended(run)
    for name, tensor in adapted.state().items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


def _pair() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    torch.manual_seed(0)
    theta_0 = {"a": torch.randn(5, 3), "same": torch.randn(4), "ids": torch.tensor([1, 2])}
    return theta_0, theta_0 | {"a": torch.randn(5, 3)}


@pytest.mark.parametrize("alpha", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_wise_is_the_published_formula(alpha: float) -> None:
    theta_0, theta_1 = _pair()
    merged = interpolate(theta_0, theta_1, alpha)
    torch.testing.assert_close(merged["a"], (1 - alpha) * theta_0["a"] + alpha * theta_1["a"], rtol=1e-6, atol=1e-6)
    assert torch.equal(merged["same"], theta_0["same"]) and torch.equal(merged["ids"], theta_0["ids"])


def test_wise_endpoints_are_exact_and_inputs_stay() -> None:
    theta_0, theta_1 = _pair()
    copies = {name: tensor.clone() for name, tensor in theta_0.items()}
    for alpha, end in ((0.0, theta_0), (1.0, theta_1)):
        merged = interpolate(theta_0, theta_1, alpha)
        assert all(torch.equal(merged[name], end[name]) for name in end)
        merged["a"].zero_()
    assert all(torch.equal(theta_0[name], copies[name]) for name in copies)


def test_wise_on_lora_is_a_smaller_gamma(encoder: Encoder) -> None:
    adapted = _moved(encoder, Lora(rank=2, alpha=4.0))
    half = Wise(alpha=0.5).finish(adapted.publish(), Bench(encoder)).weights
    smaller = adapt(encoder.visual, Lora(rank=2, alpha=2.0), seed=0)
    smaller.load(adapted.state())
    torch.testing.assert_close(half, smaller.merged(), rtol=1e-5, atol=1e-6)


def test_wise_refuses_states_of_two_models() -> None:
    theta_0, theta_1 = _pair()
    wrong = (
        {"a": theta_1["a"]},
        theta_1 | {"more": torch.zeros(1)},
        theta_1 | {"a": theta_1["a"][:2]},
        theta_1 | {"a": theta_1["a"].double()},
        theta_1 | {"ids": torch.tensor([1, 3])},
    )
    for each in wrong:
        with pytest.raises(ValueError):
            interpolate(theta_0, each, 0.5)


def test_a_soup_of_one_is_that_one_and_of_more_their_mean(encoder: Encoder) -> None:
    towers = {f"seed {n}": _moved(encoder, Full(), 0.1 * (n + 1)).publish() for n in range(3)}
    one = Soup(seeds=(0,)).finish(towers["seed 0"], Bench(encoder, {"seed 0": towers["seed 0"]}))
    assert all(torch.equal(one.weights[name], tensor) for name, tensor in towers["seed 0"].weights.items())
    mixed = Soup(seeds=(0, 1, 2)).finish(towers["seed 0"], Bench(encoder, towers))
    for name, tensor in mixed.weights.items():
        expected = torch.stack([tower.weights[name].double() for tower in towers.values()]).mean(0)
        torch.testing.assert_close(tensor.double(), expected, rtol=1e-6, atol=1e-7)
    assert Soup(seeds=(2, 0)).seeds == (0, 2)
    for wrong in ((), (0, 0), (-1,)):
        with pytest.raises(ValidationError):
            Soup(seeds=wrong)


def test_a_stack_does_all_that_its_members_do(encoder: Encoder, pixels: np.ndarray) -> None:
    both = Stack(remedies=(L2SP(strength=0.3), Distill(strength=2.0), Wise(alpha=0.5)))
    assert both.trained() == Stack(remedies=(L2SP(strength=0.3), Distill(strength=2.0)))
    assert Stack(remedies=(L2SP(), Wise())).trained() == L2SP()
    assert Stack(remedies=(Wise(), Wise())).trained() == NoRemedy()
    adapted = _moved(encoder, Full(), 0.02)
    losses = {"task": torch.zeros(())}
    both.hooks().losses(_step(_run(encoder, adapted, both), pixels), losses)
    assert losses["l2sp"].item() == loss_of(L2SP(strength=0.3), encoder, adapted, pixels).item()
    assert losses["distill"].item() == loss_of(Distill(strength=2.0), encoder, adapted, pixels).item()
    twice = Stack(remedies=(Wise(alpha=0.5), Wise(alpha=0.5))).finish(adapted.publish(), Bench(encoder)).weights
    quarter = Wise(alpha=0.25).finish(adapted.publish(), Bench(encoder)).weights
    torch.testing.assert_close(twice, quarter, rtol=1e-6, atol=1e-6)


def test_specs_are_told_apart_by_kind_and_refuse_the_rest() -> None:
    parse = TypeAdapter(Remedy).validate_python
    assert parse({"kind": "wise", "alpha": 0.2}) == Wise(alpha=0.2) and parse({"kind": "none"}) == NoRemedy()
    assert parse({"kind": "l2sp", "strength": 1}) == L2SP(strength=1.0)
    assert parse({"kind": "stack", "remedies": [{"kind": "l2sp"}, {"kind": "wise"}]}) == Stack(
        remedies=(L2SP(), Wise())
    )
    for wrong in (
        {"kind": "soups"},
        {"kind": "wise", "alpha": 1.1},
        {"kind": "l2sp", "strength": -1},
        {"kind": "none", "x": 1},
        {"kind": "ewc", "reference": ""},
        {"kind": "stack", "remedies": [{"kind": "l2sp"}]},
        {"kind": "stack", "remedies": [{"kind": "wise"}, {"kind": "l2sp"}]},
        {"kind": "stack", "remedies": [{"kind": "none"}, {"kind": "l2sp"}]},
        {"kind": "stack", "remedies": [{"kind": "retrieval", "reference": "a"}, {"kind": "wise"}]},
    ):
        with pytest.raises(ValidationError):
            parse(wrong)


def test_a_tower_that_is_more_than_its_weights_is_not_merged(encoder: Encoder) -> None:
    routed = adapt(encoder.visual, LoraExperts(), 0).publish()
    assert not routed.plain and set(routed.tensors) == {ENCODER, "adaptation"}
    with pytest.raises(ValueError, match="not its weights alone"):
        Wise().finish(routed, Bench(encoder))
