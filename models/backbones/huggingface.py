"""CLIP's tensors between open_clip's form and Hugging Face transformers' (`CLIPModel`, `CLIPVisionModel`,
`CLIPVisionModelWithProjection`), both ways.

Source of the names: huggingface/transformers, models/clip, releases 4 and 5. Both hold the same numbers; open_clip stacks query, key
and value into one matrix and keeps its projections the other way round. Imports torch only where tensors are joined.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from gelo.models.backbones.huggingface_config import first, hugging_face_config, refused
from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

_WHOLE = {  # Hugging Face's name: open_clip's
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "logit_scale": "logit_scale",
} | {
    f"{theirs}.{kind}": f"{ours}.{kind}"
    for theirs, ours in (
        ("vision_model.pre_layrnorm", "visual.ln_pre"),  # the spelling is theirs
        ("vision_model.post_layernorm", "visual.ln_post"),
        ("text_model.final_layer_norm", "ln_final"),
    )
    for kind in ("weight", "bias")
}
_TURNED = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}
_BLOCKS = {"vision_model": "visual.transformer.resblocks", "text_model": "transformer.resblocks"}
_IN_BLOCK = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"
}  # fmt: skip
_THIRDS = "qkv"  # the order in which open_clip stacks them
_BLOCK = re.compile(r"(vision_model|text_model)\.encoder\.layers\.(\d+)\.([\w.]+)\.(weight|bias)")
_THIRD = re.compile(r"self_attn\.([qkv])_proj")
_OWN_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.([\w.]+?)[._](weight|bias)")
_BARE = ("embeddings.", "encoder.", "pre_layrnorm.", "post_layernorm.")  # CLIPVisionModel of transformers 5


def is_hugging_face(names: Collection[str]) -> bool:
    """Whether tensors have transformers' names of CLIP, those of a vision tower alone too."""
    own = ("vision_model.", "text_model.", "visual_projection.", "pre_layrnorm.")
    return any(name.startswith(own) for name in names)


def to_open_clip(state: Mapping[str, T], join: Callable[[Sequence[T]], T] | None = None) -> dict[str, T]:
    """The tensors of a CLIPModel, CLIPVisionModel (no `visual.proj`) or CLIPVisionModelWithProjection under open_clip's names; buffers of
    positions are left out. Raises UserError for names that are of none of them.

    join: of the three thirds, where they are no tensors but know `t` and `contiguous`."""
    if join is None:
        import torch

        join = torch.cat  # type: ignore[assignment]
        assert join is not None
    out: dict[str, T] = {}
    thirds: dict[tuple[str, str], dict[str, T]] = {}
    unknown = []
    for name, tensor in state.items():
        full = f"vision_model.{name}" if name.startswith(_BARE) else name
        block = _BLOCK.fullmatch(full)
        if full in _WHOLE:
            out[_WHOLE[full]] = tensor
        elif full in _TURNED:
            out[_TURNED[full]] = tensor.t().contiguous()  # type: ignore[attr-defined]
        elif block and (third := _THIRD.fullmatch(block[3])):
            thirds.setdefault((f"{_BLOCKS[block[1]]}.{block[2]}.attn.in_proj_", block[4]), {})[third[1]] = tensor
        elif block and block[3] in _IN_BLOCK:
            out[f"{_BLOCKS[block[1]]}.{block[2]}.{_IN_BLOCK[block[3]]}.{block[4]}"] = tensor
        elif not full.endswith("embeddings.position_ids"):
            unknown.append(name)
    for (stem, kind), three in thirds.items():
        lacking = [third for third in _THIRDS if third not in three]
        if lacking:
            raise refused(f"{stem}{kind} without {', '.join(f'{third}_proj' for third in lacking)}")
        out[stem + kind] = join([three[third] for third in _THIRDS])
    if unknown:
        raise refused(f"{len(unknown)} tensors of other names: {first(unknown)}")
    return out


def from_open_clip(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors under open_clip's names and its configuration as Hugging Face's: `model.safetensors` and `config.json` of a CLIPModel, or of
    a CLIPVisionModelWithProjection where every name begins with `visual.`.

    Raises UserError, naming what it is, for a model that is no CLIPModel (a timm tower, an attention pool, another text tower)."""
    theirs = hugging_face_config(config, vision_alone=all(name.startswith("visual.") for name in state))
    whole, turned = ({own: other for other, own in names.items()} for names in (_WHOLE, _TURNED))
    inside, stems = ({own: other for other, own in names.items()} for names in (_IN_BLOCK, _BLOCKS))
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name in whole:
            out[whole[name]] = tensor.reshape(()) if name == "logit_scale" else tensor
        elif name in turned:
            out[turned[name]] = tensor.t().contiguous()
        elif (block := _OWN_BLOCK.fullmatch(name)) and block[3] in (*inside, "attn.in_proj"):
            stem = f"{block[1] or ''}transformer.resblocks"
            layer = f"{stems[stem]}.encoder.layers.{block[2]}"
            if block[3] == "attn.in_proj":
                for third, part in zip(_THIRDS, tensor.chunk(3), strict=True):
                    out[f"{layer}.self_attn.{third}_proj.{block[4]}"] = part.contiguous()
            else:
                out[f"{layer}.{inside[block[3]]}.{block[4]}"] = tensor
        else:
            raise UserError("Hugging Face", Fault(name, "a tensor without a place", "those of open_clip's CLIP"))
    return out, theirs
