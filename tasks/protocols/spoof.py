"""Presentation attack detection by video: each test domain on its own, and the unweighted mean over domains.

The honest threshold comes from the development split; the papers' own choice, the EER point of the scored set itself,
is kept under a name that says so (gurayozgur/FoundPAD: src/training/trainer.py). Terms of ISO/IEC 30107-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.metrics import errors
from tasks.metrics.curves import Curve
from tasks.metrics.intervals import REPLICATES, bootstrap_mean, percentile, rule_of_30
from tasks.metrics.scores import Scores, Threshold, UndefinedMetric
from tasks.protocols.detection import BONA_FIDE, Statistic, read_off, warnings_of
from tasks.protocols.inputs import refuse
from tasks.protocols.tally import Context, Tally
from tasks.protocols.videos import Frames, Videos, frame_faults, gather, shared_faults
from tasks.results import Result

PROTOCOL = (
    "PAD: video score = mean of frames; hter, acer, apcer_worst and bpcer at the EER threshold of dev, "
    "hter_at_test_eer as FoundPAD and acer_at_test_eer at the EER point of the scored domain"
)
PROTOCOL_VERSION = 2
FIXED = ("hter", "acer", "apcer_worst", "bpcer")  # leaves that need the threshold of the development split
LEAVES = (*FIXED, "hter_at_test_eer", "acer_at_test_eer", "eer", "auc")
_READ = {"hter_at_test_eer": Curve.hter_at_nearest_equal, "eer": Curve.eer, "auc": Curve.auc}


def score(
    suite: Literal["pad", "pad_text"],
    test: Frames,
    dev: Frames | None,
    *,
    dataset: str = "spoofs",
    prefix: str = "",
    replicates: int = REPLICATES,
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`LEAVES` by domain of the test frames and as `mean`; prefix: before both in the names.

    `hter` pools the attacks, `apcer_worst` is that of the instrument accepted most often, `acer` its mean with `bpcer`: at the threshold
    of dev, without which, or with one class in it, they are absent. `_at_test_eer`: at the domain's own EER point (min |TPR + FPR - 1|).
    Without instruments `apcer_worst` and both `acer` are absent. Intervals are bootstrapped by video, the threshold kept, but for
    `hter_at_test_eer`, which finds its own each time. Rates with fewer than 30 errors are named in the notes. The table has one row a
    video: video, domain, attack, label, score, frames. Raises UserError for duplicate ids, ids in both splits, scores that are not
    finite, labels other than 0 and 1, and a video with two labels, domains or attacks, naming ids.
    """
    subject = f"presentation attack detection on {dataset}"
    splits = {"test": test} if dev is None else {"test": test, "dev": dev}
    refuse(subject, *(frame_faults(frames, split) for split, frames in splits.items()), shared_faults(test, dev))
    videos = {split: gather(frames) for split, frames in splits.items()}
    refuse(subject, *(faults for _, faults in videos.values()))
    scored = videos["test"][0]
    threshold, why = _dev_threshold(videos["dev"][0] if dev is not None else None, f"{dataset}/dev")
    tally = Tally(suite, prefix)
    domains = sorted(set(scored.domain.tolist()))
    behind: dict[tuple[str, str], float] = {}
    drawn = {
        domain: _domain(tally, scored, domain, stream, threshold, why, replicates, behind)
        for stream, domain in enumerate(domains)
    }
    for leaf in LEAVES:
        tally.give_mean({domain: replicate[leaf] for domain, replicate in drawn.items()}, leaf)
    counts = {"frames": int(scored.frames.sum()), "videos": scored.name.size}
    for domain in domains:
        counts[f"{domain}_bona_fide"] = scored.bona_fide(domain).size
        counts[f"{domain}_attacks"] = scored.attacks(domain).size
    notes = {"interval_groups": "video", **rule_of_30(behind), **warnings_of(scored.bona_fide(), scored.attacks())}
    if threshold is not None:
        notes["threshold"] = f"{threshold.value!r} ({threshold.rule} on {threshold.chosen_on})"
    table = pa.table(
        {
            "video": scored.name, "domain": scored.domain, "attack": scored.attack, "label": scored.label,
            "score": scored.score, "frames": scored.frames,
        }
    )  # fmt: skip
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def _domain(
    tally: Tally,
    videos: Videos,
    domain: str,
    stream: int,
    threshold: Threshold | None,
    why: str,
    replicates: int,
    behind: dict[tuple[str, str], float],
) -> dict[str, NDArray[np.float64] | None]:
    """Give or lack every leaf of one domain; returns its replicates, and adds how many errors stand behind each to `behind`."""
    bona_fide, attacks = videos.bona_fide(domain), videos.attacks(domain)
    statistics: dict[str, Statistic] = dict(_READ)
    if threshold is not None:
        statistics["hter"] = lambda roc: roc.hter_at(threshold)
    drawn = read_off(
        tally, domain, (bona_fide, np.arange(bona_fide.size)), (attacks, np.arange(attacks.size)), statistics,
        stream=stream, replicates=replicates,
    )  # fmt: skip
    rates = _Rates(tally, videos, domain, stream, replicates)
    if threshold is None:
        for leaf in FIXED:
            tally.lack(domain, leaf, why)
        drawn |= dict.fromkeys(FIXED)
    else:
        drawn |= {leaf: rates.give(leaf, leaf, threshold) for leaf in ("bpcer", "apcer_worst", "acer")}
        behind |= {(domain, leaf): rates.count(leaf, threshold) for leaf in FIXED if drawn[leaf] is not None}
    own = None
    if bona_fide.size and attacks.size:
        own = errors.eer_nearest_fpr(bona_fide, attacks, chosen_on=f"{domain}/test").threshold
        behind |= {(domain, leaf): rates.count("hter", own) for leaf in ("hter_at_test_eer", "eer")}
    return {**drawn, "acer_at_test_eer": rates.give("acer_at_test_eer", "acer", own)}


@dataclass(frozen=True)
class _Rates:
    """The rates of one domain at a threshold that is taken as given; draws of the bona fide are those of `read_off`."""

    tally: Tally
    videos: Videos
    domain: str
    stream: int
    replicates: int

    @property
    def bona_fide(self) -> Scores:
        return self.videos.bona_fide(self.domain)

    def instruments(self) -> dict[str, Scores]:
        """Scores by attack instrument. Raises UndefinedMetric where the instruments are not known."""
        mine = (self.videos.label == 0) & (self.videos.domain == self.domain)
        kinds = sorted(set(self.videos.attack[mine].tolist()))
        if "" in kinds:
            raise UndefinedMetric("attack instruments not given")
        return {kind: self.videos.attacks(self.domain, kind) for kind in kinds}

    def give(self, leaf: str, metric: str, threshold: Threshold | None) -> NDArray[np.float64] | None:
        """Give `leaf`, one of bpcer, apcer_worst and acer, with its interval, or lack it; None for no threshold: one class is empty."""
        try:
            if threshold is None:
                raise UndefinedMetric("no EER point, videos of both classes needed")
            value, drawn = self._measured(metric, threshold)
        except UndefinedMetric as undefined:
            reason = str(undefined)
            self.tally.lack(self.domain, leaf, reason if reason.startswith(metric) else f"{leaf}: {reason}")
            return None
        self.tally.give(self.domain, leaf, value, percentile(drawn))
        return drawn

    def _measured(self, metric: str, threshold: Threshold) -> tuple[float, NDArray[np.float64]]:
        bona_fide = self.bona_fide
        if metric == "bpcer":
            return errors.bpcer(bona_fide, threshold), self._rejected(threshold)
        by_kind = self.instruments()
        if metric == "apcer_worst":
            return errors.apcer_worst(by_kind, threshold), self._worst(by_kind, threshold)
        value = errors.acer(bona_fide, by_kind, threshold)
        return value, (self._worst(by_kind, threshold) + self._rejected(threshold)) / 2

    def _rejected(self, threshold: Threshold) -> NDArray[np.float64]:
        return bootstrap_mean(self.bona_fide < threshold.value, np.arange(self.bona_fide.size), [0, 0], self.replicates)

    def _worst(self, by_kind: dict[str, Scores], threshold: Threshold) -> NDArray[np.float64]:
        drawn = [
            bootstrap_mean(scores >= threshold.value, np.arange(scores.size), [2, self.stream, place], self.replicates)
            for place, scores in enumerate(by_kind.values())
        ]
        return np.max(drawn, axis=0)

    def count(self, leaf: str, threshold: Threshold) -> int:
        """Videos in error: bona fide for bpcer, of the worst instrument for apcer_worst, else of the class that has fewer."""
        rejected = int(np.sum(self.bona_fide < threshold.value))
        if leaf == "bpcer":
            return rejected
        if leaf == "hter":
            return min(rejected, int(np.sum(self.videos.attacks(self.domain) >= threshold.value)))
        by_kind = self.instruments().values()
        accepted = max(
            (float(np.mean(scores >= threshold.value)), int(np.sum(scores >= threshold.value))) for scores in by_kind
        )[1]
        return accepted if leaf == "apcer_worst" else min(rejected, accepted)


def _dev_threshold(dev: Videos | None, chosen_on: str) -> tuple[Threshold | None, str]:
    if dev is None:
        return None, "no development split to choose the threshold on"
    try:
        return errors.eer(dev.bona_fide(), dev.attacks(), chosen_on=chosen_on).threshold, ""
    except UndefinedMetric as undefined:
        return None, f"threshold on {chosen_on}: {undefined}"


__all__ = ["BONA_FIDE", "PROTOCOL", "PROTOCOL_VERSION", "Frames", "Videos", "gather", "score"]
