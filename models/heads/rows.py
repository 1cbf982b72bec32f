"""`RowAdamW`: AdamW where only some rows of a matrix step, each with a count of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import AdamW

if TYPE_CHECKING:
    from gelo.models.heads.classes import ClassHead


class RowAdamW(AdamW):
    """A row that was not drawn rests: neither its moments nor its weight decay go on, and its bias correction counts its own steps.

    What it keeps has AdamW's own form for the whole kernel (d, C), on any number of processes; `step` is one number where every step drew
    all, which AdamW goes on from and which goes on from AdamW's, else one a class.
    """

    def __init__(self, head: ClassHead, **options: Any) -> None:
        super().__init__([head.drawn], **options)
        self.head = head
        self.moments: tuple[Tensor, Tensor] | None = None
        self.steps = torch.zeros(0, dtype=torch.int32)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of the rows that were drawn; their gradients lie at `head.drawn`."""
        head, gradient = self.head, self.head.drawn.grad
        if gradient is None:
            return
        if self.moments is None:
            self._set(torch.zeros_like(head.rows), torch.zeros_like(head.rows), head.rows.new_zeros(head.held))
        assert self.moments is not None
        group = self.param_groups[0]
        rate, (beta1, beta2) = float(group["lr"]), group["betas"]
        chosen = slice(None) if head.index is None else head.index
        first, second, rows = self.moments[0][chosen], self.moments[1][chosen], head.drawn.data
        self.steps[chosen] += 1
        count = self.steps[chosen].double()[:, None]
        first.lerp_(gradient, 1 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = (1 - beta2**count).sqrt().to(rows.dtype)
        size = (rate / (1 - beta1**count)).to(rows.dtype)
        rows.mul_(1 - rate * group["weight_decay"])
        rows.sub_(second.sqrt().div_(root).add_(group["eps"]).reciprocal_().mul_(first).mul_(size))
        if head.index is not None:  # copies were made: put them back
            for whole, part in zip((*self.moments, head.rows), (first, second, rows), strict=True):
                whole.index_copy_(0, head.index, part)

    def state_dict(self) -> dict[str, Any]:
        """AdamW's, of the whole kernel, on rank 0's CPU. Every process calls it."""
        state: dict[int, dict[str, Tensor]] = {}
        if self.moments is not None:
            first, second = (self.head.gathered(each) for each in self.moments)
            steps = self.head.gathered(self.steps)
            if self.head.spec.sample == 1 and len(steps):
                steps = steps[0].float()
            state[0] = {"step": steps, "exp_avg": first, "exp_avg_sq": second}
        return {"state": state, "param_groups": super().state_dict()["param_groups"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Inverse of `state_dict`, and AdamW's own of a kernel."""
        super().load_state_dict({"state": {}, "param_groups": state_dict["param_groups"]})
        if found := state_dict["state"].get(0):
            steps = found["step"] if found["step"].dim() else found["step"].expand(self.head.classes)
            first, second = (self.head.share(found[name]) for name in ("exp_avg", "exp_avg_sq"))
            self._set(first, second, self.head.share(steps))

    def _set(self, first: Tensor, second: Tensor, steps: Tensor) -> None:
        rows = self.head.rows
        self.moments = first.to(rows).contiguous(), second.to(rows).contiguous()
        self.steps = steps.to(rows.device, torch.int32, copy=True)
