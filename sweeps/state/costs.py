"""What a sweep needs and costs before it is run: `gelo plan`. What is not known is None and named, never 0.

Counts of images are those of the prepared data sets, else the published ones (tasks/data/sizes.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gelo.models.adapt import Linear
from gelo.models.backbones.geometry import geometry
from gelo.models.backbones.registry import resolve
from gelo.models.backbones.transforms import Transform
from gelo.models.faults import UserError
from gelo.models.training.checkpoint import KEPT
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.embed import pairs_of
from gelo.sweeps.stages.suggest import known as grown
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.memory import plan_of
from gelo.sweeps.state.passes import attacked
from gelo.sweeps.state.reads import classes_of, needed_datasets, taught
from gelo.sweeps.state.searching import searching
from gelo.sweeps.state.status import standing
from gelo.tasks.data.manifest import Dataset, open_dataset
from gelo.tasks.data.pack import bytes_of
from gelo.tasks.data.sizes import published
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.protocols import PROTOCOLS

H100 = {"fp32": 67.0, "tf32": 495.0, "bf16": 990.0}  # TFLOPS of one H100 SXM without sparsity (NVIDIA's data sheet)
DONE = ("trained", "complete", "stale")
_FIELDS = (
    *("images", "classes", "epochs", "steps", "batch", "at_once", "memory_bytes", "memory_fits", "flops", "gpu_hours"),
    "bytes_checkpoint",
)


@dataclass(frozen=True)
class Assumed:
    """tflops: peak of one device, by precision; none for CPUs unless it is said. mfu: share of it that a training reaches. memory: bytes of
    a card or of this machine's share for one trial; None where it is not known."""

    tflops: Mapping[str, float]
    mfu: float
    memory: float | None


@dataclass(frozen=True)
class Known:
    """Images by data set and split, and classes, as far as they are known; prepared: sets that are here."""

    counts: Mapping[str, Mapping[str, int]]
    prepared: Mapping[str, Dataset]

    def images(self, name: str, split: str) -> int | None:
        """Of a split; None where not known."""
        return self.counts[name].get(split)


def known_of(spec: SweepSpec, data: Path) -> Known:
    """What is prepared below `data`, else what is published."""
    prepared, needed = {}, needed_datasets(spec, data)
    for name in needed:
        try:
            prepared[name] = open_dataset(data / name)
        except UserError:
            continue
    counts = {name: prepared[name].card.counts() if name in prepared else published(name) for name in needed}
    return Known(counts, prepared)


def planned(spec: SweepSpec, settings: Settings, assumed: Assumed) -> dict[str, Any]:
    """The sweep as JSON takes it: `trials`, `stores`, `totals`, `assumed`, `search`, `unknown`."""
    folder = SweepFolder(settings.place(), spec.name)
    spec = grown(spec, folder)
    data, trials = Path(settings.data), spec.trials()
    known = known_of(spec, data)
    states = {row["key"]: row["state"] for row in standing(folder)} if folder.exists() else {}
    labels = Trial.labels(trials)
    rows = [
        {
            "key": trial.key,
            "label": labels[trial.key],
            "state": states.get(trial.key, "new"),
            **_cost(trial, spec, known, assumed),
        }
        for trial in trials
    ]
    embedded = _embedded(spec, pairs_of(spec, data), known, assumed, len(trials))
    stores, packs = _decoded(spec, pairs_of(spec, data), known), _packs(trials, known)
    left = [row for row in rows if row["state"] not in DONE]
    hours = [row["gpu_hours"] for row in left if row["trains"]]
    totals = {
        "trials": len(rows),
        "trained": sum(row["trains"] for row in rows),
        "left": sum(row["trains"] for row in left),
        "left_without_hours": hours.count(None),
        "gpu_hours_left": sum(filter(None, hours)) if any(hours) or not hours else None,
        "gpu_hours_embedding": embedded["gpu_hours"],
        "bytes_kept": _sum(row["bytes_kept"] for row in rows),
        "bytes_caches_known": _known(stores),
        "bytes_packs_known": _known(packs),
        "bytes_checkpoints_at_most": _sum(row["bytes_checkpoint"] for row in left if row["trains"]),
    }
    told = {
        "tflops": dict(assumed.tflops),
        "mfu": assumed.mfu,
        "memory_bytes": assumed.memory,
        "ranks": spec.resources.ranks,
    }
    return {
        "sweep": spec.name, "collection": spec.collection, "resources": spec.resources.model_dump(), "assumed": told, "trials": rows,
        "embedding": embedded, "caches": stores, "packs": packs, "totals": totals,
        "search": searching(spec), "unknown": _unknown(spec, trials, known, embedded),
    }  # fmt: skip


def _cost(trial: Trial, spec: SweepSpec, known: Known, assumed: Assumed) -> dict[str, Any]:
    """Of one trial; a trial that another's training is used for trains nothing itself."""
    size, settings = geometry(trial.backbone), trial.training
    kept = None if size is None else 4 * (size.vision + (size.text if trial.adaptation.both else 0))
    row: dict[str, Any] = dict.fromkeys(_FIELDS)
    if settings is None or not trial.trains:
        return {**row, "trains": False, "bytes_kept": kept if settings else 0}
    images = taught(settings, known.counts, known.prepared)
    classes = settings.classes or classes_of(settings.data, known.prepared)
    waits = trial.adaptation.waits
    an_epoch = settings.steps_per_epoch or (None if images is None else images // settings.batch)
    row |= {
        "images": images,
        "classes": classes or None,
        "epochs": waits + settings.epochs,
        "steps": None if an_epoch is None else (waits + settings.epochs) * an_epoch,
        "batch": settings.batch,
    }
    plan = plan_of(trial, spec.resources, classes)
    if plan is None or size is None:
        return {**row, "trains": True, "bytes_kept": kept}
    head = 4 * size.dim * classes
    peak = plan.footprint().peak
    row |= {"at_once": plan.micro, "bytes_checkpoint": KEPT * (12 * plan.trained + 3 * head)}
    if classes or trial.head is None:
        row |= {"memory_bytes": peak, "memory_fits": None if assumed.memory is None else peak <= assumed.memory}
    if an_epoch is not None:
        waiting = replace(plan, adaptation=Linear()).operations()  # an epoch in which the head alone trains
        flops = (waits * waiting + settings.epochs * plan.operations()) * an_epoch * settings.batch
        row |= {"flops": flops, "gpu_hours": _hours(flops, assumed.tflops.get(settings.precision), assumed.mfu)}
    return {**row, "trains": True, "bytes_kept": (kept or 0) + head}


def _embedded(
    spec: SweepSpec, pairs: Sequence[tuple[str, str]], known: Known, assumed: Assumed, encoders: int
) -> dict[str, Any]:
    """The pass of every encoder over what is scored: images (views counted, attacked ones apart), of the sets that are known."""
    views = _read(pairs, known)
    counted = {place: known.images(*place) for place in views}
    images = sum(count * len(views[place] - {"attacked"}) for place, count in counted.items() if count is not None)
    under_attack, passes = attacked(pairs, known.images)
    missing = sorted({name for (name, _), count in counted.items() if count is None})
    sizes = [geometry(trial.backbone) for trial in spec.trials()]
    flops = sum(size.forward() for size in sizes if size is not None) * (images + passes)
    whole = not missing and all(sizes)
    hours = _hours(flops, assumed.tflops.get("fp32"), assumed.mfu) if whole else None
    return {
        "images": images, "attacked": under_attack, "passes_attacked": passes, "encoders": encoders,
        "flops": flops if whole else None, "gpu_hours": hours, "not_counted": missing,
    }  # fmt: skip


def _read(pairs: Iterable[tuple[str, str]], known: Known) -> dict[tuple[str, str], set[str]]:
    """The views of every (data set, split) that is scored."""
    views: dict[tuple[str, str], set[str]] = {}
    for name, protocol in pairs:
        for split, seen in PROTOCOLS[protocol].reads:
            if known.images(name, split) is not None or split not in PROTOCOLS[protocol].optional:
                views.setdefault((name, split), set()).update(seen)
    return views


def _decoded(spec: SweepSpec, pairs: Iterable[tuple[str, str]], known: Known) -> dict[str, int | None]:
    """Bytes of the decoded images that are scored by data set, also of those that are there: 3 values a pixel, once a transform; None where
    unknown."""
    own: set[Transform] = set()
    for name in spec.backbones:
        try:
            own.add(resolve(name).transform)
        except UserError:
            continue
    found: dict[str, int | None] = {}
    for name, split in _read(pairs, known):
        count = known.images(name, split)
        size = None if count is None else count * sum(3 * each.size**2 for each in own)
        found[name] = None if size is None or found.get(name, 0) is None else (found.get(name) or 0) + size
    return found


def _packs(trials: Iterable[Trial], known: Known) -> dict[str, int | None]:
    """Bytes of the images that are trained on by data set, also of those that are packed; None where a set is not prepared."""
    places = dict.fromkeys(place for trial in trials for place in trial.learnt_from)
    found: dict[str, int | None] = {}
    for name, split in places:
        dataset = known.prepared.get(name)
        size = None if dataset is None or split not in dataset.card.splits else bytes_of(dataset, split)
        found[name] = None if size is None or found.get(name, 0) is None else (found.get(name) or 0) + size
    return found


def _unknown(spec: SweepSpec, trials: Iterable[Trial], known: Known, embedded: Mapping[str, Any]) -> list[str]:
    """What could not be counted, in words."""
    said = {
        f"images of {trial.training.data}"
        for trial in trials
        if trial.training and taught(trial.training, known.counts, known.prepared) is None
    }
    said |= {
        f"classes of {t.training.data}"
        for t in trials
        if t.training and not (t.training.classes or classes_of(t.training.data, known.prepared))
    }
    said |= {f"size of {name}" for name in spec.backbones if geometry(name) is None}
    said |= {f"images of {name}" for name in embedded["not_counted"]}
    said |= {
        f"what {each.kind} {'takes after training' if each.retrains else 'adds to a step'}"
        for trial in trials
        for each in trial.remedy.members()
        if each.label and (trial.trains or each.retrains)
    }
    return sorted(said)


def _hours(flops: float, tflops: float | None, mfu: float) -> float | None:
    return None if tflops is None else flops / (tflops * 1e12 * mfu) / 3600


def _known(sizes: Mapping[str, int | None]) -> int | None:
    """Of those that are known; None where none is."""
    found = [size for size in sizes.values() if size is not None]
    return sum(found) if found or not sizes else None


def _sum(values: Iterable[float | None]) -> float | None:
    """None where one of them is."""
    found = list(values)
    return None if any(value is None for value in found) else sum(value for value in found if value is not None)
