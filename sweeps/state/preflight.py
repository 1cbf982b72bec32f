"""The check before a sweep: all that keeps this machine from running it, found in a second.

Nothing here imports Ray, and torch only where GPUs are asked for: whoever mistypes a path hears of it at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from gelo.models.backbones.check import faults_for, notes_for, vision_alone
from gelo.models.backbones.registry import Backbone, resolve, vision_layers
from gelo.models.durable import is_done
from gelo.models.faults import Fault, UserError
from gelo.sweeps.spec.search import wanted_of
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.shown import refused, shown_of
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.embed import pairs_of
from gelo.sweeps.state.disk import room_faults
from gelo.sweeps.state.folders import folder_faults
from gelo.sweeps.state.memory import batch_faults, memory_faults, of_card, of_machine
from gelo.sweeps.state.places import place_faults
from gelo.sweeps.state.ranks import rank_faults
from gelo.sweeps.state.reads import classes_of, needed_datasets
from gelo.sweeps.state.shown import shown_faults
from gelo.tasks.data.catalogue import ENTRIES, entry_of, locate
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.ledger.watched import CHOSEN, general_sets, named_validation, unvalidated, validation_of


def preflight(spec: SweepSpec, settings: Settings) -> list[Fault]:
    """Everything that keeps this machine from running the sweep; nothing is started. Data sets that gelo makes itself are no fault."""
    faults = []
    for name in dict.fromkeys(spec.backbones):
        given = spec.weights.get(name)
        faults += faults_for(name, Path(given) if given else None, f"backbones.{name}")
        if any("trunk" in suite for suite in spec.evaluate) and vision_layers(name) is None:
            where, allowed = f"evaluate ({name})", "a vision tower that ends in a projection"
            faults.append(Fault(where, "probe_trunk of a tower without one", allowed, "leave the suite out"))
    faults += [*_shared_weights(spec), *_texts(spec)]
    there: dict[str, Dataset] = {}
    trials = spec.possible()
    trained_on = {trial.training.data for trial in trials if trial.training is not None}
    shown = shown_of(trials)
    wanted = {each.dataset for each in shown}
    for name in needed_datasets(spec, Path(settings.data)):
        if not is_done(Path(settings.data) / name):
            if name in spec.folders:
                faults += folder_faults(name, Path(spec.folders[name]))
                continue
            if entry_of(name, Path(settings.data)).builder:
                continue
        try:
            dataset = locate(name, Path(settings.data))
        except UserError as error:
            hint = f"; the folder here is ./{name}" if name in wanted and Path(name).is_dir() else ""
            faults += [replace(fault, remedy=f"{fault.remedy}{hint}") for fault in error.faults]
            continue
        there[name] = dataset
        if name in trained_on and "train" not in dataset.card.splits:
            faults.append(Fault(f"data: {name}", "no train split", "a data set to train on"))
    faults += _classes(trials, there)
    pairs = pairs_of(spec, Path(settings.data))
    faults += refused(shown, {name for name, _ in pairs}, spec.collection)
    faults += shown_faults(shown, pairs, there)
    faults += _looks(spec, settings, pairs, there)
    for kind in ("morph", "spoof"):
        same = [name for name, protocol in pairs if protocol == kind and name in ENTRIES]
        if len(same) > 1:  # their metrics are named by attack or domain, and have one mean
            faults.append(Fault("also", ", ".join(same), f"one {kind} set of the catalogue", "give the other a sweep"))
    places = place_faults(settings, ("storage", "cache", "data"), write=True)
    faults += places or room_faults(spec, there, Path(settings.data), Path(settings.cache))
    cpus = settings.cpus or os.cpu_count() or 1
    faults += rank_faults(spec, settings, cpus)
    faults += _switches(spec)
    if settings.address == "local" and not spec.resources.gpus:
        total = of_machine()
        faults += memory_faults(spec, cpus, total) or batch_faults(spec, cpus, total, partial(classes_of, there=there))
    if spec.resources.gpus and settings.address == "local":
        import torch

        if torch.cuda.device_count() < spec.resources.gpus:
            found = f"{torch.cuda.device_count()} GPUs on this machine"
            faults.append(
                Fault(
                    "resources.gpus",
                    found,
                    f"{spec.resources.gpus:g}",
                    "run on a cluster with --address, or set resources.gpus=0",
                )
            )
        elif card := of_card():
            faults += batch_faults(spec, cpus, card, partial(classes_of, there=there))
    return faults


def _classes(trials: Iterable[Trial], there: Mapping[str, Dataset]) -> Iterator[Fault]:
    """Trainings that ask for more classes than a data set is known to have."""
    for name, most in dict.fromkeys((t.training.data, t.training.classes or 0) for t in trials if t.training):
        known = classes_of(name, there)
        if known and most > known:
            yield Fault(f"data: {name}", f"classes {most:,}", f"at most the {known:,} that it has")


def _looks(
    spec: SweepSpec, settings: Settings, pairs: Sequence[tuple[str, str]], there: Mapping[str, Dataset]
) -> Iterator[Fault]:
    """What trials are to be looked at by and is not there, each once. there: data sets that are on this machine."""
    trials = [trial for trial in spec.possible() if trial.training is not None]
    for name, split in dict.fromkeys(filter(None, map(named_validation, trials))):
        if name in there and split not in there[name].card.splits:
            allowed = f"one of {', '.join(each for each in there[name].card.splits if each != 'test') or '(none)'}"
            yield Fault(f"watch.validation: {name}", f"no {split} split", allowed)
    yield from dict.fromkeys(_unscored(trials, there))
    deciding = next((trial for trial in trials if trial.remedy.watching), None)
    data = Path(settings.data)
    seen = [
        name
        for name in general_sets(pairs)
        if (set(CHOSEN) & set(there[name].card.splits) if name in there else "probe" in entry_of(name, data).protocols)
    ]
    wanted = wanted_of(spec.search, spec.objectives, spec.scheduler)
    who = deciding.label if deciding is not None else "the search" if "kept" in spec.objectives else "the scheduler"
    if (deciding is not None or "kept" in wanted) and not seen:
        found = f"no zero-shot set with validation images, which {who} decides by"
        yield Fault("evaluate", found, f"zero_shot, and a set with one of the splits {', '.join(CHOSEN)}")
    if "gain" in wanted:
        searched = [trial for study in spec.studies() for trial in study.stand_ins()]
        for told in unvalidated(trials if spec.scheduler.acts else searched, there):
            yield Fault("watch.validation", told, "validation images, which the search decides by")


def _unscored(trials: Iterable[Trial], there: Mapping[str, Dataset]) -> Iterator[Fault]:
    """Remedies that choose by the task's validation metric after training, where there are no images for it."""
    for trial in trials:
        data = trial.training.data if trial.training is not None else ""
        if trial.remedy.scores and data in there and not validation_of(trial, lambda name: there[name].card.splits):
            found = f"no validation images of {trial.task} on {data}, by which it chooses"
            yield Fault(f"remedy {trial.remedy.label}", found, "a val split of it, or watch.validation: SET/SPLIT")


def weights_told(spec: SweepSpec) -> list[str]:
    """What is to be told of the weights of a sweep's backbones that is no fault; those that cannot be read are `preflight`'s matter."""
    notes = []
    for name in dict.fromkeys(spec.backbones):
        given = spec.weights.get(name)
        try:
            notes += notes_for(name, Path(given) if given else None)
        except (UserError, OSError):
            continue
    return notes


def _texts(spec: SweepSpec) -> Iterator[Fault]:
    """Weights of a vision tower alone, where a text tower is to train or to be asked while training. A file that cannot be read is another
    fault's matter."""
    wanted = {
        trial.backbone: f"{trial.adaptation.kind} of both towers" if trial.adaptation.both else each.kind
        for trial in spec.possible()
        for each in trial.remedy.members()
        if trial.adaptation.both or (each.texts and each.trains)
    }
    for name, what in wanted.items():
        given = spec.weights.get(name)
        try:
            alone = vision_alone(name, Path(given) if given else None)
        except (UserError, OSError):
            continue
        if alone:
            yield Fault(f"backbones.{name}", f"a vision tower alone, with {what}", "weights of both towers")


def _switches(spec: SweepSpec) -> Iterator[Fault]:
    """Fields of a training that this sweep's resources, a tower or this machine cannot do, each once."""
    trials = [trial for trial in spec.possible() if trial.training is not None]
    for precision, why in (("bf16", "bf16 on CPUs, where it is slower"), ("tf32", "tf32 on CPUs, which have none")):
        rounded = [trial.label for trial in trials if trial.training and trial.training.precision == precision]
        if rounded and not spec.resources.gpus:
            yield Fault(f"precision of {rounded[0]}", why, "fp32", "or ask for resources.gpus")
    for name in dict.fromkeys(trial.backbone for trial in trials if trial.training and trial.training.checkpointing):
        if vision_layers(name) is None:
            found, remedy = "a vision tower without open_clip's transformer blocks", "`accumulate` saves memory too"
            yield Fault(f"checkpointing ({name})", found, "a ViT of open_clip", remedy)
    compiled = [trial.label for trial in trials if trial.training and trial.training.compile]
    compiler = os.environ.get("CXX") or "g++"
    if compiled and not spec.resources.gpus and shutil.which(compiler) is None:
        yield Fault(f"compile of {compiled[0]}", f"no {compiler} on this machine", "a C++ compiler", "or take it out")


def _shared_weights(spec: SweepSpec) -> list[Fault]:
    """A file of weights that two backbones of different activation read: for one of them it is another encoder."""
    by_file: dict[Path, list[Backbone]] = {}
    for name in dict.fromkeys(spec.backbones):
        try:
            backbone = resolve(name)
        except UserError:
            continue  # told by `faults_for`
        given = spec.weights.get(name)
        by_file.setdefault(backbone.weights_path(Path(given) if given else None).absolute(), []).append(backbone)
    return [
        Fault(
            f"weights of {', '.join(each.name for each in sharing)}",
            f"one file, {file}, under {' and '.join(sorted({each.activation for each in sharing}))}",
            "one activation for one file: that which its weights were trained with",
            "take the other backbone out, or name a file of its own under `weights`",
        )
        for file, sharing in by_file.items()
        if len({each.activation for each in sharing}) > 1
    ]
