"""The DET / ROC curves behind a biometric result, made in one place from its table of scores: what is saved beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from gelo.tasks.metrics.curves import curve
from gelo.tasks.metrics.det import LIMIT, kept
from gelo.tasks.metrics.scores import Scores
from gelo.tasks.protocols.detection import BONA_FIDE
from gelo.tasks.results import Result
from numpy.typing import NDArray


class _Part(NamedTuple):
    """Scores of one curve. open: never accepted genuine ones are at the bottom, so that the curve ends before its last point."""

    name: str
    genuine: NDArray[np.float64]
    impostor: NDArray[np.float64]
    open: bool = False


def curves_of(result: Result, per_item: pa.Table, limit: int = LIMIT) -> pa.Table | None:
    """One row a point: part, threshold, far, frr; None for a suite without a curve, and where no part has both classes.

    Strictest point first: score >= threshold is accepted; the first accepts nothing. part: data set (fr), attack (mad), domain (pad)
    or gallery (fr_1n), as in the metrics' names. far, frr: APCER and BPCER for mad and pad; FPIR and FNIR(N, 1, T) for fr_1n. The
    schema's metadata says of each part under `points` how many were kept of how many (`det.kept`), so whether it is thinned.
    """
    tables, said = [], []
    for part in _parts(result, per_item) if per_item.num_rows else ():
        if not part.genuine.size or not part.impostor.size:
            continue
        roc = curve(Scores(part.genuine), Scores(part.impostor))
        points = kept(roc, limit)
        points = points[:-1] if part.open else points
        above = float(np.nextafter(roc.thresholds[0], np.inf))
        columns = {
            "part": pa.DictionaryArray.from_arrays(np.zeros(points.size, dtype=np.int8), [part.name]),
            "threshold": np.where(points == 0, above, roc.thresholds[np.maximum(points - 1, 0)]),
            "far": roc.impostor[points] / roc.impostor[-1],
            "frr": (roc.genuine[-1] - roc.genuine[points]) / roc.genuine[-1],
        }
        tables.append(pa.table(columns))
        said.append(f"{part.name}: {points.size} of {roc.thresholds.size + 1 - part.open}")
    if not tables:
        return None
    return pa.concat_tables(tables).unify_dictionaries().replace_schema_metadata({"points": "; ".join(said)})


def _parts(result: Result, table: pa.Table) -> Iterator[_Part]:
    suite = result.suite
    if suite == "fr":
        same = _flags(table["same"])
        score = table["score"].to_numpy()
        yield _Part(result.dataset, score[same], score[~same])
    elif suite in ("mad", "mad_text"):
        bona_fide = _flags(pc.equal(table["attack"], BONA_FIDE))
        for kind in sorted(set(table["attack"].unique().to_pylist()) - {BONA_FIDE}):
            of_kind = _flags(pc.equal(table["attack"], kind))
            yield _Part(kind, table["score"].to_numpy()[bona_fide], table["score"].to_numpy()[of_kind])
    elif suite in ("pad", "pad_text"):
        for domain in sorted(table["domain"].unique().to_pylist()):
            rows = table.filter(pc.equal(table["domain"], domain))
            bona_fide = _flags(pc.equal(rows["label"], 1))
            yield _Part(domain, rows["score"].to_numpy()[bona_fide], rows["score"].to_numpy()[~bona_fide])
    elif suite == "fr_1n":
        for gallery in table["gallery"].unique().to_pylist():
            rows = table.filter(pc.equal(table["gallery"], gallery))
            mated, score = _flags(rows["mated"]), rows["score"].to_numpy().copy()
            late = _flags(pc.fill_null(pc.greater(rows["rank"], 1), False))
            score[late] = np.nextafter(score.min(), -np.inf)
            yield _Part(gallery, score[mated], score[~mated], open=bool(late.any()))


def _flags(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return column.to_numpy().astype(bool)
