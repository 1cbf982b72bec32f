"""What morphing and presentation attack detection share: a ROC against one bona fide set, what is read off it, and checks
of direction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gelo.models.faults import Fault
from gelo.tasks.metrics.curves import Curve
from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.roc_intervals import Read, Roc
from gelo.tasks.metrics.scores import Scores, UndefinedMetric
from gelo.tasks.protocols.inputs import naming
from gelo.tasks.protocols.tally import Tally

BONA_FIDE = "bona_fide"  # the value of the `attack` column on genuine images
UNNAMED = "attack"  # and on attacks whose kind no file names

Statistic = Callable[[Roc], Read]


def equal(read: Callable[[Curve], float]) -> Statistic:
    """The equal error, by the rule `read`."""
    return lambda roc: roc.equal_error(read(roc.curve))


THINNED = "_thinned"  # behind the name of what is read off the points that scikit-learn keeps, as the papers do


def area(roc: Roc) -> Read:
    return roc.area(roc.curve.auc())


def read_off(
    tally: Tally, part: str, bona_fide: Sample, attacks: Sample, statistics: Mapping[str, Statistic]
) -> dict[str, Read | None]:
    """Give every statistic of one ROC with its interval; returns them by leaf, None where undefined."""
    try:
        roc = Roc(bona_fide, attacks)
    except UndefinedMetric as undefined:
        for leaf in statistics:
            tally.lack(part, leaf, str(undefined))
        return dict.fromkeys(statistics)
    found = {leaf: statistic(roc) for leaf, statistic in statistics.items()}
    for leaf, read in found.items():
        tally.give(part, leaf, read.value, read.interval())
    return dict(found)


def in_common(reads: Sequence[Read], rejected: Sequence[float], bona_fide: int) -> NDArray[np.float64]:
    """Correlation (2, P, P) of the low and of the high sides of reads against one set of bona fide scores, of that number.

    rejected: (P,) share of it that each read rejects. Shares p <= q of one sample have a correlation of sqrt(p (1 - q) / (q (1 - p))).
    """
    share = (np.asarray(rejected) * bona_fide + 0.5) / (bona_fide + 1)  # so that none is 0 or 1
    odds = share / (1 - share)
    alike = np.sqrt(np.minimum.outer(odds, odds) / np.maximum.outer(odds, odds))
    sides = np.sqrt([[read.genuine[side] for read in reads] for side in (0, 1)])
    joint = sides[:, :, None] * sides[:, None, :] * alike
    joint[:, np.arange(len(reads)), np.arange(len(reads))] = 1
    return joint


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
