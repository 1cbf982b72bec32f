"""Presentation attack detection by video: each test domain on its own, and the unweighted mean over domains.

The honest threshold comes from the development split; the papers' own choice, the EER point of the scored set itself,
is kept under a name that says so (gurayozgur/FoundPAD: src/training/trainer.py). Terms of ISO/IEC 30107-3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from models.faults import Fault
from tasks.metrics import errors
from tasks.metrics.curves import Curve
from tasks.metrics.intervals import REPLICATES, bootstrap_mean, percentile
from tasks.metrics.scores import Scores, Threshold, UndefinedMetric
from tasks.protocols.detection import BONA_FIDE, Statistic, attack_faults, read_off, warnings_of
from tasks.protocols.inputs import id_faults, label_faults, length_faults, naming, refuse, score_faults
from tasks.protocols.tally import Context, Tally, part_faults
from tasks.results import Result

PROTOCOL = "PAD: video score = mean of frames; hter and acer at the EER threshold of dev, hter_at_test_eer as FoundPAD"
PROTOCOL_VERSION = 1
FIXED = ("hter", "acer")  # leaves that need the threshold of the development split


@dataclass(frozen=True)
class Frames:
    """Scored frames, all (N,): scores (higher = bona fide), labels (1 = bona fide), videos, domains, ids; attacks
    (instruments) if known.
    """

    scores: ArrayLike
    labels: NDArray[np.integer]
    videos: ArrayLike
    domains: ArrayLike
    ids: ArrayLike
    attacks: ArrayLike | None = None


@dataclass(frozen=True)
class Videos:
    """One row a video, sorted by name, all (V,): name, mean score, label, domain, attack ("" if unknown), number of
    frames.
    """

    name: NDArray[np.str_]
    score: NDArray[np.float64]
    label: NDArray[np.int64]
    domain: NDArray[np.str_]
    attack: NDArray[np.str_]
    frames: NDArray[np.int64]

    def bona_fide(self, domain: str | None = None) -> Scores:
        return Scores(self.score[(self.label == 1) & self._in(domain)])

    def attacks(self, domain: str | None = None, kind: str | None = None) -> Scores:
        chosen = (self.label == 0) & self._in(domain)
        return Scores(self.score[chosen if kind is None else chosen & (self.attack == kind)])

    def _in(self, domain: str | None) -> NDArray[np.bool_]:
        return np.ones(self.name.size, dtype=bool) if domain is None else self.domain == domain


def score(
    suite: Literal["pad", "pad_text"],
    test: Frames,
    dev: Frames | None,
    *,
    dataset: str = "spoofs",
    replicates: int = REPLICATES,
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`hter`, `acer` (threshold of dev), `hter_at_test_eer`, `eer`, `auc` by domain of the test frames and as `mean`.

    Without dev, or with one class in it, `hter` and `acer` are absent. Intervals are bootstrapped by video, the
    threshold of dev kept. The table has one row a video: video, domain, attack, label, score, frames. Raises UserError
    for duplicate ids, ids in both splits, scores that are not finite, labels other than 0 and 1, and a video with two
    labels, domains or attacks, naming ids.
    """
    subject = f"presentation attack detection on {dataset}"
    splits = {"test": test} if dev is None else {"test": test, "dev": dev}
    refuse(subject, *(_frame_faults(frames, split) for split, frames in splits.items()), _shared(test, dev))
    videos = {split: gather(frames) for split, frames in splits.items()}
    refuse(subject, *(faults for _, faults in videos.values()))
    scored = videos["test"][0]
    threshold, why = _dev_threshold(videos["dev"][0] if dev is not None else None, f"{dataset}/dev")
    tally = Tally(suite)
    domains = sorted(set(scored.domain.tolist()))
    drawn = {
        domain: _domain(tally, scored, domain, stream, threshold, why, replicates)
        for stream, domain in enumerate(domains)
    }
    for leaf in (*FIXED, "hter_at_test_eer", "eer", "auc"):
        tally.give_mean({domain: replicate[leaf] for domain, replicate in drawn.items()}, leaf)
    counts = {"frames": int(scored.frames.sum()), "videos": scored.name.size}
    for domain in domains:
        counts[f"{domain}_bona_fide"] = scored.bona_fide(domain).size
        counts[f"{domain}_attacks"] = scored.attacks(domain).size
    notes = {"interval_groups": "video", **warnings_of(scored.bona_fide(), scored.attacks())}
    if threshold is not None:
        notes["threshold"] = f"{threshold.value!r} ({threshold.rule} on {threshold.chosen_on})"
    table = pa.table(
        {
            "video": scored.name, "domain": scored.domain, "attack": scored.attack, "label": scored.label,
            "score": scored.score, "frames": scored.frames,
        }
    )  # fmt: skip
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def gather(frames: Frames) -> tuple[Videos, list[Fault]]:
    """Frames to videos: the mean score of each; and the faults of videos that carry two labels, domains or attacks."""
    names, first, of_video, counts = np.unique(
        np.asarray(frames.videos).astype(str), return_index=True, return_inverse=True, return_counts=True
    )
    columns: dict[str, NDArray[np.generic]] = {
        "label": np.asarray(frames.labels, dtype=np.int64),
        "domain": np.asarray(frames.domains).astype(str),
        "attack": np.full(of_video.size, "") if frames.attacks is None else np.asarray(frames.attacks).astype(str),
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
    label, domain, attack = (columns[column][first] for column in ("label", "domain", "attack"))
    return Videos(names, mean, label.astype(np.int64), domain.astype(str), attack.astype(str), counts), faults


def _domain(
    tally: Tally, videos: Videos, domain: str, stream: int, threshold: Threshold | None, why: str, replicates: int
) -> dict[str, NDArray[np.float64] | None]:
    bona_fide, attacks = videos.bona_fide(domain), videos.attacks(domain)
    statistics: dict[str, Statistic] = {
        "hter_at_test_eer": Curve.hter_at_nearest_equal, "eer": Curve.eer, "auc": Curve.auc,
    }  # fmt: skip
    if threshold is not None:
        statistics["hter"] = lambda roc: roc.hter_at(threshold)
    drawn = read_off(
        tally, domain, (bona_fide, np.arange(bona_fide.size)), (attacks, np.arange(attacks.size)), statistics,
        stream=stream, replicates=replicates,
    )  # fmt: skip
    if threshold is None:
        for leaf in FIXED:
            tally.lack(domain, leaf, why)
        return {**drawn, **dict.fromkeys(FIXED)}
    return {**drawn, "acer": _acer(tally, videos, domain, threshold, stream, replicates)}


def _acer(
    tally: Tally, videos: Videos, domain: str, threshold: Threshold, stream: int, replicates: int
) -> NDArray[np.float64] | None:
    kinds = sorted(set(videos.attack[(videos.label == 0) & (videos.domain == domain)].tolist()))
    if "" in kinds:
        tally.lack(domain, "acer", "acer: attack instruments not given")
        return None
    bona_fide = videos.bona_fide(domain)
    by_kind = {kind: videos.attacks(domain, kind) for kind in kinds}
    try:
        value = errors.acer(bona_fide, by_kind, threshold)
    except UndefinedMetric as undefined:
        tally.lack(domain, "acer", str(undefined))
        return None
    worst = np.max(
        [
            bootstrap_mean(scores >= threshold.value, np.arange(scores.size), [2, stream, place], replicates)
            for place, scores in enumerate(by_kind.values())
        ],
        axis=0,
    )
    rejected = bootstrap_mean(bona_fide < threshold.value, np.arange(bona_fide.size), [0, 0], replicates)
    drawn = (worst + rejected) / 2
    tally.give(domain, "acer", value, percentile(drawn))
    return drawn


def _dev_threshold(dev: Videos | None, chosen_on: str) -> tuple[Threshold | None, str]:
    if dev is None:
        return None, "no development split to choose the threshold on"
    try:
        return errors.eer(dev.bona_fide(), dev.attacks(), chosen_on=chosen_on).threshold, ""
    except UndefinedMetric as undefined:
        return None, f"threshold on {chosen_on}: {undefined}"


def _frame_faults(frames: Frames, split: str) -> list[Fault]:
    names = np.asarray(frames.ids).astype(str)
    domains = np.asarray(frames.domains).astype(str)
    faults = id_faults(names, f"{split} ids") + length_faults(names.size, videos=frames.videos, domains=domains)
    faults += score_faults(frames.scores, names, f"{split} scores") + label_faults(
        frames.labels, names, 2, f"{split} labels"
    )
    if frames.attacks is not None:
        faults += attack_faults(np.asarray(frames.labels), np.asarray(frames.attacks).astype(str), names)
    return faults + (part_faults(f"{split} domains", sorted(set(domains.tolist()))) if split == "test" else [])


def _shared(test: Frames, dev: Frames | None) -> list[Fault]:
    both: Sequence[str] = (
        [] if dev is None else np.intersect1d(np.asarray(test.ids, str), np.asarray(dev.ids, str)).tolist()
    )
    return (
        [Fault("test and dev", f"{len(both)} ids in both: {naming(both)}", "splits without a common image")]
        if both
        else []
    )


__all__ = ["BONA_FIDE", "PROTOCOL", "PROTOCOL_VERSION", "Frames", "Videos", "gather", "score"]
