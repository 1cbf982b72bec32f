"""One trial's training loop: steps, schedule, remedy, checkpoints. Resumed, it ends on the same bits as if never interrupted.

Decisions: the order of images, the augmentation and the learning rates are functions of (seed, epoch, step), so a checkpoint only keeps
weights, optimisers, random states and the sums of the running epoch.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from gelo.models import checkpoint
from gelo.models.adapt import adapt
from gelo.models.adapt.ledger import ledger
from gelo.models.durable import fetched, publish_folder
from gelo.models.encoder import Encoder
from gelo.models.faults import Fault, UserError
from gelo.models.heads import build_head
from gelo.models.remedies import Step
from gelo.models.specs import Transform
from gelo.sweeps.folder import TrialFolder
from gelo.sweeps.trial import Training, Trial
from gelo.tasks.manifest import Dataset
from gelo.tasks.stream import DecodedSplit
from gelo.tasks.training.augment import augment
from gelo.tasks.training.preprocess import transforms
from gelo.tasks.training.sampling import Batches
from safetensors.torch import load_file, save_file

_BETAS = (0.9, 0.999)
STEP = 1  # raised by hand when the same trial would end on other bits


class DivergedError(UserError):
    """The loss is no longer finite: trying again gives the same."""


def train(
    trial: Trial,
    base: Encoder,
    dataset: Dataset,
    cache: Path,
    folder: TrialFolder,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[dict[str, float]], None] = lambda row: None,
    checkpoint_minutes: float = 10,
) -> bool:
    """Train `trial` from its last checkpoint to the end and publish `trained/`; False when stopped on request, after saving.

    report(row) after each epoch: epoch, loss (mean over steps), images_per_second. Raises DivergedError, UserError (data), OSError (disk).
    """
    entered = time.time()
    deterministic(base.device)
    settings = trial.training
    assert settings is not None and trial.head is not None
    labels = dataset.labels("train")
    seen, shown = transforms(settings.preprocess, base.transform)
    try:
        batches = Batches(settings.sampler, labels, trial.seed, settings.batch, settings.per_identity)
    except UserError as error:
        raise UserError(f"trial {trial.label}, data set {dataset.name}", error.faults) from None
    pixels = DecodedSplit(dataset, "train", seen, cache)
    torch.manual_seed(trial.seed)
    adapted = adapt(base.visual, trial.adaptation, trial.seed).to(base.device)
    head = build_head(trial.head, base.dim, int(labels.max()) + 1, trial.seed).to(base.device)
    remedy = trial.remedy.start(base, adapted)
    groups = {"backbone": list(adapted.trainable().values()), "head": list(head.parameters())}
    peaks = {"backbone": settings.lr_backbone, "head": settings.lr_head}
    optimizers = {
        name: torch.optim.AdamW(parameters, lr=peaks[name], betas=_BETAS, weight_decay=settings.weight_decay)
        for name, parameters in groups.items()
        if parameters
    }
    step, history, running = 0, [], {"loss": 0.0, "steps": 0.0, "seconds": 0.0}
    made_from = {
        "trial": trial.key, "base weights": base.vision_fingerprint, "data": dataset.fingerprint, "transform": seen.fingerprint,
        "version of the training step": str(STEP),
    }  # fmt: skip
    saved = checkpoint.latest(folder.checkpoints)
    if saved is not None:
        state = checkpoint.load(saved)
        again = f"bring that back, or remove {folder.checkpoints}: the trial is then trained from its start"
        checkpoint.refuse_other(f"{trial.label}, half-trained", state.made_from, made_from, again)
        adapted.load(state.tensors["adapted"])
        head.load_state_dict(state.tensors["head"])
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(state.optimizers[name])
        checkpoint.restore_rng(state.rng)
        step, history, running = state.step, state.history, state.schedulers["running"]

    steps_per_epoch = batches.steps

    def save(place: object) -> None:
        checkpoint.save(
            place,
            checkpoint.TrainingState(
                step=step,
                epoch=step // steps_per_epoch,
                tensors={"adapted": adapted.state(), "head": head.state_dict()},
                optimizers={name: optimizer.state_dict() for name, optimizer in optimizers.items()},
                schedulers={"running": running},
                rng=checkpoint.capture_rng(),
                history=history,
                made_from=made_from,
            ),
        )
        checkpoint.prune(folder.checkpoints)  # only once the new one is whole: one is always there

    adapted.train()
    head.train()
    last_save = time.monotonic()
    for epoch in range(step // steps_per_epoch, settings.epochs):
        for within in range(step % steps_per_epoch, steps_per_epoch):
            started = time.perf_counter()
            chosen = batches.at(epoch, within)
            draws = np.random.default_rng([trial.seed, epoch, within])
            batch = augment(settings.augment, pixels.take(chosen), shown.size, draws)
            images = seen.normalise(torch.from_numpy(batch).to(base.device))
            targets = torch.from_numpy(labels[chosen]).to(base.device)
            for name, optimizer in optimizers.items():
                optimizer.param_groups[0]["lr"] = rate(settings, peaks[name], step, steps_per_epoch)
            features = adapted(images)
            loss = head.loss(features, targets)
            total = loss + remedy.penalty(Step(adapted, images, features, targets))
            value = float(loss.detach())
            if not math.isfinite(float(total.detach())):
                raise DivergedError(
                    f"trial {trial.label}",
                    Fault(f"step {step}", f"loss {float(total.detach())}", "a finite loss", "lower lr_backbone"),
                )
            for optimizer in optimizers.values():
                optimizer.zero_grad(set_to_none=True)
            total.backward()
            for name in optimizers:
                torch.nn.utils.clip_grad_norm_(groups[name], settings.clip)
                optimizers[name].step()
            step += 1
            running["loss"] += value
            running["steps"] += 1
            running["seconds"] += time.perf_counter() - started
            finished = step % steps_per_epoch == 0
            if not finished and (should_stop() or time.monotonic() - last_save > 60 * checkpoint_minutes):
                save(folder.checkpoints / f"epoch-{epoch:04d}-step-{step:08d}")
                last_save = time.monotonic()
                if should_stop():
                    return False
        history.append(
            {
                "epoch": epoch + 1,
                "step": step,
                "loss": running["loss"] / running["steps"],
                "images_per_second": running["steps"] * settings.batch / max(running["seconds"], 1e-9),
                "seconds": running["seconds"],
            }
        )
        running = {"loss": 0.0, "steps": 0.0, "seconds": 0.0}
        if epoch + 1 < settings.epochs:
            save(checkpoint.epoch_folder(folder.checkpoints, epoch + 1))
            last_save = time.monotonic()
        report(history[-1])
        if should_stop() and epoch + 1 < settings.epochs:
            return False

    adapted.eval()
    rows = ledger(adapted, head)
    merged = adapted.merged()
    document = {
        "train_seconds": sum(row["seconds"] for row in history),
        "started": entered,  # of the last stretch, when the trial was interrupted
        "ended": time.time(),
        "trainable_parameters": sum(parameter.numel() for parameter in groups["backbone"]),
        "head_parameters": sum(parameter.numel() for parameter in groups["head"]),
        "history": history,
        "ledger": [row.as_dict() for row in rows],
        "base": base.vision_fingerprint,
        "data": dataset.fingerprint,
        "step": str(STEP),
        **_fingerprints(base.with_visual(merged), shown),
        "source": trial.key,
    }
    with publish_folder(folder.trained) as place:
        save_file(merged, place / "encoder.safetensors")
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()},
            place / "head.safetensors",
        )
        (place / "training.json").write_text(json.dumps(document))
    if folder.checkpoints.exists():
        folder.checkpoints.fs.rm(folder.checkpoints.path, recursive=True)
    return True


def deterministic(device: torch.device) -> None:
    """On a GPU, ask torch for kernels that give equal bits in every run; it warns of those that it does not have. The CPU's do anyway.

    Memory-efficient attention is left out: its backward pass adds in any order.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first matrix product is made
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.enable_mem_efficient_sdp(False)


def merge(trial: Trial, base: Encoder, source: TrialFolder, folder: TrialFolder) -> None:
    """Publish `trained/` of a merging trial from its source's weights: no training. The head is the source's."""
    made = {"base weights": source.training().get("base", "")}
    checkpoint.refuse_other(
        f"{trial.label}, merged from {source.root.name}", made, {"base weights": base.vision_fingerprint},
        "bring the old weights back, or give the sweep a new name",
    )  # fmt: skip
    with fetched(source.trained) as place:
        theta_1, head = load_file(place / "encoder.safetensors"), load_file(place / "head.safetensors")
    merged = trial.remedy.merge(base.visual_state(), theta_1)
    assert trial.training is not None
    shown = transforms(trial.training.preprocess, base.transform).test
    document = {
        **source.training(),
        **_fingerprints(base.with_visual(merged), shown),
        "source": source.root.name,
    }
    with publish_folder(folder.trained) as place:
        save_file(merged, place / "encoder.safetensors")
        save_file(head, place / "head.safetensors")
        (place / "training.json").write_text(json.dumps(document))


def _fingerprints(trained: Encoder, shown: Transform) -> dict[str, str]:
    """`vision` behind the backbone's own transform, `detector` behind the one that the trained head is tested with."""
    return {"vision": trained.vision_fingerprint, "detector": trained.with_transform(shown).vision_fingerprint}


def rate(settings: Training, peak: float, step: int, steps_per_epoch: int) -> float:
    """Learning rate of one step (from 0), as `Training.schedule` describes."""
    warmup = settings.warmup_epochs * steps_per_epoch
    match settings.schedule:
        case "constant":
            return peak
        case "cosine":
            if step < warmup:
                return peak * (step + 1) / warmup
            left = (step - warmup) / max(1, settings.epochs * steps_per_epoch - warmup)
            return peak * 0.5 * (1 + math.cos(math.pi * left))
        case "cosine_restarts":
            position, period = step // steps_per_epoch - settings.warmup_epochs, 5
            if position < 0:
                return peak
            while position >= period:
                position, period = position - period, period * 2
            low = min(1e-6, peak)
            return low + (peak - low) * 0.5 * (1 + math.cos(math.pi * position / period))
