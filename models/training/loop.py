"""The training loop. Resumed, it ends on the same bits as if never interrupted; it knows no remedy, adaptation, head or task by name."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from gelo.models.faults import Fault, UserError
from gelo.models.remedies.base import Hooks
from gelo.models.training.keeper import Keeper
from gelo.models.training.run import Run, Step, own_generators
from gelo.models.training.schedule import rate
from gelo.models.training.stream import Batch, Stream, fed
from gelo.models.training.switches import adamw, arithmetic, prepare
from gelo.models.training.watch import NEVER, Watch


class DivergedError(UserError):
    """The loss is no longer finite: trying again gives the same."""

    kind = "diverged"


def train(
    run: Run,
    hooks: Hooks,
    stream: Stream,
    keeper: Keeper,
    *,
    watch: Watch = NEVER,
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[dict[str, Any]], None] = lambda row: None,
    noted: Callable[[int], None] = lambda step: None,
    judge: Callable[[Sequence[Mapping[str, Any]], int], bool] = lambda points, steps: False,
) -> bool:
    """From the last checkpoint to the end; False when stopped on request, after saving.

    The end is the last step, or the first look of `watch` after which a hook says that it is enough. report(row) after each epoch: epoch,
    step, seconds (looks not counted), images_per_second, loss (the task's, mean over steps) and loss_NAME of each that a remedy adds; of
    the last look `zero_shot` and `task`, where they are there, and `points`, all of the curve so far. noted(step) once the last checkpoint
    is taken up and after each step. judge(points, steps): asked on rank 0 after each look but the first, with all looks so far and the
    steps of the whole run; True stops the run there, unless it is at its end. Raises DivergedError, UserError, OSError (disk), and what a
    source or the watch raises.
    """
    settings, world = run.settings, run.world
    with own_generators(world.device), arithmetic(settings, world.device):
        text = None if run.model.text is None else run.model.text.network
        prepare(run.model.network, settings, world.device, text)
        peaks = {"backbone": settings.lr_backbone, "head": settings.lr_head}
        backbone, common = list(run.model.trainable().values()), adamw(settings)
        optimizers: dict[str, Optimizer] = {}
        if backbone:
            optimizers["backbone"] = AdamW(backbone, lr=peaks["backbone"], **common)
        if run.head.sizes():
            optimizers["head"] = run.head.optimizer(lr=peaks["head"], **common)
        run.reseed("prepare", alike=True)
        hooks.prepare(run)
        beside = hooks.streams(run)
        run.curve.of = watch.of
        keeper.resume(run, hooks, optimizers)
        noted(run.step)
        run.head.train()

        def looked() -> bool:
            kept, now = hooks.kept(run), {}
            if kept is not None:
                now = run.model.state()
                run.model.load(kept)
            shown = watch.look(run)
            if kept is not None:
                run.model.load(now)
            run.reseed("watched", alike=True)
            return run.world.any(hooks.watched(run, shown))

        held: bool | None = None
        cut = run.step == 0 and watch.due(0, run.steps) and looked()
        started = time.perf_counter()
        for parts in fed(stream, beside, world, settings.accumulate, run.step, 0 if cut else run.steps):
            if held is not (run.scheduled < 0):
                held = run.scheduled < 0
                run.model.hold(held)
            for name, optimizer in optimizers.items():
                optimizer.param_groups[0]["lr"] = rate(settings, peaks[name], run.scheduled, run.steps_per_epoch)
                optimizer.zero_grad(set_to_none=True)
            run.head.begin(run.step, torch.cat([batch.labels for batch in parts]))
            losses = _backward(run, hooks, parts)
            world.average([*(each for each in backbone if each.requires_grad), *run.head.alike()])
            run.reseed("gradients", alike=True)
            hooks.gradients(run)
            torch.nn.utils.clip_grad_norm_(backbone, settings.clip)
            run.head.clip(settings.clip)
            for optimizer in optimizers.values():
                optimizer.step()
            run.model.stepped()
            run.step += 1
            run.reseed("updated", alike=True)
            hooks.updated(run)
            now = time.perf_counter()
            for name, value in {**losses, "steps": 1.0, "seconds": now - started}.items():
                run.sums[name] = run.sums.get(name, 0.0) + value
            noted(run.step)
            started, ended = now, run.step % run.steps_per_epoch == 0
            judged = False
            if watch.due(run.step, run.steps):
                cut = looked()
                judged = world.any(world.rank == 0 and judge(run.curve.points, run.steps))
                started = time.perf_counter()
            if ended or cut:
                run.history.append(run.row())
                run.sums = {}
            stop = not cut and (judged or world.any(should_stop())) and run.step < run.steps
            if not cut and (stop or (world.any(keeper.due()) if not ended else run.step < run.steps)):
                keeper.save(run, hooks, optimizers)
                started = time.perf_counter()
            if ended or cut:
                report(run.history[-1] | run.curve.last() | {"points": list(run.curve.points)})
            if cut:
                break
            if stop:
                return False
        run.reseed("ended", alike=True)
        hooks.ended(run)
        run.model.eval()
        return True


def _backward(run: Run, hooks: Hooks, parts: Sequence[Batch]) -> dict[str, float]:
    """Gradients of one step on this rank; returns the mean of each named loss over its micro-batches."""
    means: dict[str, float] = {}
    for number, batch in enumerate(parts):
        run.reseed("batch", number)
        batch = hooks.batch(run, batch)
        run.reseed("forward", number)
        features, inner = run.activations(batch.pixels) if hooks.inner else (run.features(batch.pixels), ())
        losses: dict[str, Tensor] = {"task": run.head.loss(features, batch.labels)}
        run.reseed("losses", number)
        hooks.losses(Step(run, batch, features, inner), losses)
        total = sum(losses.values(), torch.zeros((), device=features.device))
        (total / len(parts)).backward()
        for name, loss in losses.items():
            means[name] = means.get(name, 0.0) + float(loss.detach()) / len(parts)
    total_mean = sum(means.values())
    if run.world.any(not math.isfinite(total_mean)):
        parts_told = f" ({', '.join(f'{name} {value}' for name, value in means.items())})" if len(means) > 1 else ""
        fault = Fault(f"step {run.step}", f"loss {total_mean}{parts_told}", "a finite loss", "lower lr_backbone")
        raise DivergedError("training", fault)
    return means
