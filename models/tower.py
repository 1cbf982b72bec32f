"""`Tower`: what a trial keeps and what evaluates. Plain weights, or tensors with the specs that build a module of them, in order; beside
them the text tower where it trained too."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, Field, TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gelo.models.encoder import Encoder
from gelo.models.untrusted import read_model

ENCODER = "encoder"  # the group of the whole vision tower, under open_clip's names
TEXT = "text"  # the group of a text tower of its own, with its logit scale, under open_clip's names
HOW = "tower.json"


class _Layer(BaseModel):
    group: str = Field(pattern=r"^\w+$", max_length=100)  # becomes the name of a file
    spec: dict[str, Any]


class _How(BaseModel):
    """tower.json."""

    build: tuple[_Layer, ...] = ()
    notes: dict[str, Any] = {}
    text: str | None = None


class Builds(Protocol):
    """A spec (of an adaptation, of a remedy) that puts something around a tower."""

    def rebuild(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        """`network` with what `tensors` hold around it or in it; it may be changed in place."""

    def canonical(self) -> dict[str, Any]:
        """Its fields."""


@dataclass(frozen=True)
class Tower:
    """tensors: by group, `ENCODER` among them; `TEXT` where the text tower is not the base's. build: (group, spec) of each layer around the
    plain weights, in order; () = plain weights, which merge and which open_clip loads. notes: what a remedy says of how it was made, for
    people."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    build: tuple[tuple[str, Builds], ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether the weights of the encoder say all."""
        return not self.build

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The whole vision tower under open_clip's names."""
        return self.tensors[ENCODER]

    @property
    def text(self) -> Mapping[str, Tensor] | None:
        """The text tower under open_clip's names, logit scale included; None where it is the base's."""
        return self.tensors.get(TEXT)

    def with_weights(
        self, weights: Mapping[str, Tensor], *, text: Mapping[str, Tensor] | None = None, **notes: object
    ) -> Tower:
        """Others in their place, text: of the text tower, where it has one of its own. Raises ValueError where the tower is more than its
        weights, and where one tower would be exchanged and the other not."""
        if not self.plain:
            raise ValueError("this tower is not its weights alone: they cannot be exchanged")
        if (self.text is None) is not (text is None):
            raise ValueError("a vision tower and its text tower are exchanged together")
        own = {} if text is None else {TEXT: dict(text)}
        return replace(self, tensors={ENCODER: dict(weights), **own}, notes={**self.notes, **notes})

    def wrapped(self, group: str, spec: Builds, tensors: Mapping[str, Tensor]) -> Tower:
        """One more layer. Raises ValueError for a group that is there already."""
        if group in self.tensors:
            raise ValueError(f"a tower cannot have two layers called {group}")
        return replace(self, tensors={**self.tensors, group: dict(tensors)}, build=(*self.build, (group, spec)))

    def encoder(self, base: Encoder) -> Encoder:
        """`base` with this tower, frozen, and with its text tower where there is one. That of plain weights has the fingerprint that
        `Encoder.with_visual` gives.

        Raises ValueError where the tensors are not those of the architecture.
        """
        made = base.with_visual(self.weights)
        made = made if self.text is None else made.with_text(self.text)
        if self.plain:
            return made
        network = copy.deepcopy(made.visual)
        for group, spec in self.build:
            network = spec.rebuild(network, self.tensors[group])
        return made.around(network.to(base.device), [[group, spec.canonical()] for group, spec in self.build])

    def save(self, folder: Path) -> None:
        """<group>.safetensors, and tower.json where there is more than weights."""
        for group, tensors in self.tensors.items():
            save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, folder / f"{group}.safetensors")
        if self.build or self.notes or self.text is not None:
            how = [{"group": group, "spec": spec.canonical()} for group, spec in self.build]
            own = {} if self.text is None else {"text": TEXT}
            (folder / HOW).write_text(json.dumps({"build": how, "notes": dict(self.notes), **own}))

    @classmethod
    def read(cls, folder: Path, specs: TypeAdapter[Any]) -> Tower:
        """What `save` wrote; a folder without tower.json is plain. specs: the union of all adaptations and remedies.

        Raises OSError for files that are not there, SafetensorError for those that are none, UserError for another tower.json, pydantic's
        ValidationError for a spec that is not known here.
        """
        path = folder / HOW
        told = read_model(path, _How) if path.is_file() else _How()
        build = tuple((each.group, specs.validate_python(each.spec)) for each in told.build)
        groups = [ENCODER, *([TEXT] if told.text is not None else []), *(group for group, _ in build)]
        return cls({group: load_file(folder / f"{group}.safetensors") for group in groups}, build, told.notes)
