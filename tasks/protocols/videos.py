"""Scored frames to scored videos, and what frames must be: the unit of presentation attack detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gelo.models.faults import Fault
from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.scores import Scores
from gelo.tasks.protocols.detection import attack_faults
from gelo.tasks.protocols.inputs import id_faults, label_faults, length_faults, naming, score_faults
from gelo.tasks.protocols.tally import part_faults


@dataclass(frozen=True)
class Frames:
    """Scored frames, all (N,): scores (higher = bona fide), labels (1 = bona fide), videos, domains, ids; attacks
    (instruments) and subjects (who is shown, or imitated) if known.
    """

    scores: ArrayLike
    labels: NDArray[np.integer]
    videos: ArrayLike
    domains: ArrayLike
    ids: ArrayLike
    attacks: ArrayLike | None = None
    subjects: ArrayLike | None = None


@dataclass(frozen=True)
class Videos:
    """One row a video, sorted by name, all (V,): name, mean score, label, domain, attack ("" if unknown), unit of its errors
    (the subject, or the video where subjects are not known), number of frames.
    """

    name: NDArray[np.str_]
    score: NDArray[np.float64]
    label: NDArray[np.int64]
    domain: NDArray[np.str_]
    attack: NDArray[np.str_]
    unit: NDArray[np.str_]
    frames: NDArray[np.int64]

    def bona_fide(self, domain: str | None = None) -> Sample:
        return self._sample((self.label == 1) & self._in(domain))

    def attacks(self, domain: str | None = None, kind: str | None = None) -> Sample:
        chosen = (self.label == 0) & self._in(domain)
        return self._sample(chosen if kind is None else chosen & (self.attack == kind))

    def _sample(self, chosen: NDArray[np.bool_]) -> Sample:
        return Sample(Scores(self.score[chosen]), self.unit[chosen])

    def _in(self, domain: str | None) -> NDArray[np.bool_]:
        return np.ones(self.name.size, dtype=bool) if domain is None else self.domain == domain


def gather(frames: Frames) -> tuple[Videos, list[Fault]]:
    """Frames to videos: the mean score of each; and the faults of videos that carry two labels, domains, attacks or subjects."""
    names, first, of_video, counts = np.unique(
        np.asarray(frames.videos).astype(str), return_index=True, return_inverse=True, return_counts=True
    )
    columns: dict[str, NDArray[np.generic]] = {
        "label": np.asarray(frames.labels, dtype=np.int64),
        "domain": np.asarray(frames.domains).astype(str),
        "attack": np.full(of_video.size, "") if frames.attacks is None else np.asarray(frames.attacks).astype(str),
        "subject": names[of_video] if frames.subjects is None else np.asarray(frames.subjects).astype(str),
    }
    faults = []
    for column, values in columns.items():
        mixed = names[np.unique(of_video[values != values[first][of_video]])].tolist()
        if mixed:
            faults.append(
                Fault(
                    f"videos ({column})", f"{len(mixed)} with two {column}s: {naming(mixed)}", f"one {column} a video"
                )
            )
    mean = np.bincount(of_video, weights=np.asarray(frames.scores, dtype=np.float64), minlength=names.size) / counts
    label = columns["label"][first].astype(np.int64)
    domain, attack, unit = (columns[column][first].astype(str) for column in ("domain", "attack", "subject"))
    return Videos(names, mean, label, domain, attack, unit, counts), faults


def frame_faults(frames: Frames, split: str) -> list[Fault]:
    names = np.asarray(frames.ids).astype(str)
    domains = np.asarray(frames.domains).astype(str)
    subjects = {} if frames.subjects is None else {"subjects": frames.subjects}
    faults = id_faults(names, f"{split} ids") + length_faults(
        names.size, videos=frames.videos, domains=domains, **subjects
    )
    faults += score_faults(frames.scores, names, f"{split} scores") + label_faults(
        frames.labels, names, 2, f"{split} labels"
    )
    if frames.attacks is not None:
        faults += attack_faults(np.asarray(frames.labels), np.asarray(frames.attacks).astype(str), names)
    return faults + (part_faults(f"{split} domains", sorted(set(domains.tolist()))) if split == "test" else [])


def shared_faults(test: Frames, dev: Frames | None) -> list[Fault]:
    both: Sequence[str] = (
        [] if dev is None else np.intersect1d(np.asarray(test.ids, str), np.asarray(dev.ids, str)).tolist()
    )
    return (
        [Fault("test and dev", f"{len(both)} ids in both: {naming(both)}", "splits without a common image")]
        if both
        else []
    )
