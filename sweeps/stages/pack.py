"""The packs of a sweep: every image that it trains on, as it is stored, in one file a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.reads import packed_for
from gelo.sweeps.terminal.progress import Display
from gelo.tasks.data.cache import PACKS, STORED, touch
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.pack import is_packed, packed
from gelo.tasks.ledger.trial import Trial


def pack_all(
    trials: Sequence[Trial], folder: SweepFolder, datasets: Mapping[str, Dataset], cache: Path, display: Display
) -> None:
    """Make what is missing for the trials that are yet to be trained, which would all wait for one of them to make it.

    datasets: those that are whole. Raises UserError where the disk has no room.
    """
    untrained = [trial for trial in trials if trial.training is not None and not folder.trial(trial).is_trained()]
    for name, split in packed_for(untrained, datasets):
        dataset = datasets[name]
        if not is_packed(dataset, split, cache):
            with display.stage(f"pack {name}/{split}", dataset.card.counts()[split], "images") as stage:
                packed(dataset, split, cache, stage.tick)
        touch(cache, PACKS, STORED, dataset.fingerprint)
