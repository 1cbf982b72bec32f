"""MLflow's only writer: find-or-create runs by tag, log what is new, so that any replay changes nothing.

Decisions: a run is created together with the tag it is found by, so no kill leaves a run that a replay would double; which rows are
new says `sweeps.tracking.logged`, and MLflow's primary key drops those that were written twice. A new SQLite store is built beside its
place and renamed, an old one upgraded as a copy: a kill in a migration leaves no half a schema. MLflow's file store is refused: MLflow
retired it. A sweep's trials come here through `sweeps.tracking.outbox`, which knows what a store lacks without reading it.
"""

from __future__ import annotations

import hashlib
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gelo.models.durable import fetched
from gelo.models.faults import Fault, UserError
from gelo.sweeps.tracking.answered import answered, uploading
from gelo.sweeps.tracking.client import before_import, client_of
from gelo.sweeps.tracking.database import migrate, usable
from gelo.sweeps.tracking.logged import Metric, Row, Wanted, check_names, checked, new_rows, unsure
from gelo.sweeps.tracking.runlog import Status
from gelo.sweeps.tracking.store import SQLITE, VIEW_TAG, as_uri, locked, must_answer, resolve_uri
from gelo.sweeps.tracking.values import Input, Scalar, batches, input_of, quotable, text_of

if TYPE_CHECKING:
    from upath import UPath

LONGEST_PARAM = 500  # characters; longer values go to the artifact params/<key>.txt
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's pages then show what trainings need
NOTE = "mlflow.note.content"  # the tag that MLflow's pages show as a description
_METRICS_PER_BATCH = 1000  # MLflow's limits
_ENTRIES_PER_BATCH = 100


class Tracker:
    """One experiment in one tracking store.

    uri: `sqlite:///PATH` (relative to the working folder; made, or its schema brought up to date, under a file lock) or
    the http(s) address of an MLflow server. artifacts: folder or URI below which a new experiment keeps its files; by
    default `mlflow-artifacts` beside the SQLite file, or what the server says. MLflow is imported on construction, not
    before. Raises UserError for another kind of URI, a place that cannot be written, a server that does not answer, or
    an experiment that was deleted.
    """

    def __init__(self, uri: str, experiment: str, artifacts: str | None = None) -> None:
        self.uri = resolve_uri(uri)
        self._naming = threading.Lock()  # of two runs that name a new data set at once MLflow refuses one
        before_import()
        if self.uri.startswith(SQLITE):
            database = Path(self.uri.removeprefix(SQLITE))
            artifacts = artifacts or str(database.parent / "mlflow-artifacts")
            with locked(database), usable(database):
                migrate(database, artifacts)
                self.client_of = client_of(self.uri)
                found = self._find_experiment(experiment, artifacts)
        else:
            must_answer(self.uri)
            self.client_of = client_of(self.uri)
            found = self._find_experiment(experiment, artifacts)
        self.experiment_id = str(found.experiment_id)
        self.made, self.shown = int(found.creation_time or 0), str(found.tags.get(VIEW_TAG, ""))

    @answered
    def ensure_sweep(
        self, name: str, spec_json: str, tags: Mapping[str, str] | None = None, note: Callable[[str], str] | None = None
    ) -> str:
        """Id of the sweep's parent run, made if absent; `spec_json` is its artifact sweep.json, rewritten on change. note: makes of its id
        the description of one that has none."""
        digest = hashlib.sha256(spec_json.encode()).hexdigest()[:16]
        found_by = {"gelo.sweep": name, "gelo.role": "sweep"}
        run = self._find_or_create(found_by, {**(tags or {}), "mlflow.runName": name})
        if run.data.tags.get("gelo.spec") != digest:
            with uploading(self.uri):
                self.client_of.log_text(run.info.run_id, spec_json, "sweep.json")
            self.client_of.set_tag(run.info.run_id, "gelo.spec", digest)
        if note is not None and NOTE not in run.data.tags:
            self.client_of.set_tag(run.info.run_id, NOTE, note(run.info.run_id))
        return str(run.info.run_id)

    @answered
    def ensure_trial(
        self,
        parent: str,
        key: str,
        params: Mapping[str, Scalar],
        tags: Mapping[str, str] | None = None,
        name: str | None = None,
        started: float | None = None,
        absent: bool = False,
    ) -> str:
        """Id of the run of trial `key` below `parent`, made if absent, shown as `name` (default: the key).

        started: when its training began, in seconds since 1970; None for now. It stays as it was made. absent: it is known not to be there,
        which saves a search.

        params (flat) are written once: one that is there keeps its first value. Tags that are absent are added, those of gelo kept
        current. Values over 500 characters become the artifact params/<key>.txt, and the param names it. Raises ValueError for a key
        that MLflow does not take.
        """
        check_names(params)
        more = {**(tags or {}), "mlflow.runName": name or key, "mlflow.parentRunId": parent, "gelo.role": "trial"}
        run = self._find_or_create({"gelo.trial": key}, more, started, absent)
        run_id = str(run.info.run_id)
        lacking = {param: text_of(value) for param, value in params.items() if param not in run.data.params}
        for param, value in lacking.items():
            if len(value) > LONGEST_PARAM:  # the file first: a param that is there has its file
                file = f"params/{param}.txt"
                with uploading(self.uri):
                    self.client_of.log_text(run_id, value, file)
                lacking[param] = f"artifact {file}, {len(value)} characters"
        from mlflow.entities import Param

        for batch in batches([Param(param, value) for param, value in lacking.items()], _ENTRIES_PER_BATCH):
            self.client_of.log_batch(run_id, params=batch)
        return run_id

    @answered
    def log(
        self, run_id: str, metrics: Sequence[Metric], whole: tuple[str, ...] = (), inputs: Sequence[Input] = ()
    ) -> int:
        """Write those of `metrics` that the run does not have, or has with another value; returns how many rows were written.

        whole: beginnings of names of which `metrics` is all there is: what the run has beside becomes NaN. inputs: data sets that the
        run is of; MLflow takes none back, so a former version of one stays beside the present. Raises ValueError, before
        anything is written, for a name that MLflow does not take, a value that is not finite, a negative step, or two values for one
        (name, step).
        """
        wanted = checked(metrics)
        start, last, histories, there = self._read(run_id, wanted)
        rows = new_rows(wanted, last, histories, start, whole)
        self.write(run_id, rows, [each for each in inputs if (each.name, each.digest) not in there])
        return len(rows)

    @answered
    def rows(self, run_id: str, wanted: Wanted) -> tuple[int, list[Row]]:
        """When a run started, in ms, and its rows as far as they matter to `wanted`: what MLflow shows, and histories where that says too
        little. Many requests: for runs that another gelo wrote."""
        start, last, histories, _ = self._read(run_id, wanted)
        return start, sorted({*last, *histories}, key=lambda row: (row.timestamp, row.name))

    @answered
    def write(
        self, run_id: str, rows: Sequence[Row], inputs: Sequence[Input] = (), tags: Mapping[str, str] | None = None,
        models: Mapping[Row, str] | None = None,
    ) -> None:  # fmt: skip
        """Write inputs, then rows, then tags: where the tags are, the rows are too. models: rows that are of a model too, and its id."""
        from mlflow.entities import Metric as Entry
        from mlflow.entities import RunTag

        if inputs:
            with self._naming:
                self.client_of.log_inputs(run_id, [input_of(each) for each in inputs])
        last, models = [RunTag(tag, value) for tag, value in (tags or {}).items()], models or {}
        entries = [Entry(*row, model_id=models.get(row)) for row in dict.fromkeys([*models, *rows])]
        whole = [*batches(entries, _METRICS_PER_BATCH - len(last))] or [[]]
        for number, batch in enumerate(whole, 1):  # of one request MLflow writes the metrics first
            self.client_of.log_batch(run_id, metrics=batch, tags=last if number == len(whole) else ())

    @answered
    def keep(self, run_id: str, folder: UPath, name: str) -> bool:
        """Make the files of `folder` the run's artifacts below `name`; False where they are there already, byte for byte."""
        with fetched(folder) as place:
            files = sorted(file for file in place.rglob("*") if file.is_file())
            content = hashlib.sha256()
            for file in files:
                content.update(f"{file.relative_to(place)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
            digest, tag = content.hexdigest()[:16], f"gelo.{name}"
            if self.client_of.get_run(run_id).data.tags.get(tag) == digest:
                return False
            with uploading(self.uri):
                self.client_of.log_artifacts(run_id, str(place), name)
            self.client_of.set_tag(run_id, tag, digest)  # last: an upload that is cut short is made again
        return True

    @answered
    def finish(self, run_id: str, status: Status, ended: float | None = None, was: str | None = None) -> None:
        """End the run, at `ended` (seconds since 1970; None for now), or have it run again; said again with the same status it changes
        nothing. was: the status that it is known to have, which saves a request."""
        if (was or self.client_of.get_run(run_id).info.status) == status:
            return
        if status == "RUNNING":
            self.client_of.update_run(run_id, status)
        else:
            self.client_of.set_terminated(run_id, status, None if ended is None else int(1000 * ended))

    def _read(self, run_id: str, wanted: Wanted) -> tuple[int, list[Row], list[Row], set[tuple[str, str]]]:
        """Start, what MLflow shows of each name, the histories of those that are `unsure`, and the inputs, of a run."""
        run = self.client_of.get_run(run_id)
        last = [
            Row(entry.key, entry.value, int(entry.timestamp), int(entry.step)) for entry in run.data.to_proto().metrics
        ]
        histories = [
            Row(name, entry.value, int(entry.timestamp), int(entry.step))
            for name in unsure(wanted, last)
            for entry in self.client_of.get_metric_history(run_id, name)
        ]
        inputs = {(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs}
        return int(run.info.start_time), last, histories, inputs

    def _find_or_create(
        self, found_by: Mapping[str, str], more: Mapping[str, str], started: float | None = None, absent: bool = False
    ) -> Any:
        """The run with the tags `found_by`; made with them, and with `more`, in one request where there is none."""
        run = None if absent else self._find(found_by)
        if run is None:
            start = None if started is None else int(1000 * started)
            made = self.client_of.create_run(self.experiment_id, start_time=start, tags={**more, **found_by})
            run = self._find(found_by) or made  # another driver may have made the same run meanwhile: the oldest counts
        from mlflow.entities import RunTag

        tags = [
            RunTag(tag, value)
            for tag, value in more.items()
            if tag not in run.data.tags or (tag.startswith("gelo.") and run.data.tags[tag] != value)
        ]
        for batch in batches(tags, _ENTRIES_PER_BATCH):
            self.client_of.log_batch(run.info.run_id, tags=batch)
        return run

    def _find(self, found_by: Mapping[str, str]) -> Any:
        query = " and ".join(f"tags.`{tag}` = '{quotable(value)}'" for tag, value in found_by.items())
        runs = self.client_of.search_runs([self.experiment_id], query)
        first, *surplus = sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id)) or [None]
        for run in surplus:
            self.client_of.delete_run(run.info.run_id)
        return first

    @answered
    def _find_experiment(self, name: str, artifacts: str | None) -> Any:
        """The experiment, made if absent. Raises UserError when it was deleted."""
        from mlflow.exceptions import MlflowException

        found = self.client_of.get_experiment_by_name(name)
        if found is None:
            place = f"{as_uri(artifacts)}/{urllib.parse.quote(name, safe='')}" if artifacts else None
            with suppress(MlflowException):  # another driver was first; were it anything else, the next line says so
                return self.client_of.get_experiment(self.client_of.create_experiment(name, place, _KIND))
            found = self.client_of.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            state = "could not be made" if found is None else "was deleted"
            remedy = f"`mlflow experiments restore --experiment-id {found.experiment_id}`" if found else "see its log"
            raise UserError("tracking", Fault(f"experiment {name}", state, "an experiment to write to", remedy))
        return found
