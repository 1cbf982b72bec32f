"""LoRA as peft keeps it: a folder that `PeftModel.from_pretrained` puts onto transformers' CLIPModel with the base weights.

A trial keeps merged weights, so the factors are those of what was added to the base, by the singular value decomposition: b @ a is what
training ended with, to the rounding of float32; how it is shared between a and b is not. Onto transformers' model, not open_clip's, as
its query, key and value are layers of their own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor

from gelo.models.backbones.huggingface import from_open_clip
from gelo.models.encoder import Encoder
from gelo.models.exchange.huggingface import HUB, features_of, quiet
from gelo.models.exchange.openclip import model_config, state_of
from gelo.models.exchange.proof import Sample, refuse_other, undrawn
from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    from gelo.models.adapt import Lora

FILES = ("adapter_config.json", "adapter_model.safetensors")
TOLERANCE = 1e-5  # of the longest feature
EXACT = 1e-6  # of a weight
_LEAF = {
    "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "out": "self_attn.out_proj", "mlp_in": "mlp.fc1",
    "mlp_out": "mlp.fc2",
}  # fmt: skip


def write_adapter(folder: Path, encoder: Encoder, base: Encoder, lora: Lora, sample: Sample) -> list[str]:
    """Both files, with the trial's own rank, alpha and scaling. encoder: `base` with what `lora` has added.

    Raises UserError where more moved than such adapters can hold, and where peft makes other features of them.
    """
    from gelo.models.adapt.attention import vision_blocks

    config = model_config(base)
    was, _ = from_open_clip(state_of(base), config)
    now, theirs = from_open_clip(state_of(encoder), config)
    names = _targets(lora, len(vision_blocks(base.visual)))
    pairs = factors({n: was[f"{n}.weight"] for n in names}, {n: now[f"{n}.weight"] for n in names}, lora)
    _refuse_moved(was, now, {f"{name}.weight" for name in names})
    from peft import LoraConfig, PeftModel
    from transformers import CLIPConfig, CLIPModel

    LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # peft's hint says int; its arithmetic is float
        lora_dropout=lora.dropout,
        use_rslora=lora.rslora,
        target_modules=names,
        bias="none",
        base_model_name_or_path=HUB.get(base.name),
        inference_mode=True,
    ).save_pretrained(str(folder))
    config_file = folder / FILES[0]
    said = json.loads(config_file.read_text())
    config_file.write_text(json.dumps({**said, "target_modules": sorted(said["target_modules"])}, indent=2) + "\n")
    stem = "base_model.model"
    tensors = {f"{stem}.{name}.lora_A.weight": a for name, (a, _) in pairs.items()}
    tensors |= {f"{stem}.{name}.lora_B.weight": b for name, (_, b) in pairs.items()}
    save_file(tensors, folder / FILES[1], metadata={"format": "pt"})
    with quiet(), undrawn():
        model = CLIPModel(CLIPConfig.from_dict(theirs))
        model.load_state_dict(was, strict=True)
        adapted = PeftModel.from_pretrained(model, str(folder)).eval()
        images = features_of(adapted.base_model.model.get_image_features(pixel_values=sample.pixels))
    refuse_other("images by peft", sample.images, images.numpy(), TOLERANCE)
    return list(FILES)


def factors(before: Mapping[str, Tensor], after: Mapping[str, Tensor], lora: Lora) -> dict[str, tuple[Tensor, Tensor]]:
    """By name: a (rank, in), b (out, rank) with before + gamma * b @ a = after to within `EXACT`. Raises UserError where no product of
    this rank is."""
    found = {}
    for name, start in before.items():
        delta = after[name].double() - start.double()
        left, sizes, right = torch.linalg.svd(delta / lora.gamma, full_matrices=False)
        root = sizes[: lora.rank].sqrt()
        a, b = root[:, None] * right[: lora.rank], left[:, : lora.rank] * root
        apart = float((lora.gamma * (b.float() @ a.float()).double() - delta).abs().max())
        if not apart <= EXACT * max(1.0, float(start.abs().max())):
            fault = Fault(name, f"a change that is no product of rank {lora.rank} ({apart:.1e} apart)", "a LoRA's")
            raise UserError("export --format peft", fault)
        found[name] = (a.float().contiguous(), b.float().contiguous())
    return found


def _targets(lora: Lora, layers: int) -> list[str]:
    blocks = range(layers) if lora.blocks == "all" else lora.blocks
    return [f"vision_model.encoder.layers.{block}.{_LEAF[target]}" for block in blocks for target in lora.targets]


def _refuse_moved(was: Mapping[str, Tensor], now: Mapping[str, Tensor], expected: set[str]) -> None:
    moved = [name for name in was if name not in expected and not _close(was[name], now[name])]
    if moved:
        found = f"{len(moved)} tensors beside the adapter's moved: {', '.join(moved[:3])}"
        raise UserError("export --format peft", Fault("weights", found, "those of the base", "--format huggingface"))


def _close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= EXACT * max(1.0, math.ceil(float(one.abs().max()))))
