"""Model soups: the mean of the weights of trials that differ in their seed (arXiv 2203.05482, uniform)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from gelo.models.adapt.base import Offer
from gelo.models.remedies.base import Bench, RemedySpec

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.tower import Tower


class Soup(RemedySpec):
    """The uniform mean over the trials of these `seeds` that are else alike; all of them belong to the sweep, which trains them once. The
    head is that of the trial's own seed: the others' was trained with other features, and a mean of heads classifies nothing."""

    trains: ClassVar[bool] = False
    needs: ClassVar[frozenset[Offer]] = frozenset({"plain"})
    texts: ClassVar[bool] = True

    kind: Literal["soup"] = "soup"
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)

    @field_validator("seeds")
    @classmethod
    def _each_once_in_order(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError("seeds from 0, each once")
        return tuple(sorted(seeds))

    def parents(self) -> Mapping[str, Mapping[str, Any]]:
        """See RemedySpec."""
        return {f"seed {seed}": {"seed": seed} for seed in self.seeds}

    def finish(self, tower: Tower, bench: Bench) -> Tower:
        """`mean` of the parents, of both towers where both trained."""
        texts = [parent.text for parent in bench.parents.values() if parent.text is not None]
        return tower.with_weights(
            mean([parent.weights for parent in bench.parents.values()]), text=mean(texts) if texts else None
        )


def mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Tensor by tensor in float64, rounded once; of one state its own, bit for bit. Integers are the first's."""
    mixed = {}
    for name, first in states[0].items():
        if first.is_floating_point():
            total = sum((state[name].double() for state in states[1:]), first.double())
            mixed[name] = total.div(len(states)).to(first.dtype)
        else:
            mixed[name] = first.clone()
    return mixed
