"""ZSCL against its formula in numpy, and what it keeps against the mean of the weights on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch.nn import functional as F

from gelo.models.adapt import Full
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import Binary
from gelo.models.remedies import EMA, ZSCL, Stack
from tests.models.one_step import features_of, losses_of, moved, shown, slope
from tests.models.test_remedy_ema import Diary
from tests.models.toy_run import STEPS, go, settings

ZERO = {"reference": "noise/train", "batch": 4}


def test_it_is_both_divergences_and_the_distance(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    """By torch's cross_entropy with probabilities as targets, in float64."""
    remedy = ZSCL(**ZERO, strength=0.7, temperature=3.0, l2=0.2, every=0)
    adapted = moved(encoder, Full())
    losses, step = losses_of(remedy, encoder, adapted, pixels)
    images, text = shown(step, "reference"), step.run.sources["reference"].classifier(encoder).double()
    logits, before = (
        encoder.logit_scale * F.normalize(torch.from_numpy(features_of(encoder, each, images)), dim=1) @ text
        for each in (adapted, None)
    )
    assert logits.shape == (4, 4)
    parts = [F.cross_entropy(z / 3, (z0 / 3).softmax(1)) for z, z0 in ((logits, before), (logits.T, before.T))]
    base, merged = encoder.visual_state(), adapted.merged()
    distance = sum(float((merged[name].double() - base[name].double()).square().sum()) for name in base)
    assert losses["zscl"].item() == pytest.approx(0.7 * 9 * float(sum(parts)) + 0.2 * distance, rel=1e-4)


def test_the_gradient_is_the_slope(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    assert slope(ZSCL(**ZERO, every=0, l2=0.1), encoder, Full(), pixels, [0, 1] * 3) < 1e-4


@pytest.mark.parametrize(("every", "points"), [(1, range(STEPS + 1)), (2, (0, 2, 4, 6)), (4, (0, 4)), (STEPS, (0, 6))])
def test_it_keeps_the_mean_of_the_start_and_every_so_many_steps(
    every: int, points: tuple[int, ...], encoder: Encoder, tmp_path: Path
) -> None:
    diary = Diary()
    both = Stack.model_construct(kind="stack", remedies=(diary, ZSCL(**ZERO, every=every)))
    ended = go(encoder, Full(), tmp_path, both).model.state()
    seen = dict(diary.seen)
    for name, tensor in ended.items():
        expected = np.mean([seen[point][name].double().numpy() for point in points], axis=0)
        np.testing.assert_allclose(tensor.double().numpy(), expected, rtol=1e-5, atol=1e-7)


def test_a_run_that_is_too_short_is_refused_before_its_first_step(encoder: Encoder, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    with pytest.raises(UserError, match=r"100, in a run of 6 steps: the start alone .* at most 6; every: 1, or 0"):
        go(encoder, Full(), tmp_path, ZSCL(**ZERO), report=seen.append)
    assert not seen


def test_what_it_cannot_do_is_told() -> None:
    (fault,) = ZSCL().clashes(Binary(), settings(accumulate=2))
    assert "zscl, which compares" in fault.found and "accumulate: 1" in fault.remedy
    assert not ZSCL().clashes(Binary(), settings())
    with pytest.raises(ValidationError, match="ema and zscl: each keeps other weights"):
        Stack(remedies=(EMA(), ZSCL()))
    assert Stack(remedies=(EMA(), ZSCL(every=0)))
