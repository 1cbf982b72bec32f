"""Images that were learnt from and are scored: a note of every result, so that they stand where the numbers stand.

What was learnt from: the splits that a probe fits, and what a trial and its remedy were shown. A note says what was found, or that nothing
was; another why nobody could look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from gelo.models.faults import UserError
from gelo.sweeps.stages.embed import Job
from gelo.tasks.data.contents import UNCHECKED as OLD
from gelo.tasks.data.contents import alike, is_known, shared, within
from gelo.tasks.data.defined import reads_of
from gelo.tasks.data.manifest import CARD, Dataset, open_dataset
from gelo.tasks.data.understood import Leak
from gelo.tasks.results import LEAK, NO_LEAK, UNCHECKED, Result

_TAG = 5000  # characters that a tag of MLflow holds
_SCORED, _LEARNT = ("test", "dev"), ("train", "val")


def leak_notes(job: Job) -> dict[str, str]:
    """The notes that each result of the job carries: `LEAK`, `UNCHECKED`, or both where one side could be looked at."""
    reads = [split for split, _ in reads_of(job.protocol, job.dataset)]
    scored = [split for split in reads if split in _SCORED]
    if not scored:  # the protocol is undefined here
        return {}
    leaks: list[Leak] = []
    unchecked: list[str] = [job.subject.past] if job.subject.past else []
    if is_known(job.dataset):
        leaks += [leak for leak in _own(job.dataset) if _counts(leak, scored, reads)]
    elif set(reads) & set(_LEARNT):
        unchecked.append(f"{job.dataset.name} was {OLD}")
    for name, learnt_split in job.subject.trial.learnt_from:
        learnt = _opened(job.dataset.root.parent / name)
        why = _why_not(job, learnt, name)
        if why:
            unchecked.append(why)
        elif learnt is not None:
            leaks += [leak for split in scored for leak in _between(job.dataset, split, learnt, learnt_split)]
    found = {UNCHECKED: "; ".join(dict.fromkeys(unchecked))} if unchecked else {}
    if leaks or not unchecked:
        found[LEAK] = "; ".join(dict.fromkeys(map(str, leaks))) or NO_LEAK
    return found


def leaks_told(results: Sequence[Result]) -> str:
    """One text for a run's tag: each leak with the results that it is in, what could not be checked, or that there is nothing."""
    found: dict[str, list[str]] = defaultdict(list)
    for result in results:
        unchecked = f"not checked: {result.unchecked}" if result.unchecked else ""
        for text in filter(None, (result.leak, unchecked)):
            found[text].append(f"{result.suite}/{result.dataset}")
    told = "; ".join(f"{', '.join(names)}: {text}" for text, names in found.items()) or NO_LEAK
    return told if len(told) <= _TAG else f"{told[: _TAG - 4]} ..."


def _counts(leak: Leak, scored: list[str], reads: list[str]) -> bool:
    """Whether a leak within a data set touches what is scored by these reads: images learnt from, or one image under two labels."""
    if leak.split not in scored:
        return False
    return leak.relabelled if leak.other == leak.split else leak.other in reads


def _why_not(job: Job, learnt: Dataset | None, name: str) -> str:
    if learnt is None:
        return f"{name}, which the encoder was trained on, is not prepared here"
    if job.subject.trained_on.get(name, learnt.fingerprint) != learnt.fingerprint:
        return f"{name} was prepared anew after the encoder was trained on it"
    old = [dataset.name for dataset in (job.dataset, learnt) if not is_known(dataset)]
    return f"{old[0]} was {OLD}" if old else ""


def _own(dataset: Dataset) -> tuple[Leak, ...]:
    understood = dataset.card.understood
    return understood.leaks if understood is not None else _within(dataset.root, dataset.fingerprint)


def _between(dataset: Dataset, split: str, learnt: Dataset, learnt_split: str) -> tuple[Leak, ...]:
    return _shared(dataset.root, dataset.fingerprint, split, learnt.root, learnt.fingerprint, learnt_split)


def _opened(root: Path) -> Dataset | None:
    try:
        return _at(root, (root / CARD).stat().st_mtime_ns)
    except (OSError, UserError):
        return None


# Once for each data set and each pair of them, whatever the number of encoders; the fingerprint tells a set that was made anew.


@lru_cache
def _at(root: Path, stamp: int) -> Dataset:
    return open_dataset(root)


@lru_cache
def _within(root: Path, fingerprint: str) -> tuple[Leak, ...]:
    return within(open_dataset(root))


@lru_cache(maxsize=1024)
def _shared(
    root: Path, fingerprint: str, split: str, other: Path, other_fingerprint: str, other_split: str
) -> tuple[Leak, ...]:
    first, second = open_dataset(root), open_dataset(other)
    return tuple(
        leak for compare in (shared, alike) if (leak := compare(first, split, second, other_split)) is not None
    )
