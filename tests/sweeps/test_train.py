"""The training loop: resumed it ends on the same bits, a full disk costs nothing, and only what should train moves."""

from __future__ import annotations

import io
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingWarmRestarts, SequentialLR
from upath import UPath

from gelo.models.adapt import Adaptation, Full, Lora
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import CosFace
from gelo.models.remedies import L2SP, Remedy, Soup, Wise
from gelo.models.training.loop import DivergedError
from gelo.models.training.schedule import rate
from gelo.sweeps.stages.finish import finish
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.manifest import Dataset, read_chunk
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.trial import Training, Trial
from gelo.tasks.results import Result

IMAGES, BATCH, EPOCHS = 68, 16, 2  # 4 steps an epoch, the last 4 images dropped
STEPS = EPOCHS * (IMAGES // BATCH)
LORA = Lora(rank=4, alpha=4.0, dropout=0.25)


def trial(adaptation: Adaptation, **changes: Any) -> Trial:
    settings = {
        "data": "faces", "epochs": EPOCHS, "batch": BATCH, "lr_backbone": 1e-3, "lr_head": 1e-2, "weight_decay": 0.05,
        "clip": 5.0, "schedule": "cosine", "warmup_epochs": 1, "sampler": "shuffled", "augment": "flip",
    }  # fmt: skip
    remedy: Remedy | None = changes.pop("remedy", None)
    made = Trial(
        backbone="mini-s", task="faces", collection="miniature", adaptation=adaptation, head=CosFace(),
        training=Training.model_validate(settings | changes), seed=3,
    )  # fmt: skip
    return made if remedy is None else made.model_copy(update={"remedy": remedy})


@dataclass(frozen=True)
class World:
    """An encoder, 68 images of 4 classes, and a place for what they yield."""

    base: Encoder
    dataset: Dataset
    cache: Path

    def train(self, trial: Trial, folder: Path, **options: Any) -> bool:
        return train(trial, self.base, self.dataset, self.cache, TrialFolder(UPath(folder)), **options)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)

    def records() -> Iterator[Record]:
        for index in range(IMAGES):
            pixels = rng.integers(0, 160, (64, 64, 3), dtype=np.uint8)
            pixels[:, :, index % 3] += np.uint8(20 * (index % 4))
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "PNG")
            yield Record(f"f{index}", stream.getvalue(), index % 4)

    dataset = write_dataset(
        root / "faces", name="faces", version="1", scale="miniature", classes=(), splits={"train": records()},
        source="a test", licence="Apache-2.0",
    )  # fmt: skip
    return World(load_backbone("mini-s"), dataset, root / "cache")


@pytest.fixture(scope="module")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Trial], Path]:
    """The folder of a trial that was never interrupted."""
    done: dict[str, Path] = {}

    def of(trial: Trial) -> Path:
        if trial.key not in done:
            folder = tmp_path_factory.mktemp("whole")
            assert world.train(trial, folder)
            done[trial.key] = folder
        return done[trial.key]

    return of


def assert_same_bits(found: Path, expected: Path) -> None:
    for name in ("encoder.safetensors", "head.safetensors"):
        assert (found / "trained" / name).read_bytes() == (expected / "trained" / name).read_bytes(), name
    one, two = (TrialFolder(UPath(folder)).training() for folder in (found, expected))
    assert [row["loss"] for row in one["history"]] == [row["loss"] for row in two["history"]]
    assert one["vision"] == two["vision"]


def after(step: int) -> Callable[[], bool]:
    """A request to stop that comes once `step` steps are done (it is asked once a step until it says yes)."""
    left = [step]

    def asked() -> bool:
        left[0] -= 1
        return left[0] <= 0

    return asked


ADAPTATIONS = pytest.mark.parametrize("adaptation", [LORA, Full()], ids=["lora", "full"])


@pytest.mark.slow
@ADAPTATIONS
def test_interrupted_after_every_step_it_ends_on_the_same_bits(
    world: World, whole: Callable[[Trial], Path], adaptation: Adaptation, tmp_path: Path
) -> None:
    wanted = trial(adaptation)
    calls = 1
    while not world.train(wanted, tmp_path, should_stop=lambda: True):
        assert len(list((tmp_path / "checkpoints").iterdir())) <= 2, "older checkpoints are removed"
        calls += 1
        torch.manual_seed(calls)  # a fresh process has another random state
    assert calls == STEPS
    assert not (tmp_path / "checkpoints").exists()
    assert_same_bits(tmp_path, whole(wanted))


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 3, 6])
def test_interrupted_once_with_dropout_and_a_penalty(
    world: World, whole: Callable[[Trial], Path], step: int, tmp_path: Path
) -> None:
    wanted = trial(LORA, remedy=L2SP(strength=0.1), sampler="class_balanced")
    assert not world.train(wanted, tmp_path, should_stop=after(step))
    assert world.train(wanted, tmp_path)
    assert_same_bits(tmp_path, whole(wanted))


PAPERS = {
    "faces": {"augment": "rand_augment"},
    "morphs": {"preprocess": "morph", "sampler": "identity_balanced"},
    "spoofs": {"preprocess": "spoof", "augment": "spoof", "sampler": "class_balanced"},
}  # what the miniature defaults leave out, by task


@pytest.mark.slow
@pytest.mark.parametrize("task", PAPERS)
def test_interrupted_with_the_papers_preparation_of_the_images(
    world: World, whole: Callable[[Trial], Path], task: str, tmp_path: Path
) -> None:
    wanted = trial(LORA, **PAPERS[task])
    calls = 1
    while not world.train(wanted, tmp_path, should_stop=lambda: True):
        calls += 1
        torch.manual_seed(calls)
    assert calls == STEPS
    assert_same_bits(tmp_path, whole(wanted))
    trained = (tmp_path / "trained" / "encoder.safetensors").read_bytes()
    assert trained != (whole(trial(LORA)) / "trained" / "encoder.safetensors").read_bytes()


@pytest.mark.parametrize("preprocess", ["backbone", "morph", "spoof"])
def test_the_encoder_is_shown_what_open_clip_or_the_papers_loader_makes_of_an_image(
    world: World, preprocess: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch, by Pillow and torch alone: CLIP's statistics, BGR with one half, or ImageNet's on a stretched crop."""
    shown: list[torch.Tensor] = []
    forward = type(world.base.visual).forward
    monkeypatch.setattr(
        type(world.base.visual), "forward", lambda self, x: shown.append(x.detach()) or forward(self, x)
    )
    wanted = trial(Full(), preprocess=preprocess, augment="none")
    world.train(wanted, tmp_path, should_stop=lambda: True)
    chosen = np.random.default_rng([wanted.seed, 0]).permutation(IMAGES)[:BATCH]
    images = [Image.open(io.BytesIO(data)) for data in read_chunk(world.dataset.chunks("train")[0])[1]]
    pixels = torch.from_numpy(np.stack([np.asarray(images[index]) for index in chosen])).permute(0, 3, 1, 2) / 255
    if preprocess == "backbone":
        mean, std = torch.tensor(open_clip.OPENAI_DATASET_MEAN), torch.tensor(open_clip.OPENAI_DATASET_STD)
        torch.testing.assert_close(shown[0], (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    elif preprocess == "morph":
        torch.testing.assert_close(shown[0], (pixels.flip(1) - 0.5) / 0.5)
    else:
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        wide = torch.nn.functional.interpolate(pixels, (73, 73), mode="bilinear")  # 64 * 256 / 224
        ours = shown[0] * std.view(3, 1, 1) + mean.view(3, 1, 1)
        for one, whole_one in zip(ours, wide, strict=True):
            crops = [whole_one[:, y : y + 64, x : x + 64] for y in range(10) for x in range(10)]
            assert min(float((one - crop).abs().max()) for crop in crops) <= 0.51 / 255


def test_a_kill_without_warning_goes_back_to_the_last_checkpoint(
    world: World, whole: Callable[[Trial], Path], tmp_path: Path
) -> None:
    asked = [0]

    def kill_in_step_6() -> bool:
        asked[0] += 1
        if asked[0] == 6:
            raise RuntimeError("killed")
        return False

    with pytest.raises(RuntimeError, match="killed"):
        world.train(trial(LORA), tmp_path, should_stop=kill_in_step_6)
    assert [entry.name for entry in (tmp_path / "checkpoints").iterdir()] == ["epoch-0001"]
    half_written = tmp_path / "checkpoints" / "epoch-0001-step-00000006"
    half_written.mkdir()
    (half_written / "state.json").write_text("{")
    rows: list[dict[str, float]] = []
    assert world.train(trial(LORA), tmp_path, report=rows.append)
    assert [row["epoch"] for row in rows] == [2]
    assert_same_bits(tmp_path, whole(trial(LORA)))


def test_seeds_differ(world: World, whole: Callable[[Trial], Path], tmp_path: Path) -> None:
    world.train(trial(LORA).model_copy(update={"seed": 4}), tmp_path)
    for name in ("encoder.safetensors", "head.safetensors"):
        assert (tmp_path / "trained" / name).read_bytes() != (whole(trial(LORA)) / "trained" / name).read_bytes()


def test_it_learns(world: World, whole: Callable[[Trial], Path]) -> None:
    history = TrialFolder(UPath(whole(trial(Full())))).training()["history"]
    assert [row["epoch"] for row in history] == [1, 2]
    assert history[1]["step"] == 2 * history[0]["step"] > 2, "steps of the training, not epochs"
    assert history[1]["loss"] < history[0]["loss"]


def test_only_trainable_tensors_move(world: World, whole: Callable[[Trial], Path]) -> None:
    before = world.base.vision_fingerprint
    start = world.base.visual_state()
    end = load_file(whole(trial(LORA)) / "trained" / "encoder.safetensors")
    assert end.keys() == start.keys()
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert moved == {name for name in start if name.endswith("attn.in_proj_weight")}
    width = world.base.visual_state()["class_embedding"].numel()
    for name in moved:
        (q, k, v), (q_0, k_0, v_0) = end[name].split(width), start[name].split(width)
        assert torch.equal(k, k_0)
        assert not torch.equal(q, q_0)
        assert not torch.equal(v, v_0)
    full = load_file(whole(trial(Full())) / "trained" / "encoder.safetensors")
    assert all(not torch.equal(start[name], full[name]) for name in start)
    assert world.base.vision_fingerprint == before
    assert all(torch.equal(tensor, start[name]) for name, tensor in world.base.visual_state().items())


def test_training_json_says_what_was_trained(world: World, whole: Callable[[Trial], Path]) -> None:
    wanted = trial(LORA)
    document = TrialFolder(UPath(whole(wanted))).training()
    layers = sum(name.endswith("attn.in_proj_weight") for name in world.base.visual_state())
    width = world.base.visual_state()["class_embedding"].numel()
    assert document["trainable_parameters"] == layers * 2 * LORA.rank * 2 * width
    assert document["source"] == wanted.key
    assert document["base"] == world.base.vision_fingerprint
    trained = world.base.with_visual(load_file(whole(wanted) / "trained" / "encoder.safetensors"))
    assert document["vision"] == trained.vision_fingerprint


@pytest.fixture
def other_base(world: World) -> Encoder:
    """The same architecture with other weights, as when a user exchanges the file."""
    changed = {name: tensor + 1e-3 for name, tensor in world.base.visual_state().items()}
    return world.base.with_visual(changed)


@pytest.mark.slow
@pytest.mark.parametrize("exchanged", ["base weights", "data", "version of the training step"])
def test_a_half_trained_trial_does_not_go_on_from_something_else(
    exchanged: str, world: World, other_base: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = trial(LORA)
    assert not world.train(wanted, tmp_path / "trial", should_stop=after(5))
    base, dataset = world.base, world.dataset
    before: str = base.vision_fingerprint
    if exchanged == "base weights":
        base = other_base
        now = base.vision_fingerprint
    elif exchanged == "data":
        records = [
            Record(f"g{number}", image, number % 4)
            for chunk in dataset.chunks("train")
            for number, image in enumerate(read_chunk(chunk)[1])
        ]
        dataset = write_dataset(
            tmp_path / "faces", name="faces", version="2", scale="miniature", classes=(), splits={"train": iter(records)},
            source="another", licence="Apache-2.0",
        )  # fmt: skip
        before, now = world.dataset.fingerprint, dataset.fingerprint
    else:
        monkeypatch.setattr("gelo.sweeps.stages.train.DRAWN", 99)
        before, now = "2", "99"
    with pytest.raises(UserError) as caught:
        train(wanted, base, dataset, world.cache, TrialFolder(UPath(tmp_path / "trial")))
    (fault,) = caught.value.faults
    assert fault.where.endswith(exchanged)
    assert (fault.found, fault.expected) == (f"made from {before}", f"{now}, as it is now")
    assert str(tmp_path / "trial" / "checkpoints") in fault.remedy


def test_nothing_is_merged_with_another_base_than_was_trained(
    world: World, other_base: Encoder, whole: Callable[[Trial], Path], tmp_path: Path
) -> None:
    made = TrialFolder(UPath(tmp_path / "merged"))
    with pytest.raises(UserError, match=f"made from {world.base.vision_fingerprint}.*{other_base.vision_fingerprint}"):
        finish(trial(Full(), remedy=Wise(alpha=0.5)), other_base, folders(whole, made))
    assert not made.is_trained()


def folders(whole: Callable[[Trial], Path], made: TrialFolder) -> Callable[[Trial], TrialFolder]:
    """Those of trained trials, and of the one that is made of them."""
    return lambda each: TrialFolder(UPath(whole(each))) if each.trains else made


def test_merging_needs_no_training(
    world: World, whole: Callable[[Trial], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = whole(trial(Full()))
    monkeypatch.setattr(Wise, "version", 2)
    theta_0, theta_1 = world.base.visual_state(), load_file(source / "trained" / "encoder.safetensors")
    for alpha in (0.0, 0.25, 1.0):
        place = tmp_path / str(alpha)
        made = TrialFolder(UPath(place))
        finish(trial(Full(), remedy=Wise(alpha=alpha)), world.base, folders(whole, made))
        merged = load_file(place / "trained" / "encoder.safetensors")
        for name in theta_0:
            expected = (1 - alpha) * theta_0[name] + alpha * theta_1[name]
            torch.testing.assert_close(merged[name], expected, rtol=1e-6, atol=1e-6)
        head = (place / "trained" / "head.safetensors").read_bytes()
        assert head == (source / "trained" / "head.safetensors").read_bytes()
        assert made.training()["vision"] == world.base.with_visual(merged).vision_fingerprint
        assert made.training()["step"] == "1, remedy wise 2", "its source's says 1"


def test_a_soup_is_the_mean_of_its_seeds_and_keeps_its_own_head(
    world: World, whole: Callable[[Trial], Path], tmp_path: Path
) -> None:
    made, wanted = TrialFolder(UPath(tmp_path)), trial(Full(), remedy=Soup(seeds=(4, 3)))
    assert [each.seed for each in wanted.made_of] == [3, 4], "its own source first, then the other"
    finish(wanted, world.base, folders(whole, made))
    mixed = load_file(tmp_path / "trained" / "encoder.safetensors")
    states = [load_file(whole(each) / "trained" / "encoder.safetensors") for each in wanted.made_of]
    for name, tensor in mixed.items():
        torch.testing.assert_close(
            tensor.double(), (states[0][name].double() + states[1][name].double()) / 2, rtol=0, atol=1e-7
        )
    assert (tmp_path / "trained" / "head.safetensors").read_bytes() == (
        whole(wanted.source) / "trained" / "head.safetensors"
    ).read_bytes()
    assert made.training()["parents"] == [whole(each).name for each in wanted.parents.values()]


def test_a_loss_that_is_not_finite_ends_the_trial_with_its_step_and_a_remedy(world: World, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"step \d+: loss (nan|inf|-inf); expected a finite loss; lower lr"):
        world.train(trial(Full(), lr_backbone=1e30, schedule="constant", warmup_epochs=0), tmp_path)
    assert not TrialFolder(UPath(tmp_path)).is_trained()


def test_a_batch_larger_than_the_data_set_is_the_users_mistake(world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"batch: 100; expected at most the {IMAGES} images"):
        world.train(trial(LORA, batch=100), tmp_path)


def test_a_batch_that_identities_cannot_fill_is_the_users_mistake(world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="batch: 32, 8 identities of 4 images each; expected at most the 4 identities"):
        world.train(trial(LORA, sampler="identity_balanced", batch=32), tmp_path)
    with pytest.raises(ValidationError, match=r"per_identity\n.*batch, 18, is a multiple of it"):
        trial(LORA, sampler="identity_balanced", batch=18)
    assert trial(LORA, sampler="identity_balanced", batch=18, per_identity=6).key != trial(LORA, batch=18).key


def settings(**changes: Any) -> Training:
    training = trial(LORA, **changes).training
    assert training is not None
    return training


def test_the_papers_schedule_is_torchs_own() -> None:
    """SequentialLR as in TaharChettaoui/FRoundation: src/train.py, stepped once an epoch."""
    training = settings(schedule="cosine_restarts", warmup_epochs=5, epochs=40)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    constant = ConstantLR(optimizer, factor=1, total_iters=5)
    restarts = CosineAnnealingWarmRestarts(optimizer, T_0=5, T_mult=2, eta_min=1e-6)
    scheduler = SequentialLR(optimizer, [constant, restarts], milestones=[5])
    for epoch in range(40):
        for within in (0, 6):
            found = rate(training, 1e-4, 7 * epoch + within, 7)
            assert found == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), epoch
        optimizer.step()
        scheduler.step()


def test_the_papers_schedule_has_the_figures_of_the_protocol() -> None:
    """../shared/protocols.md, 5: flat to epoch 5, 1.05e-5 at 9, restarts at 10 and 20, 3.4e-6 at 19, 1.6e-6 at 39."""
    training = settings(schedule="cosine_restarts", warmup_epochs=5, epochs=40)
    found = {epoch: rate(training, 1e-4, epoch, 1) for epoch in (0, 5, 9, 10, 19, 20, 39)}
    assert {epoch: float(f"{value:.2e}") for epoch, value in found.items() if epoch in (0, 5, 9, 10, 20)} == {
        0: 1e-4, 5: 1e-4, 9: 1.05e-5, 10: 1e-4, 20: 1e-4,
    }  # fmt: skip
    assert found[19] == pytest.approx(3.4e-6, abs=0.05e-6)
    assert found[39] == pytest.approx(1.6e-6, abs=0.05e-6)


def test_the_cosine_rises_by_step_and_falls_towards_zero() -> None:
    training = settings(schedule="cosine", warmup_epochs=1, epochs=5)
    found = [rate(training, 1.0, step, 10) for step in range(50)]
    np.testing.assert_allclose(found[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(found[10:], (1 + np.cos(np.pi * np.arange(40) / 40)) / 2)
    assert {rate(settings(schedule="constant"), 0.1, step, 10) for step in range(50)} == {0.1}


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], None]]:
    """`folder` on a disk of `size` bytes; yields what makes room on it.

    A tmpfs where this process may mount one; else files may not grow beyond a third of it, which fails the same write.
    """
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    )
    if mounted:
        try:
            yield lambda: subprocess.run(["mount", "-o", f"remount,size={10 * size}", str(folder)], check=True) and None
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(soft: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, before[1]))

    try:
        limit(size // 3)
        yield lambda: limit(before[0])
    finally:
        limit(before[0])


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.mark.slow
def test_a_disk_that_fills_up_during_a_checkpoint_costs_nothing(
    world: World, whole: Callable[[Trial], Path], tmp_path: Path
) -> None:
    wanted = trial(Full())
    (tmp_path / "measure").mkdir()
    assert not world.train(wanted, tmp_path / "measure", should_stop=after(2))
    one = size_of(tmp_path / "measure" / "checkpoints")
    earlier = Result(
        suite="probe", dataset="shapes", protocol="probe", values={"probe/shapes/top1": 0.5}, counts={"images": 1},
        protocol_version=1, data="d" * 16, vision="v" * 16, text="t" * 16, scale="miniature",
    )  # fmt: skip
    with small_disk(tmp_path / "disk", int(1.5 * one)) as make_room:
        folder = tmp_path / "disk" / "trial"
        TrialFolder(UPath(folder)).save_result(earlier, pa.table({"id": ["a"]}))
        if (tmp_path / "disk").stat().st_dev != tmp_path.stat().st_dev:  # a real small disk: the first checkpoint fits
            assert not world.train(wanted, folder, should_stop=after(2))
        before = {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        with pytest.raises(OSError, match=r"[Nn]o space left|File too large"):
            world.train(wanted, folder)
        assert {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
        assert TrialFolder(UPath(folder)).result("probe", "shapes") == earlier
        make_room()
        rows: list[dict[str, float]] = []
        assert world.train(wanted, folder, report=rows.append)
        assert [row["epoch"] for row in rows] == [1, 2]
        assert_same_bits(folder, whole(wanted))
        assert TrialFolder(UPath(folder)).result("probe", "shapes") == earlier


def test_every_step_is_noted_and_a_resume_says_where_it_begins(world: World, tmp_path: Path) -> None:
    first: list[tuple[int, int, int]] = []
    second: list[tuple[int, int, int]] = []
    made = trial(LORA)
    stopped = world.train(made, tmp_path, noted=lambda *told: first.append(told), should_stop=lambda: len(first) > 3)
    assert not stopped and first == [(step, STEPS, BATCH) for step in range(4)]
    assert world.train(made, tmp_path, noted=lambda *told: second.append(told))
    assert second == [(step, STEPS, BATCH) for step in range(3, STEPS + 1)]
