"""Model soups: the mean of the weights of trials that differ in seed, rate or length (arXiv 2203.05482; mlfoundations/model-soups)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from gelo.models.adapt.base import Offer
from gelo.models.faults import Fault, UserError
from gelo.models.remedies.base import Bench, RemedySpec
from gelo.models.spec import joined

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.tower import Tower


class Soup(RemedySpec):
    """A mean over the trials of these `seeds`, `lr_backbone` and `epochs`, every combination, that are else alike; all of them belong to
    the sweep, which trains them once. [] is the trial's own seed, rate or number of epochs. The head is that of the trial itself: the
    others' was trained with other features, and a mean of heads classifies nothing.

    rule `uniform`: the mean of all. `greedy`: by the task's validation metric, with that head: the best first, then each in turn, in the
    order of their own scores, as one more of a running mean, and kept where the score is strictly higher (main.py of the code). It scores
    every member and every soup that is tried, 2 n - 1 times for n members; what was kept is noted.
    """

    trains: ClassVar[bool] = False
    needs: ClassVar[frozenset[Offer]] = frozenset({"plain"})
    texts: ClassVar[bool] = True

    kind: Literal["soup"] = "soup"
    seeds: tuple[int, ...] = Field(default=(0, 1, 2))
    rule: Literal["uniform", "greedy"] = joined("uniform")
    lr_backbone: tuple[float, ...] = joined(())
    epochs: tuple[int, ...] = joined(())

    @field_validator("seeds")
    @classmethod
    def _each_once_in_order(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or min(seeds, default=0) < 0:
            raise ValueError("seeds from 0, each once")
        return tuple(sorted(seeds))

    @field_validator("lr_backbone", "epochs")
    @classmethod
    def _positive_each_once_in_order(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(values)) != len(values) or not all(0 < value < float("inf") for value in values):
            raise ValueError("values above 0, each once")
        return tuple(sorted(values))

    @model_validator(mode="after")
    def _of_something(self) -> Soup:
        if not (self.seeds or self.lr_backbone or self.epochs):
            raise ValueError("a soup is of seeds, rates or epochs: name some")
        return self

    @property
    def scores(self) -> bool:
        """See RemedySpec."""
        return self.rule == "greedy"

    def parents(self) -> Mapping[str, Mapping[str, Any]]:
        """See RemedySpec."""
        training = {"lr_backbone": self.lr_backbone, "epochs": self.epochs}
        named = {name: values for name, values in {"seed": self.seeds, **training}.items() if values}
        members = {}
        for values in itertools.product(*named.values()):
            chosen: dict[str, Any] = dict(zip(named, values, strict=True))
            said = ", ".join(f"{name} {value}" for name, value in chosen.items())
            of_training = {name: chosen.pop(name) for name in training if name in chosen}
            members[said] = chosen | ({"training": of_training} if of_training else {})
        return members

    def finish(self, tower: Tower, bench: Bench) -> Tower:
        """The mean in float64, rounded once; of one trial its own weights, bit for bit; of both towers where both trained.

        Raises UserError, with all of them, for members of another architecture than the base's and for weights that are not finite, and for
        `greedy` where the task has no validation metric.
        """
        parents = bench.parents
        faults = list(_flaws(bench.base.visual_state(), {name: parent.weights for name, parent in parents.items()}))
        if faults:
            raise UserError("soup", faults)

        def soup_of(names: Sequence[str]) -> Tower:
            texts = [text for name in names if (text := parents[name].text) is not None]
            return tower.with_weights(
                mean([parents[name].weights for name in names]), text=mean(texts) if texts else None
            )

        if self.rule == "uniform":
            return soup_of(list(parents))
        try:
            scores = {name: bench.score(soup_of([name])) for name in parents}
        except LookupError as error:
            if type(error) is not LookupError:
                raise
            allowed, remedy = "a task with a validation metric", "rule: uniform, or name a validation split"
            raise UserError("soup", Fault("rule: greedy", str(error.args[0]), allowed, remedy)) from None
        best, *others = sorted(parents, key=lambda name: -scores[name])
        kept, score, soup = [best], scores[best], soup_of([best])
        for name in others:
            tried = soup_of([*kept, name])
            if (found := bench.score(tried)) > score:
                kept, score, soup = [*kept, name], found, tried
        return soup.with_weights(soup.weights, text=soup.text, soup={"kept": kept, "score": score, "members": scores})


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


def _flaws(base: Mapping[str, Tensor], states: Mapping[str, Mapping[str, Tensor]]) -> Iterator[Fault]:
    """Why members have no mean."""
    for member, state in states.items():
        strange = sorted(base.keys() ^ state.keys()) or sorted(n for n in base if base[n].shape != state[n].shape)
        if strange:
            yield Fault(member, f"a tower of another base: {', '.join(strange[:3])}", "trials of one base")
            continue
        wrong = [name for name, tensor in state.items() if not bool(tensor.isfinite().all())]
        if wrong:
            found = f"weights that are not finite: {', '.join(wrong[:3])}"
            yield Fault(member, found, "finite weights", "leave it out of the soup, or train it at a lower rate")
