"""`gelo export`: an encoder into a folder for other libraries, whole or not at all, with a card that says what it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gelo.models.durable import publish_folder
from gelo.models.exchange.adapter import write_adapter
from gelo.models.exchange.huggingface import write_huggingface
from gelo.models.exchange.openclip import model_config, write_openclip
from gelo.models.exchange.proof import Sample, sample_of
from gelo.models.exchange.vision_onnx import missing_packages, write_onnx
from gelo.models.faults import Fault, UserError, unknown
from gelo.sweeps.exchange.card import card
from gelo.sweeps.exchange.facts import facts_of
from gelo.sweeps.exchange.places import place_fault
from gelo.sweeps.exchange.subject import HEAD, Leaving, leaving
from gelo.sweeps.spec.settings import Settings

FORMATS = ("open_clip", "huggingface", "peft", "onnx")
FACTS = "gelo.json"


def export(
    name: str, to: Path, formats: Sequence[str], weights: Path | None, settings: Settings, *, onnx: bool = False
) -> dict[str, Any]:
    """Write `to` and return the content of its gelo.json. formats: of `FORMATS`; () takes open_clip and huggingface, and peft of a LoRA.
    onnx: that too.

    Raises UserError for a folder that is there, an encoder that is not, and a format that it cannot have. Nothing is left half-written.
    """
    faults = [unknown("--format", each, FORMATS, "format") for each in formats if each not in FORMATS]
    if fault := place_fault(to):
        faults.append(fault)
    if faults:
        raise UserError("export", faults)
    it = leaving(name, weights, settings)
    asked = [*(formats or ("open_clip", "huggingface")), *(["onnx"] if onnx else [])]
    faults = [fault for each in asked if (fault := _format_fault(it, each))]
    if faults:
        raise UserError(f"export {it.label}", faults)
    with publish_folder(to.absolute()) as place:
        written = _written(it, place, asked, bool(formats))
        head = it.head()
        if head is not None:
            (place / HEAD).write_bytes(head)
        facts = facts_of(it, written, head is not None)
        (place / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
        readme = place / "README.md"
        readme.write_text(card(facts))
        for file in (file for file in place.rglob("*") if file.is_file()):
            file.chmod(readme.stat().st_mode)  # safetensors makes files that nobody else may read
    return facts


def _written(it: Leaving, place: Path, asked: Sequence[str], by_name: bool) -> dict[str, list[str]]:
    """The files by format. What nobody has asked for by name and the model cannot have is left out."""
    sample, made = sample_of(it.encoder), dict[str, list[str]]()
    for each in dict.fromkeys([*asked, *(["peft"] if it.lora is not None and not it.own_text and not by_name else [])]):
        folder = place / each if each in ("huggingface", "peft") else place
        folder.mkdir(exist_ok=True)
        try:
            files = _write(it, each, folder, sample)
        except UserError:
            if by_name or each in ("open_clip", "onnx"):
                raise
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
        else:
            made[each] = [str((folder / file).relative_to(place)) for file in files]
    return made


def _write(it: Leaving, which: str, folder: Path, sample: Sample) -> list[str]:
    if which == "open_clip":
        return write_openclip(folder, it.encoder, sample)
    if which == "huggingface":
        return write_huggingface(folder, it.encoder, sample)
    if which == "peft":
        assert it.lora is not None
        return write_adapter(folder, it.encoder, it.base, it.lora, sample)
    return write_onnx(folder, it.encoder, sample)


def _format_fault(it: Leaving, which: str) -> Fault | None:
    where = f"--format {which}"
    if which == "onnx":
        return missing_packages()
    if "text_cfg" not in it.base.text.config or model_config(it.base).get("multimodal_cfg"):
        found = (
            "a captioner, whose decoder is not kept" if "text_cfg" in it.base.text.config else "a vision tower alone"
        )
        return Fault(where, found, "an image and a text tower", "--format onnx")
    if it.tower is not None and not it.tower.plain:
        around = ", ".join(getattr(spec, "kind", group) for group, spec in it.tower.build)
        return Fault(where, f"a tower with {around} around it, which does not merge", "plain weights", "--format onnx")
    if which == "peft" and it.own_text:
        found = "a text tower and a logit scale of its own, which such an adapter does not hold"
        return Fault(where, found, "a trial of the vision tower alone", "--format huggingface has its weights")
    if which == "peft" and it.lora is None:
        adapted = "nothing" if it.trial is None else it.trial.adaptation.kind
        return Fault(where, f"adapted by {adapted}", "a trial adapted by lora", "--format huggingface has its weights")
    return None
