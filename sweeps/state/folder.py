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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError
from upath import UPath

from gelo.models.durable import is_done, publish_bytes, stamp
from gelo.models.faults import Fault, UserError, unknown
from gelo.models.secrets import redacted
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import NAME, SweepSpec, validation_faults
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.protocols.curves import curves_of
from gelo.tasks.protocols.tally import per_class
from gelo.tasks.results import Result


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

    def is_trained(self) -> bool:
        return is_done(self.trained)

    def training(self) -> dict[str, Any]:
        """training.json of a trained trial; {} before."""
        return json.loads((self.trained / "training.json").read_bytes()) if self.is_trained() else {}

    def curve(self) -> list[dict[str, Any]]:
        """The points of curve.json of a trial that was looked at while it trained; [] of any other."""
        path = self.trained / "curve.json"
        return list(json.loads(path.read_bytes())["points"]) if self.is_trained() and path.exists() else []

    def failure(self) -> dict[str, Any] | None:
        path = self.root / "failure.json"
        return json.loads(path.read_bytes()) if path.exists() else None

    def set_failure(self, failure: Mapping[str, Any] | None) -> None:
        path = self.root / "failure.json"
        if failure is not None:
            told = {name: redacted(value) if isinstance(value, str) else value for name, value in failure.items()}
            publish_bytes(path, json.dumps(told).encode())
        elif path.exists():
            path.unlink()

    def result(self, suite: str, dataset: str) -> Result | None:
        """The saved result, or None where there is none. A damaged one counts as none: it is scored again."""
        path = self.root / "results" / suite / f"{dataset}.json"
        try:
            return Result.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError, ValueError):
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
                (place / f"{result.dataset}{kind}.parquet").unlink(missing_ok=True)
        for kind, table in tables.items():
            if table is not None:
                buffer = io.BytesIO()
                pq.write_table(table, buffer, compression="zstd")
                publish_bytes(place / f"{result.dataset}{kind}.parquet", buffer.getvalue())
        publish_bytes(place / f"{result.dataset}.json", result.model_dump_json().encode())


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
        return self.storage / self.name

    def exists(self) -> bool:
        """Whether a sweep of this name was run here; a name that no sweep can have, such as a path, is none."""
        return bool(re.fullmatch(NAME, self.name)) and (self.root / "sweep.json").exists()

    def trial(self, trial: Trial) -> TrialFolder:
        return TrialFolder(self.root / "trials" / trial.key)

    def read(self) -> dict[str, Any]:
        """sweep.json, checked. Raises UserError, with the nearest name when there is no such sweep."""
        if not self.exists():
            known = (
                [e.name for e in self.storage.iterdir() if (e / "sweep.json").exists()] if self.storage.exists() else []
            )
            raise UserError("sweep", unknown(f"{self.storage}", self.name, known, "sweep"))
        path = self.root / "sweep.json"
        again = "delete this file, and run the sweep's YAML again"
        try:
            document = json.loads(path.read_bytes())
            settings = _Saved.model_validate(document).settings
        except ValidationError as error:
            flaws = ", ".join(f"{fault.where}: {fault.found}" for fault in validation_faults(error))
            raise UserError("sweep", Fault(str(path), f"not whole ({flaws})", "a saved sweep", again)) from None
        except ValueError as error:
            raise UserError("sweep", Fault(str(path), f"not JSON ({error})", "a saved sweep", again)) from None
        return {**document, "settings": asdict(settings)}

    def spec(self) -> SweepSpec:
        """The saved spec. Raises UserError."""
        return SweepSpec.model_validate(self.read()["spec"])

    def bases(self) -> dict[str, tuple[str, str]]:
        """(vision, text) fingerprints of each backbone as the sweep last loaded it; in words where its file has changed since.

        Backbones whose file is not on this machine are left out.
        """
        path = self.root / "bases.json"
        saved: dict[str, dict[str, str]] = json.loads(path.read_bytes()) if path.exists() else {}
        found = {}
        for name, each in saved.items():
            file = Path(each["file"])
            if file.exists():
                changed = f"of {file}, which has changed since"
                found[name] = (each["vision"], each["text"]) if stamp(file) == each["stamp"] else (changed, changed)
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


def refuse_change(old: SweepSpec, new: SweepSpec) -> None:
    """A spec under a used name may add trials, suites and resources; taking one away or altering it is an error that shows both."""
    was, now = {t.key: t for t in old.trials()}, {t.key: t for t in new.trials()}
    labels = Trial.labels(list(was.values()))
    gone, added = [t for key, t in was.items() if key not in now], [t for key, t in now.items() if key not in was]
    faults = []
    for trial in gone:
        twin = next(
            (
                t
                for t in added
                if (t.backbone, t.task, t.adaptation.kind) == (trial.backbone, trial.task, trial.adaptation.kind)
            ),
            None,
        )
        found = f"now {_difference(trial, twin)}" if twin else "is missing from the new spec"
        faults.append(
            Fault(labels[trial.key], found, "every trial of the saved sweep unchanged", "give the sweep a new name")
        )
    for suite in old.evaluate:
        if suite not in new.evaluate:
            faults.append(
                Fault(
                    "evaluate",
                    f"{suite} was taken away",
                    "at least the suites of the saved sweep",
                    "give the sweep a new name",
                )
            )
    if faults:
        raise UserError(f"sweep {new.name} was run with another spec", faults)


def _difference(old: Trial, new: Trial) -> str:
    before, after = old.flat(), new.flat()
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return ", ".join(f"{key} {before.get(key)} -> {after.get(key)}" for key in keys)
