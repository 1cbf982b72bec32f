"""SweepSpec: YAML -> list[Trial], every fault listed at once, each with the nearest valid name.

A hyper-parameter takes a value, a list (a grid), or with `search: random` a distribution such as `{loguniform: [1e-6, 1e-3]}`, drawn
`samples` times from the sweep's own seed, so that the same file always means the same trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from gelo.models.faults import Fault, UserError, unknown
from gelo.models.words import kind_of
from gelo.sweeps.spec.chosen import SUITES, choice_faults, listed, scored_names
from gelo.sweeps.spec.expand import Expansion
from gelo.sweeps.spec.folders import with_folders
from gelo.sweeps.spec.imported import IMPORTED, apart, filled, imported_trials
from gelo.sweeps.spec.kinds import allowed
from gelo.sweeps.spec.shown import refused, shown_of
from gelo.sweeps.spec.yamlfile import LARGEST, parse_yaml, read_yaml
from gelo.tasks.data.catalogue import COLLECTIONS
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.protocols import asked

RESERVED_NAMES = ("data", "cache", "mlflow", "mlartifacts")
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"  # of a sweep


class Resources(BaseModel):
    """What one trial is granted, and how its failures are treated. None of it enters a trial's key.

    gpus: of a trial: 0, a fraction of one, or whole GPUs, each with a rank (a process) of its own. workers: ranks of a trial on CPUs; with
    GPUs there is one for each. cpus: whole CPUs of each rank, also its torch threads. retries: fresh starts of a failed trial from its last
    checkpoint. checkpoint_minutes: an extra checkpoint inside a long epoch. wave: encoders embedded in one pass.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    cpus: int = Field(1, ge=1)
    gpus: float = Field(0, ge=0, allow_inf_nan=False)
    workers: int | None = Field(None, ge=1, validate_default=True)
    retries: int = Field(1, ge=0)
    checkpoint_minutes: float = Field(10, gt=0)
    wave: int = Field(24, ge=1)

    @field_validator("gpus")
    @classmethod
    def _whole_above_one(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("a fraction of one GPU, or whole GPUs")
        return value

    @field_validator("workers")
    @classmethod
    def _one_a_gpu(cls, value: int | None, info: ValidationInfo) -> int | None:
        gpus = info.data.get("gpus", 0)
        if value is not None and gpus and value != max(1, int(gpus)):
            raise ValueError(f"one rank a GPU: {max(1, int(gpus))} with gpus {gpus:g}, or leave it out")
        return value

    @property
    def ranks(self) -> int:
        """Processes of one trial."""
        return self.workers or max(1, int(self.gpus))

    @property
    def gpus_of_a_rank(self) -> float:
        """0, a fraction of one, or 1."""
        return min(1.0, self.gpus)


class SweepSpec(BaseModel):
    """A sweep as its YAML says it, checked.

    tasks: what is trained (below), and under `imported` the encoders that `gelo import` brought in: `{imported: {NAME: {path: DIR}}}`.

    datasets: these sets of the collection alone are scored; without: all but these. What a trial is trained on is not touched by either.

    weights: a backbone's local file, for those that gelo does not ship. also: prepared sets beside the collection's own, to be
    scored where a protocol fits, and free to be trained on. search_seed: what random draws are made from, in a sweep's file its name
    where nothing else is said; empty in sweeps that were saved before there was such a key. folders: those that remedies' settings name,
    each by the data set that it is prepared as: filled in when the file is read.
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
    search: Literal["grid", "random"] = "grid"
    samples: int = Field(10, ge=1)
    search_seed: str = ""
    weights: dict[str, str] = {}
    folders: dict[str, str] = {}

    def trials(self) -> list[Trial]:
        """All trials in a fixed order, baselines first, each once. Raises UserError with every fault of every trial."""
        expansion = Expansion(self.collection, self.search, self.samples, self.also, self.search_seed)
        own, brought = apart(self.tasks)
        trials = expansion.trials(self.backbones, own, self.seeds)
        trials += imported_trials(brought, self.backbones, self.collection, expansion.faults)
        if expansion.faults:
            raise UserError(f"sweep {self.name}", expansion.faults)
        return trials


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
    )
    trials = expansion.trials(backbones, own, (0,))
    imported_trials(brought, backbones, "miniature", expansion.faults)
    faults += expansion.faults
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
