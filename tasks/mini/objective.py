"""What pre-training minimises: image-text contrast, contrast against one caption per class, and attributes told by name.

Contrast within a batch alone stays near chance at this size and in this time; the other two terms use nothing but what the
captions say. The attribute heads are dropped from the saved weights.
"""

from __future__ import annotations

import numpy as np
import torch
from open_clip.model import CLIP
from torch import Tensor, nn
from torch.nn import functional as F

from gelo.tasks.mini.pool import GENERAL, Pool
from gelo.tasks.mini.worlds.palette import NAMES

_ABSENT = -100  # cross_entropy's own mark for "not counted"


class AttributeHeads(nn.Module):
    """Linear heads on the image feature: which class of which world, which colour, which ground."""

    def __init__(self, dim: int, classes: int = GENERAL.classes) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(
            {
                "class": nn.Linear(dim, classes),
                "colour": nn.Linear(dim, len(NAMES)),
                "ground": nn.Linear(dim, len(NAMES)),
            }
        )

    def forward(self, features: Tensor, targets: dict[str, Tensor]) -> Tensor:
        """Sum of the cross-entropies, colours at a quarter; features (N, dim), targets (N,) with -100 where nothing is said."""
        losses = [
            self.weight(name) * F.cross_entropy(head(features), targets[name]) for name, head in self.heads.items()
        ]
        return torch.stack(losses).sum()

    @staticmethod
    def weight(name: str) -> float:
        return 1.0 if name == "class" else 0.25


def targets_of(
    worlds: np.ndarray, labels: np.ndarray, words: list[dict[str, str]], pool: Pool = GENERAL
) -> dict[str, Tensor]:
    """Numbers of class, colour and ground of N images, (N,) int64 each."""
    named = {key: [NAMES.index(w[key]) if key in w else _ABSENT for w in words] for key in ("colour", "ground")}
    return {
        "class": torch.from_numpy(pool.first[worlds] + labels),
        **{key: torch.tensor(ids) for key, ids in named.items()},
    }


def text_features(model: CLIP, tokens: Tensor) -> Tensor:
    """`model.encode_text`, normalised, computed no further than the longest text goes: causal, so the rest changes nothing."""
    used = int((tokens != 0).sum(dim=1).max())
    tokens = tokens[:, :used]
    x = model.token_embedding(tokens) + model.positional_embedding[:used]
    mask = model.attn_mask
    assert isinstance(mask, Tensor) and isinstance(model.text_projection, Tensor)
    x = model.ln_final(model.transformer(x, attn_mask=mask[:used, :used]))
    return F.normalize(x[torch.arange(len(x)), tokens.argmax(dim=1)] @ model.text_projection, dim=-1)


def loss(
    model: CLIP, heads: AttributeHeads, pixels: Tensor, tokens: Tensor, bare: Tensor, targets: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The three terms. pixels (N, 3, 64, 64) normalised; tokens (N, L) of their captions; bare (classes, L), one a class."""
    raw = model.visual(pixels)
    assert isinstance(raw, Tensor)
    images = F.normalize(raw, dim=-1)
    texts = text_features(model, torch.cat([tokens, bare]))
    scale = model.logit_scale.exp().clamp(max=100.0)
    captions, classes = texts[: len(tokens)], texts[len(tokens) :]
    logits = scale * images @ captions.T
    # equal captions are equally right
    same = (tokens[:, None, :] == tokens[None, :, :]).all(dim=2).float()
    same = same / same.sum(dim=1, keepdim=True)
    contrast = 0.5 * (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same))
    return {
        "contrast": contrast,
        "classes": F.cross_entropy(scale * images @ classes.T, targets["class"]),
        "attributes": heads(raw, targets),
    }
