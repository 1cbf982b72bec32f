"""The stages of one sweep: make and check data, decode, pack, then wave by wave train, finish, embed, score, log.

Each reads the folders and does what is missing, so nothing here remembers what was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.markup import escape

from gelo.models.backbones.check import notes_for
from gelo.models.backbones.registry import resolve
from gelo.models.backbones.zoo import load_backbone
from gelo.models.faults import Fault, UserError, folded
from gelo.models.secrets import redacted
from gelo.models.words import counted
from gelo.sweeps.engine.tune import train_all
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.shown import shown_of
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.data import found_in, opened
from gelo.sweeps.stages.decode import decode_images
from gelo.sweeps.stages.embed import Subject, embed_jobs, jobs_of, pairs_of, subject_of
from gelo.sweeps.stages.finish import finish
from gelo.sweeps.stages.leaks import leaks_told
from gelo.sweeps.stages.origin import training_of
from gelo.sweeps.stages.outcome import Outcome, tags_of
from gelo.sweeps.stages.pack import pack_all
from gelo.sweeps.stages.score import score_jobs
from gelo.sweeps.stages.stop import stops_on_signals
from gelo.sweeps.stages.train import sources_of
from gelo.sweeps.stages.watch import eye_of, validated
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.origins import refuse_others
from gelo.sweeps.state.shown import shown_faults
from gelo.sweeps.terminal.progress import Display, waiting
from gelo.sweeps.tracking.summary import WHOLE, inputs_of, is_complete, metrics_of, not_averaged, results_of
from gelo.sweeps.tracking.tracker import Tracker
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.stream import Work
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.ledger.watched import general_sets, unvalidated


@dataclass
class Sweep:
    spec: SweepSpec
    settings: Settings
    folder: SweepFolder
    display: Display
    tracker: Tracker
    parent: str
    trials: Sequence[Trial]

    def __post_init__(self) -> None:
        self.labels = Trial.labels(self.trials)

    def run(self, trim: Callable[[], object]) -> Outcome:
        self.outcome = Outcome(self.folder, self.tracker, self.parent)
        self.lost: set[Work] = set()
        self.cache = Path(self.settings.cache).absolute()
        given = {name: resolve(name).weights_path(self._given(name)) for name in self.spec.backbones}
        self.weights = {  # workers run in folders of their own; what gelo ships each of them finds itself
            name: str(path.absolute())
            for name, path in given.items()
            if name in self.spec.weights or not resolve(name).file
        }
        self.bases = {}
        for name in dict.fromkeys(self.spec.backbones):
            with waiting(f"the weights of {name} to be read", self.display.say):
                self.bases[name] = load_backbone(name, self._weights(name))
        notes = {name: notes_for(name, self._weights(name)) for name in self.bases}
        self._notes(note for of_one in notes.values() for note in of_one)
        data = Path(self.settings.data)
        self.pairs = pairs_of(self.spec, data)
        self.datasets = self._opened()
        refuse_others(self.folder, self.trials, self.labels, self._now)
        self.folder.save_bases(
            {
                name: (
                    base.vision_fingerprint,
                    base.text_fingerprint,
                    resolve(name).weights_path(self._weights(name)).absolute(),
                )
                for name, base in self.bases.items()
            },
            notes,
        )
        own = {name: base.transform for name, base in self.bases.items()}
        self.lost, faults = decode_images(self.pairs, own, self.datasets, self.cache, self.display)
        self._trouble(faults)
        self._notes(unvalidated(self.trials, self.datasets))
        pack_all(self.trials, self.folder, self.datasets, self.cache, self.display)
        size = self.spec.resources.wave
        with stops_on_signals(self.display) as self.stop:
            for start in range(0, len(self.trials), size):
                self._wave(self.trials[start : start + size])
                trim()
                if self.stop.is_set:
                    self.outcome.stopped = self.stop.number
                    return self.outcome
        return self.outcome

    def _notes(self, notes: Iterable[str]) -> None:
        for note in notes:
            self.display.say(escape(f"NOTE {note}"))

    def _wave(self, wave: Sequence[Trial]) -> None:
        todo = []
        for trial in {each.key: each for one in wave for each in one.made_of}.values():
            if self.folder.trial(trial).is_trained():
                continue
            before = self.folder.trial(trial).failure()
            if before is not None and before["kind"] == "diverged":  # the same numbers would come again
                self._failed(trial, before)
                continue
            lacking = [name for name, _ in trial.learnt_from if name not in self.datasets]
            if lacking:
                error = f"data set {', '.join(lacking)}: not whole, as told before"
                self._keep(trial, {"kind": "user", "error": error})
            else:
                todo.append(trial)
        if todo:
            with self.display.stage("train", len(todo), "trials") as stage:
                cache, data = str(self.cache), str(Path(self.settings.data).absolute())
                given = {"cache": cache, "data": data, "weights": self.weights, "general": general_sets(self.pairs)}
                failures = train_all(todo, self.labels, self.folder, self.spec.resources, given, self.stop, stage)
            for trial in wave:
                for each in trial.made_of:
                    if each.key in failures:
                        self._failed(trial, failures[each.key])
        if self.stop.is_set:
            return
        self.stop.graceful = False  # from here a Ctrl-C stops at once: every file is whole
        for trial in wave:
            whole = all(self.folder.trial(each).is_trained() for each in trial.made_of)
            if trial.training is not None and not trial.trains and whole and not self.folder.trial(trial).is_trained():
                self._finish(trial)
        ready = [t for t in wave if not t.tuned or self.folder.trial(t).is_trained()]
        subjects = [self._subject(trial) for trial in ready]
        self._score(subjects)
        with waiting("MLflow to take the numbers", self.display.say):
            self._log(subjects)
        self.stop.graceful = True

    def _finish(self, trial: Trial) -> None:
        base, failure = self.bases[trial.backbone], None
        try:
            find = partial(found_in, self.datasets)
            sources = sources_of(trial, find, base.transform, self.cache)
            own, score = self.datasets.get(trial.learnt_from[0][0]), validated(trial, base, find)
            look = partial(eye_of, trial, base, general_sets(self.pairs), find, self.cache)
            finish(trial, base, self.folder.trial, sources, dataset=own, cache=self.cache, validated=score, look=look)
        except UserError as error:
            failure = {"kind": "user", "error": str(error)}
        self._keep(trial, failure)

    def _score(self, subjects: Sequence[Subject]) -> None:
        jobs = jobs_of(subjects, self.datasets, self.pairs)
        needed = {need for job in jobs for need in job.needs() if need.work not in self.lost}
        missing = [need for need in needed if not need.cached(self.cache)]
        gpus = self.spec.resources.gpus_of_a_rank
        if missing:
            with self.display.stage("embed", sum(need.rows for need in missing), "images") as stage:
                ready, faults = embed_jobs(
                    jobs, self.bases, self.cache, "ray", gpus=gpus, tick=stage.tick, lost=self.lost
                )
        else:
            with waiting("the text towers to be asked", self.display.say):
                ready, faults = embed_jobs(jobs, self.bases, self.cache, "ray", lost=self.lost)
        self._trouble(faults)
        if ready:
            with self.display.stage("score", len(ready), "results") as stage:
                self._trouble(score_jobs(ready, self.cache, "ray", stage.tick, gpus=gpus))

    def _trouble(self, faults: Sequence[Fault]) -> None:
        """Say what keeps results from being there, once, and go on with the others; all of it is told again at the end."""
        for fault in folded(fault for fault in faults if fault not in self.outcome.faults):
            self.display.say(f"[red]not scored[/red] {escape(redacted(str(fault)))}")
        self.outcome.faults |= dict.fromkeys(faults)

    def _log(self, subjects: Sequence[Subject]) -> None:
        baselines = {t.backbone: self._subject(t) for t in self.trials if t.task == "none"}
        written = 0
        for subject in subjects:
            trial, results = subject.trial, results_of(subject, self.pairs)
            tags = {
                **tags_of(self.spec),
                "gelo.vision": subject.ref.vision,
                "gelo.text": subject.text,
                "gelo.leaks": leaks_told(results),
            }
            made = subject.folder.training() if trial.trains else {}
            ended = made.get("ended")
            started = None if ended is None else ended - made["train_seconds"]
            label = self.labels[trial.key]
            run = self.tracker.ensure_trial(self.parent, trial.key, trial.flat(), tags, name=label, started=started)
            metrics = metrics_of(subject, baselines[trial.backbone], self.pairs)
            written += self.tracker.log(run, metrics, WHOLE, inputs_of(subject, self.datasets, results))
            self.tracker.finish(run, "FINISHED" if is_complete(trial, results, self.pairs) else "FAILED", ended)
        for line in not_averaged(subjects, self.pairs):
            self.display.say(escape(line))
        self.display.say(f"log: {counted(written, 'metric')} of {counted(len(subjects), 'trial')} written to MLflow")
        for trial in self.trials:
            failed = (self.folder.trial(each).failure() for each in trial.made_of)
            failure = next((each for each in failed if each is not None), None)
            if failure is not None and not self.folder.trial(trial).is_trained():
                self._failed(trial, failure)
                run = self.tracker.ensure_trial(
                    self.parent, trial.key, trial.flat(), tags_of(self.spec), name=self.labels[trial.key]
                )
                self.tracker.finish(run, "FAILED")

    def _keep(self, trial: Trial, failure: Mapping[str, Any] | None) -> None:
        """Where `status` reads it, and where the next attempt removes it."""
        self.folder.trial(trial).set_failure(failure)
        if failure is not None:
            self._failed(trial, failure)

    def _failed(self, trial: Trial, failure: Mapping[str, Any]) -> None:
        self.outcome.failures.setdefault(trial.key, {"label": self.labels[trial.key], **failure})

    def _subject(self, trial: Trial) -> Subject:
        given = self.weights.get(trial.backbone)
        return subject_of(trial, self.folder.trial(trial), self.bases[trial.backbone], given, self.labels[trial.key])

    def _given(self, name: str) -> Path | None:
        return Path(self.spec.weights[name]) if name in self.spec.weights else None

    def _weights(self, name: str) -> Path | None:
        given = self.weights.get(name)
        return Path(given) if given else None

    def _now(self, trial: Trial) -> dict[str, str]:
        return training_of(trial, self.bases[trial.backbone], self.datasets, self.pairs)

    def _opened(self) -> dict[str, Dataset]:
        found, faults = opened(self.spec, self.settings, self.cache, self.display)
        self._trouble(faults)
        if not found:
            raise UserError("data sets", list(self.outcome.faults))
        leaks = list(shown_faults(shown_of(self.trials), self.pairs, found))  # of sets that were made only now, too
        if leaks:
            raise UserError(f"sweep {self.spec.name}", leaks)
        return found
