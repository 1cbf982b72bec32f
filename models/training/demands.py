"""What an adaptation asks of a tower in training: which parameters train, and whose inputs are kept for the backward pass. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from gelo.models.adapt.base import AdaptationSpec
from gelo.models.adapt.projections import OnProjections
from gelo.models.backbones.geometry import Geometry, TextGeometry


@dataclass(frozen=True, slots=True)
class Demands:
    """What trains. inputs: of which layers of each block (q, k, v, out, mlp_in, mlp_out) the input is kept; rank, dropout: of adapters
    there, rank 0 where the weights themselves train. trained: parameters. all: patches and norms too."""

    inputs: tuple[frozenset[str], ...]
    trained: int
    rank: int = 0
    dropout: float = 0.0
    all: bool = False

    @property
    def first(self) -> int:
        """The first block that a gradient reaches; the number of blocks where none does."""
        return next((place for place, each in enumerate(self.inputs) if each), len(self.inputs))


EVERY = frozenset({"q", "k", "v", "out", "mlp_in", "mlp_out"})
NORMS = frozenset({"norms"})  # nothing but what norms keep anyway
_NONE: frozenset[str] = frozenset()


def demands(adaptation: AdaptationSpec, size: Geometry) -> Demands:
    """Of an adaptation on a tower of this size; of a text tower without its logit scale."""
    every, w = size.layers, size.width
    norms = 1 if isinstance(size, TextGeometry) else 2  # outside of the blocks
    match adaptation.kind:
        case "none" | "linear":
            return Demands((_NONE,) * every, 0)
        case "layernorm":
            return Demands((NORMS,) * every, 4 * w * every + 2 * w * norms, all=True)
        case "bias":
            return Demands((NORMS,) * every, (7 * w + size.hidden) * every + w * norms, all=True)
        case "last_blocks":
            last = min(every, int(getattr(adaptation, "blocks", every)))
            return Demands((_NONE,) * (every - last) + (EVERY,) * last, last * size.block + 2 * w + w * size.dim)
    if not isinstance(adaptation, OnProjections):
        return Demands((EVERY,) * every, size.vision, all=True)
    chosen = range(every) if adaptation.blocks == "all" else adaptation.blocks
    targets: frozenset[str] = frozenset(adaptation.targets)
    rank, experts = getattr(adaptation, "rank", 0), getattr(adaptation, "experts", 1)
    wide = {"mlp_in": (w, size.hidden), "mlp_out": (size.hidden, w)}
    shapes = [wide.get(target, (w, w)) for target in targets]
    beside = {"lora_experts": lambda into, out: experts * into, "dora": lambda into, out: out}.get(adaptation.kind)
    trained = sum(experts * rank * sum(shape) + (beside(*shape) if beside else 0) for shape in shapes)
    inputs = tuple(targets if block in chosen else _NONE for block in range(every))
    return Demands(inputs, len(chosen) * trained, rank * experts, getattr(adaptation, "dropout", 0.0))
