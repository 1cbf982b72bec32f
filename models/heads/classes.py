"""`ClassHead`: the head of very many classes: each process holds a range of them, and a step sees those that were drawn (Partial FC).

Decisions: a class is a row, so that what is drawn is contiguous; what is kept has the layout of `Head`, a class a column. The draw is a
function of (seed, step) over all classes, whatever the number of processes. The smaller denominator is not corrected for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gelo.models.faults import UserError
from gelo.models.heads.head import Head
from gelo.models.heads.margin import MarginHead
from gelo.models.heads.rows import RowAdamW

if TYPE_CHECKING:
    from gelo.models.training.world import World


class ClassHead(Head):
    """A margin head (arXiv 2203.15565; deepinsight/insightface: recognition/arcface_torch/partial_fc_v2.py).

    There only what a process holds is drawn from, and what is not drawn moves by weight decay and momentum; here it rests, moments and all.
    """

    spec: MarginHead
    world: World
    rows: Tensor  # (classes of this process, d)

    def __init__(self, spec: MarginHead, dim: int, classes: int, seed: int, world: World) -> None:
        nn.Module.__init__(self)
        self.spec, self.seed, self.world, self.classes = spec, seed, world, classes
        each, more = divmod(classes, world.size)
        self.first = world.rank * each + min(world.rank, more)
        self.held = each + (world.rank < more)
        kernel = spec.start(dim, classes, seed)["kernel"][:, self.first : self.first + self.held]
        self.register_buffer("rows", kernel.T.contiguous(), persistent=False)
        self.drawn = nn.Parameter(torch.empty(0, dim))  # of `rows` those that the step sees
        self.index: Tensor | None = None  # their numbers in `rows`, ascending; None: all
        self.moving = tuple(spec.running())
        for name, tensor in spec.running().items():
            self.register_buffer(name, tensor)

    def begin(self, step: int, labels: Tensor) -> None:
        """See Head: the draw."""
        if self.spec.sample < 1:
            chosen = drawn(self.classes, self.spec.sample, self.world.gather(labels), self.seed, step) - self.first
            self.index = chosen[(chosen >= 0) & (chosen < self.held)].to(self.rows.device)
        self.drawn.data = self.rows if self.index is None else self.rows[self.index]

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Of the micro-batches of all processes, the same on each. Gradients of the features come times the number of processes, by which
        they are divided when what they lead to is averaged; those of the class rows are whole."""
        features, labels = self.world.gather(features), self.world.gather(labels)
        if self.world.size > 1 and features.requires_grad:
            features = features.view_as(features)
            features.register_hook(lambda gradient: gradient * self.world.size)
        running = self._running()
        if running:
            with torch.no_grad():
                self.spec.observe(running, features.detach())
        cosines = (F.normalize(features, dim=1) @ F.normalize(self.drawn, dim=1).T).clamp(-1.0, 1.0)
        place = self._places(labels)
        logits = self.spec.logits(cosines, features, place, running) if len(self.drawn) else cosines
        loss: Tensor = _CrossEntropy.apply(logits, place, self.world)
        return loss

    def logits(self, features: Tensor) -> Tensor:
        """See Head: columns of all processes, put together. A loss of each process's own rows may follow: gradients come out as they do
        from `loss`. Raises UserError where a step sees only some of the classes."""
        if faults := self.spec.unscored():
            raise UserError("training", faults)
        size = self.world.size
        own = slice(self.world.rank * len(features), (self.world.rank + 1) * len(features))
        rows = self.drawn.view_as(self.drawn)
        if size > 1 and rows.requires_grad:
            rows.register_hook(lambda gradient: gradient / size)
        cosines = F.normalize(self.world.gather(features), dim=1) @ F.normalize(rows, dim=1).T
        if size == 1:
            return self.spec.scale * cosines.clamp(-1.0, 1.0)
        each = -(-self.classes // size)
        padded = F.pad(cosines.T.contiguous(), (0, 0, 0, each - self.held))
        every = self.world.gather(padded).unflatten(0, (size, each))
        more = self.classes % size or size
        columns = torch.cat([every[:more].flatten(0, 1), every[more:, : each - 1].flatten(0, 1)])
        return self.spec.scale * columns.T[own].clamp(-1.0, 1.0)

    def _places(self, labels: Tensor) -> Tensor:
        """Where each label stands in `drawn`; -1 for a class of another process. Raises ValueError for one that was not drawn."""
        own = labels - self.first
        here = (own >= 0) & (own < self.held)
        if self.index is None:
            return own.where(here, -1)
        place = torch.searchsorted(self.index, own).clamp(max=max(len(self.index) - 1, 0))
        if bool((here & (self.index[place] != own)).any() if len(self.index) else here.any()):
            raise ValueError("a label that the step was not begun with")
        return place.where(here, -1)

    def optimizer(self, **options: Any) -> RowAdamW:
        """See Head."""
        return RowAdamW(self, **options)

    def alike(self) -> list[nn.Parameter]:
        """See Head: none."""
        return []

    def clip(self, most: float) -> None:
        """See Head: the norm over all processes."""
        gradient = self.drawn.grad
        if gradient is not None:
            norm = self.world.total(gradient.square().sum()).sqrt()
            gradient.mul_((most / (norm + 1e-6)).clamp(max=1.0))

    def whole(self) -> dict[str, Tensor]:
        """See Head."""
        return {"kernel": self.gathered(self.rows), **{name: each.clone() for name, each in self._running().items()}}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Head."""
        own = self.share(state["kernel"])
        if len(self.rows) != len(own) or state.keys() != {"kernel", *self.moving}:
            raise RuntimeError(f"{', '.join(state)} of {state['kernel'].shape[1]} classes, not of {self.classes}")
        self.rows.copy_(own)
        for name, each in self._running().items():
            each.copy_(state[name])

    def sizes(self) -> list[int]:
        """See Head."""
        return [self.classes * self.rows.shape[1]]

    def gathered(self, rows: Tensor) -> Tensor:
        """(held, d) or (held,) of each process -> (d, C) or (C,) on rank 0's CPU; empty elsewhere."""
        found = self.world.collect(rows)
        return found.T.contiguous() if found.dim() == 2 else found

    def share(self, whole: Tensor) -> Tensor:
        """The part of this process, (held, d) or (held,), of (d, C) or (C,)."""
        return (whole.T if whole.dim() == 2 else whole)[self.first : self.first + self.held]

    def _running(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in self.moving}


def drawn(classes: int, share: float, labels: Tensor, seed: int, step: int) -> Tensor:
    """The classes that a step sees, ascending: int64, on the CPU. Those of `labels`, and so many of all others, without replacement and
    each as likely, that they are floor(share * classes) together, or no more than those of `labels`."""
    true = labels.cpu().unique()
    most = int(share * classes)
    if most <= len(true):
        return true
    number = int.from_bytes(hashlib.sha256(f"{seed}/{step}/classes".encode()).digest()[:8], "big") >> 1
    chances = torch.rand(classes, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    chances[true] = 2.0
    return chances.topk(most, sorted=False).indices.sort().values


class _CrossEntropy(torch.autograd.Function):
    """Mean over N of log sum_j exp z_j - z_y, j over the columns of all processes. A backward pass needs no message."""

    @staticmethod
    def forward(context: Any, logits: Tensor, place: Tensor, world: World) -> Tensor:
        """logits (N, n) of this process; place (N,) of the true column, or -1."""
        columns = logits.shape[1]
        least = logits.new_full((len(logits),), -torch.inf)
        top = world.most(logits.max(1).values if columns else least)
        parts = (logits - top[:, None]).exp_()
        total = world.total(parts.sum(1))
        mine = (place >= 0) if columns else torch.zeros_like(place, dtype=torch.bool)
        index = place.clamp(min=0)[:, None]
        true = world.total(logits.gather(1, index)[:, 0].where(mine, 0.0) if columns else torch.zeros_like(top))
        context.save_for_backward(parts, total, index, mine)
        return (top + total.log() - true).mean()

    @staticmethod
    def backward(context: Any, *given: Tensor) -> tuple[Tensor, None, None]:
        """softmax - [j = y], over N."""
        parts, total, index, mine = context.saved_tensors
        found = parts / total[:, None]
        if found.shape[1]:
            found.scatter_add_(1, index, -mine.to(found.dtype)[:, None])
        return found.mul_(given[0] / len(found)), None, None
