"""`World`: the processes that share a training run, joined by torch.distributed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

CPU = torch.device("cpu")
_AT_ONCE = 16 * 2**20  # numbers of one all-reduce, which are copied for it: 64 MB


@dataclass(frozen=True, slots=True)
class World:
    """rank of size. One process needs no process group; with more, torch.distributed is initialised before.

    Gradients are averaged after the backward pass, not by a wrapper around the model: a remedy may run the model as often as it likes, on
    whatever it likes, and take gradients of its own. The price is that nothing overlaps with the backward pass.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    def mean(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The mean over ranks of each, without gradients; small ones go together."""
        if self.size == 1:
            return list(tensors)
        means: list[Tensor] = []
        for group in _groups(tensors):
            flat = torch.cat([tensor.detach().reshape(-1) for tensor in group])
            dist.all_reduce(flat)
            parts = flat.div_(self.size).split([tensor.numel() for tensor in group])
            means += [part.view_as(tensor) for part, tensor in zip(parts, group, strict=True)]
        return means

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """Every `.grad` becomes its mean over ranks; one that is missing on some counts as zero, one that is missing on all stays so, as in
        one process: an optimiser passes over it, weight decay too."""
        if self.size > 1 and parameters:
            there = self.most(torch.tensor([float(p.grad is not None) for p in parameters], device=self.device))
            some = [p for p, found in zip(parameters, there.tolist(), strict=True) if found]
            own = [torch.zeros_like(p) if p.grad is None else p.grad for p in some]
            for parameter, gradient in zip(some, self.mean(own), strict=True):
                parameter.grad = gradient

    def gather(self, x: Tensor) -> Tensor:
        """(n, ...) of each rank -> (size n, ...) on all, in the order of the ranks. Gradients go back summed over ranks: a loss on what was
        gathered is the same on every rank, and so its gradient comes `size` times, which `average` divides by."""
        if self.size == 1:
            return x
        from torch.distributed.nn.functional import all_gather

        parts = all_gather(x.contiguous())
        for part in parts:
            if part.requires_grad:  # gloo sends the memory as it lies: of a gradient that is a view, other numbers
                part.register_hook(Tensor.contiguous)
        return torch.cat(parts)

    def total(self, x: Tensor) -> Tensor:
        """The sum over ranks, without gradients."""
        return self._reduced(x, dist.ReduceOp.SUM)

    def most(self, x: Tensor) -> Tensor:
        """The largest over ranks, number by number, without gradients."""
        return self._reduced(x, dist.ReduceOp.MAX)

    def _reduced(self, x: Tensor, how: dist.ReduceOp.RedOpType) -> Tensor:
        if self.size == 1:
            return x
        found = x.detach().clone()
        dist.all_reduce(found, op=how)
        return found

    def collect(self, x: Tensor) -> Tensor:
        """(n, ...) of each rank, n its own -> (sum of n, ...) on rank 0's CPU, in the order of the ranks; (0, ...) on the others."""
        if self.size == 1:
            return x.detach().cpu()
        counts = self.gather(torch.tensor([len(x)], device=x.device))
        if self.rank:
            dist.send(x.detach().contiguous(), dst=0)
            return x.detach()[:0].cpu()
        parts = [x.detach().cpu()]
        for rank in range(1, self.size):
            part = x.new_empty((int(counts[rank]), *x.shape[1:]))
            dist.recv(part, src=rank)
            parts.append(part.cpu())
        return torch.cat(parts)

    def any(self, flag: bool) -> bool:
        """True on every rank when it is on one: every decision to stop, to save or to fail goes through this."""
        return flag if self.size == 1 else bool(self.most(torch.tensor(float(flag), device=self.device)))

    def tell(self, value: Any) -> Any:
        """Rank 0's value on every rank: JSON, as what comes over a socket is not unpickled."""
        if self.size == 1:
            return value
        told = np.frombuffer(json.dumps(value).encode(), np.uint8).copy()
        length = torch.tensor(len(told), device=self.device)
        dist.broadcast(length, src=0)
        text = torch.from_numpy(told).to(self.device)
        if self.rank:
            text = torch.empty(int(length), dtype=torch.uint8, device=self.device)
        dist.broadcast(text, src=0)
        return json.loads(text.cpu().numpy().tobytes())

    def share(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rank 0's tensors on every rank, whatever it had under these names; with several ranks on this one's device."""
        if self.size == 1:
            return dict(tensors)
        told = {name: (str(each.dtype).removeprefix("torch."), list(each.shape)) for name, each in tensors.items()}
        found = {}
        for name, (kind, shape) in self.tell(told).items():
            if self.rank:
                held = torch.empty(shape, dtype=getattr(torch, kind), device=self.device)
            else:
                held = tensors[name].detach().to(self.device, copy=True).contiguous()
            dist.broadcast(held, src=0)
            found[name] = held
        return found

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Rank 0 goes through the block before the others do: what it leaves in a cache they find there."""
        if self.rank:
            self.any(False)
        yield
        if not self.rank:
            self.any(False)


def _groups(tensors: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
    """Neighbours of one kind of number, together at most `_AT_ONCE` numbers where there are several."""
    first, numbers = 0, 0
    for place, tensor in enumerate(tensors):
        if place > first and (numbers + tensor.numel() > _AT_ONCE or tensor.dtype != tensors[first].dtype):
            yield tensors[first:place]
            first, numbers = place, 0
        numbers += tensor.numel()
    if tensors:
        yield tensors[first:]
