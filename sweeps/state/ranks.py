"""What keeps a trial of several processes from starting: its machine's CPUs, and batches that its ranks cannot share."""

from __future__ import annotations

from gelo.models.faults import Fault
from gelo.models.words import counted
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.tasks.ledger.trial import Trial


def rank_faults(spec: SweepSpec, settings: Settings, cpus: int) -> list[Fault]:
    """More CPUs than the `cpus` of a machine that runs the sweep by itself; every batch that does not divide by ranks and parts."""
    resources, faults = spec.resources, []
    if settings.address == "local" and resources.cpus * resources.ranks > cpus:
        found = f"{counted(cpus, 'CPU')} {'given with --cpus' if settings.cpus else 'on this machine'}"
        asked, most = f"{resources.cpus:,}", f"resources.cpus={max(1, cpus // resources.ranks)} or less"
        if resources.ranks > 1:
            asked = (
                f"{resources.cpus * resources.ranks:,} ({resources.ranks} ranks of {counted(resources.cpus, 'CPU')})"
            )
            if resources.ranks > cpus:
                most = f"resources.{'gpus' if resources.gpus else 'workers'}={cpus} or less"
        remedy = f"set {most}, or run on a cluster with --address"
        where = "resources" if resources.ranks > 1 else "resources.cpus"
        faults.append(Fault(where, found, f"{asked}, which one trial asks for", remedy))
    trained = {trial.key: trial for one in spec.possible() for trial in one.made_of}
    labels = Trial.labels(list(trained.values()))
    for key, trial in trained.items():
        faults += _uneven(labels[key], trial, resources.ranks)
    return faults


def _uneven(label: str, trial: Trial, ranks: int) -> list[Fault]:
    """Batches of one trial that cannot be dealt out evenly: a mean of uneven shares is not the mean of the batch."""
    if trial.training is None:
        return []
    parts = trial.training.accumulate
    share = ranks * parts
    batches = {"batch": trial.training.batch}
    batches |= {f"batch of {m.kind}": m.beside for m in trial.remedy.members() if m.beside}
    told = " x ".join(
        [*([counted(ranks, "rank")] if ranks > 1 else []), *([f"accumulate {parts}"] if parts > 1 else [])]
    )
    return [
        Fault(f"{label}: {name}", f"{size:,}", f"a multiple of {share} ({told})", _nearest(size, share))
        for name, size in batches.items()
        if size % share
    ]


def _nearest(size: int, share: int) -> str:
    below, above = size // share * share, -(-size // share) * share
    return f"set it to {f'{below:,} or ' if below else ''}{above:,}, or train with other resources"
