"""Morphing attack detection: each attack against the same bona fide images, and the unweighted mean over attacks.

Source: gurayozgur/MADation: src/utils/utils.py; terms of ISO/IEC 20059 and 30107-3. Every image counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from gelo.tasks.metricnames import MEAN
from gelo.tasks.metrics.curves import Curve
from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.intervals import rule_of_30
from gelo.tasks.metrics.roc_intervals import Read
from gelo.tasks.metrics.scores import Scores, UndefinedMetric, needs_resolution
from gelo.tasks.protocols.base import Metric, Protocol, ScoresFile, Suite, leaves_of
from gelo.tasks.protocols.curves import Part, flags
from gelo.tasks.protocols.detection import (
    BONA_FIDE,
    THINNED,
    UNNAMED,
    Statistic,
    attack_faults,
    equal,
    in_common,
    read_off,
    warnings_of,
)
from gelo.tasks.protocols.heads import head_scores, text_scores
from gelo.tasks.protocols.inputs import id_faults, label_faults, length_faults, refuse, score_faults
from gelo.tasks.protocols.tally import Context, Tally, part_faults
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scorefiles.scorefile import ScoreFile
    from gelo.tasks.scoring import Scored, Scoring

PROTOCOL = (
    "MAD: per attack against all bona fide; eer interpolated (the D-EER of ISO/IEC 20059), eer_nearest_fpr and "
    "fixed-error points as MADation"
)
PROTOCOL_VERSION = 2
PERCENTS = (1, 10, 20)
SCORED = ("bona_fide", "attack_*")  # of the counts

STATISTICS: dict[str, Statistic] = {
    "eer": equal(Curve.eer),
    "eer_nearest_fpr": equal(Curve.eer_nearest_fpr),
    f"eer_nearest_fpr{THINNED}": equal(lambda roc: roc.thinned().eer_nearest_fpr()),
}
AT_BPCER = {f"apcer_at_bpcer_{percent}{points}": percent / 100 for points in ("", THINNED) for percent in PERCENTS}
AT_APCER = {f"bpcer_at_apcer_{percent}{points}": percent / 100 for points in ("", THINNED) for percent in PERCENTS}


def _metrics(first: tuple[str, ...]) -> tuple[Metric, ...]:
    """first: the parts whose fixed-error points are main columns."""
    apcer, bpcer = (
        "attacks accepted where that share of bona fide is rejected",
        "bona fide rejected where that share is accepted",
    )
    return (
        Metric("eer", "lower", main=(MEAN,), help="equal error rate, interpolated: the D-EER of ISO/IEC 20059"),
        Metric("eer_nearest_fpr", "lower", help="equal error rate by MADation's rule"),
        Metric(f"eer_nearest_fpr{THINNED}", "lower", help="the same, off the points that scikit-learn keeps"),
        *(Metric(f"apcer_at_bpcer_{{percent}}{points}", "lower", PERCENTS, help=apcer) for points in ("", THINNED)),
        *(Metric(f"bpcer_at_apcer_{{percent}}{points}", "lower", PERCENTS, help=bpcer) for points in ("", THINNED)),
        Metric("apcer_at_bpcer_10", "lower", main=first, help=apcer),
        Metric("bpcer_at_apcer_10", "lower", main=first, help=bpcer),
    )


LEAVES = leaves_of(_metrics(()))


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
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`LEAVES` by attack and as `mean`; all arrays (N,): scores (higher = bona fide), labels (1 = bona fide),
    attacks, ids.

    prefix: before attacks and `mean` in the names. The unit of the intervals is the subject where `subjects` (N,) are given, else the
    image.
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
    tally = Tally(suite, prefix, "image" if subjects is None else "subject")
    genuine = Sample(Scores(values[bona_fide]), groups[bona_fide])
    found = {
        kind: _one_attack(tally, kind, genuine, Sample(Scores(values[attack == kind]), groups[attack == kind]))
        for kind in kinds
    }
    for leaf in LEAVES:
        parts = {kind: of_kind[leaf] for kind, of_kind in found.items()}
        reads = [read for read in parts.values() if read is not None]
        rejected = [AT_BPCER.get(leaf, read.value) for read in reads]
        shared = in_common(reads, rejected, genuine.scores.size) if reads and len(reads) == len(parts) else None
        tally.give_mean(parts, leaf, shared)
    counts = {"bona_fide": int(bona_fide.sum()), **{f"attack_{kind}": int((attack == kind).sum()) for kind in kinds}}
    notes = {
        **rule_of_30(_errors(tally, kinds, counts)),
        **warnings_of(Scores(values[bona_fide]), Scores(values[~bona_fide])),
    }
    table = pa.table({"id": names, "label": truth.astype(np.int64), "attack": attack, "score": values})
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def _errors(tally: Tally, kinds: Sequence[str], counts: Mapping[str, int]) -> dict[tuple[str, str], float]:
    """How many errors stand behind each value: at an EER of the rarer class, else those that the fixed rate expects."""
    found = {}
    for leaf in (leaf for leaf in LEAVES if not leaf.endswith(THINNED)):
        for kind in kinds:
            value = tally.values.get(tally.name(kind, leaf))
            if value is not None:
                bona_fide, attacks = counts["bona_fide"], counts[f"attack_{kind}"]
                at_equal = value * min(bona_fide, attacks)
                fixed = AT_BPCER.get(leaf, 0) * bona_fide + AT_APCER.get(leaf, 0) * attacks
                found[kind, leaf] = at_equal if leaf in STATISTICS else fixed
    return found


def _one_attack(tally: Tally, kind: str, bona_fide: Sample, attacks: Sample) -> dict[str, Read | None]:
    statistics = dict(STATISTICS)
    found: dict[str, Read | None] = {}
    for rates, sample, error, what, at in (
        (AT_BPCER, bona_fide, "BPCER", "bona fide presentations", _apcer_at),
        (AT_APCER, attacks, "APCER", "attack presentations", _bpcer_at),
    ):
        for leaf, rate in rates.items():
            try:
                needs_resolution(rate, sample.scores.size, error, what)
            except UndefinedMetric as undefined:
                tally.lack(kind, leaf, str(undefined))
                found[leaf] = None
            else:
                statistics[leaf] = at(rate, leaf.endswith(THINNED))
    return found | read_off(tally, kind, bona_fide, attacks, statistics)


def _apcer_at(rate: float, thinned: bool) -> Statistic:
    return lambda roc: roc.far_at_frr(rate, (roc.curve.thinned() if thinned else roc.curve).far_at_frr(rate))


def _bpcer_at(rate: float, thinned: bool) -> Statistic:
    return lambda roc: roc.frr_at_far(rate, (roc.curve.thinned() if thinned else roc.curve).frr_at_far(rate))


def _scored(s: Scoring) -> list[Scored]:
    d, features = s.dataset, s.features("test", "image")
    rest = (d.labels("test"), s.column("test", "attack"), d.ids("test"))
    subjects, out = s.subjects("test"), []
    if s.texts is not None:
        by_text = text_scores(features, s.classifier(), s.logit_scale)
        out.append(score("mad_text", by_text, *rest, dataset=d.name, prefix=s.prefix, subjects=subjects, **s.context))
    if s.head is not None:
        by_head = head_scores(features, s.head.weight, s.head.bias)
        out.append(score("mad", by_head, *rest, dataset=d.name, prefix=s.prefix, subjects=subjects, **s.context))
    return out


def _curve(result: Result, table: pa.Table) -> Iterator[Part]:
    """APCER and BPCER of each attack against all bona fide."""
    bona_fide, values = flags(pc.equal(table["attack"], BONA_FIDE)), table["score"].to_numpy()
    for kind in sorted(set(table["attack"].unique().to_pylist()) - {BONA_FIDE}):
        yield Part(kind, values[bona_fide], values[flags(pc.equal(table["attack"], kind))])


def _measure(file: ScoreFile, notes: dict[str, str], context: Context) -> Result:
    attack = file.given.get("attack")
    if attack is None:
        attack = np.where(file.labels == 1, BONA_FIDE, UNNAMED)
        notes["attack"] = f"no such column: one attack, named {UNNAMED}"
    rest = file.labels, attack.tolist(), file.ids.tolist()
    return score("mad", file.scores, *rest, dataset=file.name, subjects=file.given.get("subject"), **context)[0]


PROTOCOLS = (
    Protocol(
        "morph",
        asked="biometric",
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(
            Suite(
                "mad", "biometric", _metrics((MEAN,)), before="mad_text", trained=True, parts="attack", compared=SCORED
            ),
            Suite("mad_text", "biometric", _metrics(()), parts="attack", compared=SCORED),
        ),
        reads=(("test", ("image",)),),
        score=_scored,
        help="morphing attack detection, by attack",
        source="gurayozgur/MADation: src/utils/utils.py; ISO/IEC 20059",
        prompted=True,
        curve=_curve,
        file=ScoresFile(("id", "attack", "subject"), _measure),
    ),
)
