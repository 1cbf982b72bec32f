"""1:1 verification of templates (IJB-B, IJB-C and the miniature templates): pooled features, TAR at a FAR.

Source: deepinsight/insightface: recognition/arcface_torch/eval_ijbc.py, with flip and detector weighting.

Sized for IJB-C (469,375 images, 15.7 million pairs): see `pooling` and `dots`; TAR is read off sorted scores, without a curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.tasks.metricnames import rate_label
from gelo.tasks.metrics.intervals import Complement
from gelo.tasks.metrics.pairs import Comparisons
from gelo.tasks.metrics.scores import Scores, UndefinedMetric
from gelo.tasks.metrics.verification import tar_at_far_sorted
from gelo.tasks.protocols import scoredpairs
from gelo.tasks.protocols.base import Metric, Protocol, ScoresFile, Suite
from gelo.tasks.protocols.detection import warnings_of
from gelo.tasks.protocols.dots import dots
from gelo.tasks.protocols.inputs import empty_faults, pair_ends, refuse
from gelo.tasks.protocols.pooling import pool
from gelo.tasks.protocols.scoredpairs import LABELS, RATES
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scoring import Scored, Scoring

PROTOCOL = (
    "templates: (f(x) + f(flip x)) x detector score, mean by media, sum by template, L2, dot; TAR at the nearest FAR"
)
PROTOCOL_VERSION = 2
METRICS = (
    Metric(
        "tar_at_far_{rate}",
        "higher",
        LABELS,
        main=("templates",),  # too small for 1e-4, so that all that it can resolve is shown
        help="genuine pairs accepted at the threshold of the nearest FAR",
    ),
    Metric("tar_at_far_1e-4", "higher", main=("*",), help="the rate that IJB papers report"),
)


def score(
    part: str,
    features: NDArray[np.floating],
    flipped: NDArray[np.floating],
    ids: Sequence[str] | NDArray[np.object_],
    members: pa.Table,
    pairs: pa.Table,
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`tar_at_far_<rate>` at `RATES`; features and flipped (N, d), unnormalised, in the order of ids (N,).

    members: id, template, media, detector_score (>= 0). pairs: template_1, template_2, same. Templates and media are text or whole
    numbers. A rate below 1 / impostor pairs is absent; one with fewer than 30 impostors beyond it is named in the notes. The unit of
    the intervals is the subject: the templates that genuine pairs join. The table has one row a pair: template_1, template_2, same
    (as given) and score, float64. Raises UserError for duplicate ids or member rows, features that are not finite or zero, members with an
    unknown id, without media or with a bad detector score, templates whose pooled feature is zero, pairs with a template that has
    no members, of a template with itself, given twice, or without a class.
    """
    templates, pooled, faults = pool(features, flipped, ids, members)
    pa.default_memory_pool().release_unused()  # of the names, before the pairs need as much
    one, two, unpaired = pair_ends(templates, pairs, ("template_1", "template_2"), "template")
    refuse(f"templates on {part}", faults, unpaired, empty_faults(pairs, "same"))
    similarity = dots(pooled, one, two)
    del pooled  # room for the scores by class
    comparisons = Comparisons(Scores(similarity), pairs["same"].to_numpy().astype(bool), one, two)
    genuine, impostor = comparisons.genuine, comparisons.impostor
    tally = Tally("fr", unit="subject")
    for rate in RATES:
        leaf = f"tar_at_far_{rate_label(rate)}"
        try:
            found = tar_at_far_sorted(genuine, impostor, rate, chosen_on=part)
        except UndefinedMetric as undefined:
            tally.lack(part, leaf, str(undefined))
        else:
            tally.give(part, leaf, found.tar, Complement(comparisons.frr_at_far(rate, found)).interval())
    few = [rate_label(rate) for rate in RATES if 1 <= round(rate * impostor.size, 6) < 30]
    notes = {"rule_of_30": f"fewer than 30 impostor pairs beyond FAR {', '.join(few)}"} if few else {}
    notes |= warnings_of(genuine, impostor, ("genuine", "impostors"))
    counts = {
        "images": len(ids),
        "templates": len(templates),
        "genuine": genuine.size,
        "impostor": impostor.size,
    }
    table = pa.table({**{name: pairs[name] for name in ("template_1", "template_2", "same")}, "score": similarity})
    return tally.result(part, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def _scored(s: Scoring) -> list[Scored]:
    d = s.dataset
    image, flip = s.features("test", "image"), s.features("test", "flip")
    return [score(d.name, image, flip, d.ids("test"), d.table("members"), d.table("pairs"), **s.context)]


PROTOCOLS = (
    Protocol(
        "templates",
        asked="biometric",
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(Suite("fr", "biometric", METRICS, compared=("genuine", "impostor")),),
        reads=(("test", ("image", "flip")),),
        score=_scored,
        help="face verification of templates",
        source="deepinsight/insightface: recognition/arcface_torch/eval_ijbc.py",
        curve=scoredpairs.curve,
        file=ScoresFile(("id",), partial(scoredpairs.measure, folded=False), pairs=True, metrics=scoredpairs.METRICS),
    ),
)
