"""The attack on pixels: an independent one, a closed form, the ball, and that nothing else is touched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.pgd import attacked_features, perturbed
from gelo.tasks.protocols.attack import Attack

SIDE, CLASSES, DIM = 6, 4, 5
TRANSFORM = Transform(size=SIDE)


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 16), nn.Tanh(), nn.Linear(16, DIM)).requires_grad_(
        False
    )


def toy(visual: nn.Module, dim: int = DIM) -> Any:
    """All that an attack asks of an encoder."""
    return SimpleNamespace(visual=visual, transform=TRANSFORM, device=torch.device("cpu"), dim=dim)


def scene(seed: int, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float64]]:
    """Pixels with some at both ends of their range, labels, and unit columns."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(-60, 316, (count, SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    bank = rng.normal(size=(DIM, CLASSES))
    return pixels, rng.integers(0, CLASSES, count), bank / np.linalg.norm(bank, axis=0)


def theirs(
    model: nn.Module, pixels: Any, labels: Any, bank: Any, start: Any, radius: float, step: float, n: int
) -> Tensor:
    """The images, written anew from the description: a change `delta` that is clipped to the radius, then so that images stay images."""
    x = torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(each).reshape(1, 3, 1, 1) for each in (TRANSFORM.mean, TRANSFORM.std))
    delta = torch.max(torch.min(torch.tensor(start), 1 - x), -x)
    for _ in range(n):
        delta.requires_grad_(True)
        features = model((x + delta - mean) / std)
        cosines = (features / features.norm(dim=1, keepdim=True)) @ torch.tensor(bank).float()
        loss = -torch.log_softmax(100 * cosines, 1)[range(len(labels)), labels].mean()
        loss.backward()  # type: ignore[no-untyped-call]
        assert delta.grad is not None
        moved = (delta.detach() + step * delta.grad.sign()).clamp(-radius, radius)
        delta = torch.max(torch.min(moved, 1 - x), -x)
    return x + delta.detach()


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_it_is_the_attack_that_was_written_anew(steps: int) -> None:
    model, attack = network(3), Attack(epsilon=3 / 255, step=1 / 255, steps=steps)
    pixels, labels, bank = scene(1, 37)  # more than go through at once
    start = np.stack([attack.start(row, SIDE) for row in range(len(pixels))])
    found = attacked_features(
        toy(model), pixels, labels, start, bank, epsilon=attack.epsilon, step=attack.step, steps=steps
    )
    images = theirs(model, pixels, labels, bank, start, attack.epsilon, attack.step, steps)
    mean, std = (torch.tensor(each).reshape(1, 3, 1, 1) for each in (TRANSFORM.mean, TRANSFORM.std))
    np.testing.assert_allclose(found, model((images - mean) / std).numpy(), rtol=0, atol=1e-5)
    clean = model(TRANSFORM.normalise(torch.from_numpy(pixels))).numpy()
    assert np.abs(found - clean).max() > 1e-3, "it did something"


def test_without_a_radius_it_is_the_clean_image_to_the_bit(encoder: Encoder) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, encoder.transform.size, encoder.transform.size, 3), dtype=np.uint8)
    bank = rng.normal(size=(encoder.dim, 3))
    none = Attack(epsilon=0)
    start = np.stack([none.start(row, encoder.transform.size) for row in range(9)])
    found = attacked_features(encoder, pixels, np.zeros(9, np.int64), start, bank, epsilon=0, step=1 / 255, steps=3)
    np.testing.assert_array_equal(found, encoder.encode_images(pixels))
    strong = attacked_features(encoder, pixels, np.zeros(9, np.int64), start, bank, epsilon=0.1, step=0.05, steps=3)
    assert not np.allclose(strong, found)
    again = attacked_features(encoder, pixels, np.zeros(9, np.int64), start, bank, epsilon=0.1, step=0.05, steps=3)
    np.testing.assert_array_equal(strong, again)
    assert all(weight.grad is None and not weight.requires_grad for weight in encoder.visual.parameters())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.2), st.floats(0.001, 0.3), st.integers(0, 5))
def test_every_image_stays_an_image_and_within_the_radius(seed: int, radius: float, step: float, steps: int) -> None:
    pixels, labels, bank = scene(seed, 5)
    x, start = TRANSFORM.shares(torch.from_numpy(pixels)), Attack(epsilon=radius, seed=seed).start(0, SIDE)
    assert np.abs(start).max() <= radius + 1e-9
    model, columns = network(seed % 7), torch.from_numpy(bank).float()

    def loss(at: Tensor) -> Tensor:
        logits = 100 * F.normalize(model(TRANSFORM.standardise(at)), dim=1) @ columns
        return F.cross_entropy(logits, torch.from_numpy(labels), reduction="sum")

    found = perturbed(loss, x, torch.from_numpy(start), epsilon=radius, step=step, steps=steps)
    assert found.min() >= 0 and found.max() <= 1
    assert (found - x).abs().max() <= radius + 1e-7
    assert not found.requires_grad


class Tilted(nn.Module):
    """x -> (1, a x + b): the class is the side of a plane, and the worst image in a box is known."""

    def __init__(self, a: Tensor, b: float) -> None:
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x: Tensor) -> Tensor:
        along = x.flatten(1) @ self.a + self.b
        return torch.stack([torch.ones_like(along), along], dim=1)


def test_of_a_plane_it_finds_the_worst_image_and_more_radius_is_never_better() -> None:
    """Closed form: an image withstands where its distance to the plane is more than sum |a_i| min(radius, room to the end of the range)."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (200, SIDE, SIDE, 3), dtype=np.uint8)
    a = torch.from_numpy(rng.normal(size=3 * SIDE * SIDE)).float() / 5
    spread = TRANSFORM.normalise(torch.from_numpy(pixels)).flatten(1) @ a
    visual, side = Tilted(a, -float(spread.median())), 0.25
    bank = np.array([[np.cos(side), np.cos(side)], [np.sin(side), -np.sin(side)]])
    along = (visual(TRANSFORM.normalise(torch.from_numpy(pixels)))[:, 1]).numpy()
    labels = np.where(rng.random(200) < 0.9, along < 0, along > 0).astype(np.int64)  # a tenth is wrong from the start
    towards = -np.where(labels == 0, 1.0, -1.0)[:, None] * np.sign(a.numpy())  # where an image has to go, (N, pixels)
    shares = pixels.transpose(0, 3, 1, 2).reshape(200, -1) / 255
    room = np.where(towards > 0, 1 - shares, shares)
    slope = np.abs(a.numpy()) / np.repeat(TRANSFORM.std, SIDE * SIDE)
    kept = []
    for radius in (0.0, 0.5 / 255, 1 / 255, 2 / 255, 4 / 255, 8 / 255, 1.0):
        attack = Attack(epsilon=radius, step=max(radius, 1e-3), steps=3)
        start = np.stack([attack.start(row, SIDE) for row in range(200)])
        found = attacked_features(
            toy(visual, 2), pixels, labels, start, bank, epsilon=radius, step=attack.step, steps=3
        )
        right = (found @ bank).argmax(axis=1) == labels
        margin = np.where(labels == 0, along, -along) - (slope * np.minimum(radius, room)).sum(axis=1)
        clear = np.abs(margin) > 1e-4
        assert clear.mean() > 0.95 and (right == (margin > 0))[clear].all()
        kept.append(right.mean())
    assert kept == sorted(kept, reverse=True) and kept[0] > 0.85 and kept[-1] < kept[2] < kept[0]


def test_which_images_and_where_from_is_said_by_the_settings_alone() -> None:
    attack = Attack(images=30)
    rows = attack.chosen(100)
    assert len(set(rows)) == 30 and (np.diff(rows) > 0).all() and rows.max() < 100
    np.testing.assert_array_equal(rows, Attack(images=30).chosen(100))
    assert not np.array_equal(rows, Attack(images=30, seed=1).chosen(100))
    np.testing.assert_array_equal(attack.chosen(7), np.arange(7))
    one, other = attack.start(4, SIDE), attack.start(5, SIDE)
    np.testing.assert_array_equal(one, attack.start(4, SIDE))
    assert not np.array_equal(one, other) and one.shape == (3, SIDE, SIDE)
    many = np.concatenate([attack.start(row, 16).ravel() for row in range(20)]) * 255
    assert abs(many.mean()) < 0.03 and abs(many.std() - 1 / np.sqrt(3)) < 0.01, "uniform in +-1/255"
    others = [Attack(epsilon=2 / 255), Attack(step=2 / 255), Attack(steps=9), Attack(images=30), Attack(seed=1)]
    assert len({each.fingerprint for each in (Attack(), *others)}) == 6
    assert str(Attack()) == "L-inf PGD on pixels in [0, 1], epsilon 1/255, 10 steps of 1/255, a uniform start"
    assert Attack().passes == 21
