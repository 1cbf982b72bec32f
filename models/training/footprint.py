"""How much memory and arithmetic a training takes, predicted from its description; benchmarks/footprint.py holds it against real ones.

Decisions: what a forward pass keeps for the backward pass is counted operation by operation, in values by token and image, since it is what
grows with the batch; tests compare it with what autograd keeps. An adaptation that is not known here is taken for full fine-tuning, which
needs the most. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from gelo.models.adapt.base import AdaptationSpec
from gelo.models.backbones.geometry import Geometry, TextGeometry
from gelo.models.training.demands import EVERY, Demands, demands
from gelo.models.training.settings import Optimisation
from gelo.models.words import bytes_told

Where = Literal["cpu", "cuda"]
IMPORTS = 1.02e9  # bytes of a trial's process before it has a weight: Python, torch, open_clip, peft, Ray
CONTEXT = 0.6e9  # of CUDA and cuBLAS on a card: assumed
SPARE = 1.1  # what an allocator cannot give back; on CUDA assumed
_PROMPTS = 8  # of a class that a step has texts of, at the most: each image draws one
_AHEAD = 4  # batches of pixels: one in the step, two waiting, one in the making


def kept(size: Geometry, found: Demands, settings: Optimisation, where: Where) -> float:
    """Bytes that the forward pass of one image keeps until its backward pass."""
    value, line = (2 if settings.precision == "bf16" else 4), size.tokens * size.width
    blocks = [
        _block(size, each, found, settings, where, entered=found.all or not found.rank or place > found.first)
        for place, each in enumerate(found.inputs)
        if place >= found.first
    ]
    if not blocks:
        return 0.0
    norm = 4 if where == "cuda" else value
    outside = isinstance(size, TextGeometry) or not found.all
    around = line * norm if outside else 3 * size.side**2 * value + 3 * line * norm
    return around + (len(blocks) * line * value + max(blocks) if settings.checkpointing else sum(blocks))


def _block(
    size: Geometry, inputs: frozenset[str], found: Demands, settings: Optimisation, where: Where, entered: bool
) -> float:
    """Bytes of one block. entered: a gradient goes on to the block before it; where none does, nothing in front of the first layer that
    asks for its input is kept."""
    value, line, wide = (2 if settings.precision == "bf16" else 4), size.tokens * size.width, size.tokens * size.hidden
    norm = line * (4 if where == "cuda" else value)  # autocast on CUDA gives norms float32
    asked = [bool(inputs & {"q", "k", "v"}), "out" in inputs, "mlp_in" in inputs, "mlp_out" in inputs]
    front = -1 if entered else asked.index(True)
    if where == "cuda" and settings.precision != "bf16" and settings.deterministic:
        # in float32 no kernel for all of attention gives equal bits: scaled q and k, v, and every weight are kept
        attention = (5 if not found.rank else 3) * line + size.heads * size.tokens**2 + line * asked[1]
    else:
        attention = 4 * line + size.tokens * size.heads
    total = value * (line * asked[0] + line * asked[2] + wide * asked[3]) + 16.0 * size.tokens
    total += norm * ((front < 0) + (front < 2))
    total += value * (attention if front < 1 else line if front == 1 else 0)
    total += value * wide * (2 if size.quick else 1) * (front < 3)
    if found.rank:
        each = {target: wide if target == "mlp_out" else line for target in inputs}
        if found.dropout > 0 or settings.precision == "bf16":  # each adapter is given an input of its own
            alike = ("q" if target in ("q", "k", "v") else target for target in inputs - {"out"})
            total += value * (sum(each.values()) - sum(each.get(target, line) for target in set(alike)))
        if found.dropout:
            behind = {target: _ORDER[target] > front for target in inputs}  # else what is dropped needs no gradient
            total += sum(each[target] for target in inputs if behind[target]) * (1 if where == "cuda" else 4)
        total += value * size.tokens * found.rank * len(inputs)
    return total


_ORDER = {"q": 0, "k": 0, "v": 0, "out": 1, "mlp_in": 2, "mlp_out": 3}


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes by what they are for, at the time when they are the most."""

    parts: Mapping[str, float]

    @property
    def peak(self) -> float:
        """All of them, and what an allocator cannot give back."""
        return sum(self.parts.values()) * SPARE


@dataclass(frozen=True, slots=True)
class Plan:
    """A training as far as memory and arithmetic go. classes: of the head, 0 where they are not known: it is then left out. where: the
    process of one of `ranks`, or its card. text: the text tower where it trains too, in the same way."""

    size: Geometry
    adaptation: AdaptationSpec
    settings: Optimisation
    classes: int = 0
    sample: float = 1.0
    where: Where = "cpu"
    ranks: int = 1
    text: TextGeometry | None = None

    @property
    def trained(self) -> int:
        """Numbers of both towers that train."""
        own = demands(self.adaptation, self.size).trained
        return own if self.text is None else own + demands(self.adaptation, self.text).trained + 1

    @property
    def texts(self) -> int:
        """Texts that go through the text tower at once, at the most: one an image, no more than there are."""
        if self.text is None:
            return 0
        return min(self.micro, _PROMPTS * self.classes) if self.classes else self.micro

    @property
    def micro(self) -> int:
        """Images that go through at once."""
        return max(1, self.settings.batch // self.settings.accumulate // self.ranks)

    def footprint(self) -> Footprint:
        """Reading weights, training, writing a checkpoint and publishing are each a peak; the highest counts."""
        size, settings, found = self.size, self.settings, demands(self.adaptation, self.size)
        tower, moved, head = 4.0 * size.vision, 4.0 * self.trained, 4.0 * size.dim * self.classes / self.ranks
        beside = also = 0.0
        if self.text is not None:
            more, text = demands(self.adaptation, self.text), self.text
            tower += 4.0 * text.text
            beside = self.texts * kept(text, more, settings, self.where)
            also = self.texts * 4.0 * text.tokens * (2 * text.hidden + 3 * text.width)
        base, drawn = 4.0 * (size.vision + size.text), head * self.sample
        logits = 24.0 * self.micro * self.ranks * self.classes / self.ranks * self.sample
        reached = found.first < size.layers
        working = 4.0 * size.tokens * (2 * size.hidden + 3 * size.width) if reached else 4.0 * size.tokens * size.hidden
        alike = {"untouched towers": base, "trained tower": tower + (moved if found.rank else 0.0), "head": head}
        states = 3 * moved + drawn + 2 * head
        steps = {
            **alike, "gradients and moments": states, "weights in bf16": tower / 2 if settings.precision == "bf16" else 0.0,
            "kept for the backward pass": self.micro * kept(size, found, settings, self.where) + beside,
            "images": settings.batch / self.ranks * _AHEAD * 12.0 * size.side**2, "working space": max(self.micro * working, also),
            "normalised head and logits": 2 * drawn + logits,
        }  # fmt: skip
        if self.where == "cuda":
            return Footprint({"CUDA itself": CONTEXT, **steps})
        written = {**alike, "gradients and moments": states, "copies to write": 4 * moved + 3 * head}
        published = {**alike, "the tower to keep, twice": 2 * tower}
        phases: list[dict[str, float]] = [steps, {"weights, twice": 2 * base}, written, published]
        highest = max(phases, key=lambda phase: sum(phase.values()))
        return Footprint({"programs": IMPORTS, **highest})

    def operations(self) -> float:
        """Floating-point operations of training on one image: forward, to the inputs of what trains, to weights that train, and again where
        blocks are recomputed; the head 6 d C; its share of the texts. Adapters themselves are left out, a hundredth."""
        texts = 0.0 if self.text is None else self._through(self.text) * self.texts / self.micro
        return self._through(self.size) + texts + 6.0 * self.size.dim * self.classes * self.sample

    def _through(self, size: Geometry) -> float:
        """Floating-point operations of training a tower on one input."""
        found, layers = demands(self.adaptation, size), size.layers
        reached = (layers - found.first) / layers
        weights = 0.0 if found.rank else sum(each == EVERY for each in found.inputs) / layers
        again = reached if self.settings.checkpointing else 0.0
        return size.forward() * (1 + reached + weights + again)

    def changed(self, **changes: object) -> Plan:
        """The same with other fields of `settings`."""
        return replace(self, settings=self.settings.model_copy(update=changes))

    def fits(self, room: float) -> int:
        """The largest batch that `room` bytes hold, all else being the same; 0 where not even the smallest does."""
        step = self.ranks * self.settings.accumulate
        low, high = 0, self.settings.batch // step
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (
                (middle, high) if self.changed(batch=middle * step).footprint().peak <= room else (low, middle - 1)
            )
        return low * step

    def remedies(self, room: float) -> list[str]:
        """What to change so that `room` bytes hold it, each with what it takes then; the same batch first. [] where nothing helps."""
        found = []
        each = self.settings.batch // self.ranks
        parts = [n for n in range(self.settings.accumulate + 1, each + 1) if each % n == 0]
        for names in ({"checkpointing": False}, {"checkpointing": True}):
            if names["checkpointing"] and not self.settings.checkpointing:
                alone = self.changed(**names).footprint().peak
                if alone <= room:
                    found.append(f"checkpointing: true ({bytes_told(alone)})")
                    continue
            for n in parts if names["checkpointing"] >= self.settings.checkpointing else ():
                peak = self.changed(accumulate=n, **names).footprint().peak
                if peak <= room:
                    also = (
                        "checkpointing: true and " if names["checkpointing"] and not self.settings.checkpointing else ""
                    )
                    found.append(f"{also}accumulate: {n} ({bytes_told(peak)})")
                    break
        if fewer := self.fits(room):
            found.append(f"batch: {fewer}")
        return found
