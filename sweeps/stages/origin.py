"""What a training would be of, were it run with what is here now: what was trained from something else is refused by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gelo.models.encoder import Encoder
from gelo.sweeps.stages.train import text_of, version_of
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.ledger.watched import decided_by


def training_of(
    trial: Trial, base: Encoder, datasets: Mapping[str, Dataset], pairs: Sequence[tuple[str, str]]
) -> dict[str, str]:
    """Fingerprints and versions by their names in training.json, as far as they are known. datasets: those that are there."""
    name = trial.training.data if trial.training else ""
    data = {"data": datasets[name].fingerprint} if name in datasets else {}
    known = [each for each in trial.learnt_from[1:] if each[0] in datasets]
    shown = {f"images of {name}/{split}": datasets[name].fingerprint for name, split in known}
    decided = decided_by(trial, pairs, datasets)
    return {
        "base": base.vision_fingerprint, **text_of(trial, base), "step": version_of(trial), **data, **shown, **decided,
    }  # fmt: skip
