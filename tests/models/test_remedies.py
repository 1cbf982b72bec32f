from __future__ import annotations

import numpy as np
import pytest
import torch
from gelo.models.adapt import AdaptationSpec, Full, Lora, NoAdaptation, adapt
from gelo.models.adapt.adapted import Adapted
from gelo.models.encoder import Encoder
from gelo.models.remedies import L2SP, NoRemedy, Remedy, Step, Wise
from gelo.models.remedies.wise import interpolate
from pydantic import TypeAdapter, ValidationError
from torch import Tensor


def _step(encoder: Encoder, adapted: Adapted, pixels: np.ndarray) -> Step:
    images = encoder.transform.normalise(torch.from_numpy(pixels))
    return Step(adapted, images, adapted(images), torch.zeros(len(images), dtype=torch.int64))


def _moved(encoder: Encoder, spec: AdaptationSpec) -> Adapted:
    adapted = adapt(encoder.visual, spec, seed=0)
    generator = torch.Generator().manual_seed(1)
    adapted.load({k: v + 0.1 * torch.randn(v.shape, generator=generator) for k, v in adapted.state().items()})
    return adapted


@pytest.mark.parametrize(
    "spec", [Full(), Lora(rank=3, alpha=5.0, targets=("q", "out", "mlp_in")), NoAdaptation()], ids=str
)
def test_l2sp_is_half_strength_times_the_squared_distance(
    spec: AdaptationSpec, encoder: Encoder, pixels: np.ndarray
) -> None:
    adapted = _moved(encoder, spec)
    remedy = L2SP(strength=0.3).start(encoder, adapted)
    penalty = remedy.penalty(_step(encoder, adapted, pixels))
    base, merged = encoder.visual_state(), adapted.merged()
    explicit = sum(float((merged[name].double() - base[name].double()).square().sum()) for name in base)
    assert penalty.item() == pytest.approx(0.15 * explicit, rel=1e-4, abs=1e-12)
    dense = sum((float(delta.detach().double().square().sum()) for delta in adapted.deltas().values()), 0.0)
    assert penalty.item() == pytest.approx(0.15 * dense, rel=1e-4, abs=1e-12)


def test_l2sp_gradients_on_lora_are_those_of_the_explicit_product(encoder: Encoder, pixels: np.ndarray) -> None:
    adapted = _moved(encoder, Lora(rank=3, alpha=5.0))
    parameters = list(adapted.trainable().values())
    ours = torch.autograd.grad(L2SP(strength=2.0).penalty(_step(encoder, adapted, pixels)), parameters)
    explicit = torch.stack([delta.square().sum() for delta in adapted.deltas().values()]).sum()
    for mine, reference in zip(ours, torch.autograd.grad(explicit, parameters), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-6)


def test_l2sp_pulls_full_fine_tuning_back_in_a_straight_line(encoder: Encoder, pixels: np.ndarray) -> None:
    adapted = _moved(encoder, Full())
    (gradient,) = torch.autograd.grad(
        L2SP(strength=0.5).penalty(_step(encoder, adapted, pixels)), adapted.trainable()["proj"]
    )
    torch.testing.assert_close(gradient, 0.5 * (adapted.trainable()["proj"] - encoder.visual_state()["proj"]).detach())


def _pair() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    torch.manual_seed(0)
    theta_0 = {"a": torch.randn(5, 3), "same": torch.randn(4), "ids": torch.tensor([1, 2])}
    return theta_0, theta_0 | {"a": torch.randn(5, 3)}


@pytest.mark.parametrize("alpha", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_wise_is_the_published_formula(alpha: float) -> None:
    theta_0, theta_1 = _pair()
    merged = Wise(alpha=alpha).merge(theta_0, theta_1)
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
    half = Wise(alpha=0.5).merge(encoder.visual_state(), adapted.merged())
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


def test_every_remedy_answers_in_every_phase(encoder: Encoder, pixels: np.ndarray) -> None:
    adapted = _moved(encoder, Lora())
    step = _step(encoder, adapted, pixels)
    theta_0, theta_1 = encoder.visual_state(), adapted.merged()
    for spec, phase in ((NoRemedy(), "none"), (L2SP(), "training"), (Wise(), "merging")):
        assert spec.phase == phase
        penalty = spec.start(encoder, adapted).penalty(step)
        assert penalty.shape == () and (penalty.item() > 0) is (phase == "training")
        merged = spec.merge(theta_0, theta_1)
        kept = all(torch.equal(merged[name], theta_1[name]) for name in theta_1)
        assert kept is (phase != "merging")


def test_specs_are_told_apart_by_kind_and_refuse_the_rest() -> None:
    parse = TypeAdapter(Remedy).validate_python
    assert parse({"kind": "wise", "alpha": 0.2}) == Wise(alpha=0.2) and parse({"kind": "none"}) == NoRemedy()
    assert parse({"kind": "l2sp", "strength": 1}) == L2SP(strength=1.0)
    for wrong in (
        {"kind": "soup"},
        {"kind": "wise", "alpha": 1.1},
        {"kind": "l2sp", "strength": -1},
        {"kind": "none", "x": 1},
    ):
        with pytest.raises(ValidationError):
            parse(wrong)
