"""What morphing and presentation attack detection share: a curve against one bona fide set, its bootstrap, and checks
of direction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.faults import Fault
from tasks.metrics.curves import Curve, curve, resampled
from tasks.metrics.intervals import Resampler, percentile
from tasks.metrics.scores import Scores, UndefinedMetric
from tasks.protocols.inputs import naming
from tasks.protocols.tally import Tally

BONA_FIDE = "bona_fide"  # the value of the `attack` column on genuine images

Statistic = Callable[[Curve], NDArray[np.float64]]


def read_off(
    tally: Tally,
    part: str,
    bona_fide: tuple[Scores, ArrayLike],
    attacks: tuple[Scores, ArrayLike],
    statistics: Mapping[str, Statistic],
    *,
    stream: int,
    replicates: int,
) -> dict[str, NDArray[np.float64] | None]:
    """Give every statistic of one ROC with its bootstrap interval; returns the replicates (B,) by leaf, None where
    undefined.

    bona_fide, attacks: scores (N,) and the group of each (N,), drawn whole. `stream` seeds the draw of the attacks; all
    parts share the draw of the bona fide, which they have in common.
    """
    try:
        roc = curve(bona_fide[0], attacks[0])
    except UndefinedMetric as undefined:
        for leaf in statistics:
            tally.lack(part, leaf, str(undefined))
        return dict.fromkeys(statistics)
    draws = Resampler(bona_fide[1], [0, 0]), Resampler(attacks[1], [1, stream])
    blocks: dict[str, list[NDArray[np.float64]]] = {leaf: [] for leaf in statistics}
    for block in resampled(bona_fide[0], attacks[0], *draws, replicates):
        for leaf, statistic in statistics.items():
            blocks[leaf].append(statistic(block))
    drawn = {leaf: np.concatenate(parts) for leaf, parts in blocks.items()}
    for leaf, statistic in statistics.items():
        tally.give(part, leaf, float(statistic(roc)), percentile(drawn[leaf]))
    return dict(drawn)


def attack_faults(labels: NDArray[np.integer], attacks: NDArray[np.str_], names: NDArray[np.str_]) -> list[Fault]:
    """Images whose label (1 = bona fide) and attack column disagree, by id."""
    if labels.shape != names.shape or attacks.shape != names.shape:
        return [Fault("attacks", f"shape {attacks.shape}", f"({names.size},), one for each id")]
    wrong = names[(labels == 1) != (attacks == BONA_FIDE)].tolist()
    if not wrong:
        return []
    return [
        Fault(
            "attacks",
            f"{len(wrong)} disagree with the label: {naming(wrong)}",
            f"{BONA_FIDE!r} exactly where label is 1",
        )
    ]


def warnings_of(bona_fide: Scores, attacks: Scores) -> dict[str, str]:
    """Notes on scores that cannot separate or that look reversed, with the evidence."""
    if not bona_fide.size or not attacks.size:
        return {}
    if np.ptp(np.concatenate([bona_fide, attacks])) == 0:
        return {"warning": f"all scores equal {bona_fide[0]:g}: they separate nothing"}
    area = float(curve(bona_fide, attacks).auc())
    # Hanley and McNeil's worst case variance a(1 - a) / min(n): three deviations below one half is no accident.
    if area + 3 * np.sqrt(area * (1 - area) / min(bona_fide.size, attacks.size)) < 0.5:
        return {"warning": f"AUC {area:.3f}: attacks score above bona fide; higher should mean bona fide"}
    return {}
