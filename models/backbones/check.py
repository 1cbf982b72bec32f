"""Whether a backbone can be loaded, and what is to be told of its weights: from headers alone, before torch is."""

from __future__ import annotations

from pathlib import Path

from gelo.models.backbones.containers import first
from gelo.models.backbones.fit import PIXELS, fitting, of_config, of_shapes, told, unlike
from gelo.models.backbones.preprocess import unlike_transform
from gelo.models.backbones.published import unpublished
from gelo.models.backbones.registry import BACKBONES, Backbone, config_of, configurations, name_fault, resolve
from gelo.models.backbones.weights import Look, look
from gelo.models.faults import Fault, UserError

_NAMED = 3


def faults_for(name: str, weights: Path | None = None, where: str = "backbone") -> list[Fault]:
    """What stands in the way of loading this backbone, without building a model; [] when nothing does."""
    fault = name_fault(name, where)
    if fault is not None:
        return [fault]
    try:
        backbone = resolve(name, weights)
        path = backbone.weights_path(weights)
        return misfits(backbone, look(path, backbone.name, backbone.remedy), path)
    except UserError as error:
        return list(error.faults)


def misfits(backbone: Backbone, found: Look, path: Path) -> list[Fault]:
    """Why the weights at `path` are not those of the backbone's architecture; [] where nothing that is known speaks against it."""
    if not found.shapes:
        return []
    traits, wanted = of_shapes(found.shapes), of_config(config_of(backbone))
    if "tower" not in traits:
        what = f"no vision tower of CLIP's: {first(found.shapes)}"
        return [Fault(str(path), what, f"the weights of {backbone.name}")]
    if found.config is not None:
        said = of_config(found.config)
        traits = {key: value for key, value in said.items() if key not in (PIXELS, "embed_dim")} | traits
    elif found.activation is not None:
        traits["quick_gelu"] = found.activation == "quick_gelu"
    odd = [key for key in unlike(traits, wanted) if key != PIXELS or not backbone.resized]
    if not odd:
        shown = (
            unlike_transform(found.folder, found.hugging_face, backbone.transform)
            if found.folder is not None and backbone.file is None
            else []
        )
        what, wants = (", ".join(f"{each[0]} {each[n]}" for each in shown) for n in (1, 2))
        remedy = f"name the architecture with the tag of its training, {backbone.architecture.removesuffix('-quickgelu')}:TAG"
        return (
            [Fault(str(path), f"weights for images of {what}", f"for {backbone.name}: {wants}", remedy)]
            if shown
            else []
        )
    fits = _called(fitting(traits, configurations()))
    ways = [f"they fit {' or '.join(fits[:_NAMED])}: name that backbone"] if fits else []
    if odd == [PIXELS] and wanted["tower"] == "ViT":
        asked = f"{backbone.name.removesuffix('px').partition('@')[0]}@{wanted[PIXELS]}"
        ways.append(f"name {asked} to have their position embeddings resized")
    odd = [key for key in odd if not key.endswith(".mlp")] or odd  # which follows from the width
    expected = f"those of {backbone.name}: {told(wanted, odd)}"
    return [Fault(str(path), f"weights of {told(traits, odd)}", expected, ", or ".join(ways))]


def notes_for(name: str, weights: Path | None = None) -> list[str]:
    """What is to be told of the weights of a backbone that nothing stands in the way of; none of it is a mistake.

    Reads a file that has OpenAI's name whole, once a process. Raises UserError for what cannot be read."""
    backbone = resolve(name, weights)
    path = backbone.weights_path(weights)
    found = look(path, backbone.name, backbone.remedy)
    notes = [unpublished(path, name, found.script)] if path.is_file() and backbone.file is None else []
    traits, size = of_shapes(found.shapes or {}), backbone.transform.size
    if backbone.resized and traits.get(PIXELS, size) != size:
        notes.append(f"{path}: position embeddings for {traits[PIXELS]} pixels, resized to {size} as {name} asks")
    if vision_alone(name, weights):
        notes.append(f"{path}: a vision tower alone, without one for texts: what asks texts is left out")
    return [note for note in notes if note]


def vision_alone(name: str, weights: Path | None = None) -> bool:
    """Whether the weights of a backbone are known to hold no text tower. Raises UserError for what cannot be read."""
    backbone = resolve(name, weights)
    found = look(backbone.weights_path(weights), backbone.name, backbone.remedy)
    return bool(found.shapes) and not has_text(found.shapes)


def has_text(names: object) -> bool:
    """Whether tensors of these names are more than a vision tower's."""
    return any(not str(name).startswith("visual.") for name in names)  # type: ignore[attr-defined]


def _called(architectures: list[str]) -> list[str]:
    """What a user calls them: gelo's own names first; those whose tags are of two activations with a tag."""
    own = [backbone.name for backbone in BACKBONES.values() if backbone.architecture in architectures]
    theirs = {each.architecture for each in BACKBONES.values()}
    others = [name for name in architectures if name not in theirs]
    return own + [f"{name}:TAG" if f"{name}-quickgelu" in configurations() else name for name in others]
