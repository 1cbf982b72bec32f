"""Retrieval at inference, after RECO (arXiv 2306.07196): a tuned feature moves towards what is known of the reference images near it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gelo.models.remedies.base import Bench
from gelo.models.remedies.reference import OnReference

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gelo.models.tower import Tower


_AT_ONCE = 64  # images in a forward pass


class Retrieval(OnReference):
    """f + weight * ||f|| * sum_i s_i v_i over the `k` of `images` reference images whose keys have the largest cosine to f: s the softmax
    of cosine / temperature over these k, keys the tuned features, v_i of unit length. values `text`: the base's zero-shot text embedding
    of the image's class; `image`: the untouched feature of the image. weight 0 leaves f as it is.

    After RECO, whose text could be read in part alone and of which no code is public: there too the texts of the nearest images are
    fused into the query, but by a transformer layer that is trained for it; this one is not trained. k 10, temperature and weight are
    ours. It mends the score of an encoder, not the encoder: every result of such a tower says so. Costs a forward pass of the `images`
    once, and one small matrix product an image at inference.
    """

    trains: ClassVar[bool] = False
    wraps: ClassVar[bool] = True
    curve: ClassVar[str] = "weight"

    kind: Literal["retrieval"] = "retrieval"
    weight: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    k: int = Field(default=10, ge=1)
    temperature: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    values: Literal["text", "image"] = "text"
    images: int = Field(default=512, ge=1)

    def finish(self, tower: Tower, bench: Bench) -> Tower:
        """The memory: `images` of the reference, drawn from the trial's seed; all where there are fewer."""
        import numpy as np
        import torch
        from torch.nn import functional as F

        source = bench.sources["reference"]
        chosen = np.sort(np.random.default_rng([bench.seed, 0]).permutation(len(source.labels))[: self.images])
        parts = [chosen[start : start + _AT_ONCE] for start in range(0, len(chosen), _AT_ONCE)]
        shown = {"keys": tower.encoder(bench.base)} | ({"values": bench.base} if self.values == "image" else {})
        made: dict[str, list[Tensor]] = {name: [] for name in shown}
        for part in parts:
            pixels = source.take(part, None, slice(None))
            for name, encoder in shown.items():
                made[name].append(F.normalize(torch.from_numpy(encoder.encode_images(pixels)), dim=1))
        memory = {name: torch.cat(each) for name, each in made.items()}
        if self.values == "text":
            text = source.classifier(bench.base).detach().cpu().to(memory["keys"].dtype)
            memory["values"] = text.T[torch.from_numpy(np.asarray(source.labels[chosen], np.int64))].contiguous()
        return tower.wrapped("retrieval", self, memory)

    def rebuild(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        """See RemedySpec."""
        from gelo.models.around import Around

        return Around(network, tensors, self._recall)

    def _recall(self, inner: nn.Module, tensors: Mapping[str, Tensor], pixels: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, d)."""
        from torch.nn import functional as F

        features: Tensor = inner(pixels)
        cosines = F.normalize(features, dim=1) @ tensors["keys"].T
        near, which = cosines.topk(min(self.k, cosines.shape[1]), dim=1)
        shares = (near / self.temperature).softmax(1)
        recalled = (shares[:, None] @ tensors["values"][which])[:, 0]
        return features + self.weight * features.norm(dim=1, keepdim=True) * recalled
