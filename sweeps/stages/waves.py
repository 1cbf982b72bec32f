"""The stages of one sweep: make and check data, decode, pack, then wave by wave train, finish, embed, score, log.

Each reads the folders and does what is missing, so nothing here remembers what was done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from gelo.models.faults import Fault, UserError, folded
from gelo.models.secrets import redacted
from gelo.models.words import counted
from gelo.sweeps.engine.limits import meter_of
from gelo.sweeps.engine.packer import Packer
from gelo.sweeps.engine.races import Races
from gelo.sweeps.engine.tune import train_all
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.shown import shown_of
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.bases import as_saved, bases_of, weights_of
from gelo.sweeps.stages.data import opened
from gelo.sweeps.stages.decode import decode_images
from gelo.sweeps.stages.embed import Subject, embed_jobs, jobs_of, pairs_of, subject_of
from gelo.sweeps.stages.finished import Workbench, finish_all
from gelo.sweeps.stages.found import told_of
from gelo.sweeps.stages.live import Live
from gelo.sweeps.stages.log import ended, scored
from gelo.sweeps.stages.origin import training_of
from gelo.sweeps.stages.outcome import Outcome, tags_of
from gelo.sweeps.stages.pack import pack_all
from gelo.sweeps.stages.portions import grown
from gelo.sweeps.stages.score import score_jobs
from gelo.sweeps.stages.stop import stops_on_signals
from gelo.sweeps.stages.suggest import next_round
from gelo.sweeps.state.cuts import cut_of
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.origins import refuse_others
from gelo.sweeps.state.shown import shown_faults
from gelo.sweeps.terminal.progress import Display, waiting
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.summary import not_averaged
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
    outbox: Outbox
    trials: Sequence[Trial]
    lead: Mapping[str, Any] | None = None  # what `led` yields

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.labels = Trial.labels(self.trials)
        self.races = Races(self.spec.scheduler, self.folder) if self.spec.scheduler.acts else None

    def run(self, tidies: Sequence[Callable[[], object]]) -> Outcome:
        self.outcome = Outcome(self.folder, self.outbox)
        self.lost: set[Work] = set()
        self.cache = Path(self.settings.cache).absolute()
        self.weights = weights_of(self.spec)
        self.bases, notes = bases_of(self.spec.backbones, self.weights, self.display)
        self._notes(note for of_one in notes.values() for note in of_one)
        self.pairs = pairs_of(self.spec, Path(self.settings.data))
        self.datasets = self._opened()
        refuse_others(self.folder, self.trials, self.labels, self._now)
        self.folder.save_bases(as_saved(self.bases, self.weights), notes)
        own = {name: base.transform for name, base in self.bases.items()}
        self.lost, faults = decode_images(self.pairs, own, self.datasets, self.cache, self.display)
        self._trouble(faults)
        self._notes(unvalidated(self.trials, self.datasets))
        pack_all(self.trials, self.folder, self.datasets, self.cache, self.display)
        self.bench = Workbench(self.folder, self.bases, self.datasets, general_sets(self.pairs), self.cache)
        self.given: dict[str, Any] = {"cache": str(self.cache), "weights": self.weights, "lead": self.lead}
        self.given |= {"data": str(Path(self.settings.data).absolute()), "general": self.bench.general}
        self.meter = meter_of(self.spec.resources, self.trials, self.folder, self.began)
        self.packer = Packer(self.spec.resources, self.folder, self._train, lambda: self.stop.is_set, self.display.say)
        with stops_on_signals(self.display) as self.stop:
            todo = list(self.trials)
            while todo:
                self._waves(todo, tidies)
                if self.stop.is_set:
                    self.outcome.stopped, self.outcome.halted = self.stop.number, self.stop.why
                    return self.outcome
                todo = self._suggested()
        for line in told_of(self.spec, self.folder, self.labels):
            self.display.say(escape(line))
        return self.outcome

    def _waves(self, todo: Sequence[Trial], tidies: Sequence[Callable[[], object]]) -> None:
        """Train some, then embed, score and log them, so many encoders a pass. tidies: what is done after each."""
        of_a_pass = size = self.spec.resources.wave
        while todo and not self.stop.is_set:
            wave, todo, began = todo[:size], todo[size:], time.monotonic()
            self._trained(wave)
            size = grown(size, time.monotonic() - began, of_a_pass)
            for start in range(0, len(wave), of_a_pass):
                if not self.stop.is_set:
                    self._measured(wave[start : start + of_a_pass])
                    for tidy in tidies:
                        tidy()

    def _suggested(self) -> list[Trial]:
        """What a search tries next, in the ledger before any of it starts; [] where it is at its end."""
        while (spec := next_round(self.spec, self.folder)) is not None:
            before, saved = set(self.labels), self.folder.read()
            self.folder.save(spec, saved["settings"], saved["datasets"], saved["evaluated"])
            self.spec, self.trials = spec, spec.trials()
            self.labels = Trial.labels(self.trials)
            new = [trial for trial in self.trials if trial.key not in before]
            self.display.say(f"search: {counted(len(new), 'trial')} suggested, {len(self.trials):,} in all")
            if new:  # else all are sources of others, trained before
                pack_all(new, self.folder, self.datasets, self.cache, self.display)
                return new
        return []

    def _notes(self, notes: Iterable[str]) -> None:
        for note in notes:
            self.display.say(escape(f"NOTE {note}"))

    def _trained(self, wave: Sequence[Trial]) -> None:
        todo = []
        for trial in {each.key: each for one in wave for each in one.made_of}.values():
            if self.folder.trial(trial).is_trained() or cut_of(trial, self.folder) is not None:
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
            failures = self.packer.trained(todo, self.trials)
            for trial in wave:
                for told in (failures[each.key] for each in trial.made_of if each.key in failures):
                    self._failed(trial, told)

    def _measured(self, wave: Sequence[Trial]) -> None:
        self.stop.graceful = False  # from here a Ctrl-C stops at once: every file is whole
        finish_all(wave, self.labels, self.bench, self.spec.resources, self.given, self.stop, self._keep, self.display)
        if self.stop.is_set:
            return
        ready = [t for t in wave if not t.tuned or self.folder.trial(t).is_trained()]
        subjects = [self._subject(trial) for trial in ready]
        self._score(subjects)
        for trial in wave:
            if (cut := cut_of(trial, self.folder)) is not None:
                self.outcome.cut[trial.key] = cut.told
                self.outbox.put(ended(trial, self.labels[trial.key], tags_of(self.spec), "KILLED", cut.told))
        self._log(subjects)
        self.stop.graceful = True

    def _train(self, todo: Sequence[Trial], shares: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        """The failures by key. shares: of a card, by key."""
        if self.races is not None:
            self.races.join(self.trials)
        live = Live(self.outbox, {trial.key: trial for trial in self.trials}, self.labels, tags_of(self.spec))
        with self.display.stage("train", len(todo), "trials") as stage, live.sending():
            failures = train_all(
                todo, self.labels, self.folder, self.spec.resources, self.given, self.stop, stage, self.meter,
                shares, self.races, live.hear,
            )  # fmt: skip
        if self.stop.is_set:
            live.stopped()
        return failures

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
                self._trouble(score_jobs(ready, self.cache, "ray", stage.tick, gpus=gpus, lead=self.lead))

    def _trouble(self, faults: Sequence[Fault]) -> None:
        """Say what keeps results from being there, once, and go on with the others; all of it is told again at the end."""
        for fault in folded(fault for fault in faults if fault not in self.outcome.faults):
            self.display.say(f"[red]not scored[/red] {escape(redacted(str(fault)))}")
        self.outcome.faults |= dict.fromkeys(faults)

    def _log(self, subjects: Sequence[Subject]) -> None:
        baselines = {t.backbone: self._subject(t) for t in self.trials if t.task == "none"}
        tags = tags_of(self.spec)
        for subject in subjects:
            self.outbox.put(scored(subject, baselines[subject.trial.backbone], self.pairs, self.datasets, tags))
        for line in not_averaged(subjects, self.pairs):
            self.display.say(escape(line))
        for trial in self.trials:
            told = (self.folder.trial(each).failure() for each in trial.made_of)
            failure = next((each for each in told if each is not None), None)
            if failure is not None and not self.folder.trial(trial).is_trained():
                self._failed(trial, failure)
                self.outbox.put(ended(trial, self.labels[trial.key], tags, "FAILED", failure["kind"]))
        with waiting("MLflow to take the numbers", self.display.say):
            written = self.outbox.send()
        self.display.say(f"log: {counted(written, 'metric')} of {counted(len(subjects), 'trial')} written to MLflow")
        if waits := self.outbox.waits():
            self.display.say(escape(f"NOTE not logged: {waits}; asked again later"))

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
