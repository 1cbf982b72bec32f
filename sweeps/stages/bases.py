"""The untouched backbones of a sweep: where their weights lie, what is read of them, what the sweep's folder keeps of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from gelo.models.backbones.check import notes_for
from gelo.models.backbones.registry import resolve
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.terminal.progress import Display, waiting


def weights_of(spec: SweepSpec) -> dict[str, str]:
    """Files that workers, which run in folders of their own, are told of: what gelo ships each of them finds itself."""
    given = {name: Path(spec.weights[name]) if name in spec.weights else None for name in spec.backbones}
    paths = {name: resolve(name).weights_path(path) for name, path in given.items()}
    return {name: str(p.absolute()) for name, p in paths.items() if name in spec.weights or not resolve(name).file}


def bases_of(
    names: Iterable[str], weights: Mapping[str, str], display: Display
) -> tuple[dict[str, Encoder], dict[str, list[str]]]:
    """The encoders by name, each read once, and what is to be told of their weights."""
    bases = {}
    for name in dict.fromkeys(names):
        with waiting(f"the weights of {name} to be read", display.say):
            bases[name] = load_backbone(name, _given(name, weights))
    return bases, {name: notes_for(name, _given(name, weights)) for name in bases}


def as_saved(bases: Mapping[str, Encoder], weights: Mapping[str, str]) -> dict[str, tuple[str, str, Path]]:
    """As `SweepFolder.save_bases` takes them."""
    files = {name: resolve(name).weights_path(_given(name, weights)).absolute() for name in bases}
    return {name: (base.vision_fingerprint, base.text_fingerprint, files[name]) for name, base in bases.items()}


def _given(name: str, weights: Mapping[str, str]) -> Path | None:
    return Path(weights[name]) if name in weights else None
