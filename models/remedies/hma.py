"""HMA: WiSE-FT with a weight for each block of depth, found on the task at a fixed mean (arXiv 2309.06256)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gelo.models.adapt.base import Offer, without_blocks
from gelo.models.faults import Fault
from gelo.models.remedies.base import Bench, RemedySpec
from gelo.models.remedies.wise import interpolate

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.tower import Tower

_LAYERS = "transformer.resblocks."
_FIRST = ("class_embedding", "positional_embedding", "conv1.", "ln_pre.")
_START = -1.3862943611198906  # logit(0.2), as there
_FLOOR = 0.2  # epsilon, as there


class HMA(RemedySpec):
    """(1 - alpha_k) theta_0 + alpha_k theta_1 in each of `blocks` equal parts k of the depth, the embeddings with the first and what
    follows the transformer with the last. alpha_k = alpha (sigmoid(a_k) + 0.2) / mean_j (sigmoid(a_j) + 0.2), so that their mean is `alpha`
    and one may exceed 1; the a_k, which start alike, are trained by Adam for `steps` steps of `images` training images each, not
    augmented, on the task's loss through the trained head + penalty * sum_k |alpha_k - alpha| (avalonstrel/
    Mitigating-the-Alignment-Tax-of-RLHF). steps 0 is `wise` at the same alpha.

    alpha weighs the tuned weights, as `wise` does; in that code it weighs the base, at a mean of 0.2: here 0.8. Three blocks, the start of
    the a_k, 0.2 and the penalty are the code's; its rate of 2e-5 would move nothing in so few steps: rate, steps and images are ours. Costs
    `steps` passes forward and back, and holds both towers.
    """

    trains: ClassVar[bool] = False
    retrains: ClassVar[bool] = True
    needs: ClassVar[frozenset[Offer]] = frozenset({"plain"})
    curve: ClassVar[str] = "alpha"

    kind: Literal["hma"] = "hma"
    alpha: float = Field(default=0.8, ge=0, le=1)
    blocks: int = Field(default=3, ge=1)
    steps: int = Field(default=200, ge=0)
    images: int = Field(default=32, ge=1)
    lr: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    penalty: float = Field(default=1e-4, ge=0, allow_inf_nan=False)

    def faults(self, layers: int | None, where: str = "remedy") -> list[Fault]:
        """See RemedySpec."""
        if layers is None:
            return without_blocks(where, "remedy: wise")
        found = f"hma of {self.blocks} blocks on a tower of {layers} layers"
        return [Fault(where, found, f"at most {layers}")] if self.blocks > layers else []

    def finish(self, tower: Tower, bench: Bench) -> Tower:
        """See the class; the ratios are noted."""
        start, end = bench.base.visual_state(), dict(tower.weights)
        layers = 1 + max(int(name.split(".")[2]) for name in start if name.startswith(_LAYERS))
        of = {name: self.block(name, layers) for name in start}
        ratios = self._found(start, end, of, bench) if self.steps and self.blocks > 1 else [self.alpha] * self.blocks
        merged: dict[str, Tensor] = {}
        for k, ratio in enumerate(ratios):
            names = [name for name in start if of[name] == k]
            merged |= interpolate({n: start[n] for n in names}, {n: end[n] for n in names}, ratio)
        return tower.with_weights({name: merged[name] for name in start}, hma={"alphas": ratios})

    def block(self, name: str, layers: int) -> int:
        """Of a tensor of the vision tower, by its name."""
        if name.startswith(_LAYERS):
            return int(name.split(".")[2]) * self.blocks // layers
        return 0 if name.startswith(_FIRST) else self.blocks - 1

    def ratios(self, a: Tensor) -> Tensor:
        """(K,) -> alpha_k (K,)."""
        raised = a.sigmoid() + _FLOOR
        return self.alpha * raised / raised.mean()

    def _found(
        self, start: Mapping[str, Tensor], end: Mapping[str, Tensor], of: Mapping[str, int], bench: Bench
    ) -> list[float]:
        import numpy as np
        import torch
        from torch.func import functional_call

        head, source, shown = bench.trainer()
        device = shown.device
        ends = {n: (start[n].to(device), end[n].to(device)) for n in start if start[n].is_floating_point()}
        a = torch.full((self.blocks,), _START, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([a], lr=self.lr)
        draws, rows = np.random.default_rng([bench.seed, 1]), np.arange(len(source.labels))
        for step in range(self.steps):
            chosen = draws.permutation(rows)[: self.images]
            pixels = shown.transform.normalise(torch.from_numpy(source.take(chosen, None, slice(None))).to(device))
            labels = torch.from_numpy(np.asarray(source.labels[chosen], np.int64)).to(device)
            ratios = self.ratios(a)
            by_block = [ratio.to(device) for ratio in ratios]
            mixed = {n: one.lerp(two, by_block[of[n]].to(one.dtype)) for n, (one, two) in ends.items()}
            head.begin(step, labels)
            loss = head.loss(functional_call(shown.visual, mixed, (pixels,)), labels)
            loss = loss + self.penalty * (ratios - self.alpha).abs().sum().to(loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return [float(each) for each in self.ratios(a).detach()]
