"""1:N identification of templates (IJB-B, IJB-C): every probe searches each gallery; rank-1 and 5, TPIR at a FPIR, by gallery and as mean.

Definitions: ISO/IEC 19795-1 and Maze et al. 2018 (IJB-C): two galleries of different subjects, so that the probes of one are non-mated
searches of the other. deepinsight/insightface: recognition/_evaluation_/ijb/ijb_1n.py differs: it joins the galleries, where no search is
non-mated, and counts its false positives by comparison. Templates are pooled and compared as for 1:1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gelo.models.faults import Fault
from gelo.tasks.metricnames import rate_label
from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.identification import rank_k, ranks, tpir_at_fpir
from gelo.tasks.metrics.intervals import Combined, Complement, Estimate, Rate, rule_of_30
from gelo.tasks.metrics.roc_intervals import Roc
from gelo.tasks.metrics.scores import Scores, UndefinedMetric
from gelo.tasks.protocols.base import Metric, Protocol, Suite, leaves_of
from gelo.tasks.protocols.curves import Part, flags
from gelo.tasks.protocols.dots import rounded
from gelo.tasks.protocols.inputs import empty_faults, id_faults, lookup, naming, refuse
from gelo.tasks.protocols.pooling import named, pool
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scoring import Scored, Scoring

PROTOCOL = (
    "identification: templates as for 1:1, a subject's best template; rank-k with ties against, TPIR of rank 1 at the "
    "lowest threshold with FPIR at most the rate; by gallery and mean"
)
PROTOCOL_VERSION = 2
GALLERIES = ("gallery_1", "gallery_2")
PROBE = "probe"
PLACES = (1, 5)
RATES = (1e-1, 1e-2)
METRICS = (
    Metric("rank_1", "higher", main=("*",), help="mated searches whose subject stands first, mean over galleries"),
    Metric("rank_{k}", "higher", PLACES, help="mated searches whose subject stands among the first k"),
    Metric("tpir_at_fpir_{rate}", "higher", tuple(map(rate_label, RATES)), help="those first and above the threshold"),
    Metric("rank_{k}_gallery_{gallery}", "higher", help="the same in one gallery"),
    Metric("tpir_at_fpir_{rate}_gallery_{gallery}", "higher", help="the same in one gallery"),
)
LEAVES = leaves_of(METRICS)
_SEARCHES = 1 << 10  # probes compared at a time


class Searches(NamedTuple):
    """All probes in one gallery. score: (Q,) of the own subject where mated, else the highest; rank: (Q,), 0 where not mated."""

    subjects: int
    templates: int
    mated: NDArray[np.bool_]
    score: NDArray[np.float64]
    rank: NDArray[np.int64]


def score(
    part: str,
    features: NDArray[np.floating],
    flipped: NDArray[np.floating],
    ids: Sequence[str] | NDArray[np.object_],
    members: pa.Table,
    identification: pa.Table | None,
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`LEAVES` as mean over the galleries and, with `_gallery_1` and `_gallery_2` behind, of each; features and members as in
    `templates.score`.

    identification: template, subject, role (gallery_1, gallery_2 or probe); without it (None) every leaf is absent. A gallery that has
    no template is not searched. The unit of the intervals is the probe's subject. The table has one row a search: gallery, template,
    subject, mated, score, rank (null where not mated). Raises UserError with the faults of the members, templates without members
    or named twice, other roles, empty cells, and a table without probes or without a gallery.
    """
    tally = Tally("fr_1n", unit="subject")
    if identification is None:
        for leaf in LEAVES:
            tally.lack(part, leaf, "no gallery and probe lists (1N_*.csv) were there when the data set was prepared")
        nothing = pa.table({"gallery": [], "template": [], "subject": [], "mated": [], "score": [], "rank": []})
        return tally.result(part, PROTOCOL, PROTOCOL_VERSION, {"images": len(ids)}, {}, **context), nothing
    templates, pooled, faults = pool(features, flipped, ids, members)
    place, unknown = lookup(templates, identification["template"], "identification.template", "template")
    refuse(f"identification on {part}", faults, unknown, _table_faults(identification))
    subject = named(identification["subject"]).dictionary_encode().indices.to_numpy()
    role = identification["role"].to_numpy()
    probes = role == PROBE
    found = {
        gallery: _search(
            pooled[place[probes]], subject[probes], pooled[place[role == gallery]], subject[role == gallery]
        )
        for gallery in GALLERIES
        if (role == gallery).any()
    }
    counts = {"images": len(ids), "probes": int(probes.sum())}
    errors: dict[tuple[str, str], float] = {}
    read = {
        gallery: _read(tally, part, gallery, searches, subject[probes], errors) for gallery, searches in found.items()
    }
    for leaf in LEAVES:
        _mean(tally, part, leaf, {gallery: estimates.get(leaf) for gallery, estimates in read.items()})
    for gallery, searches in found.items():
        counts |= {f"{gallery}_subjects": searches.subjects, f"{gallery}_templates": searches.templates}
        counts |= {f"{gallery}_mated": int(searches.mated.sum()), f"{gallery}_non_mated": int((~searches.mated).sum())}
    notes = rule_of_30(errors)
    asked = identification.filter(pa.array(probes)).select(["template", "subject"])
    rows = [
        pa.table({
            "gallery": [gallery] * len(asked), "template": asked["template"], "subject": asked["subject"], "mated": s.mated,
            "score": s.score, "rank": pa.array(s.rank, mask=~s.mated),
        })
        for gallery, s in found.items()
    ]  # fmt: skip
    return tally.result(part, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), pa.concat_tables(rows)


def _search(
    probes: NDArray[np.float64],
    probe_subject: NDArray[np.int32],
    gallery: NDArray[np.float64],
    subject: NDArray[np.int32],
) -> Searches:
    """Each probe (Q, d) against the best template of each gallery subject, (G, d) and (G,)."""
    order = np.argsort(subject, kind="stable")
    names, start = np.unique(subject[order], return_index=True)
    own = np.minimum(np.searchsorted(names, probe_subject), names.size - 1)
    mated = names[own] == probe_subject
    score, rank = np.empty(len(probes)), np.zeros(len(probes), dtype=np.int64)
    columns = np.ascontiguousarray(gallery[order].T)
    for first in range(0, len(probes), _SEARCHES):
        rows = slice(first, first + _SEARCHES)
        best = rounded(np.maximum.reduceat(probes[rows] @ columns, start, axis=1))
        here = mated[rows]
        score[rows] = np.where(here, best[np.arange(len(best)), own[rows]], best.max(axis=1))
        rank[rows][here] = ranks(best[here], own[rows][here])
    return Searches(names.size, len(gallery), mated, score, rank)


def _read(
    tally: Tally, part: str, gallery: str, s: Searches, subject: NDArray[np.int32], errors: dict[tuple[str, str], float]
) -> dict[str, Estimate]:
    """Give each leaf of one gallery, and note the errors behind it; returns those that are defined."""
    rank, alarm = s.rank[s.mated], Sample(Scores(s.score[~s.mated]), subject[~s.mated])
    mate = Sample(Scores(s.score[s.mated]), subject[s.mated])
    found: dict[str, Estimate] = {}

    def give(leaf: str, estimate: Rate | Complement, count: float) -> None:
        found[leaf] = estimate
        tally.give(part, f"{leaf}_{gallery}", estimate.value, estimate.interval())
        errors[gallery, leaf] = count

    for k in PLACES:
        try:
            rank_k(rank, k, s.subjects)
        except UndefinedMetric as undefined:
            tally.lack(part, f"rank_{k}_{gallery}", str(undefined))
        else:
            give(f"rank_{k}", Rate(mate, rank <= k), float(np.sum(rank > k)))
    for rate in RATES:
        leaf = f"tpir_at_fpir_{rate_label(rate)}"
        try:
            tpir = tpir_at_fpir(mate.scores, rank, alarm.scores, rate, chosen_on=f"{part}/{gallery}").tpir
        except UndefinedMetric as undefined:
            tally.lack(part, f"{leaf}_{gallery}", str(undefined))
        else:
            # A mate that does not stand first is missed at every threshold.
            lowest = np.nextafter(min(mate.scores.min(), alarm.scores.min()), -np.inf)
            answered = Sample(Scores(np.where(rank == 1, mate.scores, lowest)), subject[s.mated])
            missed = Roc(answered, alarm).frr_at_far(rate, 1 - tpir)
            give(leaf, Complement(missed), rate * alarm.scores.size)
    return found


def _mean(tally: Tally, part: str, leaf: str, estimates: dict[str, Estimate | None]) -> None:
    lacking = [gallery for gallery, estimate in estimates.items() if estimate is None]
    if lacking:
        tally.lack(part, leaf, f"mean over the galleries: undefined for {', '.join(lacking)}")
        return
    known = [estimate for estimate in estimates.values() if estimate is not None]
    mean = Combined(known, [1 / len(known)] * len(known))
    tally.give(part, leaf, mean.value, mean.interval())


def _table_faults(identification: pa.Table) -> list[Fault]:
    faults = [
        f for column in identification.column_names for f in empty_faults(identification, column, "identification")
    ]
    faults += id_faults(identification["template"], "identification.template")
    roles = identification["role"].unique().to_pylist()
    strange = [role for role in roles if role is not None and role not in (*GALLERIES, PROBE)]
    if strange:
        faults.append(Fault("identification.role", naming(strange), f"one of {', '.join((*GALLERIES, PROBE))}"))
    if PROBE not in roles:
        faults.append(Fault("identification.role", "no probe", "at least one probe template"))
    if not set(GALLERIES) & set(roles):
        faults.append(Fault("identification.role", "no gallery", "at least one template in gallery_1 or gallery_2"))
    return faults


def _scored(s: Scoring) -> list[Scored]:
    d = s.dataset
    image, flip = s.features("test", "image"), s.features("test", "flip")
    searches = d.table("identification") if "identification" in d.card.tables else None
    return [score(d.name, image, flip, d.ids("test"), d.table("members"), searches, **s.context)]


def _curve(result: Result, table: pa.Table) -> Iterator[Part]:
    """FPIR and FNIR(N, 1, T) of each gallery: a mate that does not stand first is missed at every threshold."""
    for gallery in table["gallery"].unique().to_pylist():
        rows = table.filter(pc.equal(table["gallery"], gallery))
        mated, similarity = flags(rows["mated"]), rows["score"].to_numpy().copy()
        late = flags(pc.fill_null(pc.greater(rows["rank"], 1), False))
        similarity[late] = np.nextafter(similarity.min(), -np.inf)
        yield Part(gallery, similarity[mated], similarity[~mated], open=bool(late.any()))


PROTOCOLS = (
    Protocol(
        "identification",
        asked="biometric",
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(Suite("fr_1n", "biometric", METRICS, compared=("probes",)),),
        reads=(("test", ("image", "flip")),),
        score=_scored,
        help="1:N search of templates in two galleries",
        source="ISO/IEC 19795-1; Maze et al. 2018 (IJB-C)",
        curve=_curve,
    ),
)
