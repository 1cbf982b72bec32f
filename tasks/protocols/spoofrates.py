"""The error rates of one domain of presentation attack detection at a threshold, and the threshold of the development split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gelo.tasks.metrics import errors
from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.intervals import Combined, Estimate, Highest, Rate
from gelo.tasks.metrics.scores import Threshold, UndefinedMetric
from gelo.tasks.protocols.tally import Tally
from gelo.tasks.protocols.videos import Videos


@dataclass(frozen=True)
class Rates:
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


def dev_threshold(dev: Videos | None, chosen_on: str) -> tuple[Threshold | None, str]:
    """(threshold at the EER of the development videos, ""), or (None, why there is none)."""
    if dev is None:
        return None, "no development split to choose the threshold on"
    try:
        return errors.eer(dev.bona_fide().scores, dev.attacks().scores, chosen_on=chosen_on).threshold, ""
    except UndefinedMetric as undefined:
        return None, f"threshold on {chosen_on}: {undefined}"
