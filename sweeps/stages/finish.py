"""A trial whose remedy acts after training: from what others trained to what is kept, without a training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from gelo.models.durable import fetched, publish_folder
from gelo.models.encoder import Encoder
from gelo.models.faults import Fault, UserError
from gelo.models.heads.head import Head, make_head
from gelo.models.remedies import Bench
from gelo.models.tower import Tower
from gelo.models.trained import load_tower
from gelo.models.training import checkpoint
from gelo.models.training.stream import Source
from gelo.models.training.switches import arithmetic
from gelo.models.training.world import World
from gelo.sweeps.stages.train import TEXT_BASE, fingerprints_of, text_of, version_of
from gelo.sweeps.stages.watch import Eye, read_curve
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.training.part import part_of
from gelo.tasks.training.preprocess import transforms
from gelo.tasks.training.source import SplitSource


def finish(
    trial: Trial,
    base: Encoder,
    folders: Callable[[Trial], TrialFolder],
    sources: Mapping[str, Source] | None = None,
    *,
    dataset: Dataset | None = None,
    cache: Path | None = None,
    validated: Callable[[Tower, Mapping[str, Tensor]], float] | None = None,
    look: Callable[[int, World], Eye] | None = None,
) -> None:
    """Publish `trained/` of a trial whose remedy makes it from what others trained. The head is its source's.

    folders: of any trial. dataset, cache: of the task's images, which a remedy that `retrains` trains on. validated: the task's validation
    metric of a tower with a head. look: as for `train`; where the source was looked at, by the same images, what is made is looked at too:
    its curve has the source's start and its own end. Raises UserError where one of those was trained from other base weights, where a
    remedy cannot make a tower of them, and where the images are not there.
    """
    source, sources = folders(trial.source), sources or {}
    now = {"base weights": base.vision_fingerprint, **text_of(trial, base)}
    for each in trial.made_of:
        told = folders(each).training()
        made = {"base weights": told.get("base", ""), **({TEXT_BASE: told[TEXT_BASE]} if TEXT_BASE in told else {})}
        checkpoint.refuse_other(
            f"{trial.label}, made of {folders(each).root.name}",
            made,
            now,
            "bring the old weights back, or give the sweep a new name",
        )
    with fetched(source.trained) as place:
        tower, head, curve = load_tower(place), load_file(place / "head.safetensors"), read_curve(place)
    assert trial.training is not None
    shown = transforms(trial.training.preprocess, base.transform).test
    bench = Bench(
        base, {name: _tower(folders(parent)) for name, parent in trial.parents.items()}, sources, seed=trial.seed
    )
    if any(each.retrains for each in trial.remedy.members()):
        if dataset is None or cache is None:
            raise UserError(
                f"trial {trial.label}", Fault(trial.training.data, "not whole, as told before", "a whole data set")
            )
        own = part_of(SplitSource(dataset, "train", shown, cache), trial.training.classes)
        bench = replace(bench, head=_head(trial, base, own, head), task=own, transform=shown)
    if validated is not None:
        bench = replace(bench, score=lambda each: validated(each, head))
    exact = trial.training.model_copy(update={"precision": "fp32"})
    try:
        with arithmetic(exact, base.device):
            tower = trial.remedy.finish(tower, bench)
    except UserError as error:
        raise UserError(f"trial {trial.label}, {error.subject}", error.faults) from None
    before = source.training()
    document = {
        **before,
        "step": version_of(trial),
        **fingerprints_of(tower, base, shown),
        "source": source.root.name,
        "parents": [folders(parent).root.name for parent in trial.parents.values()],
        "sources": before.get("sources", {}) | {s.name: s.fingerprint for s in sources.values()},
    }
    with publish_folder(folders(trial).trained, summed=True) as place:
        tower.save(place)
        save_file(head, place / "head.safetensors")
        if look is not None and curve is not None and before.get("watched_over"):
            eye = look(before["watched_over"], World())
            if eye.told(curve).get("watched") == before["watched"]:
                with arithmetic(exact, base.device):
                    eye.write(eye.ended(curve, tower, head), tower, place)
        (place / "training.json").write_text(json.dumps(document))


def _head(trial: Trial, base: Encoder, own: Source, kept: Mapping[str, Tensor]) -> Head:
    """The head that was trained, which trains no more."""
    assert trial.head is not None
    head = make_head(trial.head, base.dim, int(own.labels.max()) + 1, trial.seed, World())
    head.load(kept)
    return head.to(base.device).eval().requires_grad_(False)


def _tower(folder: TrialFolder) -> Tower:
    with fetched(folder.trained) as place:
        return load_tower(place)
