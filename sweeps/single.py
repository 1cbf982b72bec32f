"""`gelo evaluate`: one encoder, one process, the same code as a sweep with a plain loop in Ray's place."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from upath import UPath

from models.faults import Fault, UserError, unknown
from models.specs import resolve
from models.zoo import load_backbone
from sweeps.evaluate import embed_jobs, jobs_of, protocols_of, score_jobs, subject_of, verified
from sweeps.folder import SweepFolder, TrialFolder
from sweeps.settings import Settings
from sweeps.summary import results_of
from sweeps.trial import Trial
from tasks.cache import using
from tasks.catalogue import COLLECTIONS, FITTED, SUITES, Protocol, entry_of, locate
from tasks.manifest import Dataset
from tasks.results import Result
from tasks.stream import decode_all

_GROUPS = {"general": ("zero_shot", "probe")}


def evaluate_one(
    encoder: str,
    suites: tuple[str, ...],
    weights: Path | None,
    collection: str | None,
    settings: Settings,
    only: tuple[str, ...] = (),
) -> list[Result]:
    """Score a backbone's name or `SWEEP/KEY`; returns its results. A trial's results go to a scratch folder: its sweep owns its own.

    only: these prepared data sets in place of the collection's.

    Raises UserError for unknown suites, encoders or collections and for missing data sets, all that can be seen at once.
    """
    chosen = [name for suite in suites for name in _GROUPS.get(suite, (suite,))]
    faults = [
        unknown("--suite", suite, [*SUITES, *_GROUPS], "suite")
        for suite in suites
        if suite not in SUITES and suite not in _GROUPS
    ]
    trial, source, backbone = _which(encoder, settings, faults)
    if collection is None and backbone is not None:
        collection = "miniature" if resolve(backbone).scale == "miniature" else "paper"
    if collection is not None and collection not in COLLECTIONS:
        faults.append(unknown("--collection", collection, COLLECTIONS, "collection"))
    if faults or backbone is None or collection is None:
        raise UserError("evaluate", faults)
    trial = trial or Trial(backbone=backbone, task="none", collection=collection)
    base = load_backbone(backbone, weights)
    pairs = (
        _pairs_of(only, chosen, Path(settings.data)) if only else protocols_of(collection, chosen, Path(settings.data))
    )
    cache = Path(settings.cache).absolute()
    datasets: dict[str, Dataset] = {}
    missing: list[Fault] = []
    for name, _ in pairs:
        try:
            datasets[name] = verified(locate(name, Path(settings.data).absolute(), build=True).root, cache)
        except UserError as error:
            missing += error.faults
    if missing:
        raise UserError("data sets", list(dict.fromkeys(missing)))
    with tempfile.TemporaryDirectory() as scratch, using(cache, settings.cache_limit):
        subject = subject_of(trial, source or TrialFolder(UPath(scratch)), base, str(weights) if weights else None)
        subject = replace(subject, folder=TrialFolder(UPath(scratch)))
        jobs = jobs_of([subject], datasets, pairs)
        for transform in {job.ref.transform or base.transform for job in jobs}:
            of_it = [job for job in jobs if (job.ref.transform or base.transform) == transform]
            images = dict.fromkeys(need.work for job in of_it for need in job.needs())
            decode_all(list(images), transform, cache, "local", lambda n: None)  # every unreadable image in one message
        gpus = float(torch.cuda.is_available())
        embed_jobs(jobs, {backbone: base}, cache, "local", gpus=gpus)
        score_jobs(jobs, cache, "local", gpus=gpus)
        return results_of(subject, pairs)


def _pairs_of(names: tuple[str, ...], suites: list[str], data: Path) -> list[tuple[str, Protocol]]:
    """What the suites score on these sets alone; a probe only where there is a split to fit it on. Raises UserError."""
    faults: list[Fault] = []
    pairs: list[tuple[str, Protocol]] = []
    for name in dict.fromkeys(names):
        try:
            splits = locate(name, data, build=True).card.splits
        except UserError as error:
            faults += error.faults
            continue
        wanted = {protocol for suite in suites for protocol in SUITES[suite]} & set(entry_of(name, data).protocols)
        pairs += [
            (name, protocol)
            for protocol in entry_of(name, data).protocols
            if protocol in wanted and (protocol not in FITTED or "train" in splits)
        ]
    if not pairs and not faults:
        for name in names:
            scored = [protocol for protocol in entry_of(name, data).protocols if protocol != "training"]
            found = f"{name}: scored with {', '.join(scored)}" if scored else f"{name}: a set to train on, not to score"
            faults.append(Fault("--dataset", found, f"sets that {', '.join(suites)} can score"))
    if faults:
        raise UserError("evaluate", faults)
    return pairs


def _which(
    encoder: str, settings: Settings, faults: list[Fault]
) -> tuple[Trial | None, TrialFolder | None, str | None]:
    """(trial, its folder, backbone); a sweep's trial when `encoder` is SWEEP/KEY of a sweep that is there."""
    sweep, slash, key = encoder.rpartition("/")
    storage = UPath(settings.storage)
    if slash and (storage / sweep / "sweep.json").exists():
        folder = SweepFolder(storage, sweep)
        trials = {trial.key: trial for trial in folder.spec().trials()}
        if key not in trials:
            faults.append(unknown("ENCODER", key, trials, f"trial of {sweep}"))
            return None, None, None
        trial, place = trials[key], folder.trial(trials[key])
        if trial.training is not None and not place.is_trained():
            faults.append(Fault(encoder, "not trained yet", "a trained trial", f"gelo resume {sweep}"))
        return trial, place, trial.backbone
    try:
        resolve(encoder)
    except UserError as error:
        faults += error.faults
        return None, None, None
    return None, None, encoder
