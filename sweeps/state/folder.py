"""What exists on storage decides what is left to do: the folders of a sweep and of its trials.

<storage>/<sweep>/sweep.json                                the resolved spec and where it was run
<storage>/<sweep>/bases.json                                fingerprints and files of the backbones' weights
<storage>/<sweep>/trials/<key>/trial.json
                              checkpoints/epoch-0003/ ...    + DONE, until the trial is trained
                              trained/{encoder,head}.safetensors, training.json + DONE; curve.{json,safetensors} where it was looked at
                              results/<suite>/<data set>.{json,parquet}   + .classes.parquet, .curves.parquet where there are
                              failure.json                   a trial that failed for good, until it is tried again
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, RootModel, ValidationError
from upath import UPath

from gelo.models.durable import is_done, is_local, publish_bytes, remove, stamp
from gelo.models.faults import Fault, UserError, unknown
from gelo.models.secrets import redacted
from gelo.models.storage import scan
from gelo.models.untrusted import read_json, read_model
from gelo.models.words import legible
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import NAME, SweepSpec, validation_faults
from gelo.sweeps.state.changes import refuse_change
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.protocols.curves import curves_of
from gelo.tasks.protocols.tally import per_class
from gelo.tasks.results import Result

_ANEW = "delete the trial's `trained`, and resume: it is trained again"


@dataclass(frozen=True)
class TrialFolder:
    """One trial's files below `root`."""

    root: UPath

    @property
    def checkpoints(self) -> UPath:
        return self.root / "checkpoints"

    @property
    def trained(self) -> UPath:
        return self.root / "trained"

    def shared(self) -> None:
        """From now on other processes write here too: nothing is taken for known."""
        if not is_local(self.root):
            scan.forget(self.root.path)

    def is_trained(self) -> bool:
        return is_done(self.trained)

    def training(self) -> dict[str, Any]:
        """training.json of a trained trial; {} before. Raises UserError for one that cannot be read."""
        return read_json(self.trained / "training.json", remedy=_ANEW) if self.is_trained() else {}

    def curve(self) -> list[dict[str, Any]]:
        """The points of curve.json of a trial that was looked at while it trained; [] of any other. Raises UserError."""
        path = self.trained / "curve.json"
        return read_model(path, _Curve, remedy=_ANEW).points if self.is_trained() and path.exists() else []

    def failure(self) -> dict[str, Any] | None:
        """Its kind, error and what else was told; None where it did not fail. A damaged one counts as none: the trial is tried again."""
        found = read_model(self.root / "failure.json", _Failure, missing_ok=True, lenient=True)
        return found.model_dump() if found is not None else None

    def set_failure(self, failure: Mapping[str, Any] | None) -> None:
        path = self.root / "failure.json"
        if failure is not None:
            told = {name: redacted(value) if isinstance(value, str) else value for name, value in failure.items()}
            publish_bytes(path, json.dumps(told).encode())
        elif path.exists():
            remove(path)

    def result(self, suite: str, dataset: str) -> Result | None:
        """The saved result, or None where there is none. A damaged one counts as none: it is scored again."""
        path = self.root / "results" / suite / f"{dataset}.json"
        try:
            return read_model(path, Result)
        except (FileNotFoundError, UserError):
            return None

    def results(self) -> list[Result]:
        """Every saved result, by suite and data set; damaged ones count as none."""
        place = self.root / "results"
        suites = sorted(entry.name for entry in place.iterdir()) if place.exists() else []
        files = [(suite, entry.name) for suite in suites for entry in (place / suite).iterdir()]
        found = (self.result(suite, name[: -len(".json")]) for suite, name in sorted(files) if name.endswith(".json"))
        return [result for result in found if result is not None]

    def save_result(self, result: Result, per_item: pa.Table) -> None:
        """Per-item scores, accuracy by class where a class was told, and curves of two classes, first: where the result is, they are."""
        place = self.root / "results" / result.suite
        tables = {"": per_item, ".curves": curves_of(result, per_item)}
        if {"label", "predicted"} <= set(per_item.column_names) and not per_item["predicted"].null_count:
            tables[".classes"] = per_class(per_item)
        for kind in (".classes", ".curves"):  # of an older result that had them
            if tables.get(kind) is None:
                remove(place / f"{result.dataset}{kind}.parquet")
        for kind, table in tables.items():
            if table is not None:
                buffer = io.BytesIO()
                pq.write_table(table, buffer, compression="zstd")
                publish_bytes(place / f"{result.dataset}{kind}.parquet", buffer.getvalue())
        publish_bytes(place / f"{result.dataset}.json", result.model_dump_json().encode())


class _Base(BaseModel):
    vision: str
    text: str
    file: str
    stamp: str


class _Bases(RootModel[dict[str, _Base]]):
    """bases.json."""


class _Curve(BaseModel):
    """curve.json, as far as it is read here."""

    points: list[dict[str, Any]]


class _Failure(BaseModel):
    """failure.json."""

    model_config = ConfigDict(extra="allow")
    kind: str
    error: str


class _Saved(BaseModel):
    """sweep.json."""

    spec: SweepSpec
    settings: Settings


@dataclass(frozen=True)
class SweepFolder:
    """One sweep below a storage location (a local path or any URI that fsspec knows)."""

    storage: UPath
    name: str

    @property
    def root(self) -> UPath:
        """Of a name that no sweep can have, such as a path, a place where none is."""
        plain = re.fullmatch(NAME, self.name)
        return self.storage / (self.name if plain else f"%{quote(legible(self.name), safe='')}")

    def exists(self) -> bool:
        """Whether a sweep of this name was run here."""
        return bool(re.fullmatch(NAME, self.name)) and (self.root / "sweep.json").exists()

    def trial(self, trial: Trial) -> TrialFolder:
        return TrialFolder(self.root / "trials" / trial.key)

    def read(self) -> dict[str, Any]:
        """sweep.json, checked. Raises UserError, with the nearest name when there is no such sweep."""
        path, document = self.root / "sweep.json", None
        again = "delete this file, and run the sweep's YAML again"
        with suppress(FileNotFoundError, NotADirectoryError):
            document = read_json(path, "sweep", again) if re.fullmatch(NAME, self.name) else None
        if document is None:
            raise UserError("sweep", unknown(f"{self.storage}", self.name, names_in(self.storage), "sweep"))
        try:
            saved = _Saved.model_validate(document)
        except ValidationError as error:
            flaws = ", ".join(f"{fault.where}: {fault.found}" for fault in validation_faults(error))
            raise UserError("sweep", Fault(str(path), f"not whole ({flaws})", "a saved sweep", again)) from None
        if saved.spec.name != self.name:
            found, remedy = f"the sweep {saved.spec.name!r}", f"name the folder {saved.spec.name}, or {again}"
            raise UserError("sweep", Fault(str(path), found, f"the folder's own name, {self.name!r}", remedy))
        return {**document, "settings": asdict(saved.settings)}

    def spec(self) -> SweepSpec:
        """The saved spec. Raises UserError."""
        return SweepSpec.model_validate(self.read()["spec"])

    def bases(self) -> dict[str, tuple[str, str]]:
        """(vision, text) fingerprints of each backbone as the sweep last loaded it; in words where its file has changed since.

        Backbones whose file is not on this machine are left out.
        """
        path = self.root / "bases.json"
        saved = read_model(path, _Bases, missing_ok=True, remedy="delete it")
        found = {}
        for name, each in saved.root.items() if saved is not None else ():
            file = Path(each.file)
            if file.exists():
                changed = f"of {file}, which has changed since"
                found[name] = (each.vision, each.text) if stamp(file) == each.stamp else (changed, changed)
        return found

    def save_bases(self, bases: Mapping[str, tuple[str, str, Path]], notes: Mapping[str, list[str]]) -> None:
        """name -> (vision fingerprint, text fingerprint, file or folder of the weights). notes: what was told of them, by name."""
        rows = {
            name: {"vision": vision, "text": text, "file": str(file), "stamp": stamp(file)}
            | ({"notes": notes[name]} if notes.get(name) else {})
            for name, (vision, text, file) in bases.items()
        }
        path, content = self.root / "bases.json", json.dumps(rows, indent=1).encode()
        if not path.exists() or path.read_bytes() != content:
            publish_bytes(path, content)

    def save(
        self, spec: SweepSpec, settings: Mapping[str, Any], datasets: list[str], evaluated: list[str] | None = None
    ) -> None:
        """Write sweep.json and every trial.json. datasets: all that are read; evaluated: those that are scored.

        A saved sweep may grow (more values), never change: see `refuse_change`."""
        if (self.root / "sweep.json").exists():
            refuse_change(self.spec(), spec)
        for trial in spec.trials():
            path = self.trial(trial).root / "trial.json"
            if not path.exists():
                publish_bytes(path, json.dumps(trial.document(), indent=1).encode())
        document = {
            "spec": spec.model_dump(mode="json"),
            "settings": dict(settings),
            "datasets": datasets,
            "evaluated": datasets if evaluated is None else evaluated,
            "name": spec.name,
        }
        publish_bytes(self.root / "sweep.json", json.dumps(document, indent=1).encode())


def names_in(storage: UPath) -> list[str]:
    """Of all sweeps there, sorted."""
    if not storage.exists():
        return []
    return sorted(entry.name for entry in storage.iterdir() if (entry / "sweep.json").exists())
