"""The card of an exported encoder, for people: README.md from gelo.json, and not one word that is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files as packaged
from typing import Any

from jinja2 import Environment, StrictUndefined

from gelo.sweeps.exchange.snippets import snippets

_ABOUT = {
    "open_clip_model.safetensors": "both towers under open_clip's names, float32",
    "open_clip_config.json": "architecture and transform, for `local-dir:`",
    "merges.txt.gz": "the merge list of its tokenizer, which open_clip does not have",
    "huggingface/model.safetensors": "the same weights for transformers' CLIPModel",
    "huggingface/config.json": "its architecture",
    "huggingface/preprocessor_config.json": "its image processor",
    "peft/adapter_model.safetensors": "what was added to the base weights, as a peft adapter on transformers' CLIPModel",
    "peft/adapter_config.json": "its rank, alpha and layers",
    "vision.onnx": "the image tower: `pixels` (N, 3, S, S) to `features` (N, d), N free",
    "head.safetensors": "the trained head",
    "gelo.json": "all of this page, and the fingerprints",
}


def card(facts: Mapping[str, Any]) -> str:
    """The content of README.md."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    template = environment.from_string((packaged("gelo.sweeps.exchange") / "card.md.j2").read_text())
    trial = facts["trial"]
    changed = bool(trial) and trial["task"] != "none"
    return template.render(
        f=facts, changed=changed, how=how(facts) if changed else "", made=list(_made(facts)), files=list(_files(facts)),
        snippets=snippets(facts), pc=per_cent, change=_change, shown=shown,
    )  # fmt: skip


def per_cent(value: float | None) -> str:
    """As the report has it; "-" for what is not there."""
    return "-" if value is None else f"{100 * value:.2f}"


def shown(transform: Mapping[str, Any]) -> str:
    """A transform in a sentence."""
    side, way = transform["size"], transform["interpolation"]
    taps = "" if transform.get("antialias", True) else ", of the four nearest pixels as OpenCV does"
    squash = f"stretched to {side} x {side} ({way}{taps})"
    shortest = f"its short side scaled to {side} ({way}), the centre {side} x {side} cropped"
    numbers = ("/".join(f"{value:g}" for value in transform[name]) for name in ("mean", "std"))
    mean, std = numbers
    order = "**BGR**, OpenCV's order of channels" if transform["channels"] == "bgr" else "RGB"
    resized = squash if transform["resize"] == "squash" else shortest
    return f"{resized[0].upper()}{resized[1:]}; {order}; values in [0, 1] minus {mean}, divided by {std}."


def how(facts: Mapping[str, Any]) -> str:
    """In words, of a trial that changed its backbone: `trial` is its document, `imported` what training.json says of a published one."""
    trial = facts["trial"]
    remedy = trial["remedy"]["kind"]
    if trial["adaptation"]["kind"] == "imported":
        return f"as {facts['imported']['paper']} trained and published it ({trial['task']})"
    words = "fine-tuned" if trial["adaptation"]["kind"] != "none" else "left as it was, beside a head trained"
    return f"{words} on {trial['task']}" + ("" if remedy == "none" else f", with the remedy {remedy}")


def _change(row: Mapping[str, Any]) -> str:
    return "-" if row["before"] is None else f"{100 * (row['after'] - row['before']):+.2f}"


def _made(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "base", f"{facts['backbone']} (open_clip: `{facts['architecture']}`)"
    if facts["trial"] and facts["trial"]["task"] != "none":
        yield from made(facts, facts["data"])
    for name, value in facts["trained"].items():
        yield name.replace("_", " "), f"{value:,.0f}"
    for name, value in facts["fingerprints"].items():
        yield f"fingerprint, {name}", f"`{value}`"


def made(facts: Mapping[str, Any], data: Mapping[str, Any] | None = None) -> Iterator[tuple[str, str]]:
    """How a trial of a task was made, a row each. facts: as for `how`; data: what is known of its training images."""
    trial = facts["trial"]
    yield "task", trial["task"]
    for part in ("adaptation", "remedy", "head"):
        if trial[part] and trial[part]["kind"] != "none":
            yield part, _said(trial[part])
    if facts["imported"]:
        yield from _came(facts["imported"])
    else:
        yield "seed", str(trial["seed"])
    if trial["training"]:
        images = f", {data['images']:,} images ({data['source']})" if data else ""
        yield "trained on", trial["training"]["data"] + images
        yield "training", _said({name: value for name, value in trial["training"].items() if name != "data"})


def _came(imported: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What an imported encoder was made of."""
    yield "paper", f"{imported['paper']} ({imported['repository']})"
    for kind in ("file", "header"):
        if kind in imported:
            yield kind, f"{imported[kind]['name']}, SHA-256 `{imported[kind]['sha256']}`"
    if imported["rank"] is not None:
        yield "LoRA that was merged", f"rank {imported['rank']}, gamma {imported['gamma']:g}"
    yield "compared", "; ".join(imported["compared"])


def _said(spec: Mapping[str, Any]) -> str:
    kind = [str(spec["kind"])] if "kind" in spec else []
    if isinstance(spec.get("remedies"), list):
        return " + ".join(_said(each) for each in spec["remedies"])
    fields = (f"{name} {_plain(value)}" for name, value in spec.items() if name != "kind" and value is not None)
    return ", ".join([*kind, *fields])


def _plain(value: Any) -> str:
    return (
        "+".join(map(str, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _files(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for files in facts["files"].values():
        for file in files:
            yield file, _ABOUT[file]
    if facts["head"]:
        yield "head.safetensors", _head(facts)
    yield "gelo.json", _ABOUT["gelo.json"]


def _head(facts: Mapping[str, Any]) -> str:
    kind = facts["head"]["kind"]
    shapes = ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in facts["head_shapes"].items())
    if kind == "binary":
        return f"the detector ({shapes}): z = weight @ f + bias of a feature f of unit length; softmax(z)[1]: 1 = bona fide"
    if kind == "cosface":
        return f"the head of training ({shapes}): a column for each identity; faces are compared by the cosine of features, without it"
    return f"the trained head, {kind} ({shapes})"
