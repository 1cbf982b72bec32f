"""A loss that stands for zero-shot accuracy where a gradient is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gelo.models.encoder import Encoder
from gelo.models.training.steep import Encode
from gelo.tasks.training.shown import Shown


def zero_shot_losses(
    base: Encoder, sets: Mapping[str, tuple[Shown, NDArray[np.float64]]], encode: Encode, which: slice
) -> Tensor:
    """(n,) cross-entropy of CLIP's logits over the own prompts of an image's set. which: places in the order that has the first image of
    each set, then the second of each, ...; fewer where there are no more. Prompts and logit scale are the base's. sets: by name, images and
    (d, K) unit columns."""
    turns = sorted((place, name) for name, (shown, _) in sets.items() for place in range(len(shown.labels)))
    chosen = sorted(turns[which], key=lambda turn: turn[1])
    if not chosen:
        return torch.zeros(0, device=base.device)
    pixels = np.stack([sets[name][0].pixels[place] for place, name in chosen])
    features = F.normalize(encode(base.transform.normalise(torch.from_numpy(pixels).to(base.device))), dim=1)
    labels = torch.tensor([int(sets[name][0].labels[place]) for place, name in chosen], device=features.device)
    counts = Counter(name for _, name in chosen)
    losses = []
    for name, own, truth in zip(
        counts, features.split(list(counts.values())), labels.split(list(counts.values())), strict=True
    ):
        logits = base.logit_scale * own @ torch.from_numpy(sets[name][1]).to(own)
        losses.append(F.cross_entropy(logits, truth, reduction="none"))
    return torch.cat(losses)
