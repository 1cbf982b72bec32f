"""The table of what trains, as every trained trial keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from gelo.models.adapt.adapted import Adapted

if TYPE_CHECKING:
    from gelo.models.heads.head import Head

REST = "everything else"


@dataclass(frozen=True, slots=True)
class Row:
    """One part of the encoder. parameters: numbers in its tensors."""

    part: str
    tensors: int
    parameters: int
    trains: bool

    def as_dict(self) -> dict[str, str | int | bool]:
        """For JSON."""
        return asdict(self)


def table(adapted: Adapted, head: Head | None = None) -> list[Row]:
    """One row per part that trains, one for the head where there is one, and one for all that does not train, of the text tower
    too where it trains."""
    trainable = adapted.trainable()
    parts: dict[str, list[Tensor]] = {}
    for name, parameter in trainable.items():
        parts.setdefault(adapted.parts[name], []).append(parameter)
    chosen = {id(parameter) for parameter in trainable.values()}
    networks = [adapted.network, *([adapted.text.network] if adapted.text is not None else [])]
    held = (tensor for network in networks for tensor in (*network.parameters(), *network.buffers()))
    rest = [tensor for tensor in held if id(tensor) not in chosen]
    rows = [_row(part, tensors, trains=True) for part, tensors in parts.items()]
    if head is not None:
        rows.append(Row("head", len(head.sizes()), sum(head.sizes()), trains=True))
    return [*rows, _row(REST, rest, trains=False)]


def _row(part: str, tensors: list[Tensor], *, trains: bool) -> Row:
    return Row(part, len(tensors), sum(tensor.numel() for tensor in tensors), trains)
