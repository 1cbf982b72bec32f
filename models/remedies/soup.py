"""Model soups: the mean of the weights of trials that differ in their seed (arXiv 2203.05482, uniform)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from gelo.models.adapt.base import Offer
from gelo.models.remedies.base import Bench, RemedySpec

if TYPE_CHECKING:
    from gelo.models.tower import Tower


class Soup(RemedySpec):
    """The uniform mean over the trials of these `seeds` that are else alike; all of them belong to the sweep, which trains them once. The
    head is that of the trial's own seed: the others' was trained with other features, and a mean of heads classifies nothing."""

    trains: ClassVar[bool] = False
    needs: ClassVar[frozenset[Offer]] = frozenset({"plain"})

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
        """The mean in float64, rounded once; of one trial its own weights, bit for bit."""
        states = [parent.weights for parent in bench.parents.values()]
        mixed = {}
        for name, first in states[0].items():
            if first.is_floating_point():
                mixed[name] = (
                    sum((state[name].double() for state in states[1:]), first.double()).div(len(states)).to(first.dtype)
                )
            else:
                mixed[name] = first.clone()
        return tower.with_weights(mixed)
