"""The checkpoints that FRoundation, MADation and FoundPAD save: a whole CLIP under names of its own, its LoRA not yet merged.

Sources: src/finetuning/loralib/layers.py and src/utils/logging.py of TaharChettaoui/FRoundation, gurayozgur/MADation, gurayozgur/FoundPAD.
Every vision block's attention is four linears there, `attn.{q,k,v}_proj` and `attn.proj`, with `w_lora_A` (rank, in) and `w_lora_B`
(out, rank) on q and v; the text tower is packed as OpenAI's. y = (W + gamma B A) x, gamma = alpha / sqrt(rank), and alpha stands nowhere in
the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    from gelo.models.adapt.imported import Method

LICENCE = "CC BY-NC-SA 4.0"
_SPLIT = re.compile(r"visual\.transformer\.resblocks\.(\d+)\.attn\.([qkv])_proj\.(weight|bias|w_lora_A|w_lora_B)")
_OUT = re.compile(r"(visual\.transformer\.resblocks\.\d+\.attn)\.proj\.(weight|bias)")
_TEXT_LORA = re.compile(r"transformer\.resblocks\.\d+\.attn\.[qkv]_proj\.")
_DINO = ("encoder.layer.", "embeddings.patch_embeddings.", "embeddings.cls_token")
_EXPECTED = "a checkpoint of FRoundation, MADation or FoundPAD: the state dict of a whole CLIP"


@dataclass(frozen=True, slots=True)
class Paper:
    """What one of them publishes. rank: of its LoRA. alpha: what its paper trained with, in words. task, preprocess: gelo's names."""

    title: str
    method: Method
    rank: int
    alpha: str
    task: str
    preprocess: str
    repository: str


PAPERS: dict[str, Paper] = {
    each.method: each
    for each in (
        Paper("FRoundation", "froundation", 16, "16 (gamma 4; files of before April 2025: --gamma 1; its readme: 32)", "faces", "backbone",
              "TaharChettaoui/FRoundation"),
        Paper("MADation", "madation", 2, "4 for ViT-B/16, 8 for ViT-L/14", "morphs", "morph", "gurayozgur/MADation"),
        Paper("FoundPAD", "foundpad", 8, "8", "spoofs", "spoof", "gurayozgur/FoundPAD"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """One, read. state: by open_clip's names, both towers, the vision tower as its base was; changes: by weight, (A, B) on which rows of
    it; rank: None where the file has no LoRA."""

    state: Mapping[str, Tensor]
    changes: Mapping[str, tuple[slice, Tensor, Tensor]]
    rank: int | None

    def merged(self, gamma: float | None) -> dict[str, Tensor]:
        """Both towers, gamma * B @ A added to q and v of every block that has one."""
        merged = dict(self.state)
        for name, (rows, a, b) in self.changes.items():
            packed = name.rpartition("@")[0]
            assert gamma is not None
            weight = merged[packed].clone()
            weight[rows] += gamma * (b @ a)
            merged[packed] = weight
        return merged


def checkpoint_of(state: Mapping[str, Tensor], where: str) -> Checkpoint:
    """Take a file's tensors (float32) apart. Raises UserError for what is none of the three papers' checkpoints."""
    faults = [fault for fault in (_foreign(state, where), _numbers(state, where)) if fault is not None]
    if faults:
        raise UserError("import", faults[:1])
    blocks: dict[int, dict[str, Tensor]] = {}
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if split := _SPLIT.fullmatch(name):
            blocks.setdefault(int(split[1]), {})[f"{split[2]}.{split[3]}"] = tensor
        elif proj := _OUT.fullmatch(name):
            out[f"{proj[1]}.out_proj.{proj[2]}"] = tensor
        else:
            out[name] = tensor
    changes: dict[str, tuple[slice, Tensor, Tensor]] = {}
    for number, parts in sorted(blocks.items()):
        stem = f"visual.transformer.resblocks.{number}.attn.in_proj_"
        lacking = [f"{p}_proj.{kind}" for p in "qkv" for kind in ("weight", "bias") if f"{p}.{kind}" not in parts]
        lacking += [f"{p}_proj.w_lora_{m}" for p in "qv" for m in "AB" if f"{p}.w_lora_{m}" not in parts]
        odd = [f"{name.replace('.', '_proj.')}" for name in parts if name.startswith("k.w_lora")]
        if lacking or odd:
            found = (
                f"block {number} without {', '.join(lacking)}" if lacking else f"block {number} with {', '.join(odd)}"
            )
            raise UserError("import", Fault(where, found, "LoRA on q and v of every block"))
        for kind in ("weight", "bias"):
            out[stem + kind] = torch.cat([parts[f"{p}.{kind}"] for p in "qkv"])
        width = parts["q.weight"].shape[0]
        for p, place in (("q", 0), ("v", 2)):
            rows, a, b = slice(place * width, (place + 1) * width), parts[f"{p}.w_lora_A"], parts[f"{p}.w_lora_B"]
            if a.ndim != 2 or b.shape != (width, a.shape[0]) or a.shape[1] != width:
                found = f"block {number}, {p}_proj: w_lora_A {tuple(a.shape)}, w_lora_B {tuple(b.shape)}"
                raise UserError("import", Fault(where, found, f"(rank, {width}) and ({width}, rank)"))
            changes[f"{stem}weight@{p}"] = (rows, a, b)
    ranks = {a.shape[0] for _, a, _ in changes.values()}
    if len(ranks) > 1:
        raise UserError(
            "import", Fault(where, f"ranks {', '.join(map(str, sorted(ranks)))}", "one rank in every block")
        )
    return Checkpoint(out, changes, next(iter(ranks), None))


def method_of(checkpoint: Checkpoint, given: str | None, head: Mapping[str, Tensor] | None, where: str) -> Paper:
    """Which of the papers: as given, else by the rank of the LoRA, else by the head. Raises UserError where neither tells."""
    if given is not None:
        return PAPERS[given]
    for paper in PAPERS.values():
        if paper.rank == checkpoint.rank:
            return paper
    if checkpoint.rank is None and head is not None and "kernel" in head:
        return PAPERS["froundation"]
    known = ", ".join(f"{paper.rank} ({paper.title})" for paper in PAPERS.values())
    found = "no LoRA, which would tell" if checkpoint.rank is None else f"a LoRA of rank {checkpoint.rank}"
    raise UserError("import", Fault(where, found, f"a rank of {known}", f"say whose it is: --as {', '.join(PAPERS)}"))


def head_of(tensors: Mapping[str, Tensor], paper: Paper, dim: int, where: str) -> dict[str, Tensor]:
    """A header's tensors under gelo's names. Raises UserError unless they are the paper's, for features of this width."""
    if paper.method == "froundation":
        kernel = tensors.get("kernel")
        if len(tensors) == 1 and kernel is not None and kernel.ndim == 2 and kernel.shape[0] == dim:
            return {"kernel": kernel}
        raise _no_head(tensors, where, f"kernel ({dim} x identities) of {paper.title}")
    weight, bias = tensors.get("linear.weight"), tensors.get("linear.bias")
    if (
        len(tensors) == 2
        and weight is not None
        and bias is not None
        and weight.shape == (2, dim)
        and bias.shape == (2,)
    ):
        return {"weight": weight, "bias": bias}
    raise _no_head(tensors, where, f"linear.weight (2 x {dim}) and linear.bias (2) of {paper.title}")


def _no_head(tensors: Mapping[str, Tensor], where: str, expected: str) -> UserError:
    found = ", ".join(f"{name} {' x '.join(map(str, tensor.shape))}" for name, tensor in list(tensors.items())[:3])
    return UserError("import", Fault(where, f"{len(tensors)} tensors: {found}", expected))


def _foreign(state: Mapping[str, Tensor], where: str) -> Fault | None:
    """Why these names are none of theirs."""
    if any(name.startswith(_DINO) for name in state):
        remedy = "FRoundation's DINOv2 files cannot be read: they have no text tower, and gelo measures CLIPs"
        return Fault(where, "a DINOv2 tower (encoder.layer, embeddings)", _EXPECTED, remedy)
    if any(_TEXT_LORA.match(name) for name in state):
        remedy = "a text tower that was trained (text_image_header) is another for every prompt: it cannot be read"
        return Fault(where, "LoRA in the text tower too", "the text tower of OpenAI", remedy)
    if "visual.conv1.weight" not in state or "token_embedding.weight" not in state:
        named = ", ".join(list(state)[:3])
        which = "the file that ends in _backbone.pth"
        return Fault(where, f"{len(state)} tensors: {named}{', ...' if len(state) > 3 else ''}", _EXPECTED, which)
    return None


def _numbers(state: Mapping[str, Tensor], where: str) -> Fault | None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return Fault(where, f"{name} holds values that are not finite", "numbers")
    return None
