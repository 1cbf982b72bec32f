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

_VOCABULARY, _PLACES = 49408, 77  # where a configuration leaves them to open_clip


@dataclass(frozen=True)
class Sample:
    """Inputs and what the encoder makes of them. pixels: float32 (N, 3, S, S), normalised; tokens: (T, context length), the last
    of each the highest; images, texts: features (N, d) and (T, d), not normalised; no texts, and no tokens, of a vision tower alone."""

    pixels: Tensor
    tokens: Tensor
    images: NDArray[np.float32]
    texts: NDArray[np.float32]


def sample_of(encoder: Encoder, images: int = 3) -> Sample:
    """Noise and two rows of random tokens through the encoder, always the same: no tokenizer is needed."""
    side = encoder.transform.size
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (images, side, side, 3), dtype=np.uint8)
    pixels, shown = encoder.transform.normalise(torch.from_numpy(noise)), encoder.encode_images(noise)
    text = encoder.text.config.get("text_cfg")
    if text is None:
        return Sample(pixels, torch.empty(0, 0, dtype=torch.int64), shown, np.empty((0, encoder.dim), np.float32))
    vocabulary, places = text.get("vocab_size", _VOCABULARY), text.get("context_length", _PLACES)
    tokens = torch.from_numpy(rng.integers(1, vocabulary - 2, (2, places)))
    tokens[:, -1] = vocabulary - 1
    with torch.inference_mode():
        texts = encoder.text.model.encode_text(tokens, normalize=False)  # type: ignore[operator]
    return Sample(pixels, tokens, shown, texts.numpy())


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
