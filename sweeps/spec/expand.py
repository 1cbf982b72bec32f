"""From the `tasks:` part of a sweep to trials: grids multiplied out, distributions drawn, every fault collected on the way."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from gelo.models.backbones.registry import resolve
from gelo.models.faults import Fault, UserError, unknown
from gelo.models.spec import Spec
from gelo.sweeps.spec import kinds
from gelo.sweeps.spec.grids import MOST, Grids, too_many
from gelo.sweeps.spec.kinds import (
    ADAPTATIONS,
    HEADS,
    LIKE,
    REMEDIES,
    REMEDY,
    allowed,
    listed_fields,
    odd,
    of_lora,
    unfit,
    unmet,
    unwatched,
)
from gelo.sweeps.spec.searched import searched
from gelo.sweeps.spec.study import Study, Values, is_open
from gelo.tasks.data.catalogue import COLLECTIONS, ENTRIES
from gelo.tasks.ledger.trial import Training, Trial
from gelo.tasks.training import TASKS

_BLOCK_KEYS = ("backbones", "adaptation", "remedy", "head", *Training.model_fields)


class Expansion(Grids):
    """Collects trials and faults. `faults` and `studies` (of `search: optuna`) are complete after `trials`. own: a user's prepared sets,
    which may be trained on as well. search_seed: of random draws, beside the name of what is drawn. startup, suggested: `SweepSpec`'s
    `per_round` and `suggested`."""

    def __init__(
        self,
        collection: str,
        search: str,
        samples: int,
        own: tuple[str, ...] = (),
        search_seed: str = "",
        startup: int = 1,
        suggested: Mapping[str, Sequence[Values]] | None = None,
    ) -> None:
        super().__init__(search, samples, search_seed)
        self.own, self.collection, self.startup = own, collection, startup
        self.suggested, self.studies = suggested or {}, list[Study]()

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
        found: list[Trial | None] = [self.make("baseline", {"backbone": name, "task": "none"}) for name in known]
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
                if self.search == "optuna" and isinstance(block, Mapping) and is_open(block):
                    found += searched(self, where, name, block, known, seeds[0] if seeds else 0)
                    continue
                for fields in self.block_of(where, name, block or {}, known):
                    if len(found) + len(seeds) > MOST:
                        self.faults.append(too_many(where))
                        return []
                    found += [self.make(where, {**fields, "seed": seed}) for seed in seeds]
        strays = [name for name in self.suggested if name not in (study.name for study in self.studies)]
        self.faults += [unknown(f"suggested.{n}", n, [study.name for study in self.studies], "study") for n in strays]
        with_sources = [each for trial in found if trial is not None for each in (*trial.made_of, trial)]
        return list({trial.key: trial for trial in with_sources}.values())

    def backbones_of(self, where: str, block: Mapping[str, Any], known: list[str]) -> list[str]:
        """Those of the sweep that a block takes."""
        given = block.get("backbones", known)
        chosen = given if isinstance(given, list) else [given]
        if not chosen and known:
            self.faults.append(Fault(f"{where}.backbones", "an empty list", "at least one value"))
        strays = [name for name in chosen if name not in known]
        self.faults += [unknown(f"{where}.backbones", name, known, "backbone of this sweep") for name in strays]
        return [name for name in chosen if name in known]

    def block_of(self, where: str, task_name: str, block: Any, known: list[str]) -> Iterator[dict[str, Any]]:
        if not isinstance(block, Mapping):
            self.faults.append(Fault(where, repr(block)[:60], "a mapping such as {adaptation: [full, lora]}"))
            return
        self.faults += [unknown(f"{where}.{key}", key, _BLOCK_KEYS, "key") for key in block if key not in _BLOCK_KEYS]
        task = TASKS[task_name]
        named = self.backbones_of(where, block, known)
        adaptations = self._kinds(
            f"{where}.adaptation", block.get("adaptation", "full"), ADAPTATIONS, of_lora(task.lora[self.collection])
        )
        chosen_remedies = self._remedies(f"{where}.remedy", block.get("remedy", "none"))
        chosen_heads = self._kinds(
            f"{where}.head", block.get("head", task.head.kind), HEADS, {task.head.kind: task.head.model_dump()}
        )
        for adaptation in adaptations:
            spec: Any = ADAPTATIONS[adaptation["kind"]].model_validate(adaptation)
            for backbone in named:
                self.faults += unfit(f"{where}.adaptation ({backbone})", spec, backbone)
            for remedy in chosen_remedies:
                self.faults += [f for f in unmet(f"{where}.remedy", remedy, spec) if f not in self.faults]
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
            for remedy in chosen_remedies:
                self.faults += [f for f in unwatched(where, remedy, training.get("watch")) if f not in self.faults]
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
                    odd(f"{where}.{kind}.{key}", kind, key, known) for key in params or {} if key not in fields
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
                        Fault(where, " + ".join(r["kind"] for r in together), allowed(each["msg"]))
                        for each in error.errors()
                    ]
                else:
                    found.append(made.model_dump())
            if not entry:
                self.faults.append(Fault(where, "an empty list or mapping", "at least one value"))
        return found

    def make(self, where: str, fields: Mapping[str, Any]) -> Trial | None:
        try:
            trial = Trial.model_validate({**fields, "collection": self.collection})
        except ValidationError as error:
            self._invalid(where, error)
            return None
        self.faults += [f for f in kinds.clashes(f"{where}.remedy", trial) if f not in self.faults]
        return trial

    def _invalid(self, where: str, error: ValidationError) -> None:
        for entry in error.errors():
            if entry["type"] == "too_short" and entry.get("input"):
                continue  # its items were refused, each with a fault of its own
            path = ".".join([where, *(str(part) for part in entry["loc"] if part != "training")])
            found = "missing" if entry["type"] == "missing" else repr(entry.get("input"))[:80]
            fault = Fault(path, found, allowed(entry["msg"]))
            if fault not in self.faults:
                self.faults.append(fault)
