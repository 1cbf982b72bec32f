"""Lists multiplied out and distributions drawn: the values that a part of a sweep's YAML stands for."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gelo.models.faults import Fault, unknown
from gelo.models.spec import Spec
from gelo.tasks.ledger.trial import Looks

_NESTED: Mapping[str, type[Spec]] = {"watch": Looks}  # fields of a training with settings of their own
DISTRIBUTIONS = ("uniform", "loguniform", "choice")
MOST = 20_000  # trials: whoever asks for more has mistyped a number, and would wait for minutes before anything is said


def too_many(where: str) -> Fault:
    """More trials than a sweep may have."""
    return Fault(where, f"more than {MOST:,} trials", "fewer", "several sweeps, or search: random with few samples")


@dataclass(frozen=True)
class Distribution:
    """kind: of `DISTRIBUTIONS`. options: of a choice; low, high: of the others."""

    kind: str
    options: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0

    def drawn(self, rng: random.Random) -> Any:
        """One value."""
        if self.kind == "choice":
            return rng.choice(self.options)
        if self.kind == "uniform":
            return rng.uniform(self.low, self.high)
        return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))


def is_distribution(value: object) -> bool:
    """Whether a value of a sweep's YAML is meant as one."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in DISTRIBUTIONS


def distribution(where: str, value: Mapping[str, Any], faults: list[Fault]) -> Distribution | None:
    """`{loguniform: [1e-6, 1e-3]}` and its like; None, and a fault, where it is none."""
    items: list[tuple[str, Any]] = list(value.items())
    kind, bounds = items[0] if items else ("", None)
    if len(value) != 1 or kind not in DISTRIBUTIONS:
        faults.append(unknown(where, kind, DISTRIBUTIONS, "distribution"))
        return None
    if kind == "choice" and isinstance(bounds, list) and bounds:
        return Distribution(kind, tuple(bounds))
    try:
        low, high = (float(bound) for bound in bounds or ())  # YAML reads 1e-6, which has no point, as text
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if kind == "choice" or not -math.inf < low < high < math.inf or (kind == "loguniform" and low <= 0):
        form = f"{{{kind}: [low, high]}} with low < high" + (", low > 0" if kind == "loguniform" else "")
        form = "{choice: [one, another, ...]}" if kind == "choice" else form
        faults.append(Fault(where, repr(dict(value)), form))
        return None
    return Distribution(kind, low=low, high=high)


class Grids:
    """Collects faults on the way. search_seed: of random draws, beside the name of what is drawn."""

    def __init__(self, search: str, samples: int, search_seed: str) -> None:
        self.search, self.samples, self.search_seed = search, min(samples, MOST + 1), search_seed
        self.faults: list[Fault] = []

    def _grid(self, where: str, settings: Mapping[str, Any], lists: Collection[str] = ()) -> list[dict[str, Any]]:
        """Lists multiplied out; distributions drawn `samples` times, jointly. lists: fields whose one value is a list already."""
        grids: dict[str, list[Any]] = {}
        drawn: dict[str, list[Any]] = {}
        for key, value in settings.items():
            if key in _NESTED:
                grids[key] = self._nested(f"{where}.{key}", key, value)
                continue
            if isinstance(value, Mapping):
                drawn[key] = self._draws(f"{where}.{key}", value)
                continue
            nested = isinstance(value, list) and (key not in lists or any(isinstance(v, list) for v in value))
            grids[key] = value if nested else [value]
            if not grids[key]:
                self.faults.append(Fault(f"{where}.{key}", "an empty list", "at least one value"))
        if math.prod(map(len, grids.values())) * (self.samples if drawn else 1) > MOST:
            self.faults.append(too_many(where))
            return []
        combined = [dict(zip(grids, values, strict=True)) for values in itertools.product(*grids.values())]
        if not drawn or not all(drawn.values()):
            return [] if drawn else combined
        return [{**values, **{k: v[i] for k, v in drawn.items()}} for values in combined for i in range(self.samples)]

    def _nested(self, where: str, key: str, value: Any) -> list[Any]:
        """The settings of a field that has some of its own: a mapping, lists in it a grid, or a list of such."""
        found: list[Any] = []
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, Mapping):
                self.faults.append(Fault(where, repr(each)[:60], "a mapping of its settings"))
                continue
            known = _NESTED[key].model_fields
            self.faults += [unknown(f"{where}.{name}", name, known, "key") for name in each if name not in known]
            found += self._grid(where, {name: given for name, given in each.items() if name in known})
        return found

    def _draws(self, where: str, value: Mapping[str, Any]) -> list[Any]:
        found = distribution(where, value, self.faults)
        if found is None:
            return []
        if self.search == "optuna":
            self.faults.append(Fault(where, "a distribution within the options of another", "a value"))
            return []
        if self.search != "random":
            said = f"a distribution with search: {self.search}"
            self.faults.append(Fault(where, said, "a value or a list", "set search: random or optuna"))
            return []
        # the key's own stream: adding a key does not change the draws of the others
        rng = random.Random(f"{self.search_seed} {where}" if self.search_seed else where)
        return [found.drawn(rng) for _ in range(self.samples)]
