"""One sweep from spec to report. Idempotent: the same call starts, continues, or finds nothing left to do.

Stages, each reading the folders and doing what is missing: check, data, decode, then wave by wave train (Tune), merge, embed (one Ray Data
pass, many encoders), score, log (MLflow).
"""

from __future__ import annotations

import fcntl
import signal
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gelo.models.durable import is_done, is_local
from gelo.models.faults import Fault, UserError, folded
from gelo.models.secrets import redacted
from gelo.models.specs import Transform, resolve
from gelo.models.words import counted
from gelo.models.zoo import load_backbone
from gelo.sweeps.cluster import must_grant, started, unshared
from gelo.sweeps.evaluate import Subject, embed_jobs, jobs_of, pairs_of, subject_of, undecoded, verified
from gelo.sweeps.folder import SweepFolder
from gelo.sweeps.leaks import leaks_told
from gelo.sweeps.origins import refuse_others
from gelo.sweeps.preflight import needed_datasets, preflight
from gelo.sweeps.progress import Display, waiting
from gelo.sweeps.scoring import score_jobs
from gelo.sweeps.settings import Settings
from gelo.sweeps.signals import end, handled
from gelo.sweeps.spec import SweepSpec
from gelo.sweeps.summary import HEADLINE, WHOLE, inputs_of, is_complete, metrics_of, not_averaged, results_of
from gelo.sweeps.tracking import Metric, Tracker
from gelo.sweeps.train import STEP, merge
from gelo.sweeps.trial import Trial
from gelo.sweeps.tune import StopFlag, train_all
from gelo.tasks.cache import touch, using
from gelo.tasks.catalogue import COLLECTIONS, locate
from gelo.tasks.defined import reads_of
from gelo.tasks.manifest import Dataset
from gelo.tasks.stream import Work, decode_all, works
from gelo.tasks.training.preprocess import transforms
from rich.markup import escape
from upath import UPath


@dataclass
class Outcome:
    """How a run ended. failures: trial key -> failure, with its `label`; faults: what kept results from being there, all others being
    saved; stopped: the number of the signal on which it ended, after saving; tracker, parent: where the sweep is tracked, and its run."""

    folder: SweepFolder
    tracker: Tracker
    parent: str
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: dict[Fault, None] = field(default_factory=dict)
    stopped: int = 0

    def keep(self, report: UPath, headline: Mapping[str, float]) -> None:
        """Give the sweep's run in MLflow its numbers and the report's files."""
        metrics = [Metric(name, value) for name, value in headline.items()]
        self.tracker.log(self.parent, metrics, HEADLINE)
        self.tracker.keep(self.parent, report, "report")


def run_sweep(spec: SweepSpec, settings: Settings, display: Display) -> Outcome:
    """Run or continue. Raises UserError (every fault of the check in one), KeyboardInterrupt outside training."""
    faults = preflight(spec, settings)
    if faults:
        raise UserError(f"sweep {spec.name}", faults)
    folder = SweepFolder(settings.place(), spec.name)
    trials = spec.trials()
    with _only_one(folder):
        scored = list(dict.fromkeys(name for name, _ in pairs_of(spec, Path(settings.data))))
        folder.save(spec, asdict(settings), needed_datasets(spec, Path(settings.data)), scored)
        with waiting("MLflow", display.say):
            tracker = Tracker(settings.tracking, spec.name)
        parent = tracker.ensure_sweep(spec.name, spec.model_dump_json(indent=1), _tags(spec))
        where = f"on {COLLECTIONS[spec.collection]} data, results in {folder.root}"
        display.say(f"sweep [bold]{spec.name}[/bold]: {counted(len(trials), 'trial')} {where}")
        with started(settings.address, settings.cpus, display, settings.resume(spec.name)):
            must_grant(spec.resources.cpus, spec.resources.gpus, settings.address, display)
            unshared(folder.storage, settings.tracking, settings.data)
            sweep = _Sweep(spec, settings, folder, display, tracker, parent, trials)
            with using(Path(settings.cache).absolute(), settings.cache_limit) as trim:
                outcome = sweep.run(trim)
        if not outcome.stopped:
            tracker.finish(parent, "FAILED" if outcome.failures or outcome.faults else "FINISHED")
    return outcome


@dataclass
class _Sweep:
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
        data = Path(self.settings.data)
        self.pairs = pairs_of(self.spec, data)
        self.datasets = self._datasets()
        refuse_others(self.folder, self.trials, self.labels, self._now)
        self.folder.save_bases(
            {
                name: (
                    base.vision_fingerprint,
                    base.text_fingerprint,
                    resolve(name).weights_path(self._weights(name)).absolute(),
                )
                for name, base in self.bases.items()
            }
        )
        self._decode()
        size = self.spec.resources.wave
        with _stops_on_signals(self.display) as self.stop:
            for start in range(0, len(self.trials), size):
                self._wave(self.trials[start : start + size])
                trim()
                if self.stop.is_set:
                    self.outcome.stopped = self.stop.number
                    return self.outcome
        return self.outcome

    def _wave(self, wave: Sequence[Trial]) -> None:
        todo = []
        for trial in {t.source.key: t.source for t in wave if t.training}.values():
            if self.folder.trial(trial).is_trained():
                continue
            if trial.training is not None and trial.training.data in self.datasets:
                todo.append(trial)
            else:
                error = f"data set {trial.training.data if trial.training else ''}: not whole, as told before"
                self._failed(trial, {"kind": "user", "error": error})
        if todo:
            with self.display.stage("train", len(todo), "trials") as stage:
                cache, data = str(self.cache), str(Path(self.settings.data).absolute())
                given = {"cache": cache, "data": data, "weights": self.weights}
                failures = train_all(todo, self.labels, self.folder, self.spec.resources, given, self.stop, stage)
            for trial in wave:
                if trial.source.key in failures:
                    self._failed(trial, failures[trial.source.key])
        if self.stop.is_set:
            return
        self.stop.graceful = False  # from here a Ctrl-C stops at once: every file is whole
        for trial in wave:
            place, source = self.folder.trial(trial), self.folder.trial(trial.source)
            if trial.source is not trial and source.is_trained() and not place.is_trained():
                merge(trial, self.bases[trial.backbone], source, place)
        ready = [t for t in wave if t.training is None or self.folder.trial(t).is_trained()]
        subjects = [self._subject(trial) for trial in ready]
        self._score(subjects)
        with waiting("MLflow to take the numbers", self.display.say):
            self._log(subjects)
        self.stop.graceful = True

    def _score(self, subjects: Sequence[Subject]) -> None:
        jobs = jobs_of(subjects, self.datasets, self.pairs)
        needed = {need for job in jobs for need in job.needs() if need.work not in self.lost}
        missing = [need for need in needed if not need.cached(self.cache)]
        gpus = self.spec.resources.gpus
        if missing:
            with self.display.stage("embed", sum(need.work.chunk.rows for need in missing), "images") as stage:
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
                **_tags(self.spec), "gelo.vision": subject.ref.vision, "gelo.text": subject.text,
                "gelo.leaks": leaks_told(results),
            }  # fmt: skip
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
            failure = self.folder.trial(trial.source).failure()
            if failure is not None and not self.folder.trial(trial).is_trained():
                self._failed(trial, failure)
                run = self.tracker.ensure_trial(
                    self.parent, trial.key, trial.flat(), _tags(self.spec), name=self.labels[trial.key]
                )
                self.tracker.finish(run, "FAILED")

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
        """What a training here would be of, as far as it is known."""
        name = trial.training.data if trial.training else ""
        data = {"data": self.datasets[name].fingerprint} if name in self.datasets else {}
        return {"base": self.bases[trial.backbone].vision_fingerprint, "step": str(STEP), **data}

    def _datasets(self) -> dict[str, Dataset]:
        """Make what gelo makes itself, then open and verify all: those that are whole. Raises UserError where none is."""
        import ray

        data = Path(self.settings.data).absolute()
        names = needed_datasets(self.spec, data)
        missing = [name for name in names if not is_done(data / name)]
        if missing:
            build = ray.remote(num_cpus=1)(_build)
            with self.display.stage("make data", len(missing), "data sets") as stage:
                pending = [build.remote(name, str(data)) for name in missing]
                while pending:
                    done, pending = ray.wait(pending)
                    ray.get(done[0])
                    stage.tick()
        found: dict[str, Dataset] = {}
        for name in names:
            try:
                with waiting(f"the files of {name} to be checked", self.display.say):
                    found[name] = verified(data / name, self.cache, anew=self.settings.verify)
            except UserError as error:
                self._trouble(error.faults)
        if not found:
            raise UserError("data sets", list(self.outcome.faults))
        return found

    def _decode(self) -> None:
        """Every image that the sweep reads, once per transform. Chunks with an unreadable one are `lost`; a trial on them fails."""
        by_transform: dict[Transform, dict[Work, None]] = defaultdict(dict)
        for name, protocol in self.pairs:
            for split, _ in reads_of(protocol, self.datasets[name]) if name in self.datasets else ():
                for base in self.bases.values():
                    by_transform[base.transform].update(dict.fromkeys(works(self.datasets[name], split)))
        for trial in self.trials:
            if trial.training is not None and trial.training.data in self.datasets:
                seen = transforms(trial.training.preprocess, self.bases[trial.backbone].transform).train
                by_transform[seen].update(dict.fromkeys(works(self.datasets[trial.training.data], "train")))
        for transform, wanted in by_transform.items():
            missing = [w for w in wanted if not w.decoded(self.cache / "decoded" / transform.fingerprint)]
            if missing:
                with self.display.stage("decode", sum(w.chunk.rows for w in missing), "images") as stage:
                    try:
                        decode_all(missing, transform, self.cache, "ray", stage.tick)
                    except UserError as error:
                        self._trouble(error.faults)
                        self.lost |= undecoded(missing, transform, self.cache)
            for dataset in {work.fingerprint for work in wanted}:
                touch(self.cache, "decoded", transform.fingerprint, dataset)


def _build(name: str, data: str) -> None:
    locate(name, Path(data), build=True)


def _tags(spec: SweepSpec) -> dict[str, str]:
    try:
        described = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        commit = {"gelo.commit": described.stdout.strip()} if described.returncode == 0 else {}
    except OSError:  # no git on this machine
        commit = {}
    return {"gelo.sweep": spec.name, "gelo.scale": COLLECTIONS[spec.collection], **commit}


@contextmanager
def _only_one(folder: SweepFolder) -> Iterator[None]:
    """Two runs of one sweep must not write at once; on shared storage that is the users' agreement, locally a lock."""
    if not is_local(folder.root):
        yield
        return
    root = Path(str(folder.root))
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fault = Fault(
                str(root), "another gelo is running this sweep", "one at a time", f"gelo status {folder.name}"
            )
            raise UserError(f"sweep {folder.name}", fault) from None
        yield


class _Interrupts(StopFlag):
    """The stop flag with the ending signals on it. graceful: training saves first; a second signal, or one elsewhere, ends at once."""

    graceful = True
    number = 0


@contextmanager
def _stops_on_signals(display: Display) -> Iterator[_Interrupts]:
    stop = _Interrupts()

    def on_signal(number: int) -> None:
        if stop.is_set or not stop.graceful:
            end(number)
        stop.number = number
        stop.set()
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        display.say(f"{name}: the running trials save a checkpoint; once more to stop at once")

    with handled(on_signal):
        yield stop
