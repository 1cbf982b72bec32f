"""SweepSpec: YAML -> list[Trial], every fault listed at once, each with the nearest valid name.

A hyper-parameter takes a value, a list (a grid), or with `search: random` a distribution such as `{loguniform: [1e-6, 1e-3]}`, drawn
`samples` times from the sweep's own seed, so that the same file always means the same trials. With `search: optuna` the first trials follow
from the file, and the later ones from `suggested` too, which the run fills in: with it the file means the same trials again.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gelo.models.faults import Fault, UserError, unknown
from gelo.models.words import kind_of
from gelo.sweeps.spec.chosen import SUITES, choice_faults, listed, scored_names
from gelo.sweeps.spec.expand import Expansion
from gelo.sweeps.spec.folders import with_folders
from gelo.sweeps.spec.imported import IMPORTED, apart, filled, imported_trials
from gelo.sweeps.spec.kinds import allowed
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.spec.search import Scheduler, Search, search_faults
from gelo.sweeps.spec.shown import refused, shown_of
from gelo.sweeps.spec.study import Study
from gelo.sweeps.spec.yamlfile import LARGEST, parse_yaml, read_yaml
from gelo.tasks.data.catalogue import COLLECTIONS
from gelo.tasks.ledger.looks import Objective
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.protocols import asked

RESERVED_NAMES = ("data", "cache", "mlflow", "mlartifacts")
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"  # of a sweep


class SweepSpec(BaseModel):
    """A sweep as its YAML says it, checked.

    tasks: what is trained (below), and under `imported` the encoders that `gelo import` brought in: `{imported: {NAME: {path: DIR}}}`.

    datasets: these sets of the collection alone are scored; without: all but these. What a trial is trained on is not touched by either.

    weights: a backbone's local file, for those that gelo does not ship. also: prepared sets beside the collection's own, to be
    scored where a protocol fits, and free to be trained on. search_seed: what random draws are made from, in a sweep's file its name
    where nothing else is said; empty in sweeps that were saved before there was such a key. folders: those that remedies' settings name,
    each by the data set that it is prepared as: filled in when the file is read.

    search: how distributions become trials: `random` draws them `samples` times; `optuna` makes each block of `tasks` that has one, with
    each backbone, a study of `samples` trials, in rounds of `per_round`: the first is drawn at random, each later one suggested by Optuna's
    TPE from what all rounds before it measured, by one or two `objectives`: `gain` (the task's validation metric since step 0) and `kept`
    (zero-shot accuracy on the general sets' validation images, of what there was at step 0), both at the trial's last look; with two, what
    is sought is their Pareto front. A round waits for the one before it to end, so that the same sweep ends on the same trials however
    often it was interrupted. suggested: by study, what has been suggested so far: filled in by the run. scheduler: below.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(pattern=NAME, max_length=100)
    collection: Literal["miniature", "paper"] = "miniature"
    backbones: tuple[str, ...] = Field(min_length=1)
    tasks: dict[str, Any] = {}
    seeds: tuple[Annotated[int, Field(ge=0, le=LARGEST)], ...] = Field((0,), min_length=1)
    also: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    evaluate: tuple[str, ...] = Field(SUITES, min_length=1)
    resources: Resources = Resources()
    search: Search = "grid"
    samples: int = Field(10, ge=1)
    search_seed: str = ""
    objectives: tuple[Objective, ...] = Field(("gain",), min_length=1, max_length=2)
    per_round: int = Field(5, ge=1)
    scheduler: Scheduler = Scheduler()
    suggested: dict[str, tuple[dict[str, Any], ...]] = {}
    weights: dict[str, str] = {}
    folders: dict[str, str] = {}

    def trials(self) -> list[Trial]:
        """All trials in a fixed order, baselines first, each once; of a search those that are known by now. Raises UserError with every
        fault of every trial."""
        return self._expanded()[0]

    def studies(self) -> list[Study]:
        """What Optuna varies, one for each block and backbone; [] with another search."""
        return self._expanded()[1]

    def possible(self) -> list[Trial]:
        """`trials`, and such as stand for all that a search may still suggest: for whoever checks a sweep before it runs."""
        trials, studies = self._expanded()
        stand_ins = [trial for study in studies for trial in study.stand_ins()]
        both = [*trials, *(each for trial in stand_ins for each in (*trial.made_of, trial))]
        return list({trial.key: trial for trial in both}.values())

    def _expanded(self) -> tuple[list[Trial], list[Study]]:
        startup, suggested = self.per_round, self.suggested
        expansion = Expansion(
            self.collection, self.search, self.samples, self.also, self.search_seed, startup, suggested
        )
        own, brought = apart(self.tasks)
        trials = expansion.trials(self.backbones, own, self.seeds)
        trials += imported_trials(brought, self.backbones, self.collection, expansion.faults)
        if expansion.faults:
            raise UserError(f"sweep {self.name}", expansion.faults)
        return trials, expansion.studies


def load_spec(source: str, overrides: tuple[str, ...] = ()) -> SweepSpec:
    """A preset's name or a YAML path -> SweepSpec; `overrides` are `key=value` with dotted keys. Raises UserError."""
    raw = _read(source)
    faults: list[Fault] = []
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign or not key:
            faults.append(Fault(f"--set {override}", "no `key=value`", "e.g. --set seeds=[0,1]"))
            continue
        try:
            _assign(raw, key.split("."), parse_yaml(value, f"--set {override}", source, "e.g. --set seeds=[0,1]"))
        except UserError as error:
            faults += error.faults
        except (AttributeError, TypeError):
            faults.append(Fault(f"--set {override}", f"{key} lies below no mapping", "e.g. --set tasks.faces.epochs=2"))
    if faults:
        raise UserError(source, faults)
    return parse_spec(raw, source)


def parse_spec(raw: object, source: str) -> SweepSpec:
    """Check a sweep given as plain data; every fault of it and of all its trials in one UserError."""
    if not isinstance(raw, Mapping):
        raise UserError(
            source,
            Fault(
                "file",
                kind_of(raw),
                "a mapping with name, backbones, tasks",
                "see sweeps/spec/presets/demo.yaml",
            ),
        )
    faults = [unknown(str(key), key, SweepSpec.model_fields, "key") for key in raw if key not in SweepSpec.model_fields]
    body = {key: value for key, value in raw.items() if key in SweepSpec.model_fields}
    if isinstance(body.get("name"), str):
        body.setdefault("search_seed", body["name"])
    folders: dict[str, str] = {}
    if isinstance(body.get("tasks"), Mapping):
        body["tasks"] = with_folders(body["tasks"], folders, faults)
    if folders:
        body["folders"] = {**(body.get("folders") or {}), **folders}
    own, brought = apart(body.get("tasks") or {})
    if brought is not None:
        body["tasks"] = {**own, IMPORTED: filled(brought)}
    faults += [unknown("evaluate", s, asked(), "suite") for s in listed(body.get("evaluate")) if s not in asked()]
    faults += choice_faults(body)
    collection, weights = body.get("collection", "miniature"), body.get("weights")
    if not isinstance(collection, str) or collection not in COLLECTIONS:
        faults.append(unknown("collection", body["collection"], COLLECTIONS, "collection"))
    if body.get("name") in RESERVED_NAMES:
        faults.append(Fault("name", repr(body["name"]), f"a name other than {', '.join(RESERVED_NAMES)}"))
    spec: SweepSpec | None = None
    try:
        spec = SweepSpec.model_validate(body)
    except ValidationError as error:
        faults += [
            f
            for f in validation_faults(error)
            if not (f.where == "collection" and any(g.where == "collection" for g in faults))
        ]
    backbones, samples = listed(body.get("backbones")), body.get("samples", 1)
    if isinstance(weights, Mapping):  # weights of a misspelt backbone would be left aside without a word
        strays = [name for name in weights if name not in backbones]
        faults += [unknown(f"weights.{name}", name, backbones, "backbone of this sweep") for name in strays]
    expansion = Expansion(
        str(collection),
        body.get("search", "grid"),
        samples if isinstance(samples, int) else 1,
        listed(body.get("also")),
        suggested=spec.suggested if spec is not None else None,
    )
    trials = expansion.trials(backbones, own, (0,))
    imported_trials(brought, backbones, "miniature", expansion.faults)
    faults += expansion.faults
    if spec is not None:
        stand_ins = [trial for study in expansion.studies for trial in study.stand_ins()]
        given = tuple(spec.objectives) if spec.objectives != SweepSpec.model_fields["objectives"].default else ()
        faults += search_faults(spec.search, spec.objectives, spec.scheduler, spec.seeds, trials, stand_ins)
        if spec.search != "optuna" and given:
            found = f"{', '.join(given)} with search: {spec.search}"
            faults.append(Fault("objectives", found, "search: optuna", "or leave it out"))
        if spec.search == "optuna" and not expansion.studies:
            expected = "one at least, such as {loguniform: [1e-6, 1e-4]} for lr_backbone"
            faults.append(Fault("search", "optuna, and no distribution in any block", expected, "or search: grid"))
    faults += refused(shown_of(trial for trial in trials if trial.training), scored_names(body), str(collection))
    if faults or spec is None:
        raise UserError(source, list(dict.fromkeys(faults)))
    return spec


def validation_faults(error: ValidationError, prefix: str = "") -> list[Fault]:
    """pydantic's findings as Faults, key by key."""
    out = []
    for entry in error.errors():
        if entry["type"] == "too_short" and entry.get("input"):
            continue  # its items were refused, each with a fault of its own
        where = ".".join([prefix, *map(str, entry["loc"])] if prefix else map(str, entry["loc"])) or "file"
        found = "missing" if entry["type"] == "missing" else repr(entry.get("input"))[:80]
        out.append(Fault(where, found, allowed(entry["msg"])))
    return out


def presets() -> dict[str, Path]:
    """The sweeps that gelo ships, by name."""
    return {
        Path(str(entry)).stem: Path(str(entry))
        for entry in (files("gelo.sweeps.spec") / "presets").iterdir()
        if str(entry).endswith(".yaml")
    }


def _read(source: str) -> Any:
    known = presets()
    path = known.get(source, Path(source))
    if path.is_dir():
        raise UserError("sweep", Fault(f"SWEEP {source}", "a folder, not a file", "a preset's name or a YAML file"))
    if not path.is_file():
        raise UserError("sweep", unknown("SWEEP", source, known, "preset or YAML file"))
    return read_yaml(path, source)


def _assign(raw: Any, keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        raw = raw.setdefault(key, {})
    raw[keys[-1]] = value
