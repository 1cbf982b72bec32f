"""How much disk a sweep's decoded images take, before any is decoded."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from gelo.models.backbones.registry import resolve
from gelo.models.faults import Fault, UserError
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.embed import pairs_of
from gelo.sweeps.state.reads import decoded_for
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.stream import works

_NAMED = 3  # data sets of one message


def room_faults(spec: SweepSpec, datasets: Mapping[str, Dataset], data: Path, cache: Path) -> list[Fault]:
    """Why the cache's disk cannot hold what is yet to be decoded: a byte a value, 3 x side x side values an image; [] where it can.

    datasets: those that are there; one that is not is another fault's matter.
    """
    own = {}
    for name in dict.fromkeys(spec.backbones):
        try:
            own[name] = resolve(name).transform
        except UserError:
            continue
    owed = dict.fromkeys(decoded_for(spec.trials(), pairs_of(spec, data), own, datasets))
    needed: dict[str, int] = defaultdict(int)
    for dataset, split, transform in owed:
        root = cache / "decoded" / transform.fingerprint
        missing = [work for work in works(datasets[dataset], split) if not work.place(root, "").exists()]
        needed[dataset] += sum(work.chunk.rows for work in missing) * 3 * transform.size**2
    total = sum(needed.values())
    above = next(place for place in (cache.absolute(), *cache.absolute().parents) if place.exists())
    free = shutil.disk_usage(above).free
    if total <= free:
        return []
    largest = sorted(needed, key=lambda name: (-needed[name], name))[:_NAMED]
    named = ", ".join(f"{name} {needed[name] / 1e9:,.1f} GB" for name in largest)
    remedy = "give --cache a larger disk (or GELO_CACHE), free some, or leave sets out with `without`"
    return [
        Fault(
            f"--cache {cache}",
            f"{free / 1e9:,.1f} GB free",
            f"{total / 1e9:,.1f} GB for decoded images ({named})",
            remedy,
        )
    ]
