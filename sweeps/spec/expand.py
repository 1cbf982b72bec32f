"""From the `tasks:` part of a sweep to trials: grids multiplied out, distributions drawn, every fault collected on the way."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from gelo.models.backbones.registry import resolve
from gelo.models.faults import Fault, UserError, unknown
from gelo.models.spec import Spec
from gelo.sweeps.spec.kinds import ADAPTATIONS, HEADS, LIKE, REMEDIES, REMEDY, listed_fields, of_lora, unfit, unmet
from gelo.tasks.data.catalogue import COLLECTIONS, ENTRIES
from gelo.tasks.ledger.trial import Training, Trial
from gelo.tasks.training import TASKS

_BLOCK_KEYS = ("backbones", "adaptation", "remedy", "head", *Training.model_fields)
_DISTRIBUTIONS = ("uniform", "loguniform", "choice")
MOST = 20_000  # trials: whoever asks for more has mistyped a number, and would wait for minutes before anything is said


def _too_many(where: str) -> Fault:
    return Fault(where, f"more than {MOST:,} trials", "fewer", "several sweeps, or search: random with few samples")


class Expansion:
    """Collects trials and faults. `faults` is complete after `trials`. own: a user's prepared sets, which may be trained on as well.
    search_seed: of random draws, beside the name of what is drawn."""

    def __init__(
        self, collection: str, search: str, samples: int, own: tuple[str, ...] = (), search_seed: str = ""
    ) -> None:
        self.own, self.search_seed = own, search_seed
        self.collection, self.search, self.samples = collection, search, min(samples, MOST + 1)
        self.faults: list[Fault] = []

    def trials(self, backbones: Iterable[str], tasks: Mapping[str, Any], seeds: Iterable[int]) -> list[Trial]:
        """Baselines first, then task by task in the file's order; a merging remedy brings the trial it merges. Each key once."""
        backbones, seeds = list(backbones), list(seeds)
        known = []
        for name in dict.fromkeys(backbones):
            try:
                resolve(name)
                known.append(name)
            except UserError as error:
                self.faults += [replace(fault, where=f"backbones.{name}") for fault in error.faults]
        if self.collection not in COLLECTIONS:
            return []
        found: list[Trial | None] = [self._make("baseline", {"backbone": name, "task": "none"}) for name in known]
        if not isinstance(tasks, Mapping):
            self.faults.append(Fault("tasks", repr(tasks)[:60], "a mapping of task to settings"))
            return []
        for name, blocks in tasks.items():
            if name not in TASKS:
                self.faults.append(unknown(f"tasks.{name}", name, TASKS, "task"))
                continue
            if blocks == []:
                self.faults.append(Fault(f"tasks.{name}", "an empty list", "at least one mapping of settings"))
            for number, block in enumerate(blocks if isinstance(blocks, list) else [blocks]):
                where = f"tasks.{name}" if not isinstance(blocks, list) else f"tasks.{name}[{number}]"
                for fields in self._block(where, name, block or {}, known):
                    if len(found) + len(seeds) > MOST:
                        self.faults.append(_too_many(where))
                        return []
                    found += [self._make(where, {**fields, "seed": seed}) for seed in seeds]
        with_sources = [each for trial in found if trial is not None for each in (*trial.made_of, trial)]
        return list({trial.key: trial for trial in with_sources}.values())

    def _block(self, where: str, task_name: str, block: Any, known: list[str]) -> Iterator[dict[str, Any]]:
        if not isinstance(block, Mapping):
            self.faults.append(Fault(where, repr(block)[:60], "a mapping such as {adaptation: [full, lora]}"))
            return
        self.faults += [unknown(f"{where}.{key}", key, _BLOCK_KEYS, "key") for key in block if key not in _BLOCK_KEYS]
        task = TASKS[task_name]
        given = block.get("backbones", known)
        chosen = given if isinstance(given, list) else [given]
        if not chosen and known:
            self.faults.append(Fault(f"{where}.backbones", "an empty list", "at least one value"))
        self.faults += [
            unknown(f"{where}.backbones", name, known, "backbone of this sweep") for name in chosen if name not in known
        ]
        adaptations = self._kinds(
            f"{where}.adaptation", block.get("adaptation", "full"), ADAPTATIONS, of_lora(task.lora[self.collection])
        )
        chosen_remedies = self._remedies(f"{where}.remedy", block.get("remedy", "none"))
        chosen_heads = self._kinds(
            f"{where}.head", block.get("head", task.head.kind), HEADS, {task.head.kind: task.head.model_dump()}
        )
        named = [name for name in chosen if name in known]
        for adaptation in adaptations:
            spec: Any = ADAPTATIONS[adaptation["kind"]].model_validate(adaptation)
            for backbone in named:
                self.faults += unfit(f"{where}.adaptation ({backbone})", spec, backbone)
            for remedy in chosen_remedies:
                self.faults += [f for f in unmet(f"{where}.remedy", remedy, spec, named) if f not in self.faults]
        settings = {**task.defaults[self.collection], "data": task.data[self.collection]}
        settings |= {key: block[key] for key in block if key in Training.model_fields}
        otherwise = task.by_adaptation.get(self.collection, {})
        for training in self._grid(where, settings):
            data = training["data"]
            if not isinstance(data, str) or data not in {*ENTRIES, *self.own}:
                fault = unknown(f"{where}.data", data, {*ENTRIES, *self.own}, "data set")
                self.faults.append(replace(fault, expected=f"{fault.expected}; or a set of your own that `also` names"))
                continue
            if data in ENTRIES and not set(ENTRIES[data].protocols) & {"training", "probe"}:
                self.faults.append(Fault(f"{where}.data", f"{data} has no training split", "a data set to train on"))
            for backbone, adaptation, remedy, head in itertools.product(
                named, adaptations, chosen_remedies, chosen_heads
            ):
                yield {
                    "backbone": backbone,
                    "task": task_name,
                    "adaptation": adaptation,
                    "remedy": remedy,
                    "head": head,
                    "training": training
                    | {key: v for key, v in otherwise.get(LIKE[adaptation["kind"]], {}).items() if key not in block},
                }

    def _kinds(
        self, where: str, given: Any, known: Mapping[str, type[Spec]], defaults: Mapping[str, Mapping[str, object]]
    ) -> list[dict[str, Any]]:
        """`full`, `[full, lora]`, `{lora: {rank: [4, 8]}}` or a list of such -> plain dicts with `kind`."""
        out: list[dict[str, Any]] = []
        entries = given if isinstance(given, list) else [given]
        if not entries or {} in entries:
            self.faults.append(Fault(where, "an empty list or mapping", "at least one value"))
        for entry in entries:
            pairs = entry.items() if isinstance(entry, Mapping) else [(entry, {})]
            for kind, params in pairs:
                if not isinstance(kind, str) or kind not in known:
                    self.faults.append(unknown(where, kind, known, where.rsplit(".", 1)[-1]))
                    continue
                if not isinstance(params or {}, Mapping):
                    self.faults.append(Fault(f"{where}.{kind}", repr(params)[:60], "a mapping of its settings"))
                    continue
                fields = known[kind].model_fields
                self.faults += [
                    unknown(f"{where}.{kind}.{key}", key, [f for f in fields if f != "kind"], "key")
                    for key in params or {}
                    if key not in fields
                ]
                settings = {**defaults.get(kind, {}), **{k: v for k, v in (params or {}).items() if k in fields}}
                for values in self._grid(f"{where}.{kind}", settings, listed_fields(known[kind])):
                    candidate = {**values, "kind": kind}
                    try:
                        known[kind].model_validate(candidate)
                    except ValidationError as error:
                        self._invalid(f"{where}.{kind}", error)
                    else:
                        out.append(candidate)
        return out

    def _remedies(self, where: str, given: Any) -> list[dict[str, Any]]:
        """As `_kinds`; a list within the list is one trial with all of them."""
        found: list[dict[str, Any]] = []
        for entry in given if isinstance(given, list) and given else [given]:
            if not isinstance(entry, list):
                found += self._kinds(where, entry, REMEDIES, {})
                continue
            for together in (
                itertools.product(*(self._kinds(where, each, REMEDIES, {}) for each in entry)) if entry else ()
            ):
                try:
                    made = REMEDY.validate_python(
                        {"kind": "stack", "remedies": list(together)} if len(together) > 1 else together[0]
                    )
                except ValidationError as error:
                    self.faults += [
                        Fault(where, " + ".join(r["kind"] for r in together), each["msg"].removeprefix("Value error, "))
                        for each in error.errors()
                    ]
                else:
                    found.append(made.model_dump())
            if not entry:
                self.faults.append(Fault(where, "an empty list or mapping", "at least one value"))
        return found

    def _grid(self, where: str, settings: Mapping[str, Any], lists: Collection[str] = ()) -> list[dict[str, Any]]:
        """Lists multiplied out; distributions drawn `samples` times, jointly. lists: fields whose one value is a list already."""
        grids: dict[str, list[Any]] = {}
        drawn: dict[str, list[float]] = {}
        for key, value in settings.items():
            if isinstance(value, Mapping):
                drawn[key] = self._draws(f"{where}.{key}", value)
                continue
            nested = isinstance(value, list) and (key not in lists or any(isinstance(v, list) for v in value))
            grids[key] = value if nested else [value]
            if not grids[key]:
                self.faults.append(Fault(f"{where}.{key}", "an empty list", "at least one value"))
        if math.prod(map(len, grids.values())) * (self.samples if drawn else 1) > MOST:
            self.faults.append(_too_many(where))
            return []
        combined = [dict(zip(grids, values, strict=True)) for values in itertools.product(*grids.values())]
        if not drawn or not all(drawn.values()):
            return [] if drawn else combined
        return [{**values, **{k: v[i] for k, v in drawn.items()}} for values in combined for i in range(self.samples)]

    def _draws(self, where: str, value: Mapping[str, Any]) -> list[float]:
        items: list[tuple[str, Any]] = list(value.items())
        kind, bounds = items[0] if items else ("", None)
        if len(value) != 1 or kind not in _DISTRIBUTIONS:
            self.faults.append(unknown(where, kind, _DISTRIBUTIONS, "distribution"))
            return []
        if self.search != "random":
            self.faults.append(
                Fault(where, f"a distribution with search: {self.search}", "a value or a list", "set search: random")
            )
            return []
        # the key's own stream: adding a key does not change the draws of the others
        rng = random.Random(f"{self.search_seed} {where}" if self.search_seed else where)
        if kind == "choice" and isinstance(bounds, list) and bounds:
            return [rng.choice(bounds) for _ in range(self.samples)]
        try:
            low, high = (float(bound) for bound in bounds or ())  # YAML reads 1e-6, which has no point, as text
        except (TypeError, ValueError):
            low, high = math.nan, math.nan
        if kind == "choice" or not -math.inf < low < high < math.inf or (kind == "loguniform" and low <= 0):
            form = f"{{{kind}: [low, high]}} with low < high" + (", low > 0" if kind == "loguniform" else "")
            form = "{choice: [one, another, ...]}" if kind == "choice" else form
            self.faults.append(Fault(where, repr(dict(value)), form))
            return []
        if kind == "uniform":
            return [rng.uniform(low, high) for _ in range(self.samples)]
        return [math.exp(rng.uniform(math.log(low), math.log(high))) for _ in range(self.samples)]

    def _make(self, where: str, fields: Mapping[str, Any]) -> Trial | None:
        try:
            return Trial.model_validate({**fields, "collection": self.collection})
        except ValidationError as error:
            self._invalid(where, error)
            return None

    def _invalid(self, where: str, error: ValidationError) -> None:
        for entry in error.errors():
            if entry["type"] == "too_short" and entry.get("input"):
                continue  # its items were refused, each with a fault of its own
            path = ".".join([where, *(str(part) for part in entry["loc"] if part != "training")])
            fault = Fault(
                path,
                "missing" if entry["type"] == "missing" else repr(entry.get("input"))[:80],
                entry["msg"][0].lower() + entry["msg"][1:],
            )
            if fault not in self.faults:
                self.faults.append(fault)
