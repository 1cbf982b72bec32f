"""`gelo import`: a published checkpoint into a folder that is read as a trained trial's, with what is known of where it came from."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from gelo.models.adapt import Imported
from gelo.models.backbones.registry import BACKBONES, Backbone, config_of, resolve
from gelo.models.backbones.transforms import Transform
from gelo.models.backbones.zoo import load_backbone
from gelo.models.durable import publish_folder, sha256_of
from gelo.models.encoder import Encoder
from gelo.models.exchange.checkpoint import read_checkpoint
from gelo.models.exchange.papers import LICENCE, PAPERS, Checkpoint, Paper, checkpoint_of, head_of, method_of
from gelo.models.faults import Fault, UserError, unknown
from gelo.models.fingerprint import tensors_digest
from gelo.models.tower import ENCODER, Tower
from gelo.sweeps.exchange.places import place_fault
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.training import TASKS
from gelo.tasks.training.preprocess import transforms

CLOSE = 1e-6  # between a frozen weight and its base: their code adds and subtracts the LoRA in place


@dataclass(frozen=True)
class Asked:
    """What a user says of a checkpoint. alpha and gamma: one of them where it has a LoRA; base: weights to compare the frozen rest with."""

    backbone_file: Path
    to: Path
    header: Path | None = None
    method: str | None = None
    alpha: float | None = None
    gamma: float | None = None
    backbone: str | None = None
    base: Path | None = None


@dataclass(frozen=True)
class Brought:
    """What became of it. trial: as its folder describes it; remarks: what was compared, and what differs."""

    trial: Trial
    spec: Imported
    remarks: tuple[str, ...]
    document: Mapping[str, Any] = field(default_factory=dict)


def bring(asked: Asked) -> Brought:
    """Read, merge, compare and publish. Raises UserError for whatever is not as the papers publish it; then nothing is written."""
    faults = [unknown("--as", asked.method, PAPERS, "paper")] if asked.method not in (None, *PAPERS) else []
    faults += [fault for fault in [place_fault(asked.to)] if fault is not None]
    faults += [
        Fault(f"--{name} {value:g}", "no factor", "a number above 0")
        for name, value in (("alpha", asked.alpha), ("gamma", asked.gamma))
        if value is not None and not 0 < value < float("inf")
    ]
    if asked.alpha is not None and asked.gamma is not None:
        faults.append(Fault("--gamma", "given with --alpha", "one of them", "gamma = alpha / sqrt(rank)"))
    if faults:
        raise UserError("import", faults)
    where = str(asked.backbone_file)
    checkpoint = checkpoint_of(read_checkpoint(asked.backbone_file, "a checkpoint"), where)
    raw = None if asked.header is None else read_checkpoint(asked.header, "a header")
    paper = method_of(checkpoint, asked.method, raw, where)
    gamma = _gamma(asked, checkpoint, paper, where)
    backbone = _backbone(checkpoint, asked.backbone, where)
    encoder = _encoder(checkpoint.merged(gamma), backbone, where)
    head = None if raw is None else head_of(raw, paper, encoder.dim, str(asked.header))
    if head is None and paper.method != "froundation":
        expected = f"the file that ends in _header.pth: {paper.title} is a detector, and its head is in it"
        raise UserError("import", Fault("--header", "not given", expected))
    remarks = _compared(checkpoint, encoder, backbone, asked.base, where)
    spec = Imported(
        name=asked.to.name or paper.title,
        method=paper.method,
        fingerprint=_fingerprint(encoder.visual_state(), head, paper),
        preprocess=paper.preprocess,
        rank=checkpoint.rank,
        gamma=gamma,
    )
    trial = Trial(
        backbone=backbone.name,
        task=paper.task,
        collection="miniature" if backbone.scale == "miniature" else "paper",
        adaptation=spec,
        head=TASKS[paper.task].head if head is not None else None,
    )
    return _published(asked, trial, spec, encoder, head, paper, remarks)


def _published(
    asked: Asked, trial: Trial, spec: Imported, encoder: Encoder, head: Mapping[str, Tensor] | None, paper: Paper,
    remarks: tuple[str, ...],
) -> Brought:  # fmt: skip
    shown: Transform = transforms(spec.preprocess, encoder.transform).test
    files = {"file": asked.backbone_file, "header": asked.header}
    document = {
        "vision": encoder.vision_fingerprint,
        "detector": encoder.with_transform(shown).vision_fingerprint,
        "source": trial.key,
        "history": [],
        "imported": {
            "paper": paper.title,
            "repository": paper.repository,
            "licence": LICENCE,
            "rank": spec.rank,
            "gamma": spec.gamma,
            "compared": list(remarks),
            **{
                kind: {"name": file.name, "sha256": sha256_of(file)} for kind, file in files.items() if file is not None
            },
        },
    }
    with publish_folder(asked.to.absolute()) as place:
        with publish_folder(place / "trained", summed=True) as trained:
            Tower({ENCODER: encoder.visual_state()}).save(trained)
            if head is not None:
                save_file({name: tensor.contiguous() for name, tensor in head.items()}, trained / "head.safetensors")
            (trained / "training.json").write_text(json.dumps(document, indent=1))
        (place / "trial.json").write_text(json.dumps(trial.document(), indent=1))
    return Brought(trial, spec, remarks, document)


def _gamma(asked: Asked, checkpoint: Checkpoint, paper: Paper, where: str) -> float | None:
    given = {"--alpha": asked.alpha, "--gamma": asked.gamma}
    if checkpoint.rank is None:
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise UserError("import", Fault(named[0], "given", "nothing: this file has no LoRA", "leave it out"))
        return None
    if asked.gamma is not None:
        return asked.gamma
    if asked.alpha is None:
        found = f"a LoRA of rank {checkpoint.rank}; its alpha stands in no file"
        expected = "--alpha A (gamma = A / sqrt(rank)), or --gamma G"
        raise UserError("import", Fault(where, found, expected, f"{paper.title} trained with alpha {paper.alpha}"))
    return float(asked.alpha / checkpoint.rank**0.5)


def _backbone(checkpoint: Checkpoint, given: str | None, where: str) -> Backbone:
    """The one whose vision tower has these shapes."""
    if given is not None:
        return resolve(given)
    patch, positions = (checkpoint.state[f"visual.{name}"] for name in ("conv1.weight", "positional_embedding"))
    blocks = {name.split(".")[3] for name in checkpoint.state if name.startswith("visual.transformer.resblocks.")}
    proj = checkpoint.state.get("visual.proj")
    found = (patch.shape[0], patch.shape[-1], len(blocks), len(positions), proj.shape[1] if proj is not None else 0)
    for backbone in BACKBONES.values():
        config = config_of(backbone)
        see = config.get("vision_cfg", {})
        if not see or not isinstance(see.get("layers"), int):
            continue
        grid = (see["image_size"] // see["patch_size"]) ** 2 + 1
        if found == (see["width"], see["patch_size"], see["layers"], grid, config["embed_dim"]):
            return backbone
    width, size, depth, places, dim = found
    told = f"a tower of width {width}, patch {size}, {depth} blocks, {places} positions and {dim} features"
    raise UserError("import", Fault(where, told, f"one of {', '.join(BACKBONES)}", "--backbone NAME, of open_clip"))


def _encoder(state: Mapping[str, Tensor], backbone: Backbone, where: str) -> Encoder:
    """Of a whole CLIP's tensors: names and shapes are checked as any backbone's are."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "whole.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)
        try:
            return load_backbone(backbone.name, file)
        except UserError as error:
            faults = [replace(fault, where=fault.where.replace(str(file), where)) for fault in error.faults]
            raise UserError("import", faults) from None


def _compared(
    checkpoint: Checkpoint, encoder: Encoder, backbone: Backbone, given: Path | None, where: str
) -> tuple[str, ...]:
    """What is the base's and what is not, where its weights are here. Raises UserError for a text tower that is another: prompts go
    through the base's."""
    if given is None and not backbone.weights_path().exists():
        return (f"not compared with the weights of {backbone.name}: they are not here (--base-weights FILE)",)
    base = load_backbone(backbone.name, given)
    texts = _apart(encoder.text.model.state_dict(), base.text.model.state_dict())
    if texts:
        name, most = max(texts.items(), key=lambda each: each[1])
        found = f"{len(texts)} tensors of the text tower differ, {name} by {most:.1e}"
        remedy = "prompts would go through another text tower than this one"
        raise UserError("import", Fault(where, found, f"those of {backbone.name} to within {CLOSE:.0e}", remedy))
    frozen = {n.removeprefix("visual."): t for n, t in checkpoint.state.items() if n.startswith("visual.")}
    moved = _apart(frozen, base.visual_state())
    if not moved:
        return (f"text tower and {'frozen' if checkpoint.rank else 'all'} vision weights: those of {backbone.name}",)
    name, most = max(moved.items(), key=lambda each: each[1])
    beside = "beside its LoRA " if checkpoint.rank else ""
    return (
        f"text tower: that of {backbone.name}",
        f"vision tower: {beside}{len(moved)} of {len(frozen)} tensors differ from {backbone.name}, {name} by {most:.1e}",
    )


def _apart(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> dict[str, float]:
    """Largest difference of each tensor that is not the same to within `CLOSE`, of its size where that is above 1."""
    found = {name: float((one[name].float() - other[name].float()).abs().max()) for name in one if name in other}
    return {name: apart for name, apart in found.items() if apart > CLOSE * max(1.0, float(other[name].abs().max()))}


def _fingerprint(tower: Mapping[str, Tensor], head: Mapping[str, Tensor] | None, paper: Paper) -> str:
    digest = hashlib.sha256(f"imported 1|{paper.preprocess}|".encode())
    digest.update(tensors_digest(tower))
    digest.update(tensors_digest(head or {}))
    return digest.hexdigest()[:16]
