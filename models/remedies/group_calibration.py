"""Group calibration: the projection of a trained tower is tuned again on what it gets wrong, without labels of groups (CFR)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gelo.models.adapt.base import Offer, without_blocks
from gelo.models.faults import Fault, UserError
from gelo.models.remedies.base import Bench, RemedySpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gelo.models.tower import Tower

_AT_ONCE = 64  # images in a forward pass
_ROWS = 1024  # features in a matrix product with all others


class GroupCalibration(RemedySpec):
    """Contrastive feature recalibration (arXiv 2403.07241), a second phase on `visual.proj` alone. Anchors: training images that the
    trained head gets wrong. An epoch goes through them once, in batches of `anchors`, by SGD with momentum 0.9 and weight decay 1e-5 on
    strength * c (task's loss of the anchors + mean over anchors and positives p of -log softmax([a.p, a.n_1, ...] / temperature)[0]), a,
    p, n of unit length, c = 1 + 0.5 cos(2 pi epoch / epochs). positives: of images of the anchor's class that are recognised, drawn anew
    each time; negatives: those of other classes that were nearest to the anchor after training, which is the paper's rule.

    The published code (charlesyou999648/CFR) differs: it overwrites the nearest by random images of the same class, and does not run as
    it is; its numbers are the defaults here. Left out: its third loss, which keeps classes apart, and its dropout. There the texts of the
    classes are the head; here it is the trained one, which stays as it is. strength 0 or epochs 0, and a training set without an error,
    leave the trained tower bit for bit. At most `images` training images are looked at, drawn from the seed. Costs one forward pass of
    these; a step is a matrix product.
    """

    trains: ClassVar[bool] = False
    retrains: ClassVar[bool] = True
    needs: ClassVar[frozenset[Offer]] = frozenset({"plain"})

    kind: Literal["group_calibration"] = "group_calibration"
    strength: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    epochs: int = Field(default=100, ge=0)
    anchors: int = Field(default=128, ge=1)
    lr: float = Field(default=1e-4, gt=0, allow_inf_nan=False)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    positives: int = Field(default=16, ge=1)
    negatives: int = Field(default=16, ge=1)
    images: int = Field(default=20_000, ge=1)

    def faults(self, layers: int | None, where: str = "remedy") -> list[Fault]:
        """See RemedySpec."""
        return without_blocks(where, "leave group_calibration out") if layers is None else []

    def finish(self, tower: Tower, bench: Bench) -> Tower:
        """See the class; how many anchors there were is noted. Raises UserError for a head without logits."""
        import numpy as np
        import torch

        if not self.strength or not self.epochs:
            return tower
        head, source, shown = bench.trainer()
        seen = np.sort(np.random.default_rng([bench.seed, 2]).permutation(len(source.labels))[: self.images])
        encoder = tower.encoder(bench.base).with_transform(shown.transform)
        parts = [seen[start : start + _AT_ONCE] for start in range(0, len(seen), _AT_ONCE)]
        taken = (encoder.encode_images(source.take(part, None, slice(None)), projected=False) for part in parts)
        trunk = torch.from_numpy(np.concatenate(list(taken))).to(shown.device)
        labels = np.asarray(source.labels[seen], np.int64)
        start = tower.weights["proj"].to(shown.device)
        right = self._predicted(trunk @ start, bench) == labels
        fit = {label: np.flatnonzero(right & (labels == label)) for label in np.unique(labels[~right])}
        anchors = np.flatnonzero(~right & np.isin(labels, [label for label, rows in fit.items() if len(rows)]))
        if not len(anchors) or len(np.unique(labels)) < 2:
            return tower.with_weights(tower.weights, group_calibration={"anchors": 0})
        strangers = self._nearest_strangers(trunk @ start, anchors, labels)
        proj = start.clone().requires_grad_(True)
        optimizer = torch.optim.SGD([proj], lr=self.lr, momentum=0.9, weight_decay=1e-5)
        known = torch.from_numpy(labels).to(shown.device)
        for epoch in range(self.epochs):
            draws = np.random.default_rng([bench.seed, 3, epoch])
            order = draws.permutation(len(anchors))
            for number, first in enumerate(range(0, len(order), self.anchors)):
                own = order[first : first + self.anchors]
                chosen = anchors[own]
                friends = np.stack([draws.choice(fit[labels[row]], self.positives) for row in chosen])
                features = trunk[chosen] @ proj
                head.begin(epoch * len(order) + number, known[chosen])
                near = self.recalibration(features, trunk[friends] @ proj, trunk[strangers[own]] @ proj)
                share = self.strength * (1 + 0.5 * math.cos(2 * math.pi * epoch / self.epochs))
                optimizer.zero_grad()
                (share * (head.loss(features, known[chosen]) + near)).backward()
                optimizer.step()
        moved = {**tower.weights, "proj": proj.detach().to(tower.weights["proj"].device)}
        return tower.with_weights(moved, group_calibration={"anchors": len(anchors)})

    def recalibration(self, anchors: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """(n, d), (n, P, d), (n, N, d), not normalised -> the contrastive loss, a scalar."""
        import torch
        from torch.nn import functional as F

        a, p, n = (F.normalize(each, dim=-1) for each in (anchors, positives, negatives))
        near = (p @ a[:, :, None])[..., 0] / self.temperature
        far = ((n @ a[:, :, None])[..., 0] / self.temperature).logsumexp(1, keepdim=True)
        return (torch.logaddexp(near, far) - near).mean()

    def _predicted(self, features: Tensor, bench: Bench) -> NDArray[np.int64]:
        """(N, d) -> the class that the trained head takes each for."""
        import numpy as np
        from torch.nn import functional as F

        assert bench.head is not None
        tensors = {name: each.cpu().numpy() for name, each in bench.head.whole().items()}
        try:
            weight, bias = bench.head.spec.detector(tensors)
        except KeyError as error:
            found = f"a head {bench.head.spec.kind} without {error.args[0]}"
            raise UserError("group_calibration", Fault("head", found, "one that says its logits")) from None
        unit = F.normalize(features, dim=1).cpu().numpy().astype(np.float64)
        parts = [(part @ weight.T + bias).argmax(1) for part in np.array_split(unit, -(-len(unit) // _ROWS))]
        return np.concatenate(parts)

    def _nearest_strangers(
        self, features: Tensor, anchors: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """(A, N): of each anchor the rows of other classes with the largest cosines; some twice where there are fewer than N."""
        import numpy as np
        import torch
        from torch.nn import functional as F

        unit, known, found = F.normalize(features, dim=1), torch.from_numpy(labels).to(features.device), []
        for part in np.array_split(anchors, -(-len(anchors) // _ROWS)):
            cosines = (unit[part] @ unit.T).masked_fill(known[part][:, None] == known, -2.0)
            most = min(self.negatives, int((known[part][:, None] != known).sum(1).min()))
            found.append(cosines.topk(most, dim=1).indices.cpu().numpy())
        return np.concatenate([np.resize(row, self.negatives)[None] for part in found for row in part])
