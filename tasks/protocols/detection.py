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
UNNAMED = "attack"  # and on attacks whose kind no file names

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


def warnings_of(genuine: Scores, impostor: Scores, roles: tuple[str, str] = ("bona fide", "attacks")) -> dict[str, str]:
    """Notes on scores that cannot separate or that look reversed, with the evidence; impostor scores in ascending order are not copied."""
    if not genuine.size or not impostor.size:
        return {}
    if genuine.min() == genuine.max() == impostor.min() == impostor.max():
        return {"warning": f"all scores equal {genuine[0]:g}: they separate nothing"}
    ascending = impostor if (impostor[1:] >= impostor[:-1]).all() else np.sort(impostor)
    twice = sum(int(np.searchsorted(ascending, genuine, side=side).sum()) for side in ("left", "right"))
    area = twice / (2 * genuine.size * impostor.size)
    # Hanley and McNeil's worst case variance a(1 - a) / min(n): three deviations below one half is no accident.
    if area + 3 * np.sqrt(area * (1 - area) / min(genuine.size, impostor.size)) < 0.5:
        good, bad = roles
        return {"warning": f"AUC {area:.3f}: {bad} score above {good}; higher should mean {good}"}
    return {}
