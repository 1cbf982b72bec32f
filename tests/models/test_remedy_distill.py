"""Distillation of inner layers and on reference images, against the tower gone through by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from gelo.models.adapt import AdaptationSpec, Full, Lora
from gelo.models.adapt.adapted import Adapted
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import Binary
from gelo.models.remedies import Distill, Stack
from gelo.models.training.inner import depths, tapped
from tests.models.one_step import features_of, losses_of, moved, shown, slope
from tests.models.toy_run import go, settings

INNER = Distill(strength=10.0, layers="inner")


def layers_by_hand(encoder: Encoder, adapted: Adapted | None, pixels: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """(n, tokens, width) in front of the blocks and behind each of the three, operation by operation, no hook."""
    tower = (encoder if adapted is None else encoder.with_visual(adapted.merged())).visual
    with torch.no_grad():
        x: Tensor = tower.conv1(encoder.transform.normalise(torch.from_numpy(pixels))).flatten(2).transpose(1, 2)  # type: ignore[operator]
        first = tower.class_embedding.expand(len(x), 1, -1)  # type: ignore[operator, union-attr]
        x = tower.ln_pre(torch.cat([first, x], dim=1) + tower.positional_embedding)  # type: ignore[operator]
        found = [x]
        for block in tower.transformer.resblocks:  # type: ignore[union-attr]
            found.append(block(found[-1]))
    return [each.double().numpy() for each in found]


def ldifs(now: list[NDArray[np.float64]], start: list[NDArray[np.float64]]) -> float:
    """omegafragger/ldifs_code: loss/ldifs.py, in numpy: every channel over its length along the tokens."""
    parts = []
    for one, other in zip(now, start, strict=True):
        both = [each / np.sqrt((each**2).sum(axis=1, keepdims=True)) for each in (one, other)]
        parts.append(((both[0] - both[1]) ** 2).mean(axis=(1, 2)))
    return float(np.stack(parts, axis=1).mean())


def test_the_depths_are_those_of_the_paper_and_quarters_elsewhere() -> None:
    assert depths(12) == [0, 3, 6, 9, 12] and depths(24) == [0, 6, 12, 18, 24]
    assert depths(5) == [0, 2, 3, 4, 5] and depths(3) == [0, 1, 2, 3] and depths(1) == [0, 1]


@pytest.mark.parametrize("spec", [Full(), Lora(rank=2)], ids=str)
def test_inner_layers_are_compared_as_the_code_of_ldifs_does(
    spec: AdaptationSpec, encoder: Encoder, pixels: NDArray[np.uint8]
) -> None:
    adapted = moved(encoder, spec)
    losses, _ = losses_of(INNER, encoder, adapted, pixels)
    expected = ldifs(layers_by_hand(encoder, adapted, pixels), layers_by_hand(encoder, None, pixels))
    assert losses["distill"].item() == pytest.approx(10 * expected, rel=1e-4) and expected > 1e-6


@pytest.mark.parametrize("layers", ["last", "inner"])
def test_on_reference_images_it_is_of_those(layers: str, encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    remedy = Distill(layers=layers, on="reference", reference="noise/train", batch=4)  # type: ignore[arg-type]
    adapted = moved(encoder, Full())
    losses, step = losses_of(remedy, encoder, adapted, pixels)
    images = shown(step, "reference")
    assert len(images) == 4 == remedy.beside and remedy.data() == {"reference": "noise/train"}
    if layers == "last":
        apart = features_of(encoder, adapted, images) - features_of(encoder, None, images)
        expected = np.square(apart).sum(1).mean()
    else:
        expected = ldifs(layers_by_hand(encoder, adapted, images), layers_by_hand(encoder, None, images))
    assert losses["distill"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "remedy", [INNER, Distill(on="reference", reference="noise/train", batch=4)], ids=lambda each: each.label
)
def test_the_gradient_is_the_slope(remedy: Distill, encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    assert slope(remedy, encoder, Full(), pixels, [0, 1] * 3) < 1e-4


def test_the_untouched_tower_runs_once_however_many_ask(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    calls: list[int] = []
    remedies = (Distill(), INNER, Distill(distance="cosine"))
    adapted = moved(encoder, Full())
    encoder.visual.register_forward_hook(lambda *given: calls.append(1))
    losses, _ = losses_of(Stack(remedies=remedies), encoder, adapted, pixels)
    assert len(calls) == 1 and {"distill", "distill.1", "distill.2"} <= losses.keys()
    for name, remedy in zip(("distill", "distill.1", "distill.2"), remedies, strict=True):
        assert losses[name].item() == losses_of(remedy, encoder, adapted, pixels)[0]["distill"].item()


def test_nothing_stays_in_the_tower(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    adapted = moved(encoder, Full())
    losses_of(INNER, encoder, adapted, pixels)
    for network in (adapted.network, encoder.visual):
        assert not any(module._forward_hooks for module in network.modules())


def test_a_tower_without_blocks_and_a_compiled_one_are_refused() -> None:
    (fault,) = INNER.faults(None)
    assert "inner layers of a vision tower without" in fault.found and fault.remedy == "layers: last"
    (fault,) = INNER.clashes(Binary(), settings(compile=True))
    assert fault.remedy == "compile: false"
    assert not INNER.faults(3) and not Distill().faults(None) and not INNER.clashes(Binary(), settings())
    with pytest.raises(UserError, match="inner layers"), tapped(torch.nn.Linear(2, 2)):
        pass
    with pytest.raises(ValidationError, match="squared distances"):
        Distill(layers="inner", distance="cosine")


def test_the_key_of_before_stays() -> None:
    assert Distill().canonical() == {"kind": "distill", "strength": 1.0, "distance": "squared"}
    assert Distill().beside == 0 and not Distill().data()


def test_blocks_that_are_computed_twice_are_compared_once(encoder: Encoder, tmp_path: Path) -> None:
    plain, again = (go(encoder, Full(), tmp_path / f"{on}", INNER, checkpointing=on).tensors() for on in (False, True))
    assert all(torch.equal(tensor, again[name]) for name, tensor in plain.items())
