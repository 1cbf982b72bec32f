"""`gelo evaluate`: one encoder, one process, the same code as a sweep with a plain loop in Ray's place."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from rich.markup import escape
from upath import UPath

from gelo.models.backbones.check import faults_for, notes_for
from gelo.models.backbones.registry import resolve
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.faults import Fault, UserError, unknown
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.stages.embed import embed_jobs, jobs_of, protocols_of, subject_of, undecoded, verified
from gelo.sweeps.stages.encoders import Named, named_encoder
from gelo.sweeps.stages.score import score_jobs
from gelo.sweeps.state.folder import TrialFolder
from gelo.sweeps.terminal.progress import Display, waiting
from gelo.sweeps.tracking.summary import averages_of, results_of
from gelo.tasks.data.cache import using
from gelo.tasks.data.catalogue import COLLECTIONS, entry_of, locate, named
from gelo.tasks.data.embed import EncoderRef
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.stream import Work, decode_all
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.protocols import PROTOCOLS, asked, groups
from gelo.tasks.results import Result


def evaluate_one(
    encoder: str | Path | Encoder,
    suites: tuple[str, ...],
    weights: Path | None,
    collection: str | None,
    settings: Settings,
    display: Display,
    only: tuple[str, ...] = (),
) -> tuple[list[Result], dict[str, float], list[Fault]]:
    """Score what `named_encoder` finds under a name, or an encoder that is loaded; returns its results, the averages of suites that are
    whole, by name, and the faults that kept others from being there. A trial's results go to a scratch folder: its sweep owns its own.

    An encoder as an object has no trained head, and its results say that nobody knows what it was trained on.

    weights: of the backbone; those of the sweep where it is of one and nothing is said. only: these prepared data sets in place of the
    collection's.

    Raises UserError for unknown suites, encoders or collections, and where no data set at all can be scored.
    """
    chosen = [name for suite in suites for name in groups().get(suite, (suite,))]
    faults = [
        unknown("--suite", suite, [*asked(), *groups()], "suite")
        for suite in suites
        if suite not in asked() and suite not in groups()
    ]
    if only and collection is not None:
        faults.append(Fault("--collection", "given with --dataset", "one of them: both name the sets to score"))
    held = _anew(encoder) if isinstance(encoder, Encoder) else None
    which: Named | None = None
    try:
        which = Named(encoder.name) if isinstance(encoder, Encoder) else named_encoder(encoder, UPath(settings.storage))
    except UserError as error:
        faults += error.faults
    if collection is None and which is not None:
        collection = "miniature" if (held or resolve(which.backbone)).scale == "miniature" else "paper"
    if collection is not None and collection not in COLLECTIONS:
        faults.append(unknown("--collection", collection, COLLECTIONS, "collection"))
    if faults or which is None or collection is None:
        raise UserError("evaluate", faults)
    backbone, weights = which.backbone, weights or which.weights
    trial = which.trial or Trial(backbone=backbone, task="none", collection=collection)
    data, cache = Path(settings.data).absolute(), Path(settings.cache).absolute()
    pairs = _pairs_of(only, chosen, data, faults) if only else protocols_of(collection, chosen, data)
    if held is None and (unread := faults_for(backbone, weights)):  # before any data is made
        raise UserError("evaluate", [*unread, *faults])
    datasets = _opened(dict.fromkeys(name for name, _ in pairs), data, cache, settings.verify, faults, display)
    if not datasets:
        raise UserError(
            "data sets", faults or Fault("--suite", ", ".join(chosen), f"a suite that {collection} has sets for")
        )
    with waiting(f"the weights of {backbone} to be read", display.say):
        base = held or load_backbone(backbone, weights)  # once it is known what for
    for note in notes_for(backbone, weights) if held is None else ():
        display.say(escape(f"NOTE {note}"))
    with tempfile.TemporaryDirectory() as scratch, using(cache, settings.cache_limit):
        subject = subject_of(trial, which.place or TrialFolder(UPath(scratch)), base, str(weights) if weights else None)
        subject = replace(subject, folder=TrialFolder(UPath(scratch)))
        if held is not None:
            ref = _Held(held.vision_fingerprint, backbone, None, None, encoder=held)
            subject = replace(subject, ref=ref, detector=ref, past=_PAST, label=f"{backbone}, as given")
        jobs = jobs_of([subject], datasets, pairs)
        lost: set[Work] = set()
        for transform in {job.ref.transform or base.transform for job in jobs}:
            of_it = [job for job in jobs if (job.ref.transform or base.transform) == transform]
            images = list(dict.fromkeys(need.work for job in of_it for need in job.needs()))
            missing = undecoded(images, transform, cache)
            try:
                with _stage(display, "decode", sum(work.chunk.rows for work in missing), "images") as tick:
                    decode_all(images, transform, cache, "local", tick)  # every unreadable image in one message
            except UserError as error:
                faults += error.faults
                lost |= undecoded(images, transform, cache)
        gpus = float(torch.cuda.is_available())
        needed = {need for job in jobs for need in job.needs() if need.work not in lost and not need.cached(cache)}
        with _stage(display, "embed", sum(need.rows for need in needed), "images") as tick:
            ready, unembedded = embed_jobs(jobs, {backbone: base}, cache, "local", gpus=gpus, tick=tick, lost=lost)
        faults += unembedded
        with _stage(display, "score", len(ready), "results") as tick:
            faults += score_jobs(ready, cache, "local", tick, gpus=gpus)
        results = results_of(subject, pairs)
        means = averages_of(subject, pairs)
    if not results:
        raise UserError("evaluate", faults or Fault(", ".join(datasets), "no result", "at least one"))
    return results, means, list(dict.fromkeys(faults))


@dataclass(frozen=True)
class _Held(EncoderRef):
    """An encoder of this process, which no other can load."""

    encoder: Encoder | None = field(default=None, compare=False)

    def load(self, device: str = "cpu") -> Encoder:
        assert self.encoder is not None
        return self.encoder


_PAST = "what it was trained on is not known: it was given as an object"


def _anew(encoder: Encoder) -> Encoder:
    """The same towers, whose fingerprint is that of their tensors now, whoever has changed them since it was last asked for."""
    return encoder.with_transform(encoder.transform)


@contextmanager
def _stage(display: Display, title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A stage of the display, or none where nothing is to be done."""
    if not total:
        yield lambda count: None
        return
    with display.stage(title, total, unit) as stage:
        yield stage.tick


def _opened(
    names: Iterable[str], data: Path, cache: Path, verify: bool, faults: list[Fault], display: Display
) -> dict[str, Dataset]:
    """The data sets that are whole, made where gelo makes them itself; what is wrong with the others joins `faults`."""
    found = {}
    for name in names:
        try:
            with waiting(f"{name} to be made or checked", display.say):
                found[name] = verified(locate(name, data, build=True).root, cache, anew=verify)
        except UserError as error:
            faults += error.faults
    return found


def _pairs_of(names: Sequence[str], suites: list[str], data: Path, faults: list[Fault]) -> list[tuple[str, str]]:
    """What the suites score on these sets alone; a set that they cannot score is a fault."""
    pairs: list[tuple[str, str]] = []
    wanted = {protocol for suite in suites for protocol in asked()[suite]}
    for name in dict.fromkeys(names):
        try:
            named(name, data)
        except UserError as error:
            faults += error.faults
            continue
        scored = [protocol for protocol in entry_of(name, data).protocols if protocol in PROTOCOLS]
        pairs += [(name, protocol) for protocol in scored if protocol in wanted]
        if not wanted & set(scored):
            found = f"{name}: scored with {', '.join(scored)}" if scored else f"{name}: a set to train on, not to score"
            faults.append(Fault("--dataset", found, f"sets that {', '.join(suites)} can score"))
    return pairs
