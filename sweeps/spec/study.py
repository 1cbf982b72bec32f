"""`Study`: what `search: optuna` may vary of one block of `tasks:` and one backbone, and the trial that one choice of values means.

A choice is put into the block's own plain data, in the places of its distributions, and what comes out is read as any block is: so a
distribution may stand for any value of a block, `adaptation` and `remedy` included, and a suggested trial is a trial like any other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gelo.models.faults import Fault
from gelo.models.words import counted
from gelo.sweeps.spec.grids import Distribution, distribution, is_distribution
from gelo.tasks.ledger.trial import Trial

Values = Mapping[str, Any]  # by dotted place in the block: `training.lr_backbone`, `remedy.wise.alpha`
_TRIES = 1000  # draws in a row that give nothing new
_ONE = "give each alternative a block of its own, or let the search choose: {choice: [...]}"


@dataclass(frozen=True)
class Study:
    """where: of the block in the sweep's file. block: its plain data. make(where, task, block, backbone) -> the trials it means, and what
    is wrong with it. seed: of its draws. samples: choices in all, of which `startup` are drawn at random."""

    where: str
    task: str
    backbone: str
    block: Mapping[str, Any]
    make: Callable[[str, str, Mapping[str, Any], str], tuple[list[Trial], list[Fault]]]
    seed: str
    samples: int
    startup: int

    @property
    def name(self) -> str:
        """`tasks.morphs[0] mini-s`."""
        return f"{self.where} {self.backbone}"

    @cached_property
    def _read(self) -> tuple[dict[str, Distribution], list[Fault]]:
        faults: list[Fault] = []
        found = {path: distribution(f"{self.where}.{path}", value, faults) for path, value in _open("", self.block)}
        return {path: each for path, each in found.items() if each is not None}, faults

    @property
    def space(self) -> dict[str, Distribution]:
        """What may vary, by place."""
        return self._read[0]

    @cached_property
    def size(self) -> float:
        """How many choices there are; infinite where one may be any number."""
        return math.prod(len(each.options) or math.inf for each in self.space.values())

    @cached_property
    def _known(self) -> dict[str, Trial | None]:
        return {}

    def trial(self, values: Values) -> Trial | None:
        """What a choice means; None where it cannot be run, as when two of its values do not go together."""
        told = repr(sorted(values.items()))
        if told not in self._known:
            made, faults = self._made(values)
            self._known[told] = made[0] if len(made) == 1 and not faults else None
        return self._known[told]

    def faults(self) -> list[Fault]:
        """What is wrong with the block whatever is chosen: every option once, and both bounds."""
        found = list(self._read[1])
        if found:
            return found
        if self.samples > self.size:
            said = f"{self.samples} of a study that has {counted(int(self.size), 'configuration')}"
            found.append(Fault(f"samples ({self.name})", said, "no more than there are", "or a grid, which takes all"))
        for corner in self.corners():
            made, faults = self._made(corner)
            if len(made) > 1:
                said = f"{counted(len(made), 'trial')} for one choice of values: a list is a grid"
                faults = [*faults, Fault(self.where, said, "one trial with search: optuna", _ONE)]
            found += [fault for fault in faults if fault not in found]
        return found

    def corners(self) -> list[Values]:
        """Choices in which every option comes up, and both bounds."""
        number = max((len(each.options) or 2 for each in self.space.values()), default=0)
        return [{path: _corner(each, turn) for path, each in self.space.items()} for turn in range(number)]

    def stand_ins(self) -> list[Trial]:
        """Trials in which every option comes up: what a check of all that may be suggested looks at."""
        return [trial for values in self.corners() if (trial := self.trial(values)) is not None]

    def first(self) -> list[Values]:
        """The choices that are drawn at random: a function of the sweep's file alone."""
        rng, found, keys = random.Random(f"{self.seed} {self.name}"), list[Values](), set[str]()
        while len(found) < min(self.startup, self.samples):
            values = self.fresh(rng, keys)
            if values is None:
                break
            found.append(values)
        return found

    def fresh(self, rng: random.Random, keys: set[str]) -> Values | None:
        """A choice whose trial is none of `keys`, which it joins; None where none is found."""
        for _ in range(_TRIES):
            values = {path: each.drawn(rng) for path, each in self.space.items()}
            if self.accepts(values, keys):
                return values
        return None

    def accepts(self, values: Values, keys: set[str]) -> bool:
        """Whether a choice can be run and is new; its key joins `keys`."""
        trial = self.trial(values)
        if trial is None or trial.key in keys:
            return False
        keys.add(trial.key)
        return True

    def _made(self, values: Values) -> tuple[list[Trial], list[Fault]]:
        if set(values) != set(self.space):
            said = f"values of {', '.join(sorted(values)) or 'nothing'}"
            return [], [Fault(f"suggested.{self.name}", said, f"values of {', '.join(self.space)}")]
        return self.make(self.where, self.task, _filled("", self.block, values), self.backbone)


def is_open(block: Any) -> bool:
    """Whether a block has a distribution anywhere."""
    return next(_open("", block), None) is not None


def _open(path: str, value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every distribution of a block with its place; one inside another's options is no place of its own."""
    if path and is_distribution(value):
        yield path, value
    elif isinstance(value, Mapping | list):
        for name, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _open(f"{path}.{name}" if path else str(name), inner)


def _filled(path: str, value: Any, values: Values) -> Any:
    if path in values:
        return values[path]
    if isinstance(value, Mapping):
        return {name: _filled(f"{path}.{name}" if path else str(name), inner, values) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(f"{path}.{place}" if path else str(place), inner, values) for place, inner in enumerate(value)]
    return value


def _corner(each: Distribution, turn: int) -> Any:
    if each.options:
        return each.options[min(turn, len(each.options) - 1)]
    return each.low if turn % 2 == 0 else each.high
