"""The proof of an export: what another library reads from the files gives the features of the encoder that they were made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gelo.models.encoder import Encoder
from gelo.models.faults import Fault, UserError

_TEXTS = ("a photo of a cat", "bona-fide presentation")


@dataclass(frozen=True)
class Sample:
    """Inputs and what the encoder makes of them. pixels: float32 (N, 3, S, S), normalised; tokens: (T, context length); images, texts:
    features (N, d) and (T, d), not normalised."""

    pixels: Tensor
    tokens: Tensor
    images: NDArray[np.float32]
    texts: NDArray[np.float32]


def sample_of(encoder: Encoder, images: int = 3) -> Sample:
    """Noise and two texts through the encoder, always the same."""
    side = encoder.transform.size
    noise = np.random.default_rng(0).integers(0, 256, (images, side, side, 3), dtype=np.uint8)
    pixels = encoder.transform.normalise(torch.from_numpy(noise))
    tokens = encoder.tokenizer(list(_TEXTS))
    return Sample(pixels, tokens, encoder.encode_images(noise), encoder.encode_texts(_TEXTS))


def refuse_other(what: str, ours: NDArray[np.float32], theirs: NDArray[np.float32], tolerance: float) -> float:
    """The largest difference of two sets of features, as a share of the length of the longest. Raises UserError above `tolerance`, and
    where one is not finite."""
    longest = float(np.linalg.norm(ours, axis=1).max())
    apart = float(np.abs(ours - theirs).max()) / longest if ours.shape == theirs.shape else float("inf")
    if not apart <= tolerance:
        fault = Fault(what, f"features that differ by {apart:.1e}", f"at most {tolerance:.0e}", "nothing was written")
        raise UserError("export", fault)
    return apart


@contextmanager
def undrawn() -> Iterator[None]:
    """Models of other libraries are born with random weights: drawn beside the global random state, in eager float32, without gradients."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        yield
