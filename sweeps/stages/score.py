"""Features -> results: every job scored and saved by any process of this machine; one that cannot be scored costs only its own numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from gelo.models.durable import fetched
from gelo.models.faults import Fault, UserError, pass_interrupt
from gelo.models.heads import HeadSpec
from gelo.sweeps.engine.failures import raised_in
from gelo.sweeps.stages.embed import Job
from gelo.sweeps.stages.leaks import leak_notes
from gelo.sweeps.stages.troubles import Troubles
from gelo.sweeps.state.folder import TrialFolder
from gelo.sweeps.state.lease import follow
from gelo.tasks.data.attacked import aim_of
from gelo.tasks.data.defined import run
from gelo.tasks.data.embed import EncoderRef, features
from gelo.tasks.data.manifest import open_dataset
from gelo.tasks.data.stream import Executor
from gelo.tasks.data.tokens import asked
from gelo.tasks.protocols import PROTOCOLS
from gelo.tasks.results import WRAPPED
from gelo.tasks.scoring import Head, Scoring


@dataclass(frozen=True)
class Score:
    """A job in plain values, to be run by any process of this machine: `run` scores and saves it. notes: leaks, with each result.
    lead: of the driver, by which `follow` knows whether it still leads; None where nobody leads."""

    root: str
    ref: EncoderRef
    protocol: str
    dataset: str
    suites: tuple[str, ...]
    seed: int
    text: str
    logit_scale: float
    cache: str
    label: str
    prompted: bool
    notes: Mapping[str, str]
    device: str = "cpu"
    head: HeadSpec | None = None
    lead: Mapping[str, Any] | None = None

    def run(self) -> None:
        """Raises UserError (bad features or tables) and OSError (storage)."""
        from threadpoolctl import threadpool_limits

        dataset, cache = open_dataset(Path(self.dataset)), Path(self.cache)
        texts, unasked = asked(self.text, dataset, cache) if self.prompted else (None, "")
        aim = aim_of(PROTOCOLS[self.protocol].attack, dataset, self.text)
        scoring = Scoring(
            dataset=dataset,
            features=lambda split, view: features(self.ref, dataset, split, cache, view, aim),
            texts=texts,
            logit_scale=self.logit_scale,
            head=self._head() if PROTOCOLS[self.protocol].detector in self.suites else None,
            seed=self.seed,
            vision=self.ref.vision,
            text=self.text,
            device=self.device,
            unasked=unasked,
        )
        folder = TrialFolder(UPath(self.root))
        if self.lead is not None:
            follow(folder.root.parent.parent, self.lead)
        with threadpool_limits(1):
            for result, per_item in run(self.protocol, self.suites, scoring):
                folder.save_result(result.model_copy(update={"notes": {**result.notes, **self.notes}}), per_item)

    def _head(self) -> Head | None:
        from safetensors.numpy import load_file

        assert self.ref.trained is not None
        with fetched(UPath(self.ref.trained), ("head.safetensors",)) as place:
            tensors = load_file(place / "head.safetensors")
        assert self.head is not None
        try:
            return Head(*self.head.detector(tensors))
        except KeyError:
            fault = Fault(
                self.label, f"a head {self.head.kind} of {', '.join(tensors)}", "one with logits of two classes"
            )
            raise UserError("trained head", fault) from None


def score_of(job: Job, cache: Path, device: str, lead: Mapping[str, Any] | None = None) -> Score:
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
        label=job.label,
        prompted=job.prompted(),
        notes=leak_notes(job) | _wrapped(job),
        device=device,
        head=subject.trial.head,
        lead=lead,
    )


def _wrapped(job: Job) -> dict[str, str]:
    """The note of a result whose features a remedy changes behind the encoder; {} for an encoder as it is."""
    around = [each.label for each in job.subject.trial.remedy.members() if each.wraps]
    return {WRAPPED: f"{' + '.join(around)} around the encoder: not the plain encoder's own"} if around else {}


def score_jobs(
    jobs: Sequence[Job],
    cache: Path,
    executor: Executor,
    tick: Callable[[int], None] = lambda n: None,
    *,
    gpus: float = 0,
    lead: Mapping[str, Any] | None = None,
) -> list[Fault]:
    """Score and save every job; with Ray on this machine's CPUs (where the cache is), else here. gpus: of each task; solvers use it.
    lead: see `Score`.

    Returns the faults of the jobs that could not be scored; the others are saved. Raises OSError (storage) once all were tried.
    """
    troubles = Troubles()
    if executor == "ray" and gpus:
        gpus = gpus if _gpus_here() >= gpus else 0  # the cache is on this machine; the GPUs may be on others
    for job in jobs:
        job.subject.folder.shared()
    scores = [score_of(job, cache, "cuda" if gpus else "cpu", lead) for job in jobs]
    if executor == "local":
        for score in scores:
            with troubles.of(score.label):
                score.run()
            tick(1)
        return troubles.faults()
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
            for label, refused in ray.get(done[0]):
                troubles.add(label, refused)
        except ray.exceptions.RayTaskError as failed:
            error = error or raised_in(failed)
        tick(count)
    if error is not None:
        raise error
    return troubles.faults()


def _gpus_here() -> float:
    """GPUs of the machine that this process runs on, as Ray counts them."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    return sum(each["Resources"].get("GPU", 0) for each in ray.nodes() if each["NodeID"] == node)


def run_scores(scores: Sequence[Score]) -> list[tuple[str, UserError]]:
    """Run each; returns the labels and mistakes of those that could not be scored. All are tried before another error is raised."""
    refused: list[tuple[str, UserError]] = []
    error: Exception | None = None
    for score in scores:
        try:
            score.run()
        except UserError as mistake:
            refused.append((score.label, mistake))
        except Exception as failed:  # the others' results must not be lost
            pass_interrupt(failed)
            error = error or failed
    if error is not None:
        raise error
    return refused
