"""The loop under every remedy: neutral settings change no bit, a run that was left goes on on the same bits, parts of a batch add up."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gelo.models.adapt import AdaptationSpec, Full, Lora, LoraExperts
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.remedies import (
    EMA,
    EWC,
    L2SP,
    PMG,
    REMEDIES,
    ZSCL,
    Counterfactual,
    Distill,
    Hooks,
    LanguageContrast,
    LwF,
    RemedySpec,
    Replay,
    SelectiveCalibration,
    Stack,
    SupCon,
)
from gelo.models.training.stream import ahead
from tests.models.toy_run import STEPS, Ended, go

NEUTRAL: list[RemedySpec] = [
    L2SP(strength=0), Distill(strength=0), Distill(strength=0, distance="cosine"), EMA(decay=0), EMA(rule="mean", start=0.99),
    EWC(reference="noise/train", strength=0, images=4), Replay(reference="noise/train", strength=0, batch=4),
    PMG(reference="noise/train", weight=0, epsilon=0), Counterfactual(reference="noise/train", weight=0),
    Stack(remedies=(L2SP(strength=0), Replay(reference="noise/train", strength=0, batch=4), EMA(decay=0))),
    Distill(strength=0, layers="inner"), Distill(strength=0, on="reference", reference="noise/train", batch=4),
    LwF(reference="noise/train", strength=0), ZSCL(reference="noise/train", strength=0, batch=4, every=0), SupCon(strength=0),
    SelectiveCalibration(gamma=0, beta=0), LanguageContrast(strength=0, nuisance=0),
]  # fmt: skip
ACTIVE: list[RemedySpec] = [
    L2SP(strength=0.1), Distill(strength=2.0), Distill(distance="cosine"), EMA(decay=0.5), EMA(rule="mean", every=2, start=0.2),
    EWC(reference="noise/train", strength=50.0, images=4), Replay(reference="noise/train", batch=4),
    PMG(reference="noise/train"), PMG(reference="noise/train", epsilon=0),
    Counterfactual(reference="noise/train", batch=2, grid=2, most=4),
    Stack(remedies=(Distill(), Replay(reference="noise/train", batch=4), Replay(reference="noise/train", batch=2), EMA(decay=0.9))),
    Distill(strength=100.0, layers="inner"), Distill(on="reference", reference="noise/train", batch=4), LwF(reference="noise/train"),
    ZSCL(reference="noise/train", batch=4, every=2, l2=0.1), SupCon(), SelectiveCalibration(), LanguageContrast(),
]  # fmt: skip
WAYS: list[AdaptationSpec] = [Full(), Lora(rank=2, dropout=0.25)]


def same(one: Ended, two: Ended) -> bool:
    first, second = one.tensors(), two.tensors()
    return first.keys() == second.keys() and all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def losses(ended: Ended) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if "second" not in name} for row in ended.run.history]


def test_every_remedy_that_trains_is_tried_here() -> None:
    training = {remedy for remedy in REMEDIES if remedy.trains and remedy.model_fields["kind"].default != "none"}
    ours = {each for each in training if each.__module__.startswith("gelo.")}
    for tried in (NEUTRAL, ACTIVE):
        assert {type(member) for remedy in tried for member in remedy.members()} == ours


@pytest.mark.parametrize("adaptation", WAYS, ids=str)
@pytest.mark.parametrize("remedy", NEUTRAL, ids=lambda remedy: remedy.label)
def test_a_neutral_remedy_changes_no_bit(
    remedy: RemedySpec, adaptation: AdaptationSpec, encoder: Encoder, tmp_path: Path
) -> None:
    plain, with_it = (go(encoder, adaptation, tmp_path / name, each) for name, each in (("a", None), ("b", remedy)))
    assert plain.finished and with_it.finished
    assert same(plain, with_it)
    assert [row["loss"] for row in losses(plain)] == [row["loss"] for row in losses(with_it)]


@pytest.mark.parametrize(
    ("remedy", "adaptation"),
    [
        (remedy, adaptation)
        for remedy in (None, *ACTIVE)
        for adaptation in (*WAYS, LoraExperts(rank=2))
        if remedy is None
        or all(each.needs <= adaptation.gives for each in remedy.members())  # others are refused at the start
    ],
    ids=lambda each: getattr(each, "label", None) or str(each),
)
def test_left_in_the_middle_it_ends_on_the_same_bits(
    remedy: RemedySpec | None, adaptation: AdaptationSpec, encoder: Encoder, tmp_path: Path
) -> None:
    whole = go(encoder, adaptation, tmp_path / "whole", remedy)
    for call in (1, 2):
        assert not go(encoder, adaptation, tmp_path / "left", remedy, stop_after=2).finished
        torch.manual_seed(call)  # a fresh process has another random state
        np.random.seed(call)
    ended = go(encoder, adaptation, tmp_path / "left", remedy)
    assert ended.finished and same(whole, ended) and losses(whole) == losses(ended)
    assert ended.run.step == STEPS


@pytest.mark.parametrize("remedy", ACTIVE, ids=lambda remedy: remedy.label)
def test_a_remedy_that_acts_ends_elsewhere_and_its_losses_are_told(
    remedy: RemedySpec, encoder: Encoder, tmp_path: Path
) -> None:
    plain, with_it = (go(encoder, Full(), tmp_path / name, each) for name, each in (("a", None), ("b", remedy)))
    assert not same(plain, with_it)
    added = {name for name in losses(with_it)[0] if name.startswith("loss_")}
    kinds = [
        each.label.partition("(")[0] for each in remedy.members() if not isinstance(each, EMA | SelectiveCalibration)
    ]
    assert len(added) == len(kinds), "each is told, and none is told twice under one name"
    assert all(any(name.startswith(f"loss_{kind}") for kind in kinds) for name in added)


@pytest.mark.parametrize("remedy", [None, Replay(reference="noise/train", batch=4)], ids=["none", "replay"])
def test_a_batch_in_parts_is_the_same_batch(remedy: RemedySpec | None, encoder: Encoder, tmp_path: Path) -> None:
    whole, parts = (go(encoder, Lora(rank=2), tmp_path / f"{n}", remedy, accumulate=n) for n in (1, 2))
    for name, tensor in whole.tensors().items():
        torch.testing.assert_close(parts.tensors()[name], tensor, rtol=1e-4, atol=2e-6)


def test_the_global_generators_stay_as_they_were(encoder: Encoder, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    go(encoder, Lora(rank=2, dropout=0.5), tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_does_not_go_on_from_something_else(encoder: Encoder, tmp_path: Path) -> None:
    go(encoder, Full(), tmp_path, stop_after=2)
    with pytest.raises(
        UserError, match=r"half-trained: data: made from one; expected two, as it is now; bring that back, or remove"
    ):
        go(encoder, Full(), tmp_path, data="two")


def test_bf16_trains_too(encoder: Encoder, tmp_path: Path) -> None:
    full, half = (go(encoder, Full(), tmp_path / p, precision=p) for p in ("fp32", "bf16"))
    assert not same(full, half)
    assert [row["loss"] for row in half.run.history] == pytest.approx(
        [row["loss"] for row in full.run.history], rel=0.02
    )
    assert all(tensor.dtype == torch.float32 for tensor in half.tensors().values())


class Spoiling(RemedySpec):
    """Its loss is not finite from step 3 on."""

    kind: str = "spoiling"

    def hooks(self) -> Any:
        class Spoil(Hooks[Spoiling]):
            def losses(self, step: Any, losses: dict[str, Any]) -> None:
                losses["spoiling"] = step.features.sum() * (math.inf if step.run.step >= 3 else 0)

        return Spoil(self)


def test_a_loss_that_is_not_finite_names_its_step_and_all_losses(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"step 3: loss .*\(task [\d.]+, spoiling -?(inf|nan)\); expected a finite loss"
    ):
        go(encoder, Full(), tmp_path, Spoiling())


@pytest.mark.parametrize("workers", [1, 4])
def test_what_is_made_ahead_comes_in_order_and_fails_in_its_turn(workers: int) -> None:
    drawn: list[int] = []
    threads: set[int] = set()

    def draw(step: int) -> int:
        drawn.append(step)
        threads.add(threading.get_ident())
        if step == 8:
            raise KeyError("eight")
        return 10 * step

    def make(step: int, given: int) -> int:
        assert given == 10 * step
        time.sleep(0.002 * (step % 3))  # so that they do not end in their order
        if step == 5:
            raise ValueError("five")
        return step * step

    assert list(ahead(draw, make, 2, 5, workers)) == [4, 9, 16] and drawn == [2, 3, 4] and len(threads) == 1
    for start, expected, error in ((3, [9, 16], ValueError), (6, [36, 49], KeyError)):
        taken = []
        with pytest.raises(error, match=r"five|eight"):
            for value in ahead(draw, make, start, 12, workers):
                taken.append(value)
        assert taken == expected
    drawn.clear()
    left = ahead(draw, make, 9, 1000, workers, depth=2)
    assert next(left) == 81
    left.close()  # type: ignore[attr-defined]
    assert len(drawn) <= 1 + max(2, workers + 1), "whoever leaves early does not make the rest"
    assert not {"rows ahead", "images of a step_0"} & {thread.name for thread in threading.enumerate()}
