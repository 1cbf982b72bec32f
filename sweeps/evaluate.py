"""What is missing -> embed (one pass, many encoders) -> score -> save. Nothing here decides by memory: only by files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from upath import UPath

from models.durable import fetched
from models.specs import Transform
from sweeps.folder import TrialFolder
from sweeps.trial import Trial
from tasks.catalogue import SUITES, Protocol, datasets_for, entry_of
from tasks.embed import EncoderRef, Need, embed, features, needs, text_features
from tasks.manifest import Dataset, open_dataset
from tasks.prompts import prompts_for
from tasks.stream import Executor
from tasks.suites import WIRING, Head, Scoring, Wiring
from tasks.training import TASKS
from tasks.training.preprocess import transforms

if TYPE_CHECKING:
    from models.encoder import Encoder


@dataclass(frozen=True)
class Subject:
    """An encoder to score: its trial, where its results go, and where its weights lie.

    detector: the same weights as its trained head is tested: behind the transform that they were trained with.
    """

    trial: Trial
    folder: TrialFolder
    ref: EncoderRef
    detector: EncoderRef
    text: str
    logit_scale: float

    def suites(self, wiring: Wiring) -> tuple[str, ...]:
        """The suites that a protocol yields here: a detector's only where the head was trained for it."""
        task = TASKS.get(self.trial.task)
        return (
            (*wiring.suites, wiring.detector) if task is not None and task.suite == wiring.detector else wiring.suites
        )


@dataclass(frozen=True)
class Job:
    """One protocol on one data set for one subject: the `suites` that it yields by the features of `ref`."""

    subject: Subject
    protocol: Protocol
    dataset: Dataset
    suites: tuple[str, ...]
    ref: EncoderRef

    def done(self) -> bool:
        """True when every result is there, of these fingerprints and this version of the protocol."""
        wiring = WIRING[self.protocol]
        for suite in self.suites:
            result = self.subject.folder.result(suite, self.dataset.name)
            if result is None or result.protocol_version != wiring.version:
                return False
            if (result.data, result.vision) != (self.dataset.fingerprint, self.ref.vision):
                return False
        return True

    def needs(self) -> list[Need]:
        reads = WIRING[self.protocol].reads_of(self.dataset)
        return [need for split, views in reads for need in needs(self.ref, self.dataset, split, views)]


def protocols_of(
    collection: str, suites: Sequence[str], data: Path, also: Sequence[str] = ()
) -> list[tuple[str, Protocol]]:
    """(data set, protocol) pairs that the suites of a sweep ask for, in catalogue order; then those of the sets in `also`."""
    wanted = {protocol for suite in suites for protocol in SUITES[suite]}
    names = dict.fromkeys(entry.name for suite in suites for entry in datasets_for(collection, suite))
    return [
        (name, protocol)
        for name in dict.fromkeys([*names, *also])
        for protocol in entry_of(name, data).protocols
        if protocol in wanted
    ]


def verified(root: Path, cache: Path) -> Dataset:
    """Open and check a data set; its SHA-256s only when its files changed since they were last found right."""
    dataset = open_dataset(root)
    stamp = cache / "verified" / f"{dataset.fingerprint}.txt"
    entries = [*(e for shards in dataset.card.splits.values() for e in shards), *dataset.card.tables.values()]
    now = "\n".join(f"{root / e.file} {(root / e.file).stat().st_mtime_ns}" for e in entries)
    if not (stamp.exists() and stamp.read_text() == now):
        open_dataset(root, verify=True)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(now)
    return dataset


def jobs_of(
    subjects: Sequence[Subject], datasets: dict[str, Dataset], pairs: Sequence[tuple[str, Protocol]]
) -> list[Job]:
    """The jobs that are not done. A head trained behind a transform of its own is a job of its own, beside that of the text prompts."""
    jobs = (
        Job(subject, protocol, datasets[name], suites, ref)
        for subject in subjects
        for name, protocol in pairs
        for suites, ref in _by_transform(subject, WIRING[protocol])
    )
    return [job for job in jobs if not job.done()]


def _by_transform(subject: Subject, wiring: Wiring) -> list[tuple[tuple[str, ...], EncoderRef]]:
    suites = subject.suites(wiring)
    if wiring.detector not in suites or subject.detector == subject.ref:
        return [(suites, subject.ref)]
    return [(wiring.suites, subject.ref), ((wiring.detector,), subject.detector)]


def subject_of(trial: Trial, folder: TrialFolder, base: Encoder, weights: str | None) -> Subject:
    """The untouched backbone for a baseline, else the trained encoder of the trial's folder."""
    if trial.training is None:
        ref = detector = EncoderRef(base.vision_fingerprint, trial.backbone, weights, None)
    else:
        trained, made = str(folder.trained), folder.training()
        ref = detector = EncoderRef(made["vision"], trial.backbone, weights, trained)
        if trial.training.preprocess != "backbone":
            shown = transforms(trial.training.preprocess, base.transform).test
            detector = EncoderRef(made["detector"], trial.backbone, weights, trained, shown)
    return Subject(trial, folder, ref, detector, base.text_fingerprint, base.logit_scale)


def embed_jobs(
    jobs: Sequence[Job],
    bases: dict[str, Encoder],
    cache: Path,
    executor: Executor,
    *,
    gpus: float = 0,
    tick: Callable[[int], None] = lambda n: None,
) -> int:
    """Fill the embedding cache for `jobs`, one pass for each transform, and the text features on the way; returns images encoded."""
    by_transform: dict[Transform, list[Job]] = defaultdict(list)
    for job in jobs:
        base = bases[job.subject.trial.backbone]
        by_transform[job.ref.transform or base.transform].append(job)
        if WIRING[job.protocol].prompted:
            text_features(base, prompts_for(job.dataset), cache)
    encoded = 0
    for transform, group in by_transform.items():
        wanted = [need for job in group for need in job.needs()]
        encoded += embed(wanted, transform, cache, executor, gpus=gpus, tick=tick)
    return encoded


@dataclass(frozen=True)
class Score:
    """A job in plain values, to be run by any process of this machine: `run` scores and saves it."""

    root: str
    ref: EncoderRef
    protocol: Protocol
    dataset: str
    suites: tuple[str, ...]
    seed: int
    text: str
    logit_scale: float
    cache: str
    device: str = "cpu"

    def run(self) -> None:
        """Raises UserError (bad features or tables) and OSError (storage)."""
        from threadpoolctl import threadpool_limits

        dataset, wiring, cache = open_dataset(Path(self.dataset)), WIRING[self.protocol], Path(self.cache)
        texts = None
        if wiring.prompted and self.suites != (wiring.detector,):
            import numpy as np

            texts = list(np.load(cache / "text" / self.text / f"{prompts_for(dataset).fingerprint}.npy"))
        scoring = Scoring(
            dataset=dataset,
            features=lambda split, view: features(self.ref, dataset, split, cache, view),
            texts=texts,
            logit_scale=self.logit_scale,
            head=self._head() if wiring.detector in self.suites else None,
            seed=self.seed,
            vision=self.ref.vision,
            text=self.text,
            device=self.device,
        )
        folder = TrialFolder(UPath(self.root))
        with threadpool_limits(1):
            for result, per_item in wiring.score(scoring):
                folder.save_result(result, per_item)

    def _head(self) -> Head | None:
        from safetensors.numpy import load_file

        assert self.ref.trained is not None
        with fetched(UPath(self.ref.trained)) as place:
            tensors = load_file(place / "head.safetensors")
        return Head(tensors["weight"], tensors["bias"])


def score_of(job: Job, cache: Path, device: str) -> Score:
    """The job as a value that another process can run."""
    subject = job.subject
    return Score(
        root=str(subject.folder.root),
        ref=job.ref,
        protocol=job.protocol,
        dataset=str(job.dataset.root),
        suites=job.suites,
        seed=subject.trial.seed,
        text=subject.text,
        logit_scale=subject.logit_scale,
        cache=str(cache),
        device=device,
    )


def score_jobs(
    jobs: Sequence[Job],
    cache: Path,
    executor: Executor,
    tick: Callable[[int], None] = lambda n: None,
    *,
    gpus: float = 0,
) -> None:
    """Score and save every job; with Ray on this machine's CPUs (where the cache is), else here. gpus: of each task; solvers use it."""
    if executor == "ray" and gpus:
        gpus = gpus if _gpus_here() >= gpus else 0  # the cache is on this machine; the GPUs may be on others
    scores = [score_of(job, cache, "cuda" if gpus else "cpu") for job in jobs]
    if executor == "local":
        for score in scores:
            score.run()
            tick(1)
        return
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    remote = ray.remote(num_cpus=1, num_gpus=gpus or None, scheduling_strategy=here, max_retries=2)(run_scores)
    batches = [scores[start : start + 8] for start in range(0, len(scores), 8)]
    pending = {remote.remote(batch): len(batch) for batch in batches}
    error: Exception | None = None
    while pending:
        done, _ = ray.wait(list(pending), num_returns=1)
        count = pending.pop(done[0])
        try:
            ray.get(done[0])
        except ray.exceptions.RayTaskError as failed:
            error = error or (failed.cause if isinstance(failed.cause, Exception) else failed)
        tick(count)
    if error is not None:
        raise error


def _gpus_here() -> float:
    """GPUs of the machine that this process runs on, as Ray counts them."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    return sum(each["Resources"].get("GPU", 0) for each in ray.nodes() if each["NodeID"] == node)


def run_scores(scores: Sequence[Score]) -> None:
    """Run each; all are tried before the first error is raised."""
    error: Exception | None = None
    for score in scores:
        try:
            score.run()
        except Exception as failed:  # the others' results must not be lost
            error = error or failed
    if error is not None:
        raise error
