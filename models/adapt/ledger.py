"""The table of what trains, and the proof of it: two steps must move every tensor that trains and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from gelo.models.adapt.adapted import Adapted
from torch import Tensor, nn

REST = "everything else"
STEPS = 2  # one is not enough: lora_B starts at 0, so lora_A has no gradient in the first


@dataclass(frozen=True, slots=True)
class Row:
    """One part of the encoder. parameters: numbers in its tensors. moved: tensors that the proof steps changed; None
    before."""

    part: str
    tensors: int
    parameters: int
    trains: bool
    moved: int | None = None

    def as_dict(self) -> dict[str, str | int | bool | None]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class LedgerError(RuntimeError):
    """What moved is not what the ledger says trains."""


def ledger(adapted: Adapted, head: nn.Module | None = None) -> list[Row]:
    """One row per part that trains, one for the head where there is one, and one for all that does not train."""
    return [_row(part, tensors, trains) for part, (tensors, trains) in _parts(adapted, head).items()]


def prove(adapted: Adapted, step_fn: Callable[[], object], head: nn.Module | None = None) -> list[Row]:
    """The ledger with `moved` after two calls of `step_fn`, each one optimiser step. Weights are put back; the
    optimiser is the caller's to throw away. Raises LedgerError naming the tensors, when one that trains stays or one
    that does not moves."""
    parts = _parts(adapted, head)
    before = {
        part: {name: tensor.detach().clone() for name, tensor in tensors.items()}
        for part, (tensors, _) in parts.items()
    }
    for _ in range(STEPS):
        step_fn()
    rows: list[Row] = []
    wrong: list[str] = []
    for part, (tensors, trains) in parts.items():
        moved = {name for name, tensor in tensors.items() if not torch.equal(tensor.detach(), before[part][name])}
        rows.append(replace(_row(part, tensors, trains), moved=len(moved)))
        wrong += [
            f"{name} {'stayed' if trains else 'moved'}" for name in sorted(tensors.keys() - moved if trains else moved)
        ]
        with torch.no_grad():
            for name in moved:
                tensors[name].copy_(before[part][name])
    if wrong:
        raise LedgerError(
            f"after {STEPS} proof steps {len(wrong)} tensors are not as the ledger says: {', '.join(wrong[:8])}"
        )
    return rows


def render(rows: Iterable[Row]) -> str:
    """The ledger as aligned text."""
    rows = list(rows)
    lines = [f"{'part':<24}{'tensors':>8}{'parameters':>14}  trains  moved in two proof steps"]
    for row in rows:
        moved = "" if row.moved is None else f"{row.moved} of {row.tensors}"
        trains = "yes" if row.trains else "no"
        lines.append(f"{row.part:<24}{row.tensors:>8,}{row.parameters:>14,}  {trains:<6}  {moved}".rstrip())
    return "\n".join(lines)


def _parts(adapted: Adapted, head: nn.Module | None) -> dict[str, tuple[dict[str, Tensor], bool]]:
    trainable = adapted.trainable()
    parts: dict[str, tuple[dict[str, Tensor], bool]] = {}
    for name, parameter in trainable.items():
        parts.setdefault(adapted.parts[name], ({}, True))[0][name] = parameter
    if head is not None:
        parts["head"] = (dict(head.named_parameters()), True)
    chosen = {id(parameter) for parameter in trainable.values()}
    rest = {name: p for name, p in adapted.network.named_parameters() if id(p) not in chosen}
    parts[REST] = ({**rest, **dict(adapted.network.named_buffers())}, False)
    return parts


def _row(part: str, tensors: dict[str, Tensor], trains: bool) -> Row:
    return Row(part, len(tensors), sum(tensor.numel() for tensor in tensors.values()), trains)
