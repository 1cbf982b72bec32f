"""A trial to its training run, and what was trained to what is kept: builds the parts, calls the loop, publishes `trained/`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from gelo.models.adapt import adapt
from gelo.models.adapt.parameters import table
from gelo.models.backbones.transforms import Transform
from gelo.models.durable import fetched, publish_folder
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads.head import Head, make_head
from gelo.models.remedies import Bench
from gelo.models.tower import Tower
from gelo.models.trained import load_tower
from gelo.models.training import checkpoint, loop
from gelo.models.training.keeper import Keeper
from gelo.models.training.run import Run
from gelo.models.training.sampling import Batches
from gelo.models.training.stream import Source, Stream
from gelo.models.training.world import World
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial, split_of
from gelo.tasks.training.preprocess import transforms
from gelo.tasks.training.source import SplitSource

STEP = 1  # raised by hand when the same trial would end on other bits
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
    report: Callable[[dict[str, float]], None] = lambda row: None,
    checkpoint_minutes: float = 10,
    world: World | None = None,
) -> bool:
    """Train `trial` from its last checkpoint to the end and publish `trained/`; False when stopped on request, after saving.

    sources: what its remedy's `data` names. report: see `gelo.models.training.loop.train`. world: of this process, where several train the
    trial: each calls this with the same arguments, and rank 0 writes. Raises DivergedError, UserError (data), OSError (disk).
    """
    entered = time.time()
    world = replace(world or World(), device=base.device)
    settings, sources = trial.training, sources or {}
    assert settings is not None and trial.head is not None
    seen, shown = transforms(settings.preprocess, base.transform)
    with world.in_turn():
        own = SplitSource(dataset, "train", seen, cache, shown.size, settings.augment)
    try:
        batches = Batches(settings.sampler, own.labels, trial.seed, settings.batch, settings.per_identity)
    except UserError as error:
        raise UserError(f"trial {trial.label}, data set {dataset.name}", error.faults) from None
    model = adapt(base.visual, trial.adaptation, trial.seed).to(base.device)
    head = make_head(trial.head, base.dim, int(own.labels.max()) + 1, trial.seed, world).to(base.device)
    run = Run(base, model, head, settings, trial.seed, batches.steps, sources, world, transform=seen)
    if any(each.looks for each in trial.remedy.members()):
        run.task = SplitSource(dataset, "train", shown, cache)
    stream = Stream(own, batches, trial.seed, seen, augmented=True)
    made_from = {
        "trial": trial.key, "base weights": base.vision_fingerprint, "data": dataset.fingerprint, "transform": seen.fingerprint,
        "version of the training step": version_of(trial), **{f"images of {s.name}": s.fingerprint for s in sources.values()},
    }  # fmt: skip
    keeper = Keeper(folder.checkpoints, made_from, trial.label, checkpoint_minutes)
    try:
        finished = loop.train(run, trial.remedy.hooks(), stream, keeper, should_stop=should_stop, report=report)
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
        "trainable_parameters": sum(parameter.numel() for parameter in model.trainable().values()),
        "head_parameters": sum(head.sizes()),
        "history": run.history,
        "ledger": [row.as_dict() for row in table(model, head)],
        "base": base.vision_fingerprint,
        "data": dataset.fingerprint,
        "sources": {source.name: source.fingerprint for source in sources.values()},
        "step": version_of(trial),
        "ranks": run.ranks,
        **_fingerprints(tower, base, shown),
        "source": trial.key,
    }
    with publish_folder(folder.trained) as place:
        tower.save(place)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}
        save_file(weights, place / "head.safetensors")
        (place / "training.json").write_text(json.dumps(document))
    if folder.checkpoints.exists():
        folder.checkpoints.fs.rm(folder.checkpoints.path, recursive=True)
    return True


def finish(
    trial: Trial,
    base: Encoder,
    folders: Callable[[Trial], TrialFolder],
    sources: Mapping[str, Source] | None = None,
    *,
    dataset: Dataset | None = None,
    cache: Path | None = None,
) -> None:
    """Publish `trained/` of a trial whose remedy makes it from what others trained. The head is its source's.

    folders: of any trial. dataset, cache: of the task's images, which a remedy that `retrains` trains on. Raises UserError where one of
    those was trained from other base weights, where a remedy cannot make a tower of them, and KeyError where the images are not there.
    """
    source, sources = folders(trial.source), sources or {}
    for each in trial.made_of:
        made = {"base weights": folders(each).training().get("base", "")}
        checkpoint.refuse_other(
            f"{trial.label}, made of {folders(each).root.name}",
            made,
            {"base weights": base.vision_fingerprint},
            "bring the old weights back, or give the sweep a new name",
        )
    with fetched(source.trained) as place:
        tower, head = load_tower(place), load_file(place / "head.safetensors")
    assert trial.training is not None
    shown = transforms(trial.training.preprocess, base.transform).test
    bench = Bench(
        base, {name: _tower(folders(parent)) for name, parent in trial.parents.items()}, sources, seed=trial.seed
    )
    if any(each.retrains for each in trial.remedy.members()):
        if dataset is None or cache is None:
            raise KeyError(trial.training.data)
        own = SplitSource(dataset, "train", shown, cache)
        bench = replace(bench, head=_head(trial, base, own, head), task=own, transform=shown)
    try:
        tower = trial.remedy.finish(tower, bench)
    except UserError as error:
        raise UserError(f"trial {trial.label}, {error.subject}", error.faults) from None
    document = {
        **source.training(),
        "step": version_of(trial),
        **_fingerprints(tower, base, shown),
        "source": source.root.name,
        "parents": [folders(parent).root.name for parent in trial.parents.values()],
        "sources": source.training().get("sources", {}) | {s.name: s.fingerprint for s in sources.values()},
    }
    with publish_folder(folders(trial).trained) as place:
        tower.save(place)
        save_file(head, place / "head.safetensors")
        (place / "training.json").write_text(json.dumps(document))


def sources_of(trial: Trial, locate: Callable[[str], Dataset], transform: Transform, cache: Path) -> dict[str, Source]:
    """What the trial's remedy asks for beside the task's images, behind the backbone's own transform."""
    named = {name: split_of(place) for name, place in trial.remedy.data().items()}
    return {name: SplitSource(locate(dataset), split, transform, cache) for name, (dataset, split) in named.items()}


def _head(trial: Trial, base: Encoder, own: Source, kept: Mapping[str, Tensor]) -> Head:
    """The head that was trained, which trains no more."""
    assert trial.head is not None
    head = make_head(trial.head, base.dim, int(own.labels.max()) + 1, trial.seed, World())
    head.load(kept)
    return head.to(base.device).eval().requires_grad_(False)


def _tower(folder: TrialFolder) -> Tower:
    with fetched(folder.trained) as place:
        return load_tower(place)


def _fingerprints(tower: Tower, base: Encoder, shown: Transform) -> dict[str, str]:
    """`vision` behind the backbone's own transform, `detector` behind the one that the trained head is tested with."""
    trained = tower.encoder(base)
    return {"vision": trained.vision_fingerprint, "detector": trained.with_transform(shown).vision_fingerprint}
