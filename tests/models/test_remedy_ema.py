"""Averages along a run against the same averages of the weights of every step, made by numpy afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import Tensor

from gelo.models.adapt import AdaptationSpec, Full, LpFt
from gelo.models.encoder import Encoder
from gelo.models.remedies import EMA, Hooks, RemedySpec, Stack
from tests.models.toy_run import STEPS, go


class Diary(RemedySpec):
    """Writes down the weights that every step leaves, the start weights first, and whether the tower was held."""

    kind: str = "diary"
    seen: list[Any] = Field(default_factory=list)

    def hooks(self) -> Hooks[Diary]:
        spec = self

        class Write(Hooks[Diary]):
            def prepare(self, run: object) -> None:
                spec.seen.append((0, run.model.state()))  # type: ignore[attr-defined]

            def updated(self, run: object) -> None:
                spec.seen.append((run.scheduled, run.model.state()))  # type: ignore[attr-defined]

        return Write(self)


def followed(encoder: Encoder, spec: AdaptationSpec, remedy: EMA, folder: Path) -> tuple[list, dict[str, Tensor]]:
    """The weights of each step of the tower's own training, and what the run ended on."""
    diary = Diary()
    both = Stack.model_construct(kind="stack", remedies=(diary, remedy))
    ended = go(encoder, spec, folder, both)
    return [state for at, state in dict(diary.seen).items() if at >= 0], ended.model.state()


@pytest.mark.parametrize(
    ("remedy", "points"),
    [
        (EMA(rule="mean"), range(STEPS + 1)),
        (EMA(rule="mean", every=2), (0, 2, 4, 6)),
        (EMA(rule="mean", every=4, start=0.25), (2, 6)),
        (EMA(rule="mean", start=0.5, every=100), (3,)),
    ],
    ids=lambda each: getattr(each, "label", str(each)),
)
@pytest.mark.parametrize("spec", [Full(), LpFt(head_epochs=1)], ids=str)
def test_a_mean_is_that_of_the_weights_of_its_points(
    spec: AdaptationSpec, remedy: EMA, points: tuple[int, ...], encoder: Encoder, tmp_path: Path
) -> None:
    """Steps in which the head alone trains count for nothing: the start weights would be in the mean many times."""
    states, kept = followed(encoder, spec, remedy, tmp_path)
    assert len(states) == STEPS + 1
    for name, tensor in kept.items():
        expected = np.mean([states[point][name].double().numpy() for point in points], axis=0)
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("every", "start", "points"), [(1, 0.0, range(7)), (3, 0.0, (0, 3, 6)), (2, 0.3, (2, 4, 6))])
def test_a_moving_average_forgets_as_fast_as_it_says(
    every: int, start: float, points: tuple[int, ...], encoder: Encoder, tmp_path: Path
) -> None:
    """Written out: the first point weighs decay^n, the one k points before the last (1 - decay) decay^k."""
    states, kept = followed(encoder, Full(), EMA(decay=0.75, every=every, start=start), tmp_path)
    n = len(points) - 1
    shares = [0.75**n, *(0.25 * 0.75 ** (n - k) for k in range(1, n + 1))]
    assert sum(shares) == pytest.approx(1)
    for name, tensor in kept.items():
        expected = sum(s * states[p][name].double().numpy() for s, p in zip(shares, points, strict=True))
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_keys_and_labels_of_before_stay() -> None:
    assert EMA(decay=0.9).canonical() == {"kind": "ema", "decay": 0.9}
    assert EMA(decay=0.9).label == "ema(decay=0.9)"
    assert EMA(rule="mean", every=4).label == "ema(decay=0.999, rule=mean, every=4)"


def test_what_is_not_averaged_is_what_a_plain_run_ends_on(encoder: Encoder, tmp_path: Path) -> None:
    one, two = go(encoder, Full(), tmp_path / "a"), go(encoder, Full(), tmp_path / "b", EMA(rule="mean", start=0.999))
    assert all(torch.equal(tensor, two.model.state()[name]) for name, tensor in one.model.state().items())
