from __future__ import annotations

import copy
import errno
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LinearLR, SequentialLR
from upath import UPath

from gelo.models.adapt import AdaptationSpec, Full, Lora, adapt
from gelo.models.durable import DONE, remove
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import CosFace
from gelo.models.heads.head import Head
from gelo.models.training.checkpoint import TrainingState, latest, load, newest_whole, prune, save


class _Run:
    """A small but whole training: two optimisers, a schedule, dropout; every random number follows from the step."""

    def __init__(self, encoder: Encoder, spec: AdaptationSpec, pixels: np.ndarray) -> None:
        self.images = encoder.transform.normalise(torch.from_numpy(pixels))
        self.adapted = adapt(encoder.visual, spec, seed=0)
        self.head = Head(CosFace(), encoder.dim, 3, seed=0)
        self.optimizers = {
            "adapted": AdamW(self.adapted.trainable().values(), lr=1e-3, weight_decay=0.05),
            "head": AdamW(self.head.parameters(), lr=1e-2),
        }
        optimizer = self.optimizers["adapted"]
        parts = [LinearLR(optimizer, 0.1, total_iters=2), CosineAnnealingWarmRestarts(optimizer, 3, 2)]
        self.schedule = SequentialLR(optimizer, parts, milestones=[2])
        self.losses: list[float] = []

    def go(self, steps: int) -> None:
        self.adapted.train()
        for _ in range(steps):
            torch.manual_seed(len(self.losses))
            chosen = torch.from_numpy(np.random.default_rng([5, len(self.losses)]).permutation(len(self.images))[:4])
            images = self.images[chosen]
            loss = self.head.loss(self.adapted(images), chosen % 3)
            for optimizer in self.optimizers.values():
                optimizer.zero_grad()
            loss.backward()
            for optimizer in self.optimizers.values():
                optimizer.step()
            self.schedule.step()
            self.losses.append(loss.item())

    def state(self) -> TrainingState:
        return TrainingState(
            step=len(self.losses),
            tensors={"adapted": self.adapted.state(), "head": dict(self.head.state_dict())},
            optimizers={name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            sums={"schedule": self.schedule.state_dict()},
            history=[{"epoch": 1.0, "loss": loss} for loss in self.losses],
        )

    def restore(self, state: TrainingState) -> None:
        self.adapted.load(state.tensors["adapted"])
        self.head.load_state_dict(state.tensors["head"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state.optimizers[name])
        self.schedule.load_state_dict(state.sums["schedule"])
        self.losses = [row["loss"] for row in state.history]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.slow
@pytest.mark.parametrize("spec", [Full(), Lora(rank=2, dropout=0.4)], ids=str)
@pytest.mark.parametrize("place", ["local", "memory"])
def test_interrupted_training_equals_straight_training_bit_for_bit(
    spec: AdaptationSpec, place: str, encoder: Encoder, pixels: np.ndarray, tmp_path: Path
) -> None:
    folder = tmp_path / "c" if place == "local" else UPath(f"memory://checkpoints-{spec.model_dump()['kind']}/c")
    straight = _Run(encoder, spec, pixels)
    straight.go(8)

    first = _Run(encoder, spec, pixels)
    first.go(4)
    saved = copy.deepcopy(first.state())  # state dicts are live: the next step would move them
    save(folder, saved)
    first.go(1)  # goes on, spoiling every random state, then dies
    second = _Run(encoder, spec, pixels)
    state = load(folder)
    assert all(_same(value, getattr(state, name)) for name, value in vars(saved).items())
    second.restore(state)
    second.go(4)

    assert second.losses == straight.losses
    assert _same(second.adapted.state(), straight.adapted.state())
    assert _same(dict(second.head.state_dict()), dict(straight.head.state_dict()))
    assert _same(second.optimizers["adapted"].state_dict(), straight.optimizers["adapted"].state_dict())


def _small(value: float = 1.0) -> TrainingState:
    return TrainingState(step=1, tensors={"head": {"weight": torch.full((64, 64), value)}})


def test_odd_values_come_back_the_same(tmp_path: Path) -> None:
    state = _small()
    state.tensors["mixed"] = {
        "bf16": torch.tensor([1.5, -0.0], dtype=torch.bfloat16), "scalar": torch.tensor(3), "empty": torch.zeros(0, 4),
        "view": torch.arange(12).reshape(3, 4).T, "nan": torch.tensor(float("nan")),
    }  # fmt: skip
    state.optimizers["o"] = {
        "state": {0: {"step": torch.tensor(2.0)}},
        "param_groups": [{"betas": (0.9, 0.999), "lr": 0.1 + 0.2}],
    }
    state.sums["big"] = {"state": 2**127 + 1, "none": None, "flag": True, "inf": float("inf")}
    shared = torch.ones(3)
    state.tensors["shared"] = {"a": shared, "b": shared}
    save(tmp_path / "c", state)
    back = load(tmp_path / "c")
    assert torch.isnan(back.tensors["mixed"].pop("nan")) and state.tensors["mixed"].pop("nan") is not None
    assert (
        _same(back.tensors, state.tensors) and _same(back.optimizers, state.optimizers) and _same(back.sums, state.sums)
    )


def test_what_would_not_come_back_is_refused_when_saving(tmp_path: Path) -> None:
    state = _small()
    state.optimizers["s"] = {"lambda": nn.Linear(1, 1)}
    with pytest.raises(TypeError, match="optimizers/s/lambda: a Linear"):
        save(tmp_path / "c", state)
    assert not (tmp_path / "c").exists()


def epoch_folder(root: UPath | Path, epoch: int) -> UPath | Path:
    return root / f"epoch-{epoch:04d}"


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    save(epoch_folder(tmp_path, 1), _small(1.0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # what the system answers then is what a full disk answers
    try:
        with pytest.raises(OSError, match="cannot write") as caught:
            save(epoch_folder(tmp_path, 2), _small(2.0))
        assert caught.value.errno == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [entry.name for entry in tmp_path.iterdir()] == ["epoch-0001"]
    newest = latest(tmp_path)
    assert newest is not None and load(newest).tensors["head"]["weight"][0, 0] == 1.0
    save(epoch_folder(tmp_path, 2), _small(2.0))
    newest = latest(tmp_path)
    assert newest is not None and newest.name == "epoch-0002"


def test_unfinished_and_damaged_checkpoints_are_told_apart_from_whole_ones(tmp_path: Path) -> None:
    assert latest(tmp_path / "nothing") is None
    folder = epoch_folder(tmp_path, 10)
    save(folder, _small())
    (tmp_path / "epoch-0011").mkdir()
    newest = latest(tmp_path)
    assert newest is not None and newest.name == "epoch-0010"
    with pytest.raises(UserError, match="no finished checkpoint"):
        load(tmp_path / "epoch-0011")
    file = tmp_path / "epoch-0010" / "tensors.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    with pytest.raises(UserError, match="damaged"):
        load(folder)
    file.unlink()
    with pytest.raises(UserError, match="damaged"):
        load(folder)
    file.write_bytes(whole)
    (tmp_path / "epoch-0010" / DONE).write_bytes(b"")  # as an older gelo left it: nothing is compared
    for older_or_newer in (2, 99):
        (tmp_path / "epoch-0010" / "state.json").write_text(f'{{"format": {older_or_newer}}}')
        with pytest.raises(
            UserError, match=f"format {older_or_newer}; expected format 3; remove .*trained from its start"
        ):
            load(folder)
    assert (tmp_path / "epoch-0010" / DONE).exists()


@pytest.mark.parametrize("place", ["local", "memory"])
def test_pruning_keeps_the_newest(place: str, tmp_path: Path) -> None:
    root = tmp_path / "c" if place == "local" else UPath("memory://pruned/c")
    prune(root)
    for epoch in (1, 9999, 10000):
        save(epoch_folder(root, epoch), _small(epoch))
    prune(root)
    assert sorted(entry.name for entry in root.iterdir()) == ["epoch-10000", "epoch-9999"]
    prune(root, keep=1)
    newest = latest(root)
    assert newest is not None and load(newest).tensors["head"]["weight"][0, 0] == 10000
    assert [entry.name for entry in root.iterdir()] == ["epoch-10000"]
    with pytest.raises(ValueError, match="at least the newest"):
        prune(root, keep=0)


def test_no_pickle_is_written(tmp_path: Path) -> None:
    save(tmp_path / "c", _small())
    assert {entry.name for entry in (tmp_path / "c").iterdir()} == {"tensors.safetensors", "state.json", DONE}


@pytest.mark.parametrize("place", ["local", "memory"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(place: str, tmp_path: Path) -> None:
    root = UPath(tmp_path) / "c" if place == "local" else UPath("memory://damaged/c")
    for epoch in (1, 2, 3):
        save(root / f"epoch-{epoch:04d}", TrainingState(epoch, {"head": {"w": torch.full((64,), float(epoch))}}))
        prune(root)
    told: list[str] = []
    found = newest_whole(root, told.append)
    assert found is not None and (found[0], found[1].step, told) == ("epoch-0003", 3, [])
    file = root / "epoch-0003" / "tensors.safetensors"
    whole = bytearray(file.read_bytes())
    whole[-3] ^= 1  # one bit of a weight: the file reads well
    file.write_bytes(bytes(whole))
    found = newest_whole(root, told.append)
    assert found is not None and found[1].step == 2 and float(found[1].tensors["head"]["w"][0]) == 2
    assert len(told) == 1 and "epoch-0003 is damaged" in told[0] and "going on from epoch-0002" in told[0]
    remove(root / "epoch-0002" / "state.json")
    assert newest_whole(root, told.append) is None and "training starts again" in told[1]
