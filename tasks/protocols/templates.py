"""1:1 verification of templates (IJB-B, IJB-C and the miniature templates): pooled features, TAR at a FAR.

Source: deepinsight/insightface: recognition/arcface_torch/eval_ijbc.py, with flip and detector weighting.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.faults import Fault
from tasks.metrics.intervals import Interval, wilson
from tasks.metrics.scores import Scores, as_scores
from tasks.metrics.verification import tar_at_far
from tasks.protocols.inputs import feature_faults, id_faults, lookup, naming, normalised, refuse
from tasks.protocols.tally import Context, Tally
from tasks.protocols.verification import pair_faults
from tasks.results import Result, rate_label

PROTOCOL = (
    "templates: (f(x) + f(flip x)) x detector score, mean by media, sum by template, L2, dot; TAR at the nearest FAR"
)
PROTOCOL_VERSION = 1
RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
_BLOCK = 1 << 16  # pairs compared at a time


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

    members: id, template, media, detector_score (>= 0). pairs: template_1, template_2, same. A rate below 1 / impostor
    pairs is absent; one with fewer than 30 impostors beyond it is named in the notes. Wilson intervals at the threshold
    read, which is taken as given. The table has one row a pair: template_1, template_2, same, score. Raises UserError
    for duplicate ids or member rows, features that are not finite or zero, members with an unknown id, without media or
    with a bad detector score, templates whose pooled feature is zero, pairs with a template that has no members, of a
    template with itself, or given twice.
    """
    names = np.asarray(ids).astype(str)
    first, second = (np.asarray(pairs.column(name).to_pylist(), dtype=str) for name in ("template_1", "template_2"))
    same = np.asarray(pairs.column("same").to_pylist(), dtype=bool)
    templates, pooled, faults = pool(features, flipped, names, members)
    one, unknown_first = lookup(templates, first, "pairs.template_1", "template")
    two, unknown_second = lookup(templates, second, "pairs.template_2", "template")
    refuse(f"templates on {part}", faults, unknown_first, unknown_second, pair_faults(first, second))
    similarity = _dots(pooled, one, two)
    genuine, impostor = Scores(similarity[same]), Scores(similarity[~same])
    tally = Tally("fr")
    for rate in RATES:
        tally.attempt(part, f"tar_at_far_{rate_label(rate)}", partial(_tar, genuine, impostor, rate, part))
    few = [rate_label(rate) for rate in RATES if 1 <= round(rate * impostor.size, 6) < 30]
    notes = {"rule_of_30": f"fewer than 30 impostor pairs beyond FAR {', '.join(few)}"} if few else {}
    counts = {
        "images": names.size,
        "templates": templates.size,
        "genuine": genuine.size,
        "impostor": impostor.size,
    }
    table = pa.table({"template_1": first, "template_2": second, "same": same, "score": similarity})
    return tally.result(part, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def pool(
    features: NDArray[np.floating], flipped: NDArray[np.floating], names: NDArray[np.str_], members: pa.Table
) -> tuple[NDArray[np.str_], NDArray[np.float64], list[Fault]]:
    """Template names (T,) sorted, their L2-normalised features (T, d) float64, and every fault found (features are then
    empty).
    """
    member, template, media = (np.asarray(["" if v is None else v for v in members.column(c).to_pylist()], dtype=str)
                               for c in ("id", "template", "media"))  # fmt: skip
    weight = np.asarray(
        [np.nan if v is None else v for v in members.column("detector_score").to_pylist()], dtype=np.float64
    )
    row, faults = lookup(names, member, "members.id")
    faults += (
        id_faults(names)
        + feature_faults(features, names)
        + feature_faults(flipped, names, "features of the flipped images")
    )
    faults += _member_faults(member, template, media, weight)
    labels, of_template = np.unique(template, return_inverse=True)
    if faults:
        return labels, np.empty((0, 0)), faults
    if not labels.size:
        return labels, np.empty((0, 0)), [Fault("members", "no rows", "at least one image of each template")]
    # Rows sorted by (template, media): a run is one media of one template, and runs of one template lie together.
    _, of_media = np.unique(media, return_inverse=True)
    order = np.lexsort((of_media, of_template))
    weighted = (features.astype(np.float64) + flipped)[row[order]] * weight[order][:, None]
    run = np.flatnonzero(np.r_[True, (np.diff(of_template[order]) != 0) | (np.diff(of_media[order]) != 0)])
    media_mean = np.add.reduceat(weighted, run, axis=0) / np.diff(np.r_[run, order.size])[:, None]
    start = np.flatnonzero(np.r_[True, np.diff(of_template[order][run]) != 0])
    summed = np.add.reduceat(media_mean, start, axis=0)
    faults = feature_faults(summed, labels, "pooled template features")
    return labels, np.empty((0, 0)) if faults else normalised(summed), faults


def _member_faults(
    member: NDArray[np.str_], template: NDArray[np.str_], media: NDArray[np.str_], weight: NDArray[np.float64]
) -> list[Fault]:
    faults = []
    bare = list(dict.fromkeys(template[media == ""].tolist()))
    if bare:
        faults.append(
            Fault("members.media", f"{len(bare)} templates without media: {naming(bare)}", "a media name for each row")
        )
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        found = f"{int(bad.sum())} not a finite number from 0 up: {naming(member[bad].tolist())}"
        faults.append(Fault("members.detector_score", found, "the detector's confidence"))
    both, counts = np.unique(np.stack([template, member], axis=1), axis=0, return_counts=True)
    twice = [f"{image} in template {name}" for name, image in both[counts > 1].tolist()]
    if twice:
        faults.append(
            Fault("members", f"{len(twice)} duplicate rows: {naming(twice)}", "each image once in a template")
        )
    return faults


def _dots(pooled: NDArray[np.float64], one: NDArray[np.intp], two: NDArray[np.intp]) -> Scores:
    blocks = [
        np.einsum("pd,pd->p", pooled[one[start : start + _BLOCK]], pooled[two[start : start + _BLOCK]])
        for start in range(0, one.size, _BLOCK)
    ]
    return as_scores(np.concatenate(blocks) if blocks else np.empty(0), "template scores")


def _tar(genuine: Scores, impostor: Scores, rate: float, part: str) -> tuple[float, Interval | None]:
    tar = tar_at_far(genuine, impostor, rate, chosen_on=part).tar
    return tar, wilson(round(tar * genuine.size), genuine.size)
