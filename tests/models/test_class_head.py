"""The head of very many classes, in one process: against torch's own AdamW on each class. Two processes: test_two_processes.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from gelo.models.adapt import Lora
from gelo.models.encoder import Encoder
from gelo.models.heads import AdaFace, ArcFace, Binary, CosFace, HeadSpec
from gelo.models.heads.classes import ClassHead, drawn
from gelo.models.heads.head import Head, make_head
from gelo.models.training.world import World
from tests.models.toy_run import go

DIM, CLASSES, STEPS = 6, 40, 5
OPTIONS: dict[str, Any] = {"lr": 0.05, "betas": (0.9, 0.999), "weight_decay": 0.1}


def batches(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    features = 10 * torch.randn(7, DIM, dtype=torch.float64, generator=generator)
    return features, torch.randint(0, CLASSES, (7,), generator=generator)


def train(head: Head, most: float) -> list[float]:
    optimizer, losses = head.optimizer(**OPTIONS), []
    for step in range(STEPS):
        features, labels = batches(step)
        optimizer.zero_grad(set_to_none=True)
        head.begin(step, labels)
        total = torch.zeros((), dtype=torch.float64)
        for part in (slice(0, 4), slice(4, 7)):  # two micro-batches
            loss = head.loss(features[part], labels[part])
            (loss / 2).backward()
            total += loss.detach() / 2
        head.clip(most)
        optimizer.step()
        losses.append(float(total))
    return losses


@pytest.mark.parametrize("spec", [CosFace(), ArcFace(scale=8.0), AdaFace()], ids=lambda each: each.kind)
def test_all_classes_by_rows_is_the_plain_head(spec: Any) -> None:
    plain, rows = Head(spec, DIM, CLASSES, 3).double(), ClassHead(spec, DIM, CLASSES, 3, World()).double()
    assert train(plain, 0.5) == pytest.approx(train(rows, 0.5), rel=1e-12)
    one, other = plain.whole(), rows.whole()
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-10, atol=1e-12)
    assert plain.sizes() == rows.sizes() == [DIM * CLASSES]


@pytest.mark.parametrize("most", [100.0, 0.5])
def test_sampled_classes_move_as_each_would_by_itself(most: float) -> None:
    """torch's AdamW leaves a parameter without a gradient alone, and counts its steps by itself: one parameter a class."""
    spec = CosFace(sample=0.3, scale=16.0)
    head = ClassHead(spec, DIM, CLASSES, 3, World()).double()
    start = spec.start(DIM, CLASSES, 3)["kernel"].double()
    alone = [nn.Parameter(column.clone()) for column in start.T]
    optimizer, losses = torch.optim.AdamW(alone, **OPTIONS), []
    for step in range(STEPS):
        features, labels = batches(step)
        chosen = drawn(CLASSES, 0.3, labels, 3, step)
        optimizer.zero_grad(set_to_none=True)
        kernel = torch.stack([alone[number] for number in chosen.tolist()])
        total = torch.zeros((), dtype=torch.float64)
        for part in (slice(0, 4), slice(4, 7)):
            cosines = F.normalize(features[part], dim=1) @ F.normalize(kernel, dim=1).T
            place = torch.tensor([chosen.tolist().index(label) for label in labels[part].tolist()])
            loss = F.cross_entropy(16.0 * (cosines - 0.3 * F.one_hot(place, len(chosen)).double()), place)
            (loss / 2).backward(retain_graph=True)
            total += loss.detach() / 2
        nn.utils.clip_grad_norm_(alone, most)
        optimizer.step()
        losses.append(float(total))
    assert train(head, most) == pytest.approx(losses, rel=1e-10)
    expected = torch.stack([each.detach() for each in alone], dim=1)
    torch.testing.assert_close(head.whole()["kernel"], expected, rtol=1e-9, atol=1e-11)
    never = [n for n in range(CLASSES) if alone[n] not in optimizer.state]
    assert never and torch.equal(head.whole()["kernel"][:, never], start[:, never])


@given(st.integers(1, 300), st.floats(0.001, 1), st.lists(st.integers(0, 299), max_size=20), st.integers(0, 99))
def test_a_draw_holds_the_batchs_classes_and_others_up_to_the_share(
    classes: int, share: float, labels: list[int], step: int
) -> None:
    true = torch.tensor([label % classes for label in labels], dtype=torch.int64)
    found = drawn(classes, share, true, 7, step)
    assert len(found) == max(int(share * classes), len(true.unique()))
    assert torch.equal(found, found.unique()) and bool(torch.isin(true, found).all())
    assert bool((found >= 0).all()) and bool((found < classes).all())
    assert torch.equal(found, drawn(classes, share, true.flip(0), 7, step))  # the seed and the step alone


def test_the_others_of_a_draw_are_each_as_likely() -> None:
    """Counts over 3,000 draws of 9 out of 29 others against their binomial spread."""
    labels, counts = torch.tensor([3]), torch.zeros(30)
    for step in range(3000):
        counts[drawn(30, 1 / 3, labels, 1, step)] += 1
    expected, spread = 3000 * 9 / 29, (3000 * 9 / 29 * 20 / 29) ** 0.5
    assert counts[3] == 3000
    others = counts[torch.arange(30) != 3]
    assert float((others - expected).abs().max()) < 4.5 * spread
    first, second = (set(drawn(1000, 0.1, labels, seed, 0).tolist()) for seed in (1, 2))
    assert len(first & second) < 30


def test_a_label_that_the_step_was_not_begun_with_is_an_error() -> None:
    head = ClassHead(CosFace(sample=0.1), DIM, CLASSES, 3, World())
    head.begin(0, torch.tensor([5]))
    lacking = next(n for n in range(CLASSES) if n not in drawn(CLASSES, 0.1, torch.tensor([5]), 3, 0))
    with pytest.raises(ValueError, match="not begun with"):
        head.loss(torch.randn(1, DIM), torch.tensor([lacking]))


def test_only_margins_over_some_classes_or_several_processes_take_rows() -> None:
    assert (
        type(make_head(CosFace(), DIM, 4, 0, World())) is Head
        and type(make_head(Binary(), DIM, 2, 0, World(0, 2))) is Head
    )
    assert type(make_head(CosFace(sample=0.5), DIM, 4, 0, World())) is ClassHead
    held = [make_head(CosFace(), DIM, 7, 0, World(rank, 3)) for rank in range(3)]
    assert [(each.first, each.held) for each in held if isinstance(each, ClassHead)] == [(0, 3), (3, 2), (5, 2)]


def test_the_share_is_in_the_key_only_where_it_is_said() -> None:
    assert CosFace().canonical() == {"kind": "cosface", "scale": 64.0, "margin": 0.3}
    assert CosFace(sample=0.1).canonical()["sample"] == 0.1


@pytest.mark.parametrize("spec", [ArcFace(sample=0.5), AdaFace(), AdaFace(sample=0.2)], ids=str)
def test_a_run_goes_on_bit_for_bit(spec: HeadSpec, encoder: Encoder, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"head": spec, "classes": 23}
    whole = go(encoder, Lora(rank=2), tmp_path / "whole", **asked).tensors()
    assert not go(encoder, Lora(rank=2), tmp_path / "parts", stop_after=2, **asked).finished
    assert not go(encoder, Lora(rank=2), tmp_path / "parts", stop_after=2, **asked).finished
    parts = go(encoder, Lora(rank=2), tmp_path / "parts", **asked).tensors()
    assert whole.keys() == parts.keys() and all(torch.equal(whole[name], parts[name]) for name in whole)
