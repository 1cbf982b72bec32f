"""`Encoder`: images and texts to features, and the fingerprints of all that can change them.

Decisions: float32 throughout, inference mode, one forward per call, so that a call depends on its input alone. Features
are those after the projection and not normalised; protocols normalise where they say so. The text tower is one object
that encoders with other visual weights share, so its embeddings are computed once; one that was trained has a text tower of its own.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from gelo.models.around import Around
from gelo.models.backbones.transforms import Transform
from gelo.models.faults import Fault, UserError
from gelo.models.fingerprint import digest, fitting
from gelo.models.texttower import TextTower, Tokenizer

TEXT_BATCH = 256


class Encoder:
    """A vision tower, its text tower and its transform. Weights are never changed in place: see `with_visual`."""

    def __init__(
        self,
        visual: nn.Module,
        text: TextTower,
        transform: Transform,
        *,
        name: str,
        dim: int,
        scale: Literal["miniature", "full"],
        config: Mapping[str, Any],
        device: str | torch.device = "cpu",
    ) -> None:
        """`config`: the part of the architecture that is vision (activation, heads...): two towers of equal tensors can
        differ."""
        self.visual = visual.eval().requires_grad_(False)
        self.text = text
        self.transform = transform
        self.name = name
        self.dim = dim
        self.scale = scale
        self.config = config
        self.device = torch.device(device)
        self.precision: Literal["fp32"] = "fp32"

    @property
    def tokenizer(self) -> Tokenizer:
        """Texts to token ids (N, context length)."""
        return self.text.tokenizer

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by, already exponentiated."""
        return self.text.logit_scale

    @cached_property
    def vision_fingerprint(self) -> str:
        """16 hex digits over tensors, architecture, transform and precision."""
        return digest("vision", self.visual.state_dict(), self.config, self.transform.canonical(), self.precision)

    @property
    def text_fingerprint(self) -> str:
        """16 hex digits over the text tower's tensors, architecture and tokenizer, and the precision."""
        return hashlib.sha256(f"{self.text.fingerprint} {self.precision}".encode()).hexdigest()[:16]

    def encode_images(
        self, pixels: NDArray[np.uint8], *, flip: bool = False, projected: bool = True
    ) -> NDArray[np.float32]:
        """uint8 (N, size, size, 3) as `Transform.to_uint8` makes them -> float32 (N, dim), not normalised.

        flip mirrors left and right first. projected=False: (N, width), what the projection into the space of the texts is given. The N
        images go through in one forward pass: N bounds the memory. Raises ValueError for another shape or type, and UserError where a
        tower does not end in a projection.
        """
        tower = self.visual if projected else self._trunk
        side = self.transform.size
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (side, side, 3):
            raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}, uint8 (N, {side}, {side}, 3) is needed")
        if len(pixels) == 0:
            return np.zeros((0, self.dim), dtype=np.float32)
        batch = np.ascontiguousarray(pixels[:, :, ::-1] if flip else pixels)
        if not batch.flags.writeable:  # torch warns about arrays that Arrow or an mmap own
            batch = batch.copy()
        with torch.inference_mode(), exact(self.device):
            features = tower(self.transform.normalise(torch.from_numpy(batch).to(self.device)))
        return features.float().cpu().numpy()

    @cached_property
    def _trunk(self) -> nn.Module:
        """The vision tower without its projection and without what is put around its features; the tensors are shared."""
        visual = self.visual
        while isinstance(visual, Around):
            visual = visual.inner
        if not isinstance(visual, VisionTransformer) or visual.proj is None:
            fault = Fault(
                self.name, f"a {type(visual).__name__} without one", "a vision tower that ends in a projection"
            )
            raise UserError("features before the projection", fault)
        trunk = copy.copy(visual)
        trunk._parameters = {**visual._parameters, "proj": None}
        return trunk

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N,) strings -> float32 (N, dim), not normalised. Raises UserError where there is no text tower, or no tokenizer for it."""
        parts = [np.zeros((0, self.dim), dtype=np.float32)]
        for start in range(0, len(texts), TEXT_BATCH):
            tokens = self.tokenizer(list(texts[start : start + TEXT_BATCH])).to(self.device)
            with torch.inference_mode(), exact(self.device):
                parts.append(self.text.model.encode_text(tokens, normalize=False).float().cpu().numpy())  # type: ignore[operator]
        return np.concatenate(parts)

    def visual_state(self) -> dict[str, Tensor]:
        """Copies of the vision tower's tensors on the CPU, under open_clip's names without "visual."."""
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.visual.state_dict().items()}

    def with_visual(self, state: Mapping[str, Tensor]) -> Encoder:
        """The same encoder with other visual weights; the text tower is the same object.

        Raises ValueError, naming the tensors, unless `state` has exactly this tower's names and shapes.
        """
        visual = copy.deepcopy(self.visual)
        own = visual.state_dict()
        visual.load_state_dict(fitting(state, own, f"the vision tower of {self.name}"), strict=True)
        return self._other(visual, self.transform)

    def text_state(self) -> dict[str, Tensor]:
        """Copies of the text tower's tensors and the logit scale on the CPU, under open_clip's names."""
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.text.model.state_dict().items()}

    def with_text(self, state: Mapping[str, Tensor]) -> Encoder:
        """The same encoder with other weights of the text tower, as `TextTower.with_state` takes them."""
        return self._other(self.visual, self.transform, text=self.text.with_state(state))

    def with_transform(self, transform: Transform) -> Encoder:
        """The same towers behind another transform: another encoder, by its fingerprint too."""
        return self._other(self.visual, transform)

    def around(self, network: nn.Module, how: Sequence[object]) -> Encoder:
        """The same encoder with `network` as its vision tower; `how` it was built, as JSON takes it, is part of the fingerprint."""
        return self._other(network, self.transform, {**self.config, "built": list(how)})

    def _other(
        self,
        visual: nn.Module,
        transform: Transform,
        config: Mapping[str, Any] | None = None,
        text: TextTower | None = None,
    ) -> Encoder:
        return Encoder(
            visual,
            text or self.text,
            transform,
            name=self.name,
            dim=self.dim,
            scale=self.scale,
            config=self.config if config is None else config,
            device=self.device,
        )


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """float32 means float32: on CUDA cuDNN would round the patch embedding's inputs to TF32."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield
