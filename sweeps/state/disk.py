"""How much disk a sweep's images take, those that are decoded and those that are packed, before any is."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from gelo.models.backbones.registry import resolve
from gelo.models.faults import Fault, UserError
from gelo.models.words import bytes_told
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.embed import pairs_of
from gelo.sweeps.state.reads import decoded_for, packed_for
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.pack import bytes_of, is_packed
from gelo.tasks.data.stream import works

_NAMED = 3  # data sets of one message


def owed(spec: SweepSpec, datasets: Mapping[str, Dataset], data: Path, cache: Path) -> dict[str, tuple[int, int]]:
    """Bytes that the sweep has yet to write below `cache` by data set: (of decoded images, of packs). Of those that need any.

    Decoded: a byte a value, 3 x side x side values an image of an evaluation. Packs: the bytes of the images that are trained on.
    """
    own = {}
    for name in dict.fromkeys(spec.backbones):
        try:
            own[name] = resolve(name).transform
        except UserError:
            continue
    decoded: dict[str, int] = defaultdict(int)
    for dataset, split, transform in dict.fromkeys(decoded_for(pairs_of(spec, data), own, datasets)):
        root = cache / "decoded" / transform.fingerprint
        missing = [work for work in works(datasets[dataset], split) if not work.place(root, "").exists()]
        decoded[dataset] += sum(work.chunk.rows for work in missing) * 3 * transform.size**2
    packs: dict[str, int] = defaultdict(int)
    for dataset, split in packed_for(spec.possible(), datasets):
        if not is_packed(datasets[dataset], split, cache):
            packs[dataset] += bytes_of(datasets[dataset], split)
    both = {name: (decoded[name], packs[name]) for name in {**decoded, **packs}}
    return {name: each for name, each in both.items() if any(each)}


def room_faults(spec: SweepSpec, datasets: Mapping[str, Dataset], data: Path, cache: Path) -> list[Fault]:
    """Why the cache's disk cannot hold what is yet to be written there; [] where it can.

    datasets: those that are there; one that is not is another fault's matter.
    """
    needed = owed(spec, datasets, data, cache)
    decoded, packs = (sum(each[kind] for each in needed.values()) for kind in (0, 1))
    above = next(place for place in (cache.absolute(), *cache.absolute().parents) if place.exists())
    free = shutil.disk_usage(above).free
    if decoded + packs <= free:
        return []
    sizes = {name: sum(each) for name, each in needed.items()}
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:_NAMED]
    named = ", ".join(f"{name} {bytes_told(sizes[name])}" for name in largest)
    kinds = [(decoded, "decoded images"), (packs, "images packed for training")]
    what = " and ".join(f"{bytes_told(size)} for {kind}" for size, kind in kinds if size)
    remedy = "give --cache a larger disk (or GELO_CACHE), free some, or leave sets out with `without`"
    return [Fault(f"--cache {cache}", f"{bytes_told(free)} free", f"{what} ({named})", remedy)]
