"""The DET / ROC curves behind a biometric result, made in one place from its table of scores: what is saved beside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.tasks.metrics.curves import curve
from gelo.tasks.metrics.det import LIMIT, kept
from gelo.tasks.metrics.scores import Scores
from gelo.tasks.protocols import protocols_of
from gelo.tasks.results import Result


class Part(NamedTuple):
    """Scores of one curve, higher = genuine, and the part of the metrics' names that it is of.

    open: never accepted genuine ones are at the bottom, so that the curve ends before its last point."""

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
    parts = next((each.curve for each in protocols_of(result.suite) if each.curve is not None), None)
    for part in parts(result, per_item) if parts is not None and per_item.num_rows else ():
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


def flags(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """A column of booleans as an array."""
    return column.to_numpy().astype(bool)
