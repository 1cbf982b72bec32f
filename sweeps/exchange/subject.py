"""What is exported: a backbone or a trial, loaded and proved to be what its files say, with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from gelo.models.adapt import Imported, Lora
from gelo.models.backbones.zoo import load_backbone
from gelo.models.durable import fetched
from gelo.models.encoder import Encoder
from gelo.models.faults import Fault, UserError
from gelo.models.tower import Tower
from gelo.models.trained import load_tower
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.stages.encoders import named_encoder
from gelo.sweeps.state.folder import SweepFolder, TrialFolder
from gelo.tasks.data.manifest import Dataset, open_dataset
from gelo.tasks.ledger.trial import Trial

HEAD = "head.safetensors"


@dataclass(frozen=True)
class Leaving:
    """An encoder that is exported. base: untouched; tower: what the trial kept, None for a backbone; sweep: where the trial stands."""

    encoder: Encoder
    base: Encoder
    weights: str | None
    trial: Trial | None = None
    place: TrialFolder | None = None
    tower: Tower | None = None
    sweep: SweepFolder | None = None

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"{self.base.name} untouched" if self.trial is None else self.trial.label

    @property
    def lora(self) -> Lora | None:
        """The low-rank adaptation that its weights are the base's with, whatever a remedy has made of it."""
        adaptation = None if self.trial is None or self.tower is None else self.trial.adaptation
        if isinstance(adaptation, Imported) and adaptation.rank is not None and adaptation.alpha is not None:
            return Lora(rank=adaptation.rank, alpha=adaptation.alpha, targets=("q", "v"))
        return adaptation if isinstance(adaptation, Lora) else None

    @property
    def own_text(self) -> bool:
        """Whether its text tower is not the base's."""
        return self.tower is not None and self.tower.text is not None

    @property
    def training(self) -> Mapping[str, Any]:
        """Its training.json; {} for what was not trained."""
        return {} if self.tower is None or self.place is None else self.place.training()

    def head(self) -> bytes | None:
        """The file of its trained head."""
        file = None if self.tower is None or self.place is None else self.place.trained / HEAD
        return file.read_bytes() if file is not None and file.exists() else None

    def dataset(self) -> Dataset | None:
        """What it was trained on, where that is on this machine and still what it was then."""
        if self.trial is None or self.trial.training is None or self.sweep is None:
            return None
        try:
            found = open_dataset(Path(self.sweep.read()["settings"]["data"]) / self.trial.training.data)
        except (UserError, OSError):
            return None
        return found if found.fingerprint == self.training.get("data") else None


def leaving(name: str, weights: Path | None, settings: Settings) -> Leaving:
    """What `named_encoder` finds under a name. Raises UserError for a name that is nothing, and where the weights are not those that its
    training.json tells of."""
    named = named_encoder(name, UPath(settings.storage))
    given = weights or named.weights
    base = load_backbone(named.backbone, given)
    told = None if given is None else str(given)
    if named.trial is None or named.place is None:
        return Leaving(base, base, told)
    root = named.place.root
    sweep = SweepFolder(root.parent.parent.parent, root.parent.parent.name)
    of = sweep if sweep.exists() else None
    if not named.place.is_trained():
        return Leaving(base, base, told, named.trial, named.place, sweep=of)
    with fetched(named.place.trained) as folder:
        tower = load_tower(folder)
    encoder = tower.encoder(base)
    told_of = named.place.training()
    pairs = [(encoder.vision_fingerprint, told_of["vision"])]
    pairs += [(encoder.text_fingerprint, told_of["text"])] if "text" in told_of else []
    faults = [
        Fault(str(named.place.trained), f"fingerprint {found}", wanted, "weights changed")
        for found, wanted in pairs
        if found != wanted
    ]
    if faults:
        raise UserError(f"encoder {name}", faults)
    return Leaving(encoder, base, told, named.trial, named.place, tower, of)
