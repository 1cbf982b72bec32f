"""Every image that a sweep encodes is decoded, once per transform."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from gelo.models.backbones.transforms import Transform
from gelo.models.faults import Fault, UserError
from gelo.sweeps.stages.embed import undecoded
from gelo.sweeps.state.reads import decoded_for
from gelo.sweeps.terminal.progress import Display
from gelo.tasks.data.cache import touch
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.stream import Work, decode_all, works


def decode_images(
    pairs: Sequence[tuple[str, str]],
    own: Mapping[str, Transform],
    datasets: Mapping[str, Dataset],
    cache: Path,
    display: Display,
) -> tuple[set[Work], list[Fault]]:
    """(chunks with an unreadable image, what is wrong with them).

    pairs: (data set, protocol) of what is scored; own: transforms by backbone; datasets: those that are whole.
    """
    by_transform: dict[Transform, dict[Work, None]] = defaultdict(dict)
    lost: set[Work] = set()
    faults: list[Fault] = []
    for name, split, shown in decoded_for(pairs, own, datasets):
        by_transform[shown].update(dict.fromkeys(works(datasets[name], split)))
    for transform, wanted in by_transform.items():
        missing = [work for work in wanted if not work.decoded(cache / "decoded" / transform.fingerprint)]
        if missing:
            with display.stage("decode", sum(work.chunk.rows for work in missing), "images") as stage:
                try:
                    decode_all(missing, transform, cache, "ray", stage.tick)
                except UserError as error:
                    faults += error.faults
                    lost |= undecoded(missing, transform, cache)
        for dataset in {work.fingerprint for work in wanted}:
            touch(cache, "decoded", transform.fingerprint, dataset)
    return lost, faults
