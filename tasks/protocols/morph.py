"""Morphing attack detection: each attack against the same bona fide images, and the unweighted mean over attacks.

Source: gurayozgur/MADation: src/utils/utils.py; terms of ISO/IEC 20059 and 30107-3. Every image counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from tasks.metrics.curves import Curve
from tasks.metrics.intervals import REPLICATES, rule_of_30
from tasks.metrics.scores import Scores, UndefinedMetric, needs_resolution
from tasks.protocols.detection import BONA_FIDE, Statistic, attack_faults, read_off, warnings_of
from tasks.protocols.inputs import id_faults, label_faults, length_faults, refuse, score_faults
from tasks.protocols.tally import Context, Tally, part_faults
from tasks.results import Result

PROTOCOL = (
    "MAD: per attack against all bona fide; eer interpolated (the D-EER of ISO/IEC 20059), eer_nearest_fpr and "
    "fixed-error points as MADation"
)
PROTOCOL_VERSION = 1
PERCENTS = (1, 10, 20)

STATISTICS: dict[str, Statistic] = {"eer": Curve.eer, "eer_nearest_fpr": Curve.eer_nearest_fpr}
AT_BPCER = {f"apcer_at_bpcer_{percent}": percent / 100 for percent in PERCENTS}
AT_APCER = {f"bpcer_at_apcer_{percent}": percent / 100 for percent in PERCENTS}
LEAVES = (*STATISTICS, *AT_BPCER, *AT_APCER)


def score(
    suite: Literal["mad", "mad_text"],
    scores: ArrayLike,
    labels: NDArray[np.integer],
    attacks: Sequence[str] | NDArray[np.object_],
    ids: Sequence[str] | NDArray[np.object_],
    *,
    dataset: str = "morphs",
    prefix: str = "",
    subjects: ArrayLike | None = None,
    replicates: int = REPLICATES,
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`LEAVES` by attack and as `mean`; all arrays (N,): scores (higher = bona fide), labels (1 = bona fide),
    attacks, ids.

    prefix: before attacks and `mean` in the names. Intervals are bootstrapped by subject where `subjects` (N,) are given, else by
    image, bona fide and attacks apart.
    The table has one row an image: id, label, attack, score. Raises UserError for duplicate ids, scores that are not
    finite, labels other than 0 and 1, an attack column that disagrees with the label, and attack names that no metric
    can carry, naming ids.
    """
    names, attack = np.asarray(ids).astype(str), np.asarray(attacks).astype(str)
    truth = np.asarray(labels)
    groups = names if subjects is None else np.asarray(subjects).astype(str)
    kinds = sorted(set(attack.tolist()) - {BONA_FIDE})
    refuse(
        f"morphing attack detection on {dataset}",
        id_faults(names),
        length_faults(names.size, attacks=attack, subjects=groups),
        score_faults(scores, names),
        label_faults(truth, names, 2),
        attack_faults(truth, attack, names),
        part_faults("attacks", kinds),
    )
    values = np.asarray(scores, dtype=np.float64)
    bona_fide = truth == 1
    tally = Tally(suite, prefix)
    genuine = (Scores(values[bona_fide]), groups[bona_fide])
    drawn = {
        kind: _one_attack(tally, kind, genuine, (Scores(values[attack == kind]), groups[attack == kind]), n, replicates)
        for n, kind in enumerate(kinds)
    }
    for leaf in LEAVES:
        tally.give_mean({kind: replicate[leaf] for kind, replicate in drawn.items()}, leaf)
    counts = {"bona_fide": int(bona_fide.sum()), **{f"attack_{kind}": int((attack == kind).sum()) for kind in kinds}}
    notes = {
        "interval_groups": "image" if subjects is None else "subject",
        **rule_of_30(_errors(tally, kinds, counts)),
        **warnings_of(Scores(values[bona_fide]), Scores(values[~bona_fide])),
    }
    table = pa.table({"id": names, "label": truth.astype(np.int64), "attack": attack, "score": values})
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def _errors(tally: Tally, kinds: Sequence[str], counts: Mapping[str, int]) -> dict[tuple[str, str], float]:
    """How many errors stand behind each value: at an EER of the rarer class, else those that the fixed rate expects."""
    found = {}
    for leaf in LEAVES:
        for kind in kinds:
            value = tally.values.get(tally.name(kind, leaf))
            if value is not None:
                bona_fide, attacks = counts["bona_fide"], counts[f"attack_{kind}"]
                at_equal = value * min(bona_fide, attacks)
                fixed = AT_BPCER.get(leaf, 0) * bona_fide + AT_APCER.get(leaf, 0) * attacks
                found[kind, leaf] = at_equal if leaf in STATISTICS else fixed
    return found


def _one_attack(
    tally: Tally,
    kind: str,
    bona_fide: tuple[Scores, ArrayLike],
    attacks: tuple[Scores, ArrayLike],
    stream: int,
    replicates: int,
) -> dict[str, NDArray[np.float64] | None]:
    statistics = dict(STATISTICS)
    drawn: dict[str, NDArray[np.float64] | None] = {}
    for rates, scores, error, what, read in (
        (AT_BPCER, bona_fide[0], "BPCER", "bona fide presentations", Curve.far_at_frr),
        (AT_APCER, attacks[0], "APCER", "attack presentations", Curve.frr_at_far),
    ):
        for leaf, rate in rates.items():
            try:
                needs_resolution(rate, scores.size, error, what)
            except UndefinedMetric as undefined:
                tally.lack(kind, leaf, str(undefined))
                drawn[leaf] = None
            else:
                statistics[leaf] = partial(read, rate=rate)
    return drawn | read_off(tally, kind, bona_fide, attacks, statistics, stream=stream, replicates=replicates)
