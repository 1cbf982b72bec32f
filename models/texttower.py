"""The text side of a model: texts to features, its own fingerprint, and what stands in its place where there is none."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from gelo.models.faults import Fault, UserError
from gelo.models.fingerprint import digest, fitting, vocabulary

Tokenizer = Callable[[list[str]], Tensor]


class Unasked:
    """In place of a tokenizer, where there is none or no text tower: an encoder of images alone."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def __call__(self, texts: list[str]) -> Tensor:
        """Raises UserError."""
        raise UserError("texts", self.fault)


class TextTower:
    """The text side of one model: shared by every encoder of which only the vision tower was tuned from it."""

    def __init__(self, model: nn.Module, tokenizer: Tokenizer, config: Mapping[str, Any]) -> None:
        """`model` has encode_text and logit_scale and no vision tower; `config` is the part of the architecture that is
        text."""
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.config = config

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over tensors, architecture and tokenizer."""
        return digest("text", self.model.state_dict(), self.config, vocabulary(self.tokenizer))

    def with_state(self, state: Mapping[str, Tensor]) -> TextTower:
        """The same with other weights: another tower, by its fingerprint too. Raises ValueError, naming the tensors, unless `state` has
        exactly its names and shapes."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(fitting(state, model.state_dict(), "the text tower"), strict=True)
        return TextTower(model, self.tokenizer, self.config)

    @property
    def unasked(self) -> str:
        """Why no text can be asked; "" where texts can."""
        if not isinstance(self.tokenizer, Unasked):
            return ""
        return f"no text can be asked: {self.tokenizer.fault.found}, needed is {self.tokenizer.fault.expected}"

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by, already exponentiated (about 100 for OpenAI's weights); NaN where there is no text tower."""
        scale = getattr(self.model, "logit_scale", None)
        return float(scale.detach().exp().item()) if isinstance(scale, Tensor) else math.nan
