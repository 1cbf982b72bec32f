"""Features of images to features of templates: weighted by the detector's score, mean by media, sum by template, L2-normalised.

Names become integers once, and features are widened to float64 a block of templates at a time, so that IJB-C's 469,375 images cost little
more than the templates that come out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gelo.models.faults import Fault
from gelo.tasks.protocols.inputs import column_of, feature_faults, id_faults, lookup, naming

_IMAGES = 1 << 12  # about so many images pooled at a time


def pool(
    features: NDArray[np.floating],
    flipped: NDArray[np.floating],
    ids: Sequence[str] | NDArray[np.object_],
    members: pa.Table,
) -> tuple[pa.Array, NDArray[np.float64], list[Fault]]:
    """Template names (T,) sorted, their L2-normalised features (T, d) float64, and every fault found (features are then
    empty).
    """
    row, faults = lookup(ids, members["id"], "members.id")
    template, media = (named(members[name]) for name in ("template", "media"))
    weight = members["detector_score"].cast(pa.float64()).to_numpy()  # null as NaN
    faults += (
        id_faults(ids)
        + feature_faults(features, ids)
        + feature_faults(flipped, ids, "features of the flipped images")
        + _member_faults(members["id"], template, media, weight)
    )
    labels = template.unique().sort()
    if faults:
        return labels, np.empty((0, 0)), faults
    if not len(labels):
        return labels, np.empty((0, 0)), [Fault("members", "no rows", "at least one image of each template")]
    of_template = pc.index_in(template, value_set=labels).to_numpy()
    of_media = media.dictionary_encode().indices.to_numpy()
    # The mean by media and the sum by template are one weighted sum of the images: each weighs its score / images of its own media.
    order = np.lexsort((of_media, of_template))
    of_template, of_media, row, weight = of_template[order], of_media[order], row[order], weight[order]
    run = _starts(of_template, of_media)
    weight /= np.repeat(np.diff(run), np.diff(run))
    start = _starts(of_template)
    summed = np.empty((len(labels), features.shape[1]))
    first = 0
    while first < len(labels):
        last = max(first + 1, int(np.searchsorted(start, start[first] + _IMAGES, side="right")) - 1)
        rows = slice(start[first], start[last])
        both = features[row[rows]].astype(np.float64)
        both += flipped[row[rows]]
        indptr = start[first : last + 1] - start[first]
        sums = csr_array((weight[rows], np.arange(len(both)), indptr), shape=(last - first, len(both)))
        summed[first:last] = sums @ both
        first = last
    faults = feature_faults(summed, labels, "pooled template features")
    if faults:
        return labels, np.empty((0, 0)), faults
    summed /= np.sqrt(np.einsum("td,td->t", summed, summed))[:, None]
    return labels, summed, faults


def named(column: pa.ChunkedArray) -> pa.Array:
    """Names of templates or media, an empty one for null."""
    named = column_of(column)
    named = pc.fill_null(named.cast(pa.string()), "") if named.null_count else named
    return named.combine_chunks() if isinstance(named, pa.ChunkedArray) else named


def _starts(*sorted_: NDArray[np.integer]) -> NDArray[np.intp]:
    """Where a new value of any column begins, and the number of rows."""
    size = sorted_[0].size
    new = np.ones(size + 1, dtype=bool)
    new[1:size] = np.logical_or.reduce([column[1:] != column[:-1] for column in sorted_])
    return np.flatnonzero(new)


def _member_faults(
    member: pa.ChunkedArray, template: pa.Array, media: pa.Array, weight: NDArray[np.float64]
) -> list[Fault]:
    faults = []
    bare = template.filter(pc.equal(media, "")).unique().to_pylist() if media.type == pa.string() else []
    if bare:
        faults.append(
            Fault("members.media", f"{len(bare)} templates without media: {naming(bare)}", "a media name for each row")
        )
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        found = f"{int(bad.sum())} not a finite number from 0 up: {naming(member.filter(pa.array(bad)).to_pylist())}"
        faults.append(Fault("members.detector_score", found, "the detector's confidence"))
    both = (
        pa.table({"template": template, "member": member})
        .group_by(["template", "member"])
        .aggregate([([], "count_all")])
    )
    again = both.filter(pc.greater(both["count_all"], 1)).sort_by([("template", "ascending"), ("member", "ascending")])
    twice = [f"{line['member']} in template {line['template']}" for line in again.to_pylist()]
    if twice:
        faults.append(
            Fault("members", f"{len(twice)} duplicate rows: {naming(twice)}", "each image once in a template")
        )
    return faults
