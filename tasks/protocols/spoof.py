"""Presentation attack detection by video: each test domain on its own, and the unweighted mean over domains.

The honest threshold comes from the development split; the papers' own choice, the EER point of the scored set itself,
is kept under a name that says so (gurayozgur/FoundPAD: src/training/trainer.py). Terms of ISO/IEC 30107-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Unpack

import numpy as np
import pyarrow as pa
from gelo.tasks.metrics import errors
from gelo.tasks.metrics.curves import Curve
from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.intervals import Combined, Estimate, Highest, Rate, rule_of_30
from gelo.tasks.metrics.scores import Threshold, UndefinedMetric
from gelo.tasks.protocols.detection import BONA_FIDE, THINNED, Statistic, area, equal, read_off, warnings_of
from gelo.tasks.protocols.inputs import refuse
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.protocols.videos import Frames, Videos, frame_faults, gather, shared_faults
from gelo.tasks.results import Result

PROTOCOL = (
    "PAD: video score = mean of frames; hter, acer, apcer_worst and bpcer at the EER threshold of dev, "
    "hter_at_test_eer as FoundPAD and acer_at_test_eer at the EER point of the scored domain"
)
PROTOCOL_VERSION = 3
FIXED = ("hter", "acer", "apcer_worst", "bpcer")  # leaves that need the threshold of the development split
LEAVES = (*FIXED, "hter_at_test_eer", f"hter_at_test_eer{THINNED}", "acer_at_test_eer", "eer", "auc")
_READ: dict[str, Statistic] = {
    "hter_at_test_eer": equal(Curve.hter_at_nearest_equal),
    f"hter_at_test_eer{THINNED}": equal(lambda roc: roc.thinned().hter_at_nearest_equal()),
    "eer": equal(Curve.eer),
    "auc": area,
}


def score(
    suite: Literal["pad", "pad_text"],
    test: Frames,
    dev: Frames | None,
    *,
    dataset: str = "spoofs",
    prefix: str = "",
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`LEAVES` by domain of the test frames and as `mean`; prefix: before both in the names.

    `hter` pools the attacks, `apcer_worst` is that of the instrument accepted most often, `acer` its mean with `bpcer`: at the threshold
    of dev, without which, or with one class in it, they are absent. `_at_test_eer`: at the domain's own EER point (min |TPR + FPR - 1|).
    Without instruments `apcer_worst` and both `acer` are absent. The unit of the intervals is the subject where known, else the video;
    thresholds are kept, but for `hter_at_test_eer`, `eer` and `auc`; domains share no unit. Rates with fewer than 30 errors are
    named in the notes. The table has one row a video: video, domain, attack, label, score, frames. Raises UserError for duplicate ids,
    ids in both splits, scores that are not finite, labels other than 0 and 1, and a video with two labels, domains, attacks or
    subjects, naming ids.
    """
    subject = f"presentation attack detection on {dataset}"
    splits = {"test": test} if dev is None else {"test": test, "dev": dev}
    refuse(subject, *(frame_faults(frames, split) for split, frames in splits.items()), shared_faults(test, dev))
    videos = {split: gather(frames) for split, frames in splits.items()}
    refuse(subject, *(faults for _, faults in videos.values()))
    scored = videos["test"][0]
    threshold, why = _dev_threshold(videos["dev"][0] if dev is not None else None, f"{dataset}/dev")
    tally = Tally(suite, prefix, "video" if test.subjects is None else "subject")
    domains = sorted(set(scored.domain.tolist()))
    behind: dict[tuple[str, str], float] = {}
    found = {domain: _domain(tally, scored, domain, threshold, why, behind) for domain in domains}
    for leaf in LEAVES:
        tally.give_mean({domain: estimates[leaf] for domain, estimates in found.items()}, leaf)
    counts = {"frames": int(scored.frames.sum()), "videos": scored.name.size}
    for domain in domains:
        counts[f"{domain}_bona_fide"] = scored.bona_fide(domain).scores.size
        counts[f"{domain}_attacks"] = scored.attacks(domain).scores.size
    notes = {
        **rule_of_30(behind),
        **warnings_of(scored.bona_fide().scores, scored.attacks().scores),
    }
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
    threshold: Threshold | None,
    why: str,
    behind: dict[tuple[str, str], float],
) -> dict[str, Estimate | None]:
    """Give or lack every leaf of one domain; returns them, and adds how many errors stand behind each to `behind`."""
    bona_fide, attacks = videos.bona_fide(domain), videos.attacks(domain)
    found: dict[str, Estimate | None] = dict(read_off(tally, domain, bona_fide, attacks, _READ))
    rates = _Rates(tally, videos, domain)
    if threshold is None:
        for leaf in FIXED:
            tally.lack(domain, leaf, why)
        found |= dict.fromkeys(FIXED)
    else:
        found |= {leaf: rates.give(leaf, leaf, threshold) for leaf in FIXED}
        behind |= {(domain, leaf): rates.count(leaf, threshold) for leaf in FIXED if found[leaf] is not None}
    own = None
    if bona_fide.scores.size and attacks.scores.size:
        own = errors.eer_nearest_fpr(bona_fide.scores, attacks.scores, chosen_on=f"{domain}/test").threshold
        behind |= {(domain, leaf): rates.count("hter", own) for leaf in ("hter_at_test_eer", "eer")}
    return {**found, "acer_at_test_eer": rates.give("acer_at_test_eer", "acer", own)}


@dataclass(frozen=True)
class _Rates:
    """The rates of one domain at a threshold that is taken as given."""

    tally: Tally
    videos: Videos
    domain: str

    def instruments(self) -> dict[str, Sample]:
        """Attacks by instrument. Raises UndefinedMetric where there are none, and where the instruments are not known."""
        mine = (self.videos.label == 0) & (self.videos.domain == self.domain)
        kinds = sorted(set(self.videos.attack[mine].tolist()))
        if not kinds:
            raise UndefinedMetric("no attack presentations, at least 1 needed")
        if "" in kinds:
            raise UndefinedMetric("attack instruments not given")
        return {kind: self.videos.attacks(self.domain, kind) for kind in kinds}

    def give(self, leaf: str, metric: str, threshold: Threshold | None) -> Estimate | None:
        """Give `leaf`, one of hter, bpcer, apcer_worst and acer, with its interval, or lack it; None for no threshold: a class is empty."""
        try:
            if threshold is None:
                raise UndefinedMetric("no EER point, videos of both classes needed")
            estimate = self._measured(metric, threshold.value)
        except UndefinedMetric as undefined:
            self.tally.lack(self.domain, leaf, f"{leaf}: {undefined}")
            return None
        self.tally.give(self.domain, leaf, estimate.value, estimate.interval())
        return estimate

    def _measured(self, metric: str, threshold: float) -> Rate | Highest | Combined:
        if metric == "apcer_worst":
            return self._worst(threshold)
        bona_fide = self.videos.bona_fide(self.domain)
        if not bona_fide.scores.size:
            raise UndefinedMetric("no bona fide presentations, at least 1 needed")
        rejected = Rate(bona_fide, bona_fide.scores < threshold)
        if metric == "bpcer":
            return rejected
        if metric == "acer":
            return Combined([self._worst(threshold), rejected], [0.5, 0.5])
        attacks = self.videos.attacks(self.domain)
        if not attacks.scores.size:
            raise UndefinedMetric("no attack presentations, at least 1 needed")
        return Combined([Rate(attacks, attacks.scores >= threshold), rejected], [0.5, 0.5])

    def _worst(self, threshold: float) -> Highest:
        return Highest([Rate(kind, kind.scores >= threshold) for kind in self.instruments().values()])

    def count(self, leaf: str, threshold: Threshold) -> int:
        """Videos in error: bona fide for bpcer, of the worst instrument for apcer_worst, else of the class that has fewer."""
        rejected = int(np.sum(self.videos.bona_fide(self.domain).scores < threshold.value))
        if leaf == "bpcer":
            return rejected
        if leaf == "hter":
            return min(rejected, int(np.sum(self.videos.attacks(self.domain).scores >= threshold.value)))
        accepted = [kind.scores >= threshold.value for kind in self.instruments().values()]
        worst = max((float(hits.mean()), int(hits.sum())) for hits in accepted)[1]
        return worst if leaf == "apcer_worst" else min(rejected, worst)


def _dev_threshold(dev: Videos | None, chosen_on: str) -> tuple[Threshold | None, str]:
    if dev is None:
        return None, "no development split to choose the threshold on"
    try:
        return errors.eer(dev.bona_fide().scores, dev.attacks().scores, chosen_on=chosen_on).threshold, ""
    except UndefinedMetric as undefined:
        return None, f"threshold on {chosen_on}: {undefined}"


__all__ = ["BONA_FIDE", "PROTOCOL", "PROTOCOL_VERSION", "Frames", "Videos", "gather", "score"]
