"""What is missing -> embed (one pass, many encoders); `sweeps.stages.score` then scores it. Nothing here decides by memory: only by
files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gelo.models.backbones.transforms import Transform
from gelo.models.durable import publish_bytes, stamp
from gelo.models.faults import Fault, UserError
from gelo.sweeps.stages.troubles import Troubles
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.attacked import Aim, aim_of
from gelo.tasks.data.catalogue import datasets_for, entry_of
from gelo.tasks.data.defined import reads_of, why_not
from gelo.tasks.data.embed import EncoderRef, Need, embed, needs
from gelo.tasks.data.manifest import Dataset, open_dataset
from gelo.tasks.data.stream import Executor, Work
from gelo.tasks.data.tokens import ask
from gelo.tasks.data.tokens import asked as texts_asked
from gelo.tasks.ledger.owed import suites_of
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.protocols import PROTOCOLS, asked
from gelo.tasks.protocols.base import Protocol
from gelo.tasks.protocols.zeroshot import classifier
from gelo.tasks.results import Result
from gelo.tasks.training.preprocess import transforms

if TYPE_CHECKING:
    import numpy as np

    from gelo.models.encoder import Encoder
    from gelo.sweeps.spec.sweep import SweepSpec


_ELSEWHERE = "it was trained elsewhere, on images that are not known here"


@dataclass(frozen=True)
class Subject:
    """An encoder to score: its trial, where its results go, and where its weights lie.

    detector: the same weights as its trained head is tested: behind the transform that they were trained with. text, logit_scale: of its
    own text tower where it trained one, else of the backbone's. trained_on: fingerprint of
    each data set that it was trained on, where training.json says it (an older gelo's does not). past: why nobody knows what it was
    trained on; "" where the trial says it.
    """

    trial: Trial
    folder: TrialFolder
    ref: EncoderRef
    detector: EncoderRef
    text: str
    logit_scale: float
    label: str
    trained_on: Mapping[str, str] = field(default_factory=dict, hash=False)
    past: str = ""


@dataclass(frozen=True)
class Known:
    """Fingerprints of what a result should be of now; None where that is not known here."""

    data: str | None
    vision: str | None
    text: str | None


def stale(result: Result, protocol: Protocol, now: Known) -> str:
    """What a saved result is of and the sweep no longer: "" where it is current. Such a one is scored again."""
    pairs = [
        ("version of the protocol", str(result.protocol_version), str(protocol.version)),
        ("data", result.data, now.data),
        ("encoder", result.vision, now.vision),
        *([("text tower", result.text, now.text)] if protocol.prompted else []),
    ]
    return ", ".join(f"{what} {was}, now {new}" for what, was, new in pairs if new is not None and was != new)


@dataclass(frozen=True)
class Job:
    """One protocol on one data set for one subject: the `suites` that it yields by the features of `ref`."""

    subject: Subject
    protocol: str
    dataset: Dataset
    suites: tuple[str, ...]
    ref: EncoderRef

    @property
    def label(self) -> str:
        """For messages: what is scored on which set, of which trial."""
        return f"{', '.join(self.suites)} on {self.dataset.name}, {self.subject.label}"

    def done(self) -> bool:
        """True when every result is there, of these fingerprints and this version of the protocol."""
        now = Known(self.dataset.fingerprint, self.ref.vision, self.subject.text)
        found = [self.subject.folder.result(suite, self.dataset.name) for suite in self.suites]
        return all(result is not None and not stale(result, PROTOCOLS[self.protocol], now) for result in found)

    def needs(self) -> list[Need]:
        reads, aim = reads_of(self.protocol, self.dataset), self.aim()
        return [need for split, views in reads for need in needs(self.ref, self.dataset, split, views, aim)]

    def aim(self) -> Aim | None:
        """What its images are attacked against, where it attacks any."""
        return aim_of(PROTOCOLS[self.protocol].attack, self.dataset, self.subject.text)

    def prompted(self) -> bool:
        """Whether a text tower is asked."""
        of = PROTOCOLS[self.protocol]
        return of.prompted and self.suites != (of.detector,) and not why_not(self.protocol, self.dataset)


def protocols_of(collection: str, suites: Sequence[str], data: Path, only: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(data set, protocol) pairs that suites ask for of a collection, in catalogue order; only: of these sets alone."""
    names = dict.fromkeys(entry.name for suite in suites for entry in datasets_for(collection, suite))
    return scored_by(suites, [name for name in names if not only or name in only], data)


def scored_by(suites: Sequence[str], names: Iterable[str], data: Path) -> list[tuple[str, str]]:
    """(data set, protocol) pairs that suites ask for of these sets."""
    wanted = {protocol for suite in suites for protocol in asked()[suite]}
    return [(name, protocol) for name in names for protocol in entry_of(name, data).protocols if protocol in wanted]


def pairs_of(spec: SweepSpec, data: Path) -> list[tuple[str, str]]:
    """(data set, protocol) pairs that a sweep scores: what it chooses of its collection, then the sets in `also`."""
    own = [
        (name, protocol)
        for name, protocol in protocols_of(spec.collection, spec.evaluate, data, spec.datasets)
        if name not in spec.without
    ]
    return [*own, *(pair for pair in scored_by(spec.evaluate, dict.fromkeys(spec.also), data) if pair not in own)]


def verified(root: Path, cache: Path, *, anew: bool = False) -> Dataset:
    """Open and check a data set; its SHA-256s where a file changed (size, times, inode) since they were found right, or `anew`."""
    dataset = open_dataset(root)
    known = cache / "verified" / f"{dataset.fingerprint}.txt"
    entries = [*(e for shards in dataset.card.splits.values() for e in shards), *dataset.card.tables.values()]
    entries += [dataset.card.elsewhere] if dataset.card.elsewhere is not None else []
    now = "\n".join(f"{root / entry.file} {stamp(root / entry.file)}" for entry in entries).encode()
    if anew or not known.is_file() or known.read_bytes() != now:
        open_dataset(root, verify=True)
        publish_bytes(known, now)
    return dataset


def jobs_of(subjects: Sequence[Subject], datasets: dict[str, Dataset], pairs: Sequence[tuple[str, str]]) -> list[Job]:
    """The jobs that are not done, of the data sets that are there. A head trained behind a transform of its own is a job of its own,
    beside that of the text prompts."""
    jobs = (
        Job(subject, protocol, datasets[name], suites, ref)
        for subject in subjects
        for name, protocol in pairs
        if name in datasets
        for suites, ref in _by_transform(subject, protocol)
    )
    return [job for job in jobs if not job.done()]


def _by_transform(subject: Subject, protocol: str) -> list[tuple[tuple[str, ...], EncoderRef]]:
    of, suites = PROTOCOLS[protocol], suites_of(protocol, subject.trial.task)
    if of.detector not in suites or subject.detector == subject.ref:
        return [(suites, subject.ref)]
    return [(of.untrained, subject.ref), ((of.detector,), subject.detector)]


def subject_of(
    trial: Trial, folder: TrialFolder, base: Encoder, weights: str | None, label: str | None = None
) -> Subject:
    """The untouched backbone for a baseline, else the trained encoder of the trial's folder. label: what messages call it."""
    learnt: dict[str, str] = {}
    text, logit_scale = base.text_fingerprint, base.logit_scale
    if not trial.tuned:
        ref = detector = EncoderRef(base.vision_fingerprint, trial.backbone, weights, None)
    else:
        trained, made = str(folder.trained), folder.training()
        ref = detector = EncoderRef(made["vision"], trial.backbone, weights, trained, text=made.get("text", ""))
        text, logit_scale = made.get("text", text), made.get("logit_scale", logit_scale)
        learnt = {place.partition("/")[0]: of for place, of in made.get("sources", {}).items()}
        learnt |= {trial.training.data: made["data"]} if trial.training and "data" in made else {}
        if trial.preprocess != "backbone":
            shown = transforms(trial.preprocess, base.transform).test
            detector = replace(ref, vision=made["detector"], transform=shown)
    past = "" if trial.training is not None or not trial.tuned else _ELSEWHERE
    told = label or trial.label
    return Subject(trial, folder, ref, detector, text, logit_scale, told, learnt, past)


def undecoded(images: Iterable[Work], transform: Transform, cache: Path) -> set[Work]:
    """What decoding has left out: chunks with an unreadable image."""
    return {work for work in images if not work.decoded(cache / "decoded" / transform.fingerprint)}


def embed_jobs(
    jobs: Sequence[Job],
    bases: dict[str, Encoder],
    cache: Path,
    executor: Executor,
    *,
    gpus: float = 0,
    tick: Callable[[int], None] = lambda n: None,
    lost: Collection[Work] = (),
) -> tuple[list[Job], list[Fault]]:
    """Fill the embedding cache for `jobs`, one pass for each transform, and what is asked of text towers on the way.

    Returns the jobs that can be scored, and the faults of the others, one that stands in the way of several told once. lost: chunks
    whose faults are known; the jobs that need them are left out.
    """
    troubles = Troubles()
    own: dict[str, Encoder] = {}
    ready: list[Job] = []
    banks: dict[Aim, np.ndarray] = {}
    by_transform: dict[Transform, list[Job]] = defaultdict(list)
    for job in jobs:
        if lost and any(need.work in lost for need in job.needs()):
            continue
        base = bases[job.subject.trial.backbone]
        with troubles.of(job.label):
            if job.prompted():
                ask(_asked(job.subject, base, own), job.dataset, cache)
                if (aim := job.aim()) and (texts := texts_asked(job.subject.text, job.dataset, cache)[0]) is not None:
                    banks[aim] = classifier(texts)
            by_transform[job.ref.transform or base.transform].append(job)
    for transform, group in by_transform.items():
        try:
            wanted = [need for job in group for need in job.needs()]
            embed(wanted, transform, cache, executor, gpus=gpus, tick=tick, banks=banks)
            ready += group
        except UserError:  # of some job: each on its own, and what is cached is not done again
            for job in group:
                with troubles.of(job.label):
                    embed(job.needs(), transform, cache, executor, gpus=gpus, tick=tick, banks=banks)
                    ready.append(job)
    return ready, troubles.faults()


def _asked(subject: Subject, base: Encoder, own: dict[str, Encoder]) -> Encoder:
    """The encoder whose text tower is asked for the subject: the base, or its own, kept in `own` by the fingerprint of that."""
    if subject.text == base.text_fingerprint:
        return base
    if subject.text not in own:
        own[subject.text] = subject.ref.load(str(base.device))
    return own[subject.text]
