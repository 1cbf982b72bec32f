"""A trial to its training run: builds the parts, calls the loop, publishes `trained/`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from gelo.models.adapt import adapt
from gelo.models.adapt.parameters import table
from gelo.models.backbones.transforms import Transform
from gelo.models.durable import publish_folder, remove
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads.head import make_head
from gelo.models.tower import Tower
from gelo.models.training import loop, peak
from gelo.models.training.keeper import Keeper
from gelo.models.training.run import Run
from gelo.models.training.sampling import Batches
from gelo.models.training.stream import Source, Stream
from gelo.models.training.watch import NEVER
from gelo.models.training.world import World
from gelo.sweeps.stages.watch import Eye
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial, split_of
from gelo.tasks.training.part import part_of
from gelo.tasks.training.preprocess import transforms
from gelo.tasks.training.source import SplitSource

STEP = 1  # raised by hand when the same trial would end on other bits
TEXT_BASE = "base text"  # in training.json and in a checkpoint
DRAWN = 2  # the same of a trial whose adaptation draws random numbers: since 2 they follow from (seed, step)


def version_of(trial: Trial) -> str:
    """Of the training step that the trial would go through here, and of each of its parts that has had another: `1, head softmax 2`.

    Of a trial that is made after training, those that make it count too.
    """
    parts = [
        ("adaptation", trial.adaptation),
        ("head", trial.head),
        *(("remedy", each) for each in trial.remedy.members()),
    ]
    raised = [f"{role} {part.kind} {part.version}" for role, part in parts if part is not None and part.version > 1]
    return ", ".join([str(DRAWN if trial.adaptation.draws else STEP), *raised])


def train(
    trial: Trial,
    base: Encoder,
    dataset: Dataset,
    cache: Path,
    folder: TrialFolder,
    *,
    sources: Mapping[str, Source] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[dict[str, Any]], None] = lambda row: None,
    judge: Callable[[Sequence[Mapping[str, Any]], int], bool] = lambda points, steps: False,
    checkpoint_minutes: float = 10,
    world: World | None = None,
    look: Callable[[int, World], Eye] | None = None,
    noted: Callable[[int, int, int], None] = lambda step, steps, batch: None,
) -> bool:
    """Train `trial` from its last checkpoint to the end and publish `trained/`; False when stopped on request, after saving.

    sources: what its remedy's `data` names. report, judge: see `gelo.models.training.loop.train`; report gets {"note": a line for the
    user} too. world: of this process, where several train the trial: each calls this with the same arguments, and rank 0 writes. look:
    (images that the tower trains on, world) -> what is looked at while it trains; nothing where nothing is said. noted: hears after the
    resume and after each step how many steps are done, of how many, each of how many images. Raises DivergedError, UserError (data),
    OSError (disk).
    """
    entered = time.time()
    peak.begin(base.device)
    world = replace(world or World(), device=base.device)
    settings, sources = trial.training, sources or {}
    assert settings is not None and trial.head is not None
    seen, shown = transforms(settings.preprocess, base.transform)
    with world.in_turn():
        own = part_of(SplitSource(dataset, "train", seen, cache, shown.size, settings.augment), settings.classes)
    try:
        batches = Batches(
            settings.sampler, own.labels, trial.seed, settings.batch, settings.per_identity, settings.steps_per_epoch
        )
    except UserError as error:
        raise UserError(f"trial {trial.label}, data set {dataset.name}", error.faults) from None
    model = adapt(base.visual, trial.adaptation, trial.seed, base.text).to(base.device)
    head = make_head(trial.head, base.dim, int(own.labels.max()) + 1, trial.seed, world).to(base.device)
    run = Run(base, model, head, settings, trial.seed, batches.steps, sources, world, transform=seen)
    if any(each.looks for each in trial.remedy.members()):
        run.task = part_of(SplitSource(dataset, "train", shown, cache), settings.classes)
    stream = Stream(own, batches, trial.seed, seen, augmented=True)
    eye = look(settings.epochs * batches.steps * settings.batch, world) if look is not None else Eye(NEVER)
    made_from = {
        "trial": trial.key, "base weights": base.vision_fingerprint, "data": dataset.fingerprint, "transform": seen.fingerprint,
        "version of the training step": version_of(trial), **{f"images of {s.name}": s.fingerprint for s in sources.values()},
        **text_of(trial, base),
        **({"images that the remedy decides by": eye.decided_by} if eye.decided_by else {}),
    }  # fmt: skip
    keeper = Keeper(folder.checkpoints, made_from, trial.label, checkpoint_minutes, lambda text: report({"note": text}))
    try:
        hooks = trial.remedy.hooks()
        finished = loop.train(
            run, hooks, stream, keeper, watch=eye.watch, should_stop=should_stop, report=report, judge=judge,
            noted=lambda step: noted(step, run.steps, settings.batch),
        )  # fmt: skip
    except loop.DivergedError as error:
        raise loop.DivergedError(f"trial {trial.label}", error.faults) from None
    if not finished:
        return False
    kept = head.whole()  # said by every rank: a head may lie on several
    if world.rank:
        return True
    tower = model.publish()
    document = {
        "train_seconds": sum(row["seconds"] for row in run.history),
        "started": entered,  # of the last stretch, when the trial was interrupted
        "ended": time.time(),
        **(
            {"peak_bytes": held} if (held := peak.taken(base.device)) is not None else {}
        ),  # of the last stretch, of rank 0
        "trainable_parameters": sum(parameter.numel() for parameter in model.trainable().values()),
        "head_parameters": sum(head.sizes()),
        "history": run.history,
        "ledger": [row.as_dict() for row in table(model, head)],
        "base": base.vision_fingerprint,
        **text_of(trial, base),
        "data": dataset.fingerprint,
        "sources": {source.name: source.fingerprint for source in sources.values()},
        "step": version_of(trial),
        "ranks": run.ranks,
        **fingerprints_of(tower, base, shown),
        "source": trial.key,
        **eye.told(run.curve),
    }
    with publish_folder(folder.trained, summed=True) as place:
        tower.save(place)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}
        save_file(weights, place / "head.safetensors")
        (place / "training.json").write_text(json.dumps(document))
        eye.write(run.curve, tower, place)
    remove(folder.checkpoints)
    return True


def sources_of(trial: Trial, locate: Callable[[str], Dataset], transform: Transform, cache: Path) -> dict[str, Source]:
    """What the trial's remedy asks for beside the task's images, behind the backbone's own transform."""
    named = {name: split_of(place) for name, place in trial.remedy.data().items()}
    return {name: SplitSource(locate(dataset), split, transform, cache) for name, (dataset, split) in named.items()}


def text_of(trial: Trial, base: Encoder) -> dict[str, str]:
    """What a trial that is trained with texts is made of beside what any is: the text tower that they go through or that it starts from."""
    asks = any(each.trains and each.texts for each in trial.remedy.members())
    return {TEXT_BASE: base.text_fingerprint} if asks or trial.adaptation.both else {}


def fingerprints_of(tower: Tower, base: Encoder, shown: Transform) -> dict[str, str | float]:
    """`vision` behind the backbone's own transform, `detector` behind the one that the trained head is tested with; `text` and
    `logit_scale` of a text tower of its own."""
    trained = tower.encoder(base)
    told: dict[str, str | float] = {
        "vision": trained.vision_fingerprint,
        "detector": trained.with_transform(shown).vision_fingerprint,
    }
    if tower.text is not None:
        told |= {"text": trained.text_fingerprint, "logit_scale": trained.logit_scale}
    return told
