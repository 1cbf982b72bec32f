"""A backbone's name to an `Encoder` with weights from disk, or an error: never random weights, never the wrong
activation."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP, CustomTextCLIP, convert_to_custom_text_state_dict
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from gelo.models.backbones.registry import Backbone, config_path, resolve
from gelo.models.backbones.weights import read_state
from gelo.models.encoder import Encoder, TextTower, Tokenizer
from gelo.models.faults import Fault, UserError

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "quick_gelu": QuickGELU}
MERGES = "merges.txt.gz"  # the miniatures' own, beside their weights


def load_backbone(name: str, weights: Path | None = None, device: str | torch.device = "cpu") -> Encoder:
    """The encoder of this name, float32, in eval mode; `weights` overrides where its file is looked for.

    Raises UserError for an unknown name, a missing, truncated or unsafe file, and weights that do not fill the
    architecture exactly. The global random state is left as it was.
    """
    backbone = resolve(name, weights)
    path = backbone.weights_path(weights)
    state = read_state(path, backbone.name, backbone.remedy)
    file = config_path(backbone.architecture)
    if file is None or not file.is_file():
        raise UserError(
            f"backbone {name}", Fault(str(file), "missing", f"the configuration of {backbone.architecture}")
        )
    config: dict[str, Any] = json.loads(file.read_text())
    model = build_model(backbone.architecture, file)
    _fill(model, state, backbone, path)
    prove_activation(model, backbone)
    return encoder_of(model, tokenizer_of(backbone, config), backbone, config, device)


def build_model(architecture: str, config_file: Path) -> nn.Module:
    """open_clip's model with the random weights that it is born with, drawn beside the global random state."""
    if architecture not in open_clip.list_models():
        open_clip.add_model_config(config_file)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # open_clip warns that no weights were loaded; they follow, or an error does
    try:
        with torch.random.fork_rng(devices=[]):
            return open_clip.create_model(
                architecture,
                pretrained=None,
                precision="fp32",
                device="cpu",
                pretrained_hf=False,
                pretrained_image=False,
            )
    finally:
        logging.disable(level)


def encoder_of(
    model: nn.Module,
    tokenizer: Tokenizer,
    backbone: Backbone,
    config: dict[str, Any],
    device: str | torch.device = "cpu",
) -> Encoder:
    """Take an open_clip model apart into the two towers of an Encoder. `model` is used up: its vision tower moves
    out."""
    if not isinstance(model, CLIP | CustomTextCLIP):
        fault = Fault(backbone.architecture, f"a {type(model).__name__}", "a model of two towers with one feature each")
        raise UserError(f"backbone {backbone.name}", fault)
    model = model.to(device)
    visual = model.visual
    assert isinstance(visual, nn.Module)
    model.visual = nn.Identity()
    shared = {"embed_dim": config["embed_dim"], "quick_gelu": bool(config.get("quick_gelu"))}
    return Encoder(
        visual,
        TextTower(model, tokenizer, shared | {"text_cfg": config["text_cfg"]}),
        backbone.transform,
        name=backbone.name,
        dim=config["embed_dim"],
        scale=backbone.scale,
        config=shared | {"vision_cfg": config["vision_cfg"]},
        device=device,
    )


def tokenizer_of(backbone: Backbone, config: dict[str, Any]) -> Tokenizer:
    """The miniatures' own merge list through open_clip's tokenizer class, else what open_clip names. Raises UserError
    offline."""
    text: dict[str, Any] = config["text_cfg"]
    if backbone.scale == "full":
        try:
            tokenizer: Tokenizer = open_clip.get_tokenizer(backbone.architecture)
        except OSError as error:
            fault = Fault(
                backbone.architecture, f"no tokenizer ({str(error).splitlines()[0][:120]})", "one on this machine"
            )
            raise UserError(f"backbone {backbone.name}", fault) from error
        return tokenizer
    assert backbone.file is not None, f"the miniature {backbone.name} is packaged"
    merges = backbone.file.parent / MERGES
    if not merges.is_file():
        fault = Fault(str(merges), "missing", "the miniatures' merge list", backbone.remedy)
        raise UserError(f"backbone {backbone.name}", fault)
    own = SimpleTokenizer(bpe_path=str(merges), context_length=text["context_length"])
    if own.vocab_size != text["vocab_size"]:
        fault = Fault(
            str(merges), f"a vocabulary of {own.vocab_size}", f"{text['vocab_size']}, as the configuration says"
        )
        raise UserError(f"backbone {backbone.name}", fault)
    return own


def prove_activation(model: nn.Module, backbone: Backbone) -> None:
    """Every activation module must be of the class that the backbone states. Raises UserError naming the first that is
    not."""
    wanted = ACTIVATIONS[backbone.activation]
    found = [
        (name, module) for name, module in model.named_modules() if isinstance(module, tuple(ACTIVATIONS.values()))
    ]
    wrong = [(name, type(module).__name__) for name, module in found if not isinstance(module, wanted)]
    if wrong or not found:
        name, kind = wrong[0] if wrong else (backbone.architecture, "no activation")
        fault = Fault(
            name, f"{kind} ({len(wrong)} of {len(found)})", f"{wanted.__name__} everywhere", "mend the backbone's entry"
        )
        raise UserError(f"backbone {backbone.name}", fault)


def _fill(model: nn.Module, state: dict[str, Tensor], backbone: Backbone, path: Path) -> None:
    if isinstance(model, CustomTextCLIP):
        state = convert_to_custom_text_state_dict(state)
    own = model.state_dict()
    if "logit_scale" in state and state["logit_scale"].numel() == 1:
        state["logit_scale"] = state["logit_scale"].reshape(own["logit_scale"].shape)
    shapes = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    wrong = (
        ("missing", own.keys() - state.keys()),
        ("not in it", state.keys() - own.keys()),
        ("of another shape", shapes),
    )
    faults = [
        Fault(
            str(path),
            f"{len(names)} tensors {what}: {_first(names)}",
            f"the {len(own)} tensors of {backbone.architecture}",
        )
        for what, names in wrong
        if names
    ]
    faults += [
        Fault(str(path), f"{name} holds values that are not finite", "numbers")
        for name, tensor in state.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if faults:
        raise UserError(f"backbone {backbone.name}", faults)
    model.load_state_dict(state, strict=True)


def _first(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (", ..." if len(ordered) > 3 else "")
