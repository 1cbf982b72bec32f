"""A backbone's name to an `Encoder` with weights from disk, or an error: never random weights, never the wrong
activation."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP, convert_to_custom_text_state_dict, resize_pos_embed
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import Tensor, nn

from gelo.models.backbones.check import has_text, misfits
from gelo.models.backbones.registry import Backbone, config_of, config_path, resolve
from gelo.models.backbones.weights import read
from gelo.models.encoder import Encoder
from gelo.models.faults import Fault, UserError, pass_interrupt
from gelo.models.texttower import TextTower, Tokenizer, Unasked

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "quick_gelu": QuickGELU}
MERGES = "merges.txt.gz"  # the miniatures' own, beside their weights


def load_backbone(name: str, weights: Path | None = None, device: str | torch.device = "cpu") -> Encoder:
    """The encoder of this name, float32, in eval mode; `weights` overrides where its file or folder is looked for.

    Weights of a vision tower alone make an encoder of images alone, as does a tokenizer that is not on this machine: asking it
    texts raises UserError then. Raises UserError for an unknown name, a missing, truncated or unsafe file, and weights that do not fill the
    architecture exactly. The global random state is left as it was.
    """
    backbone = resolve(name, weights)
    path = backbone.weights_path(weights)
    state, found = read(path, backbone.name, backbone.remedy)
    file = config_path(backbone.architecture)
    if file is None or not file.is_file():
        raise UserError(
            f"backbone {name}", Fault(str(file), "missing", f"the configuration of {backbone.architecture}")
        )
    misfit = misfits(backbone, found, path)
    if misfit:
        raise UserError(f"backbone {name}", misfit)
    config = config_of(backbone)
    model = build_model(backbone.architecture, file, backbone.transform.size if backbone.resized else None)
    if backbone.resized:
        resize_pos_embed(state, model)
    alone = not has_text(state)
    _fill(model, state, backbone, path, alone)
    prove_activation(model, backbone)
    if alone:
        held = Fault(str(path), "a vision tower alone", "one for texts beside it", "name weights of both towers")
        return encoder_of(model, Unasked(held), backbone, config, device, alone=True)
    return encoder_of(model, tokenizer_of(backbone, config, path), backbone, config, device)


def build_model(architecture: str, config_file: Path, size: int | None = None) -> nn.Module:
    """open_clip's model with the random weights that it is born with, drawn beside the global random state. size: another than its own."""
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
                force_image_size=size,
            )
    except OSError as error:  # a text tower whose configuration is on Hugging Face's hub
        flaw = str(error).splitlines()[0][:120]
        raise UserError(
            "backbone", Fault(architecture, f"cannot be built here ({flaw})", "an architecture of open_clip's own")
        ) from None
    finally:
        logging.disable(level)


def encoder_of(
    model: nn.Module,
    tokenizer: Tokenizer,
    backbone: Backbone,
    config: dict[str, Any],
    device: str | torch.device = "cpu",
    *,
    alone: bool = False,
) -> Encoder:
    """Take an open_clip model apart into the two towers of an Encoder. `model` is used up: its vision tower moves
    out. alone: the vision tower is all that has weights."""
    if not isinstance(model, CLIP | CustomTextCLIP | CoCa):
        fault = Fault(backbone.architecture, f"a {type(model).__name__}", "a model of two towers with one feature each")
        raise UserError(f"backbone {backbone.name}", fault)
    model = model.to(device)
    visual = model.visual
    assert isinstance(visual, nn.Module)
    model.visual = nn.Identity()
    if isinstance(model, CoCa):  # what writes captions is in neither feature
        model.text_decoder = nn.Identity()
        visual.output_tokens = False  # type: ignore[assignment]
    projected = getattr(visual, "proj", True) is not None
    shared = {"embed_dim": config["embed_dim"], "quick_gelu": bool(config.get("quick_gelu"))}
    return Encoder(
        visual,
        TextTower(
            nn.Identity() if alone else model, tokenizer, shared | ({} if alone else {"text_cfg": config["text_cfg"]})
        ),
        backbone.transform,
        name=backbone.name,
        dim=config["embed_dim"] if projected else config["vision_cfg"]["width"],
        scale=backbone.scale,
        config=shared | {"vision_cfg": config["vision_cfg"]},
        device=device,
    )


def tokenizer_of(backbone: Backbone, config: dict[str, Any], weights: Path | None = None) -> Tokenizer:
    """The miniatures' own merge list through open_clip's tokenizer class, else what open_clip names; that of Hugging Face's which lies in
    the folder of the weights first. One that is not on this machine is `Unasked`."""
    text: dict[str, Any] = config["text_cfg"]
    if backbone.scale == "full":
        hub, beside = (
            text.get("hf_tokenizer_name"),
            weights is not None and (weights / "tokenizer_config.json").is_file(),
        )
        try:
            if hub and beside:
                options = {"tokenizer_mode": text.get("tokenizer_mode"), **text.get("tokenizer_kwargs", {})}
                theirs: Tokenizer = HFTokenizer(str(weights), context_length=text.get("context_length", 77), **options)
            else:
                theirs = open_clip.get_tokenizer(backbone.architecture, **({"local_files_only": True} if hub else {}))
        except Exception as error:  # transformers raises OSError, and others for files that are damaged
            pass_interrupt(error)
            found = "no tokenizer" if isinstance(error, OSError) else f"no tokenizer ({type(error).__name__}: {error})"
            code = f"from transformers import AutoTokenizer; AutoTokenizer.from_pretrained({hub!r})"
            remedy = (
                f'fetch it once: python -c "{code}", or name as weights a folder that holds it beside the weight file'
            )
            return Unasked(
                Fault(backbone.architecture, found, f"the tokenizer {hub} of huggingface.co on this machine", remedy)
            )
        return theirs
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


def _fill(model: nn.Module, state: dict[str, Tensor], backbone: Backbone, path: Path, alone: bool) -> None:
    if isinstance(model, CustomTextCLIP):
        state = convert_to_custom_text_state_dict(state)
    if alone and "visual.proj" not in state and isinstance(model.visual, VisionTransformer):
        model.visual.proj = None  # as transformers' CLIPVisionModel, whose features are those before the projection
    own = {name: tensor for name, tensor in model.state_dict().items() if not alone or name.startswith("visual.")}
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
    model.load_state_dict(state, strict=not alone)


def _first(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (", ..." if len(ordered) > 3 else "")
